"""Stage `evaluate`: the trained forecaster on the test days → `metrics.json`, plots, a row per hour.

The forecaster must have been trained before the test days; its state is refreshed every day, as in service.
All scores are on the same hours, with both naive forecasts and the operator forecast beside them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.errors import UserError
from energy_demand.evaluation.backtest import walk_forward
from energy_demand.evaluation.report import (
    YARDSTICKS,
    OperatorForecast,
    daily_totals,
    summary,
    with_operator_forecast,
)
from energy_demand.pipeline import files
from energy_demand.pipeline.window import test_window
from energy_demand.registry.serialization import from_texts
from energy_demand.timeaxis import HOUR, days_periods, utc_index

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from energy_demand.data.record import Record
    from energy_demand.pipeline.params import Evaluate, Forecast
    from energy_demand.pipeline.window import Window

DECIMALS = 3  # of percents and MWh; further digits depend on the machine
SHOWN = {name: YARDSTICKS[name] for name in ("model", "seasonal_naive_24", "seasonal_naive_168", "operator")}


class EvaluationError(UserError, RuntimeError):
    """A forecaster that cannot be scored on the test days."""


def run(forecast: Forecast, evaluate: Evaluate) -> str:
    """Forecast the test days and score them; returns the result in one line.

    Raises:
        StageInputError: an earlier stage has not run.
        EvaluationError: the forecaster was trained on the test days, or for another publication delay.
        ModelRefusedError: its files are damaged.
        WindowError: no weather forecast is on record by the test days.
    """
    about = files.read_about()
    record = files.read_record(about.region)
    window = test_window(record, forecast)
    zone, availability = about.region.zone, window.protocol.availability
    truth = pd.Series(record.truth_mwh, index=record.periods)
    if truth[truth.index.isin(days_periods(window.first, window.last, zone))].isna().all():
        raise EvaluationError(
            f"no hour from {window.first} to {window.last} has a true demand to score against"
        )
    hours = _forecast(record, window, forecast)
    operator = _operator()
    scored = with_operator_forecast(hours, operator, truth, zone, availability)
    try:
        scores = summary(scored, daily_totals(scored, operator, zone), zone)
    except ValueError as error:
        raise EvaluationError(f"cannot score {window.first} to {window.last}: {error}") from None
    body = {
        "data": about.kind,
        "protocol": forecast.protocol,
        "weather": forecast.weather,
        "publication_delay_hours": availability.delay_hours,
        "start": window.first.isoformat(),
        "end": window.last.isoformat(),
        **scores,
    }
    files.write_json(files.METRICS, _rounded(body))
    files.write_frame(files.BACKTEST, scored)
    _write_plots(scored, zone, evaluate.shown_days)
    return (
        f"{forecast.protocol}, {window.first} to {window.last}, {about.kind} data: MAPE "
        f"{scores['model']['mape']:.2f} % (same hour yesterday {scores['seasonal_naive_24']['mape']:.2f} %, "
        f"last week {scores['seasonal_naive_168']['mape']:.2f} %)"
    )


def _forecast(record: Record, window: Window, forecast: Forecast) -> pd.DataFrame:
    """Forecasts of the test days, each from what was known at its issue; of `walk_forward`."""
    model = from_texts(files.read_forecaster_texts())
    if model.trained_through > window.trained_through:
        raise EvaluationError(
            f"the forecaster was trained through {model.trained_through:%Y-%m-%dT%H} UTC, which includes "
            f"test days (from {window.first}); run `dvc repro` to train the right one"
        )
    if model.publication_delay_hours != window.protocol.availability.delay_hours:
        raise EvaluationError(
            f"the forecaster was trained for a publication delay of {model.publication_delay_hours} h, but "
            f"{window.protocol.value} has another; run `dvc repro` to train the right one"
        )
    return walk_forward(
        record, iter(window.predictions), protocol=window.protocol, weather=forecast.weather, model=model
    )


def _operator() -> OperatorForecast:
    """The operator forecast as it was served."""
    served, daily = files.read_frame(files.SERVED_DEMAND), files.read_frame(files.DAILY)
    return OperatorForecast.of(served[served["series"] == "DF"], daily)


def _rounded(value: Any) -> Any:
    """Without None values, and rounded to digits that do not depend on the machine."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items() if item is not None}
    return round(value, DECIMALS) if isinstance(value, float) else value


def _write_plots(scored: pd.DataFrame, zone: ZoneInfo, shown_days: int) -> None:
    """Tables that `dvc plots` draws: MAPE by local hour and by day, and the newest hours."""
    files.PLOTS.mkdir(parents=True, exist_ok=True)
    known = scored[scored["actual_mwh"].notna()]
    local = (utc_index(scored["period"]) - pd.Timedelta(HOUR)).tz_convert(zone)
    starts = pd.Series(local, index=scored.index)
    errors = pd.DataFrame(
        {
            name: 100 * (known[column] - known["actual_mwh"]).abs() / known["actual_mwh"]
            for name, column in SHOWN.items()
        }
    ).astype(float)
    at = starts[known.index]
    by_hour = errors.groupby(at.dt.hour).mean().rename_axis("hour")
    by_day = errors.groupby(at.dt.strftime("%Y-%m-%d")).mean().rename_axis("day")
    newest = starts > starts.max() - timedelta(days=shown_days)
    shown = scored.loc[newest, ["actual_mwh", *SHOWN.values(), "lower_80", "upper_80"]]
    # Without an offset a browser reads the text as its own local time, and so shows New York's hours.
    hours = shown.astype(float).assign(hour=starts[newest].dt.strftime("%Y-%m-%dT%H:%M")).set_index("hour")
    for name, table in (("mape_by_hour", by_hour), ("mape_by_day", by_day), ("newest_hours", hours)):
        table.round(DECIMALS).to_csv(files.PLOTS / f"{name}.csv", lineterminator="\n")
