"""Performance of scheduled forecasts: rolling scores by window and lead, and the holdout error beside them.

Pure: rows of the prediction log in, scores out. Only scheduled forecasts issued in the hour of 09:00 may
count, one per hour; hours with unknown or suspect demand are not truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from scipy import stats

from energy_demand.model.metrics import coverage, scores
from energy_demand.timeaxis import FEWEST_HOURS_OF_DAY, HOUR, utc_index

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Floats
    from energy_demand.model.expected_errors import ExpectedErrors

WINDOWS_DAYS = (1, 7, 14, 30)
LEAD_BANDS = {"16-21": (16, 21), "22-27": (22, 27), "28-33": (28, 33), "34-40": (34, 40)}
NAIVE = {"seasonal_naive_24": "demand_lag_24h", "seasonal_naive_168": "demand_lag_168h"}
JUDGED_DAYS = 14
FEWEST_DAYS = 7
WORSE_RATIO = 1.5
SIGNIFICANT = 0.01


@dataclass(frozen=True)
class Comparison:
    """The newest days compared with the champion's holdout error.

    Attributes:
        days: number of scored days.
        mae: mean absolute error (MWh); None where no day can be scored.
        mape: percent.
        expected_mape: MAPE to expect in this season, from the champion's holdout error, percent.
        ratio: `mape` / `expected_mape`.
        p_value: of the null hypothesis that the daily errors are not above the expected ones.
        worse: `ratio` at least `WORSE_RATIO` and `p_value` below `SIGNIFICANT`.
    """

    days: int
    mae: float | None = None
    mape: float | None = None
    expected_mape: float | None = None
    ratio: float | None = None
    p_value: float | None = None
    worse: bool = False


def performance(forecasts: pd.DataFrame, now: datetime) -> dict[str, Any]:
    """Rolling scores.

    Args:
        forecasts: `timestamp`, `lead_hours`, `predicted_demand`, the bounds, `actual_demand` (NaN where
            unknown), and the naive forecasts known at issue: `demand_lag_24h`, `demand_lag_168h`.
        now: windows end here.

    Returns:
        By window (`1d`, `7d`, …): None, or `mae`, `mape`, `rmse`, `bias_percent`, `n`, `coverage_80`,
        `coverage_95`, `by_lead` (the same scores), and the scores of both naive forecasts on the same hours.
    """
    known = forecasts[forecasts["actual_demand"].notna()]
    at, end = utc_index(known["timestamp"]), pd.Timestamp(now)
    return {
        f"{days}d": _window(known[(at > end - pd.Timedelta(days=days)) & (at <= end)])
        for days in WINDOWS_DAYS
    }


def compare(
    forecasts: pd.DataFrame, champion: Mapping[str, float], expected_errors: ExpectedErrors, zone: ZoneInfo
) -> Comparison:
    """The newest `JUDGED_DAYS` days with known demand compared with the champion's holdout error.

    Args:
        forecasts: as for `performance`.
        champion: its metrics `test_mape`, `test_first_day`, `test_last_day`.
        expected_errors: of the champion; they show how difficult the season is.
        zone: of the days.
    """
    known = forecasts[forecasts["actual_demand"].notna()]
    local = (utc_index(known["timestamp"]) - pd.Timedelta(HOUR)).tz_convert(zone)
    error = (known["predicted_demand"] - known["actual_demand"]).abs()
    table = pd.DataFrame(
        {
            "day": local.tz_localize(None).normalize(),
            "mae": error.to_numpy(),
            "mape": (100 * error / known["actual_demand"]).to_numpy(),
        }
    )
    by_day = table.groupby("day").agg(mae=("mae", "mean"), mape=("mape", "mean"), n=("mae", "size"))
    recent = by_day[by_day["n"] >= FEWEST_HOURS_OF_DAY].tail(JUDGED_DAYS)
    if recent.empty:
        return Comparison(0)
    mae, mape, days = float(recent["mae"].mean()), float(recent["mape"].mean()), len(recent)
    expected = _expected(champion, expected_errors, pd.DatetimeIndex(recent.index))
    if expected is None or days < FEWEST_DAYS:
        return Comparison(days, mae, mape)
    ratio = mape / float(expected.mean())
    outcome = stats.ttest_ind(recent["mape"].to_numpy(), expected, equal_var=False, alternative="greater")
    p_value = float(outcome.pvalue)
    worse = ratio >= WORSE_RATIO and p_value < SIGNIFICANT
    return Comparison(days, mae, mape, float(expected.mean()), ratio, p_value, bool(worse))


def _expected(
    champion: Mapping[str, float], expected_errors: ExpectedErrors, days: pd.DatetimeIndex
) -> Floats | None:
    """Daily MAPE (percent) to expect of a champion in the season of `days`; None where unknown.

    The expected errors of this season, scaled by the ratio of holdout error to expected errors on the holdout
    days: neither an easy holdout nor a difficult season counts against the champion.
    """
    if not {"test_mape", "test_first_day", "test_last_day"} <= set(champion):
        return None
    first, last = (str(int(champion[f"test_{end}_day"])) for end in ("first", "last"))
    holdout_days = pd.date_range(first, last, freq="D")
    holdout, season = expected_errors.on(holdout_days), expected_errors.season(days)
    if champion["test_mape"] <= 0 or len(holdout) == 0 or len(season) < FEWEST_DAYS or holdout.mean() <= 0:
        return None
    scaled: Floats = season * (champion["test_mape"] / holdout.mean())
    return scaled


def _window(rows: pd.DataFrame) -> dict[str, Any] | None:
    if rows.empty:
        return None
    actual = rows["actual_demand"].to_numpy(dtype=float)
    covered = {
        f"coverage_{level}": coverage(
            actual, rows[f"lower_{level}"].to_numpy(dtype=float), rows[f"upper_{level}"].to_numpy(dtype=float)
        )
        for level in (80, 95)
    }
    leads = rows["lead_hours"].to_numpy()
    by_lead = {
        name: _scores(rows[(leads >= low) & (leads <= high)]) for name, (low, high) in LEAD_BANDS.items()
    }
    naive = {name: _scores(rows, column) for name, column in NAIVE.items()}
    return {**(_scores(rows) or {}), **covered, "by_lead": by_lead, **naive}


def _scores(rows: pd.DataFrame, column: str = "predicted_demand") -> dict[str, Any] | None:
    usable = rows[rows[column].notna()] if column in rows else rows.iloc[:0]
    if usable.empty:
        return None
    return dict(scores(usable["actual_demand"].to_numpy(dtype=float), usable[column].to_numpy(dtype=float)))
