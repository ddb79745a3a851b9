"""The demo: the whole loop on synthetic data, with no key, no Docker and no network.

The demo has its own home folder beside the real one and talks to a sandbox over real HTTP. A second run
continues from the stored results and repeats no step.
"""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.panel import Panel

from energy_demand.config import Settings, load_settings
from energy_demand.data.ingestion.ingest import Span, backfill_span, trailing_span
from energy_demand.database import decisions
from energy_demand.database.engine import Database, opened
from energy_demand.errors import UserError
from energy_demand.jobs.daily_check import run_daily_check
from energy_demand.jobs.drift_check import DriftOutcome, run_check
from energy_demand.jobs.forecast import run_forecast
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.retraining import RetrainingOutcome, run_retraining
from energy_demand.jobs.scheduled_forecast import forecast_tomorrow
from energy_demand.limits import DRIFT_SHARE_THRESHOLD
from energy_demand.monitoring.retraining_policy import Trigger
from energy_demand.region import NEW_YORK
from energy_demand.registry.champion import Champion, NoChampionError
from energy_demand.registry.home_store import DATABASE_FILE, MLFLOW_FOLDER, sqlite_address
from energy_demand.registry.manifest import ModelRefusedError
from energy_demand.registry.registry import Registry
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import Disturbance, SyntheticWorld
from energy_demand.terminal.console import err, out, progress_bars
from energy_demand.terminal.forecasts import print_forecast
from energy_demand.timeaxis import local_day, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterator

# The data is synthetic and the present is fixed, so every run gives the same result. The first model has
# learnt from a winter, so a challenger that has seen the warm months is proven to be better.
PRESENT = datetime(2025, 7, 31, 13, tzinfo=UTC)  # 09:00 in New York
HISTORY_DAYS = 150
SCHEDULED_DAYS = 15  # days with a scheduled forecast before the check
SEED = 1
# Demand rises half a day after the first model was trained, and for good.
BEGAN = PRESENT - timedelta(days=120)
STEP_BEGINS = BEGAN + timedelta(hours=12)
STEP_PERCENT = 10
# The check that retrains; the days since are those of the challenger in the shadow.
CHECKED = PRESENT - timedelta(days=20)
STEP = "level-step@{start:%Y-%m-%dT%H:%MZ},size={percent}"


class DemoError(UserError, RuntimeError):
    """The demo's folder cannot be used."""


@dataclass
class Story:
    """The steps of this run, for the summary.

    Attributes:
        first: the first training, if this run did it.
        check: the drift check.
        retrained: the retraining, if the check asked for one.
        judged: what became of the challenger after its days in the shadow.
        before: the retraining of an earlier run, from the retraining log.
    """

    first: RetrainingOutcome | None = None
    check: DriftOutcome | None = None
    retrained: RetrainingOutcome | None = None
    judged: dict[str, Any] | None = None
    before: dict[str, Any] | None = None


def run_demo() -> None:
    """Ingest → train → champion; a step of demand → drift → retrain → shadow → contest → forecast; a summary.

    Raises:
        UserError: a step failed; the results of the earlier steps are kept.
    """
    started = time.perf_counter()
    own = load_settings().home
    home = own.with_name(own.name + "-demo")
    story = Story()
    with _synthetic_upstreams(home) as settings, opened(settings) as database:
        registry = Registry(settings)
        err.print(
            "[bold]energy-demand demo[/bold]: synthetic data, generated on this machine; "
            f"the present is fixed at {utc_text(PRESENT)}\n"
            f"database: {database.label}\nmlflow:   {registry.label}",
            soft_wrap=True,
        )
        if _needs_first_model(registry, home):
            _first_model(database, registry, settings, story)
        _step(database, registry, settings, story)
        tomorrow = run_forecast(database, registry, settings, PRESENT, PRESENT, day="tomorrow")
        print_forecast(
            tomorrow,
            settings.region.zone,
            settings.picture_path,
            note="synthetic data, not real New York demand",
        )
        _summary(story, registry.champion(), settings, time.perf_counter() - started)


