"""The ladder of a forecast: champion → previous champion → base booster → same hour last week.

A rung that cannot answer, or answers with what cannot be demand, leaves it to the next one; the answer's
`quality` says which it was. Reads what is known through a function, so that an older model can reach
further back.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from energy_demand.data.feature_engineering import WARM_UP
from energy_demand.model.forecast import HOUR_COLUMNS, PREVIOUS, Forecast
from energy_demand.model.predict import (
    ForecastError,
    NoForecastError,
    Question,
    by_base_booster,
    by_forecaster,
    by_last_week,
    newest_demand,
)
from energy_demand.timeaxis import utc_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from energy_demand.data.record import Record
    from energy_demand.registry.champion import Champion

    Known = Callable[[datetime], Record]

# Demand of the weeks before, with room: what lies outside is no forecast but a fault.
LEAST_OF_LOWEST, MOST_OF_HIGHEST = 0.5, 2.0

_log = logging.getLogger(__name__)


def best_available(
    known: Known,
    question: Question,
    champion: Champion | None,
    previous: Callable[[], Champion | None] = lambda: None,
) -> Forecast:
    """The best forecast that can be given.

    Args:
        known: what was known at `question.issued_at` of the hours from a moment on.
        question: which hours.
        champion: the model that serves, or None where none does.
        previous: gives the champion before it; asked only where it is needed.

    Raises:
        NoForecastError: no demand of the last weeks was known, or no rung could answer.
    """
    recent = question.issued_at - WARM_UP
    record = known(recent if champion is None else earliest_needed(champion, question))
    if newest_demand(record) < recent:
        raise NoForecastError(
            f"no demand of {record.region.respondent} is known for the {WARM_UP.days} days before "
            f"{utc_text(question.issued_at)}; run `energy-demand ingest` or `energy-demand backfill`"
        )
    failures: list[str] = []
    for name, rung in _rungs(known, record, question, champion, previous):
        try:
            return _sound(rung(), record)
        except Exception as error:  # noqa: BLE001  (whatever breaks a rung, the next one is there for it)
            failures.append(f"{name}: {str(error) or type(error).__name__}")
            expected = isinstance(error, ForecastError)
            _log.warning("fallback: no forecast by %s", failures[-1], exc_info=None if expected else error)
    raise NoForecastError("; ".join(failures))


def _rungs(
    known: Known,
    record: Record,
    question: Question,
    champion: Champion | None,
    previous: Callable[[], Champion | None],
) -> list[tuple[str, Callable[[], Forecast]]]:
    def before() -> Forecast:
        model = previous()
        if model is None:
            raise ForecastError("there is no previous champion")
        start = earliest_needed(model, question)
        further = known(start) if start < record.periods[0] else record
        return replace(by_forecaster(further, model.forecaster, model.version, question), quality=PREVIOUS)

    rungs: list[tuple[str, Callable[[], Forecast]]] = []
    if champion is not None:
        model, version = champion.forecaster, champion.version
        rungs.append(
            (f"champion (version {version})", lambda: by_forecaster(record, model, version, question))
        )
    rungs.append(("previous champion", before))
    if champion is not None:
        rungs.append(("base booster", lambda: by_base_booster(record, model, version, question)))
    rungs.append(("same hour last week", lambda: by_last_week(record, question)))
    return rungs


def earliest_needed(model: Champion, question: Question) -> datetime:
    """The first hour that the model's state and the features need."""
    return min(question.issued_at - WARM_UP, model.forecaster.needs_from.to_pydatetime())


def _sound(forecast: Forecast, record: Record) -> Forecast:
    values = forecast.hours[list(HOUR_COLUMNS)].to_numpy()
    point, lower_80, upper_80, lower_95, upper_95 = values.T
    demand = record.demand_mwh
    lowest, highest = LEAST_OF_LOWEST * np.nanmin(demand), MOST_OF_HIGHEST * np.nanmax(demand)
    if not np.isfinite(values).all() or (point < lowest).any() or (point > highest).any():
        raise ForecastError(f"implausible values: not all between {lowest:,.0f} and {highest:,.0f} MWh")
    ordered = (lower_95 <= lower_80) & (lower_80 <= point) & (point <= upper_80) & (upper_80 <= upper_95)
    if not ordered.all():
        raise ForecastError("the bounds of its intervals cross")
    return forecast
