"""Commands that monitor and retrain the model: drift, retrain, rollback, replay, worker."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from energy_demand.commands import options
from energy_demand.commands.by_region import (
    ChosenRegion,
    EachRegion,
    OneRegion,
    each_region,
    of_chosen,
    of_region,
)
from energy_demand.commands.options import (
    DaskAddress,
    FirstDay,
    Json,
    LastDay,
    Now,
    RegionWorkers,
    Weather,
    WorkerCount,
    check_window,
    check_workers,
    choice,
    current_settings,
    settings_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from energy_demand.commands.by_region import Emit
    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.evaluation.injection import BadPromotion, Injection
    from energy_demand.evaluation.policy_replay import ReplayPolicy
    from energy_demand.jobs.retraining import RetrainingOutcome
    from energy_demand.monitoring.retraining_policy import Trigger


def drift(
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Store the decision, but judge no model and do not retrain.")
    ] = False,
    region: EachRegion = None,
    workers: RegionWorkers = None,
    dask: DaskAddress = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Judge the models in the shadow, check for drift, and retrain if the policy asks for it.

    Example: energy-demand drift --check-only
    """
    check_workers(workers, dask)
    work = partial(_drift, check_only)
    each_region(settings_at(now), region, work, as_json=as_json, workers=workers, dask=dask)


def _drift(check_only: bool, settings: Settings, emit: Emit) -> None:
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.database.job_runs import Job  # noqa: PLC0415
    from energy_demand.jobs.daily_check import run_daily_check  # noqa: PLC0415
    from energy_demand.jobs.drift_check import run_check  # noqa: PLC0415
    from energy_demand.jobs.job_lock import run_exclusively  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err  # noqa: PLC0415
    from energy_demand.terminal.monitoring import print_drift, print_retrained  # noqa: PLC0415

    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        present = settings.present()
        check = run_check if check_only else run_daily_check
        with err.status("checking"):
            found = run_exclusively(
                database,
                settings,
                Job.DRIFT_CHECK,
                present,
                lambda _lock: check(database, Registry(settings), settings, present),
            )
        if found is None:
            raise AssertionError("only scheduled runs are caught up")
        emit.early(found.to_json(), print_drift)
        decision, retrained = found.decision, None
        if decision.retrain and decision.trigger is not None and not check_only:
            retrained = _retrain(database, settings, present, decision.trigger, decision.reason)

    def text(body: dict[str, Any]) -> None:
        if body["retraining"] is not None:
            print_retrained(body["retraining"])

    emit({**found.to_json(), "retraining": None if retrained is None else retrained.to_json()}, text)


