"""Performance of scheduled forecasts: rolling scores by window and lead, and the holdout error beside them.

Pure: rows of the prediction log in, scores out. Only scheduled forecasts issued in the hour of 09:00 may
count, one per hour; hours with unknown or suspect demand are not truth. Each step of the fallback ladder
answers for itself: only what the champion itself forecast is compared with its holdout error.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from energy_demand.columns import OWN_ANSWERS
from energy_demand.model.metrics import coverage, expected_percent_error, scores
from energy_demand.timeaxis import FEWEST_HOURS_OF_DAY, local_days, utc_index

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
# Of expected errors: see `_expected`.
MOST_OF_MEDIAN = 3.0
MOST_OF_HOLDOUT = 2.0


@dataclass(frozen=True)
class Comparison:
    """The newest days compared with the champion's holdout error.

    Attributes:
        days: number of scored days that the champion itself forecast.
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
        forecasts: `timestamp`, `lead_hours`, `quality`, `predicted_demand`, the bounds, `actual_demand` (NaN
            where unknown), and the naive forecasts known at issue: `demand_lag_24h`, `demand_lag_168h`.
        now: windows end here.

    Returns:
        By window (`1d`, `7d`, …): None, or `mae`, `mape`, `rmse`, `bias_percent`, `n`, `expected_mape` (what
        the intervals let one expect of these hours), `coverage_80`, `coverage_95`, `by_lead` and `by_quality`
        (the same scores), and the scores of both naive forecasts on the same hours.
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
        forecasts: of the champion's version, as for `performance`; those that a fallback answered are left
            out.
        champion: its metrics `test_mape`, `test_first_day`, `test_last_day`.
        expected_errors: of the champion; they show how difficult the season is.
        zone: of the days.
    """
    own = forecasts["quality"].isin(OWN_ANSWERS)
    known = forecasts[own & forecasts["actual_demand"].notna()]
    error = (known["predicted_demand"] - known["actual_demand"]).abs()
    table = pd.DataFrame(
        {
            "day": local_days(utc_index(known["timestamp"]), zone),
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

    The holdout error, scaled by how much harder than the holdout days this season was in the expected errors:
    neither an easy holdout nor a difficult season counts against the champion.

    The expected errors are heavy-tailed: while the regression learns its first summer, single days of New
    York's record have errors of 40 to 386 %, and one of them in the mean of a season made the expected error
    three to nine times what then happened. So a day counts for at most `MOST_OF_MEDIAN` times the median, the
    season is that of the middle year (of two, the easier), and it is at most `MOST_OF_HOLDOUT` times as hard
    or easy as the holdout. On that record the 99th percentile of expected / observed error fell from 8.2 to
    2.0 with two to three years stored, and from 4.1 to 1.6 with three; docs/monitoring.md has the figures.

    A season that was met in the first year of the record alone shows how hard learning it was, not how hard
    it is: then the holdout error itself is expected. On 14 months of synthetic demand the season after the
    holdout had a mean of 1.5 to 2.7 % in the first year and 1.0 to 1.5 % a year later; scaled by the first,
    twice the holdout error was expected.
    """
    if not {"test_mape", "test_first_day", "test_last_day"} <= set(champion):
        return None
    first, last = (str(int(champion[f"test_{end}_day"])) for end in ("first", "last"))
    holdout_days = pd.date_range(first, last, freq="D")
    holdout, season = expected_errors.on(holdout_days), expected_errors.season(days)
    if champion["test_mape"] <= 0 or len(holdout) == 0 or len(season) < FEWEST_DAYS or holdout.mean() <= 0:
        return None
    if int(expected_errors.is_settled(pd.DatetimeIndex(season.index)).sum()) < FEWEST_DAYS:
        plain = _clipped(holdout)
        unscaled: Floats = plain * (champion["test_mape"] / plain.mean())
        return unscaled
    years = [_clipped(year.to_numpy()) for _, year in season.groupby(pd.DatetimeIndex(season.index).year)]
    long_enough = [year for year in years if len(year) >= FEWEST_DAYS] or [_clipped(season.to_numpy())]
    level = statistics.median_low([float(year.mean()) for year in long_enough])
    harder = float(np.clip(level / _clipped(holdout).mean(), 1 / MOST_OF_HOLDOUT, MOST_OF_HOLDOUT))
    typical = np.concatenate(long_enough)
    scaled: Floats = typical * (champion["test_mape"] * harder / typical.mean())
    return scaled


def _clipped(errors: Floats) -> Floats:
    return np.minimum(errors, MOST_OF_MEDIAN * np.median(errors))


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
    by_quality = {str(name): _scores(of_step) for name, of_step in rows.groupby("quality")}
    naive = {name: _scores(rows, column) for name, column in NAIVE.items()}
    expected = expected_percent_error(*(rows[name] for name in ("predicted_demand", "lower_80", "upper_80")))
    return {
        **(_scores(rows) or {}),
        "expected_mape": expected,
        **covered,
        "by_lead": by_lead,
        "by_quality": by_quality,
        **naive,
    }


def _scores(rows: pd.DataFrame, column: str = "predicted_demand") -> dict[str, Any] | None:
    usable = rows[rows[column].notna()] if column in rows else rows.iloc[:0]
    if usable.empty:
        return None
    return dict(scores(usable["actual_demand"].to_numpy(dtype=float), usable[column].to_numpy(dtype=float)))
