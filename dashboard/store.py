"""The data access of all pages: settings, database, MLflow, models; opened once, results cached for a while.

Whatever cannot be read raises a `UserError` that says what to run; an error is never cached. Pages run in
threads of their own and LightGBM's boosters are not safe under two at once, so no model leaves this module:
what a page needs of one is computed here, under the lock of its boosters.
"""

from __future__ import annotations

import threading
import types
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st
from psycopg.errors import UndefinedColumn, UndefinedTable
from sqlalchemy.exc import ProgrammingError

from energy_demand.by_region import ByRegion, by_region
from energy_demand.config import Settings, load_settings
from energy_demand.database.engine import Database, DatabaseUnavailableError, open_database
from energy_demand.errors import UserError
from energy_demand.jobs.forecast import forecast_stored
from energy_demand.jobs.operator_combination import CombinedForecast
from energy_demand.jobs.scenarios import beside
from energy_demand.jobs.weather_normalisation import weather_normalised
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.model.predict import hours_of_day
from energy_demand.model.scenarios.changes import read_scenario
from energy_demand.registry.registry import Registry
from energy_demand.registry.run_history import RunSummary, run_history

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from typing import Concatenate, ParamSpec

    import pandas as pd
    import sqlalchemy as sa

    from energy_demand.model.forecast import Forecast
    from energy_demand.model.scenarios.answer import ScenarioForecast
    from energy_demand.model.weather_normalisation import NormalisedDemand
    from energy_demand.registry.champion import Champion

    P = ParamSpec("P")

T = TypeVar("T")

REGION = "region"  # the key of the choice, also in the address
HELD_SECONDS = 60
STATEMENT_SECONDS = 10.0
RUNS = 100  # newest, that are shown

_boosters = threading.Lock()


class NoTablesError(UserError, RuntimeError):
    """The database is there and empty."""


@st.cache_resource(show_spinner=False)
def every_region() -> Settings:
    """The settings of all regions, read once."""
    return load_settings()


@st.cache_resource(show_spinner=False)
def usable_regions() -> ByRegion[Settings]:
    """The settings of each region, and why others cannot be shown."""
    every = every_region()
    return by_region(every, every.regions, lambda of: of)


def settings() -> Settings:
    """The settings of the shown region."""
    every = every_region()
    if len(every.regions) == 1:
        return every
    return usable_regions().done.get(st.session_state.get(REGION, ""), every)


def now() -> datetime:
    """The present, to the minute: what is asked within a minute is asked once."""
    return settings().present().replace(second=0, microsecond=0)


def zone() -> str:
    """The name of the region's time zone."""
    return settings().region.zone.key


def place() -> str:
    """Whose time is shown, in words."""
    return zone().rpartition("/")[2].replace("_", " ")


def respondent() -> str:
    """The shown region."""
    return settings().region.respondent


def sites() -> tuple[str, ...]:
    """The names of its weather sites."""
    return tuple(site.name for site in settings().region.sites)


@st.cache_resource(show_spinner=False, on_release=Database.close)
def database() -> Database:
    """The application's database, read-only."""
    return open_database(
        every_region(), migrate_now=False, read_only=True, statement_seconds=STATEMENT_SECONDS
    )


def _named(query: Callable[..., Any]) -> str:
    return f"{query.__module__}.{query.__qualname__}"


@st.cache_data(ttl=HELD_SECONDS, max_entries=300, show_spinner=False, hash_funcs={types.FunctionType: _named})
def _held(query: Callable[..., Any], *given: Any) -> Any:
    try:
        with database().transaction() as connection:
            return query(connection, *given)
    except ProgrammingError as error:
        if not isinstance(error.orig, (UndefinedTable, UndefinedColumn)):
            raise
        raise NoTablesError(
            f"{database().label} has no tables of this version yet; run `energy-demand db upgrade`, "
            "then `energy-demand backfill`"
        ) from error
    except DatabaseUnavailableError:
        database.clear()  # an embedded server may come back at another port
        raise


def read(query: Callable[Concatenate[sa.Connection, P], T], *given: P.args, **named: P.kwargs) -> T:
    """The result of a query for these arguments, at most a minute old.

    Raises:
        UserError: the database cannot be reached, or has no tables.
    """
    answer: T = _held(query, *given, **named)
    return answer


def runs() -> list[RunSummary]:
    """The newest training runs of the shown region, newest first.

    Raises:
        RegistryUnavailableError: MLflow cannot be reached.
    """
    return _runs(respondent())


def champion_version() -> str | None:
    """The champion's version; None if there is none.

    Raises:
        RegistryUnavailableError: MLflow cannot be reached.
    """
    return champion_and_previous()[0]


