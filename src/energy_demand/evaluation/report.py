"""The report of a backtest: scores of the model and of every yardstick on the same hours. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from energy_demand.evaluation.beside_operator import COMBINATION, ISSUED, ISSUED_CORRECTED
from energy_demand.evaluation.day_combination import DAY, DAY_CORRECTED
from energy_demand.evaluation.operator_forecast import corrected_daily, corrected_hourly, sound
from energy_demand.model.metrics import Scores, coverage, expected_percent_error, scores
from energy_demand.timeaxis import HOUR, Availability, utc_index

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

YARDSTICKS = {
    "model": "predicted_mwh",
    "base_booster": "base_mwh",
    "seasonal_naive_24": "seasonal_naive_24_mwh",
    "seasonal_naive_168": "seasonal_naive_168_mwh",
    "operator": "operator_mwh",
    "operator_bias_corrected": "operator_corrected_mwh",
}
OPERATORS = ("operator", "operator_bias_corrected")
# A day with more than this many times its expected error was not just a hard one: 6 % of 2021 to 2024.
FAR_OVER = 2.0
HOURS_OF_A_SHORT_DAY = 23


@dataclass(frozen=True)
class OperatorForecast:
    """The grid operator's day-ahead forecast.

    Attributes:
        hourly: `DF` by period, MWh; may be empty.
        daily: columns `D` and `DF` by local day, MWh; may be empty.
    """

    hourly: pd.Series
    daily: pd.DataFrame

    @classmethod
    def of(cls, published: pd.DataFrame, totals: pd.DataFrame) -> Self:
        """From stored rows.

        Args:
            published: hourly `DF`: `period`, `value`.
            totals: daily totals: `day`, `series`, `value`.
        """
        hourly = pd.Series(published["value"].to_numpy(dtype=float), index=utc_index(published["period"]))
        daily = totals.pivot(index="day", columns="series", values="value").astype(float)  # noqa: PD010
        if not daily.empty:
            # The corrected totals count days back, so no day may be missing.
            calendar = [day.date() for day in pd.date_range(daily.index[0], daily.index[-1], freq="D")]
            daily = daily.reindex(calendar)
        return cls(hourly, daily)


def with_operator_forecast(
    hours: pd.DataFrame,
    operator: OperatorForecast,
    truth: pd.Series,
    zone: ZoneInfo,
    availability: Availability,
) -> pd.DataFrame:
    """The hours of a backtest with `operator_mwh` and `operator_corrected_mwh`.

    Hours in which the operator forecast is an outage are left out for every model: their `actual_mwh`
    becomes NaN. Without any `DF` in the window both columns are NaN.

    Args:
        hours: of `walk_forward`.
        operator: `DF` from well before the window.
        truth: MWh by period, from as far back.
        zone: of the local hours.
        availability: the publication delay of demand.
    """
    published = operator.hourly.reindex(pd.DatetimeIndex(hours["period"]))
    if published.notna().mean() < 0.5:
        return hours.assign(operator_mwh=np.nan, operator_corrected_mwh=np.nan)
    actual = truth.reindex(operator.hourly.index)
    corrected = corrected_hourly(operator.hourly, actual, zone, availability)
    usable = sound(operator.hourly, actual).reindex(published.index, fill_value=False).to_numpy(dtype=bool)
    return hours.assign(
        operator_mwh=published.to_numpy(dtype=float),
        operator_corrected_mwh=corrected.reindex(published.index).to_numpy(dtype=float),
        actual_mwh=hours["actual_mwh"].where(usable),
    )


def daily_totals(hours: pd.DataFrame, operator: OperatorForecast, zone: ZoneInfo) -> pd.DataFrame:
    """Daily totals (MWh) of the local days whose hours were all forecast.

    The actual total is the one that EIA publishes for the day; without one, the sum of the hours if none is
    missing. Days on which the operator's total is an outage are left out for every model.

    Returns:
        By day: `actual_mwh` and the columns of `YARDSTICKS` that can be summed.
    """
    day = (hours["period"] - pd.Timedelta(HOUR)).dt.tz_convert(zone).dt.date
    columns = [
        column for column in YARDSTICKS.values() if column in hours and not column.startswith("operator")
    ]
    totals = hours.groupby(day)[columns].sum(min_count=23)
    summed = hours.groupby(day)["actual_mwh"].agg(lambda values: values.sum(skipna=False))
    # The first and the last day of a window of hours may be incomplete.
    whole = hours.groupby(day)["period"].nunique() >= 23
    totals = totals[whole]
    totals["actual_mwh"] = summed[whole]
    daily = operator.daily.reindex(totals.index)
    published = daily["D"] if "D" in daily else pd.Series(np.nan, index=totals.index)
    totals["actual_mwh"] = published.where(published > 0).fillna(totals["actual_mwh"]).astype(float)
    totals["operator_mwh"] = totals["operator_corrected_mwh"] = np.nan
    if "DF" in daily and daily["DF"].notna().mean() > 0.5:
        corrected = corrected_daily(operator.daily["DF"], operator.daily["D"])
        totals["operator_mwh"] = daily["DF"].astype(float)
        totals["operator_corrected_mwh"] = corrected.reindex(totals.index).astype(float)
        totals = totals[sound(totals["operator_mwh"], totals["actual_mwh"])]
    return totals[totals["actual_mwh"].notna()]


def operator_comparison(
    hours: pd.DataFrame, zone: ZoneInfo, totals: pd.DataFrame | None = None
) -> dict[str, Any] | None:
    """Scores of our forecast, the operator's and the combination; None where nothing of it is stored.

    Where the operator's forecast is stored by the hour, all are scored on the same hours; where its totals of
    days are stored alone (`figures` is `daily`), the operator's on the days of `totals`, ours and the
    combination on these and on all hours. Where it is stored of other hours alone, the combination is ours,
    and both are scored on all hours.

    Args:
        hours: of `with_issued_operator` or `with_operator_days`.
        zone: of the local days, whose energy is scored where all hours are known.
        totals: of `daily_totals`, for the operator's totals of days.
    """
    if totals is not None and hours[ISSUED].isna().all() and hours[DAY].notna().any():
        return _day_comparison(hours, zone, totals)
    columns = {
        "model": "predicted_mwh",
        "published": ISSUED,
        "corrected": ISSUED_CORRECTED,
        "combination": COMBINATION,
    }
    needed = ["actual_mwh", *columns.values()]
    if hours[ISSUED].isna().all():
        needed = [name for name in needed if name not in {ISSUED, ISSUED_CORRECTED}]
    there = hours[needed].notna().all(axis=1)
    known = hours[there]
    if known.empty:
        return None
    day = _local_day(hours, zone)
    whole = there.groupby(day).agg(["all", "size"])
    days = whole.index[whole["all"] & (whole["size"] >= HOURS_OF_A_SHORT_DAY)]
    of_days = hours[day.isin(days)].groupby(day)[["actual_mwh", *columns.values()]].sum()
    return _comparison("hourly", known, of_days, columns, columns)


def _day_comparison(hours: pd.DataFrame, zone: ZoneInfo, totals: pd.DataFrame) -> dict[str, Any] | None:
    by_hour = {"model": "predicted_mwh", "published": ISSUED, "corrected": ISSUED_CORRECTED}
    by_day = {"model": "predicted_mwh", "published": DAY, "corrected": DAY_CORRECTED}
    both = {"combination": COMBINATION}
    by_local_day = hours.groupby(_local_day(hours, zone))
    of_days = by_local_day[[DAY, DAY_CORRECTED]].first()
    of_days[COMBINATION] = by_local_day[COMBINATION].sum()
    of_days = totals[["actual_mwh", "predicted_mwh"]].join(of_days, how="inner").dropna()
    known = hours[hours[["actual_mwh", COMBINATION]].notna().all(axis=1)]
    return _comparison("daily", known, of_days, by_hour | both, by_day | both)


def _comparison(
    figures: str,
    hours: pd.DataFrame,
    days: pd.DataFrame,
    of_hours: dict[str, str],
    of_days: dict[str, str],
) -> dict[str, Any]:
    return {
        "figures": figures,
        "n_hours": len(hours),
        "hourly": {name: _scores(hours, column) for name, column in of_hours.items()},
        "n_days": len(days),
        "daily": {name: _scores(days, column) for name, column in of_days.items()},
    }


def _local_day(hours: pd.DataFrame, zone: ZoneInfo) -> pd.Series:
    return (hours["period"] - pd.Timedelta(HOUR)).dt.tz_convert(zone).dt.date


def summary(hours: pd.DataFrame, totals: pd.DataFrame, zone: ZoneInfo) -> dict[str, Any]:
    """The scores of `backtest --json`.

    Args:
        hours: of `with_operator_forecast`.
        totals: of `daily_totals`.
        zone: of the local days, for the peak hours.

    Raises:
        ValueError: no hour can be scored.
    """
    known = hours[hours["actual_mwh"].notna()]
    if known.empty:
        raise ValueError(
            "no hour of the window has valid demand to score against; "
            "run `energy-demand ingest` or choose other days"
        )
    actual = known["actual_mwh"].to_numpy()
    day = (known["period"] - pd.Timedelta(HOUR)).dt.tz_convert(zone).dt.date
    peaks = known.loc[known.groupby(day)["actual_mwh"].idxmax()]
    daily = {name: _scores(totals, YARDSTICKS[name]) for name in ("model", "base_booster", *OPERATORS)}
    return {
        "n_hours": len(known),
        **{name: _scores(known, column) for name, column in YARDSTICKS.items()},
        "daily": daily,
        "coverage_80": coverage(actual, known["lower_80"].to_numpy(), known["upper_80"].to_numpy()),
        "coverage_95": coverage(actual, known["lower_95"].to_numpy(), known["upper_95"].to_numpy()),
        "width_80_percent": _width(known, 80),
        "width_95_percent": _width(known, 95),
        "expected_error": _expected_error(known, day),
        "peak_hour_mape": scores(peaks["actual_mwh"], peaks["predicted_mwh"])["mape"],
    }


def _expected_error(known: pd.DataFrame, day: pd.Series) -> dict[str, float | int | None]:
    """How well the expected error of each day predicts the observed one.

    Returns:
        `expected_mape` and `mape` (percent, means of the days), their `rank_correlation` (Spearman; None with
        fewer than three days), and `days_far_over`, on which the error was over `FAR_OVER` times the expected
        one, of `days`.
    """
    by_day = known.groupby(day.to_numpy())
    expected = np.array(
        [
            expected_percent_error(rows["predicted_mwh"], rows["lower_80"], rows["upper_80"])
            for _, rows in by_day
        ]
    )
    observed = np.array([scores(rows["actual_mwh"], rows["predicted_mwh"])["mape"] for _, rows in by_day])
    ranks = pd.DataFrame({"expected": expected, "observed": observed}).round(6).rank()
    varies = len(ranks) >= 3 and bool((ranks.std() > 0).all())
    return {
        "rank_correlation": float(ranks["expected"].corr(ranks["observed"])) if varies else None,
        "expected_mape": float(expected.mean()),
        "mape": float(observed.mean()),
        "days_far_over": int((observed > FAR_OVER * expected).sum()),
        "days": len(observed),
    }


def _scores(rows: pd.DataFrame, column: str) -> Scores | None:
    if column not in rows or rows.empty or rows[column].isna().all():
        return None
    return scores(rows["actual_mwh"], rows[column])


def _width(rows: pd.DataFrame, level: int) -> float:
    """Mean width of an interval, in percent of the forecast."""
    width = (rows[f"upper_{level}"] - rows[f"lower_{level}"]) / rows["predicted_mwh"]
    return float(100 * width.mean())
