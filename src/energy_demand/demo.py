"""The whole loop on synthetic data, for somebody who has nothing yet: no key, no Docker, no network.

It has a home of its own beside the real one and talks to a sandbox over real HTTP. A second run takes
what the first one left and does only what is new.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.panel import Panel

from energy_demand.config import Settings, load_settings
from energy_demand.data.feature_store import refresh_features
from energy_demand.data.ingest import backfill_span, ingest, trailing_span
from energy_demand.database import repository
from energy_demand.database.engine import Database, opened
from energy_demand.model.forecast_job import run_forecast
from energy_demand.model.predict import utc_text
from energy_demand.model.registry import Champion, NoChampionError, Registry
from energy_demand.model.training_job import run_training
from energy_demand.region import NEW_YORK
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.synthetic import SyntheticWorld
from energy_demand.terminal import err, out, print_forecast, progress_bars
from energy_demand.timeaxis import day_ahead_issue, local_day

if TYPE_CHECKING:
    from collections.abc import Iterator

HISTORY_DAYS = 2 * 365
RETRAIN_AFTER = timedelta(days=7)
SEED = 1


def run_demo() -> None:
    """Ingest → features → train → register → champion → forecast, then a summary.

    Raises:
        UserError: a step failed; what the earlier steps stored is kept.
    """
    started = time.perf_counter()
    own = load_settings()
    present = _latest_issue(own)
    home = own.home.with_name(own.home.name + "-demo")
    with _synthetic_upstreams(home, present) as settings, opened(settings) as database:
        registry = Registry(settings)
        err.print(
            "[bold]energy-demand demo[/bold]: synthetic data, made on this machine; "
            f"the present is {utc_text(present)}\ndatabase: {database.label}\nmlflow:   {registry.label}",
            soft_wrap=True,
        )
        _ingest(database, settings, present)
        champion = _champion(database, registry, settings, present)
        made = run_forecast(database, registry, settings, present, present, day="tomorrow")
        print_forecast(made, settings.region.zone, None, note="synthetic data, not New York's demand")
        _summary(champion, settings, registry.uri, time.perf_counter() - started)


def _latest_issue(settings: Settings) -> datetime:
    """The newest 09:00 local time that has passed: when the day-ahead forecast is issued."""
    zone, clock = settings.region.zone, settings.present()
    today = local_day(clock, zone)
    issue = day_ahead_issue(today + timedelta(days=1), zone)
    return issue if issue <= clock else day_ahead_issue(today, zone)


@contextmanager
def _synthetic_upstreams(home: Path, present: datetime) -> Iterator[Settings]:
    """A sandbox, and the settings that point at it and nowhere else, whatever the environment says."""
    app = create_app(SyntheticWorld(SEED), now=present)
    with serving(app) as address:
        yield Settings(
            _env_file=None,
            sandbox_url=address,
            eia_api_key=None,
            eia_region=NEW_YORK.respondent,
            database_url=None,
            mlflow_tracking_uri=None,
            energy_demand_home=home,
            energy_demand_now=present,
        )


def _ingest(database: Database, settings: Settings, present: datetime) -> None:
    today = local_day(present, settings.region.zone)
    history = backfill_span(settings, today - timedelta(days=HISTORY_DAYS), today, present)
    span = trailing_span(database, settings, present) if _is_filled(database, settings) else history
    with progress_bars() as progress:
        ingest(database, settings, span, present, progress)
        refresh_features(database, settings, span.start, span.end, present)
        progress("features", 1, 1)


def _is_filled(database: Database, settings: Settings) -> bool:
    # The features are written last, so where they are, the whole history is.
    with database.transaction() as connection:
        return repository.has_features(connection, settings.region.respondent)


def _champion(database: Database, registry: Registry, settings: Settings, present: datetime) -> Champion:
    try:
        champion = registry.champion()
        if present - champion.forecaster.trained_through < RETRAIN_AFTER:
            return champion
    except NoChampionError:
        pass
    with err.status("training") as working:
        outcome = run_training(database, registry, settings, present, progress=working.update)
    err.print(
        f"version {outcome.version.version} trained in {outcome.seconds:.0f} s: {outcome.verdict.reason}"
    )
    return registry.champion()


def _from_here(path: Path) -> str:
    """A path as short as it can be typed here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _summary(champion: Champion, settings: Settings, registry_uri: str, seconds: float) -> None:
    metrics = champion.metrics
    shown = _from_here(settings.home)
    out.print(
        Panel(
            f"This is a forecast of [bold]synthetic[/bold] demand: formulas made it, not New York.\n"
            f"Model version {champion.version}, trained through "
            f"{utc_text(champion.forecaster.trained_through)}.\n"
            f"Day-ahead error on {metrics['test_n']:,.0f} hours it had not seen: "
            f"{metrics['test_mape']:.2f} %\n"
            f"(same hour yesterday {metrics['test_seasonal_naive_24_mape']:.2f} %, "
            f"last week {metrics['test_seasonal_naive_168_mape']:.2f} %).",
            title=f"done in {seconds:.0f} s",
            border_style="yellow",
        )
    )
    out.print(
        "Next:\n"
        f"  what it holds   ENERGY_DEMAND_HOME={shown} .venv/bin/energy-demand status\n"
        f"  over HTTP       ENERGY_DEMAND_HOME={shown} .venv/bin/energy-demand serve\n"
        f"  its runs        .venv/bin/mlflow ui --backend-store-uri "
        f"{registry_uri.replace(str(settings.home), shown)}\n"
        "  real demand     a free key from eia.gov/opendata, then README, “Live”",
        soft_wrap=True,
    )