def retrain(
    region: EachRegion = None,
    workers: RegionWorkers = None,
    dask: DaskAddress = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Retrain now, and promote the new model once it is proven to be no worse than the champion.

    Example: energy-demand retrain
    """
    check_workers(workers, dask)
    each_region(settings_at(now), region, _retrain_by_hand, as_json=as_json, workers=workers, dask=dask)


def _retrain_by_hand(settings: Settings, emit: Emit) -> None:
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.retraining import BY_HAND  # noqa: PLC0415
    from energy_demand.monitoring.retraining_policy import Trigger  # noqa: PLC0415
    from energy_demand.terminal.console import err  # noqa: PLC0415
    from energy_demand.terminal.monitoring import print_retrained  # noqa: PLC0415

    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        outcome = _retrain(database, settings, settings.present(), Trigger.MANUAL, BY_HAND)
    emit(outcome.to_json(), print_retrained)


def rollback(
    to: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Roll back to this version; default: the previous champion."),
    ] = None,
    region: ChosenRegion = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make the previous champion serve again, and note it in the retraining log.

    Example: energy-demand rollback
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.rollback import roll_back  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, out, print_json  # noqa: PLC0415

    settings = of_chosen(settings_at(now), region)
    with opened(settings) as database:
        registry = Registry(settings)
        err.print(f"database: {database.label}\nmlflow:   {registry.label}", soft_wrap=True)
        serves, served = roll_back(database, registry, settings, settings.present(), to)
    if as_json:
        print_json({"champion": serves, "was": served})
    else:
        out.print(
            f"rolled back from version {served} to version {serves}; running services load it in seconds"
        )


def contest(
    promote: Annotated[
        bool, typer.Option("--promote", help="Let the challenger in the shadow serve now.")
    ] = False,
    drop: Annotated[
        bool, typer.Option("--drop", help="End the challenger's contest; the champion keeps serving.")
    ] = False,
    region: EachRegion = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Show the models in the shadow and how far their contests are, or decide on the challenger by hand.

    Example: energy-demand contest
    """
    if promote and drop:
        raise typer.BadParameter("--promote and --drop exclude each other")
    decision = True if promote else False if drop else None
    settings = settings_at(now)
    if decision is not None:
        of_chosen(settings, region)
    each_region(settings, region, partial(_contest, decision), as_json=as_json)


def _contest(promote: bool | None, settings: Settings, emit: Emit) -> None:
    """Show a region's contest, after the decision on its challenger; None: none is made."""
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.database.job_runs import Job, job_lock  # noqa: PLC0415
    from energy_demand.jobs.contest_state import contest_state, read_shadows  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err  # noqa: PLC0415
    from energy_demand.terminal.monitoring import print_contest  # noqa: PLC0415

    with opened(settings) as database:
        registry, present = Registry(settings), settings.present()
        err.print(f"database: {database.label}\nmlflow:   {registry.label}", soft_wrap=True)
        decided = None
        if promote is not None:
            from energy_demand.jobs.shadow import decide_by_hand  # noqa: PLC0415
            from energy_demand.notifications.notify import notifying  # noqa: PLC0415

            with notifying(database, settings), job_lock(database, Job.RETRAIN, settings.region.respondent):
                version = decide_by_hand(database, registry, settings, present, promote=promote)
            decided = {"version": version, "outcome": "promoted" if promote else "dropped"}
        body = {
            "decided": decided,
            **contest_state(read_shadows(database, registry, settings, present), present),
        }
    emit(body, print_contest)


def replay(
    policy: Annotated[
        list[str],
        typer.Option(
            metavar="frozen|never|weekly|monthly|triggered",
            help="Retraining policy; give it again to replay several.",
        ),
    ],
    start: FirstDay,
    end: LastDay,
    inject: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Inject a change of demand (step, ramp, weather-response) or a bad promotion "
            "(bad-promotion:bias, :hour-late, :stale or :wider), to measure how soon it is found or undone.",
        ),
    ] = None,
    inject_on: Annotated[
        date | None,
        typer.Option(
            parser=options.day, metavar="DATE", help="First day of the change; default: after a quarter."
        ),
    ] = None,
    weather: Weather = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG", help="Write a plot to this file; of several policies to NAME-POLICY.png each."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="PARQUET", help="Write one row per hour to this file; of several policies likewise."
        ),
    ] = None,
    workers: WorkerCount = None,
    dask: DaskAddress = None,
    region: OneRegion = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Replay retraining policies over past days, each using only what was known then.

    Demand that was revised is seen as in `energy-demand backtest`, but as revised
    if a change of demand is injected.

    Workers share the policies. A run that was cut off goes on from its finished policies when the same
    command is given again.

    Example: energy-demand replay --policy triggered --start 2023-01-01 --end 2023-12-31
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.evaluation.policy_replay import ReplayPolicy  # noqa: PLC0415
    from energy_demand.jobs.fan_out.workers import workers_of  # noqa: PLC0415
    from energy_demand.jobs.replay import run_replays  # noqa: PLC0415
    from energy_demand.outputs import write_output  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json, progress_bars  # noqa: PLC0415
    from energy_demand.terminal.pictures import save_replay  # noqa: PLC0415
    from energy_demand.terminal.scores import print_replay  # noqa: PLC0415

    settings = of_region(settings_at(now), region)
    chosen = list(dict.fromkeys(choice(ReplayPolicy, "--policy", each) for each in policy))
    injected = None if inject is None else _injection(inject)
    check_window(start, end, weather, picture=picture, output=output)
    check_workers(workers, dask)
    if injected is None and inject_on is not None:
        raise typer.BadParameter("--inject-on needs --inject")
    begins = inject_on or start + (end - start) // 4
    with (
        workers_of(workers, dask) as chosen_workers,
        opened(settings) as database,
        progress_bars() as progress,
    ):
        err.print(f"database: {database.label}", soft_wrap=True)
        results = run_replays(
            database,
            settings,
            settings.present(),
            policies=chosen,
            start=start,
            end=end,
            injection=None if injected is None else injected(begins),
            weather=weather,  # type: ignore[arg-type]
            progress=progress,
            workers=chosen_workers,
        )
    if as_json:
        bodies = {each.value: result.body for each, result in results.items()}
        print_json({"policies": bodies} if len(bodies) > 1 else bodies[chosen[0].value])
    for each, result in results.items():
        if not as_json:
            print_replay(result.body)
        try:
            if output is not None:
                result.write(_of_policy(output, each, results))
        finally:  # if the rows cannot be written, the picture still is
            if picture is not None:
                path = _of_policy(picture, each, results)
                write_output(path, partial(save_replay, result, settings.region.zone))
                err.print(f"picture: {path}", soft_wrap=True)


def _of_policy(path: Path, policy: ReplayPolicy, among: Collection[ReplayPolicy]) -> Path:
    """The file of one policy; among several, with its name."""
    return path if len(among) == 1 else path.with_stem(f"{path.stem}-{policy.value}")


def _injection(text: str) -> Callable[[date], Injection | BadPromotion]:
    """What `--inject` names, for the day that is given to it."""
    from energy_demand.evaluation.injection import (  # noqa: PLC0415
        BAD_PROMOTION,
        BadPromotion,
        Fault,
        Injection,
        Kind,
    )

    name, _, fault = text.partition(":")
    if name == BAD_PROMOTION:
        return partial(BadPromotion, choice(Fault, f"--inject {BAD_PROMOTION}:", fault or Fault.BIAS.value))
    return partial(Injection, choice(Kind, "--inject", text))


def worker() -> None:
    """Run the Prefect flows: ingestion, drift check, retraining, the morning forecast.

    Example: PREFECT_API_URL=http://127.0.0.1:4200/api energy-demand worker
    """
    from energy_demand.config import prepare_flows  # noqa: PLC0415

    settings = current_settings()
    prepare_flows(settings)
    from energy_demand.orchestration.deployments import serve_deployments  # noqa: PLC0415

    serve_deployments(settings)


def _retrain(
    database: Database, settings: Settings, now: datetime, trigger: Trigger, reason: str
) -> RetrainingOutcome:
    from energy_demand.database.job_runs import Job  # noqa: PLC0415
    from energy_demand.jobs.job_lock import run_exclusively  # noqa: PLC0415
    from energy_demand.jobs.retraining import run_retraining  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err  # noqa: PLC0415

    registry = Registry(settings)
    err.print(f"mlflow:   {registry.label}", soft_wrap=True)
    with err.status("starting") as working:
        outcome = run_exclusively(
            database,
            settings,
            Job.RETRAIN,
            now,
            lambda lock: run_retraining(
                database,
                registry,
                settings,
                now,
                trigger=trigger,
                reason=reason,
                check_lock=lock.check,
                progress=working.update,
            ),
        )
    if outcome is None:
        raise AssertionError("only scheduled runs are caught up")
    return outcome