def _needs_first_model(registry: Registry, home: Path) -> bool:
    try:
        through = registry.champion().forecaster.trained_through
    except NoChampionError:
        return True
    except ModelRefusedError:
        through = None
    if through is None or through > PRESENT:
        raise DemoError(
            f"{home} is from another version of the demo; nothing was changed. Delete it and run again"
        )
    return False


def _first_model(database: Database, registry: Registry, settings: Settings, story: Story) -> None:
    """The first half, in spring: ingest the history and train a champion."""
    then = settings.model_copy(update={"energy_demand_now": BEGAN})
    last = local_day(BEGAN, settings.region.zone)
    _ingest(database, then, backfill_span(then, last - timedelta(days=HISTORY_DAYS), last, BEGAN))
    with err.status("training") as working:
        story.first = run_retraining(
            database, registry, then, BEGAN, trigger=Trigger.MANUAL, progress=working.update
        )
    training = story.first.training
    err.print(
        f"version {training.version.version} trained in {training.seconds:.0f} s as of "
        f"{utc_text(BEGAN)}: {training.verdict.reason}"
    )


def _step(database: Database, registry: Registry, settings: Settings, story: Story) -> None:
    """The second half: a drift check that retrains, and the challenger's days in the shadow; each once."""
    respondent = settings.region.respondent
    _ingest(database, settings, _since(database, settings))
    done = database.run(lambda connection: decisions.retrainings(connection, respondent, PRESENT, 1))
    if done and done[0]["trigger"] == Trigger.CONCEPT and done[0]["outcome"] in decisions.JUDGED:
        story.before = done[0]
    elif not _retrained(database, registry, settings, story):
        return
    if database.run(lambda connection: decisions.challenger(connection, respondent)) is None:
        return
    _mornings(database, registry, settings, CHECKED, PRESENT)
    with err.status("judging the challenger"):
        story.judged = run_daily_check(database, registry, settings, PRESENT).shadow
    if story.before is not None:
        story.before = database.run(
            lambda connection: decisions.retrainings(connection, respondent, PRESENT, 1)
        )[0]


def _retrained(database: Database, registry: Registry, settings: Settings, story: Story) -> bool:
    """Check for drift as of `CHECKED`, and retrain if the check asks for it; whether it did."""
    then = settings.model_copy(update={"energy_demand_now": CHECKED})
    _mornings(database, registry, then, CHECKED - timedelta(days=SCHEDULED_DAYS), CHECKED)
    with err.status("checking for drift"):
        story.check = run_check(database, registry, then, CHECKED)
    decision = story.check.decision
    err.print(f"drift check as of {utc_text(CHECKED)}: {decision.reason}", soft_wrap=True)
    if not decision.retrain or decision.trigger is None:
        return False
    with err.status("training") as working:
        story.retrained = run_retraining(
            database,
            registry,
            then,
            CHECKED,
            trigger=decision.trigger,
            reason=decision.reason,
            progress=working.update,
        )
    training = story.retrained.training
    err.print(
        f"version {training.version.version} trained in {training.seconds:.0f} s: {training.verdict.reason}",
        soft_wrap=True,
    )
    return True


def _mornings(
    database: Database, registry: Registry, settings: Settings, after: datetime, until: datetime
) -> None:
    """Log the forecasts of each morning after `after`, up to `until`, and those of the shadows."""
    with err.status("logging the scheduled forecasts"):
        for number in range(1, (until - after).days + 1):
            forecast_tomorrow(database, registry, settings, after + timedelta(days=number))


@contextmanager
def _synthetic_upstreams(home: Path) -> Iterator[Settings]:
    """A sandbox, and settings that point only at it, whatever the environment says."""
    step = Disturbance.parse(STEP.format(start=STEP_BEGINS, percent=STEP_PERCENT))
    app = create_app(SyntheticWorld(SEED, [step]), now=PRESENT)
    with serving(app) as address:
        yield Settings(
            _env_file=None,
            sandbox_url=address,
            eia_api_key=None,
            eia_region=NEW_YORK.respondent,
            database_url=None,
            mlflow_tracking_uri=None,
            energy_demand_home=home,
            energy_demand_now=PRESENT,
        )


