"""Reads records from the database: the one place that turns tables into what models learn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from energy_demand.data.history import load_as_of, load_with_truth
from energy_demand.data.issued_weather import LAGGED_HOURS, WEIGHED_DAYS, IssuedWeather, issued_weather
from energy_demand.data.record import Record, make_record
from energy_demand.database import repository, weather
from energy_demand.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database

# A forecast needs no run that is older, unless models are weighed against one another.
OLDEST_RUN = timedelta(days=3)
OLDEST_WEIGHED_RUN = timedelta(days=WEIGHED_DAYS + 2, hours=LAGGED_HOURS)


class NoDemandError(UserError, ValueError):
    """Nothing is stored to learn from."""


def load_record(
    database: Database, settings: Settings, as_of: datetime, *, with_vintages: bool = False
) -> Record:
    """Everything known of the region at `as_of`, to train on and to score against.

    `with_vintages` adds the values that were superseded by then, to see earlier times as they were.

    Raises:
        NoDemandError: no demand was known.
    """
    region = settings.region
    with database.transaction() as connection:
        span = repository.demand_span(connection, region.respondent, "D", as_of)
        if span is None:
            raise NoDemandError(
                f"{database.label} holds no demand of {region.respondent} known at "
                f"{as_of:%Y-%m-%dT%H:%MZ}; run `energy-demand backfill` first"
            )
        names = [site.name for site in region.sites]
        model = settings.weather_models[0].name
        forecasts = weather.read_weather_runs(connection, model, names, span[0], as_of, as_of)
        others = _other_runs(connection, settings, span[0], as_of)
        vintages = None
        if with_vintages:
            vintages = repository.read_vintages(connection, region.respondent, "D", *span, as_of)
    history = load_with_truth(database, region, span[0], as_of, as_of)
    return make_record(history.demand, history.weather, forecasts, region, as_of, vintages, others)


@dataclass(frozen=True)
class StoredBy:
    """By when each part of a record was stored; None: whenever that was."""

    demand: datetime | None = None
    observed_weather: datetime | None = None
    weather_forecasts: datetime | None = None


WHENEVER = StoredBy()


def load_recent(
    database: Database,
    settings: Settings,
    start: datetime,
    issued_at: datetime,
    stored_by: StoredBy = WHENEVER,
) -> Record:
    """What was known at `issued_at` of the hours from `start` on, to forecast from.

    A value can count as known before it was stored; with `stored_by` the record is what a forecast of that
    time had.

    Raises:
        NoDemandError: no demand was known.
    """
    region = settings.region
    names = [site.name for site in region.sites]
    first, *others_listed = settings.weather_models
    oldest = issued_at - (OLDEST_WEIGHED_RUN if others_listed else OLDEST_RUN)
    by = stored_by.weather_forecasts
    with database.transaction() as connection:
        forecasts = weather.read_weather_runs(connection, first.name, names, oldest, issued_at, issued_at, by)
        others = _other_runs(connection, settings, oldest, issued_at, by)
    history = load_as_of(
        database,
        region,
        start,
        issued_at,
        demand_stored_by=stored_by.demand,
        weather_stored_by=stored_by.observed_weather,
    )
    if history.demand.empty:
        raise NoDemandError(
            f"no demand of {region.respondent} after {start:%Y-%m-%d} was known at "
            f"{issued_at:%Y-%m-%dT%H:%MZ}; run `energy-demand ingest` or `energy-demand backfill`"
        )
    return make_record(history.demand, history.weather, forecasts, region, issued_at, other_runs=others)


def _other_runs(
    connection: sa.Connection,
    settings: Settings,
    start: datetime,
    as_of: datetime,
    stored_by: datetime | None = None,
) -> dict[str, IssuedWeather]:
    """The runs of every listed weather model but the first, issued from `start` on and known at `as_of`."""
    names = [site.name for site in settings.region.sites]
    return {
        model.name: issued_weather(
            weather.read_weather_runs(connection, model.name, names, start, as_of, as_of, stored_by),
            settings.region,
        )
        for model in settings.weather_models[1:]
    }