def champion_and_previous() -> tuple[str | None, str | None]:
    """The champion's version and that of the champion before it; None where there is none.

    Raises:
        RegistryUnavailableError: MLflow cannot be reached.
    """
    return _champion_and_previous(respondent())


def forecast(issued_at: datetime, day: date, version: str) -> Forecast:
    """A version's forecast of a local day from what was known at `issued_at`; nothing is logged.

    Raises:
        UserError: it cannot be made, or the database or MLflow cannot be reached.
    """
    return _forecast(respondent(), issued_at, day, version)


def scenario(issued_at: datetime, day: date, version: str, text: str) -> ScenarioForecast:
    """A version's forecast of a local day beside a scenario, see `read_scenario`; nothing is logged.

    Raises:
        UserError: it cannot be made, or the database or MLflow cannot be reached.
    """
    return _scenario(respondent(), issued_at, day, version, text)


def normalised(start: date, end: date, version: str) -> NormalisedDemand:
    """Observed and weather-normalised demand of past local days by a version's response to weather.

    Raises:
        UserError: too little is stored, or the database or MLflow cannot be reached.
    """
    return _normalised(respondent(), start, end, version)


def contributions(version: str, rows: pd.DataFrame) -> pd.DataFrame:
    """SHAP values of feature rows by a version's base booster, MWh; see `BaseBooster.contributions`."""
    return _contributions(respondent(), version, rows)


def importance(version: str, kind: str) -> dict[str, float]:
    """Importance of each column of a version's base booster, by `gain` or `split`."""
    return _importance(respondent(), version, kind)


# What follows is cached by the region, which is that of the settings.


@st.cache_data(ttl=HELD_SECONDS, show_spinner=False)
def _runs(region: str) -> list[RunSummary]:  # noqa: ARG001
    return run_history(settings(), RUNS)


@st.cache_data(ttl=HELD_SECONDS, show_spinner=False)
def _champion_and_previous(region: str) -> tuple[str | None, str | None]:  # noqa: ARG001
    return Registry(settings()).champion_and_previous()


@st.cache_resource(max_entries=3, show_spinner="Loading the model …")
def _model(region: str, version: str) -> Champion:  # noqa: ARG001
    """A registered version with its forecaster; to be used under `_boosters` only.

    Raises:
        UserError: MLflow cannot be reached, or the files are damaged.
    """
    return Registry(settings()).load(version)


@st.cache_data(ttl=600, max_entries=20, show_spinner="Forecasting …")
def _forecast(region: str, issued_at: datetime, day: date, version: str) -> Forecast:
    periods = hours_of_day(day, issued_at, settings().region.zone)
    champion = _model(region, version)
    with _boosters:
        return forecast_stored(database(), settings(), issued_at, periods, champion)


@st.cache_resource(ttl=600, max_entries=4, show_spinner="Forecasting …")
def _forecast_for_scenarios(region: str, issued_at: datetime, day: date, version: str) -> Forecast:
    """A forecast that can still make scenarios; to be used under `_boosters` only."""
    periods = hours_of_day(day, issued_at, settings().region.zone)
    champion = _model(region, version)
    with _boosters:
        return forecast_stored(database(), settings(), issued_at, periods, champion)


@st.cache_data(ttl=600, max_entries=100, show_spinner=False)
def _scenario(region: str, issued_at: datetime, day: date, version: str, text: str) -> ScenarioForecast:
    changes = read_scenario(text, settings().region.country)
    forecast = _forecast_for_scenarios(region, issued_at, day, version)
    with _boosters:
        return beside(CombinedForecast(forecast), changes).scenario


@st.cache_data(ttl=3600, max_entries=10, show_spinner="Putting each day into usual weather …")
def _normalised(region: str, start: date, end: date, version: str) -> NormalisedDemand:
    forecaster = _model(region, version).forecaster
    with _boosters:
        return weather_normalised(database(), forecaster, settings(), now(), start, end)


@st.cache_data(ttl=600, max_entries=20, show_spinner=False)
def _contributions(region: str, version: str, rows: pd.DataFrame) -> pd.DataFrame:
    base = _model(region, version).forecaster.base
    with _boosters:
        return base.contributions(rows)


@st.cache_data(ttl=600, max_entries=20, show_spinner=False)
def _importance(region: str, version: str, kind: str) -> dict[str, float]:
    booster = _model(region, version).forecaster.booster
    with _boosters:
        values = booster.feature_importance(importance_type=kind)
    return dict(zip(BOOSTER_COLUMNS, map(float, values), strict=True))