def _since(database: Database, settings: Settings) -> Span:
    """The hours since the first model was trained, or since the last run."""
    trailing = trailing_span(database, settings, PRESENT)
    if trailing.start > BEGAN:
        return trailing
    zone = settings.region.zone
    return backfill_span(settings, local_day(BEGAN, zone), local_day(PRESENT, zone), PRESENT)


def _ingest(database: Database, settings: Settings, span: Span) -> None:
    with progress_bars() as progress:
        run_ingestion(database, settings, span, settings.present(), progress).raise_failures()


def _from_here(path: Path) -> str:
    """The path relative to the working directory if it is below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _summary(story: Story, champion: Champion, settings: Settings, seconds: float) -> None:
    shown = _from_here(settings.home)
    store = shlex.quote(sqlite_address(Path(shown) / MLFLOW_FOLDER / DATABASE_FILE))
    there = f"ENERGY_DEMAND_HOME={shlex.quote(shown)} ENERGY_DEMAND_NOW={utc_text(PRESENT)}"
    programs = Path(sys.executable).parent
    ours, mlflow = (shlex.quote(_from_here(programs / name)) for name in ("energy-demand", "mlflow"))
    out.print(
        Panel(
            "\n".join(_summary_lines(story, champion)),
            title=f"done in {seconds:.0f} s",
            border_style="yellow",
        )
    )
    out.print(
        "Next:\n"
        f"  stored data     {there} {ours} status\n"
        f"  dashboard       {there} {ours} dashboard\n"
        f"  HTTP API        {there} {ours} serve\n"
        f"  roll back       {there} {ours} rollback\n"
        f"  training runs   {mlflow} ui --backend-store-uri {store}\n"
        f"  drift report    open {_from_here(settings.drift_report_path)} in a browser\n"
        "  real demand     get a free key at eia.gov/opendata, then see “Live” in docs/start.md",
        soft_wrap=True,
    )


def _summary_lines(story: Story, champion: Champion) -> Iterator[str]:
    """The steps in a few lines."""
    yield "[bold]Synthetic data.[/bold] These are not real New York figures."
    if story.first is not None:
        metrics = story.first.training.metrics
        number = story.first.training.version.version
        yield (
            f"{BEGAN:%d %b}  Version {number} was trained on "
            f"{HISTORY_DAYS} days and promoted.\n"
            f"        Day-ahead MAPE {metrics['test_mape']:.2f} % on {metrics['test_n']:,.0f} holdout hours\n"
            f"        (same hour yesterday {metrics['test_seasonal_naive_24_mape']:.2f} %, last week "
            f"{metrics['test_seasonal_naive_168_mape']:.2f} %)."
        )
        yield f"{STEP_BEGINS:%d %b}  Demand rose by {STEP_PERCENT} % in the sandbox, in the same weather."
    if story.check is not None:
        decision, share = story.check.decision, story.check.check["drift_share"]
        cause = "none" if decision.cause is None else decision.cause.value.replace("_", " ")
        yield (
            f"{CHECKED:%d %b}  The drift check: {decision.trigger or 'no trigger'}, cause: {cause}\n"
            f"        (drift share {share:.2f}, threshold {DRIFT_SHARE_THRESHOLD})."
        )
        if not decision.retrain:
            yield f"        {decision.reason}."
    if story.retrained is not None:
        training = story.retrained.training
        undecided = "goes on in the shadow" if not training.verdict.decided else "not promoted"
        word = "promoted" if training.verdict.promoted else undecided
        yield f"        Version {training.version.version} was trained and {word}:"
        yield f"        {training.verdict.reason}."
    if story.judged is not None:
        version = story.judged["promoted"] or story.judged["refused"]
        word = "promoted" if story.judged["promoted"] else "not promoted"
        days = (PRESENT - CHECKED).days
        yield f"{PRESENT:%d %b}  After {days} days in the shadow version {version} was {word}:"
        yield from (f"        {reason}." for reason in story.judged["reasons"])
    if story.before is not None:
        outcome = decisions.outcome_in_words(story.before)
        version = story.before["model_version"]
        yield f"An earlier run detected the step and trained version {version} ({outcome}):"
        yield f"        {decisions.outcome_reason(story.before)}."
    through = utc_text(champion.forecaster.trained_through)
    yield f"Version {champion.version} serves now, trained through {through}."
