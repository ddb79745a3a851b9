"""The data of the notebooks: a synthetic world, ingested by the package into a database that is thrown away.

With `DATABASE_URL` in the environment they read that database instead, and change nothing in it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from energy_demand.config import Settings, load_settings
from energy_demand.data.eia_client import EIAClient
from energy_demand.data.ingestion.demand import ingest_demand
from energy_demand.data.ingestion.ingest import Report, backfill_span
from energy_demand.data.ingestion.ingestion_run import IngestionRun
from energy_demand.data.ingestion.issued_weather import ingest_issued
from energy_demand.data.ingestion.observed_weather import ingest_observed
from energy_demand.data.weather_client import WeatherClient
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import Database, opened
from energy_demand.region import NEW_YORK
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from collections.abc import Iterator

PRESENT = datetime(2025, 7, 31, 13, tzinfo=UTC)  # 09:00 in New York; a made-up world's time stands still
SEED = 1


@contextmanager
def opened_sample(days: int, issued_days: int) -> Iterator[tuple[Database, Settings]]:
    """A database with demand and observed weather of `days`, and the weather forecasts of `issued_days`.

    With `DATABASE_URL` it is that database, as it is; `ENERGY_DEMAND_NOW` then fixes the present.
    """
    if os.environ.get("DATABASE_URL"):
        settings = load_settings()
        with opened(settings) as database:
            yield database, settings
        return
    with empty_database() as (database, settings):
        ingest_world(database, settings, SyntheticWorld(SEED), PRESENT, days, issued_days)
        yield database, settings


@contextmanager
def empty_database() -> Iterator[tuple[Database, Settings]]:
    """A PostgreSQL of its own for the length of a `with` block; nothing of it is left."""
    with TemporaryDirectory(prefix="energy-demand-notebook-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # where root runs this, PostgreSQL runs under another account
        try:
            settings = _settings(home, PRESENT, None)
            with opened(settings) as database:
                yield database, settings
        finally:
            EmbeddedServer(home).stop()


def ingest_world(
    database: Database, settings: Settings, world: SyntheticWorld, now: datetime, days: int, issued_days: int
) -> Report:
    """What `world` serves at `now` of the last `days`, over real HTTP from a sandbox of its own."""
    with serving(create_app(world, now=now)) as address:
        there = _settings(settings.home, now, address)
        today = local_day(now, there.region.zone)
        history = backfill_span(there, today - timedelta(days=days), today, now)
        recent = replace(history, start=history.end - timedelta(days=issued_days))
        run = IngestionRun(database, there, history, now, lambda step, done, total: None, Report())  # noqa: ARG005
        with EIAClient(there) as eia, WeatherClient(there) as weather:
            ingest_demand(run, eia)
            ingest_observed(run, weather)
            ingest_issued(replace(run, span=recent), weather)
        return run.report


def _settings(home: Path, now: datetime, sandbox_url: str | None) -> Settings:
    """Settings from these values, whatever the environment says."""
    return Settings(
        _env_file=None,
        sandbox_url=sandbox_url,
        eia_api_key=None,
        eia_region=NEW_YORK.respondent,
        database_url=None,
        mlflow_tracking_uri=None,
        energy_demand_home=home,
        energy_demand_now=now,
    )
