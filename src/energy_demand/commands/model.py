"""Commands that train, forecast and score models."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from energy_demand.commands import options
from energy_demand.commands.by_region import EachRegion, OneRegion, each_region, of_region
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
    settings_at,
)

if TYPE_CHECKING:
    from datetime import date

    from energy_demand.commands.by_region import Emit
    from energy_demand.config import Settings


def train(
    region: EachRegion = None,
    workers: RegionWorkers = None,
    dask: DaskAddress = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Train on all known data, register the model, and promote it if it passes the contest.

    Example: energy-demand train
    """
    from energy_demand.commands.orchestration import retrain  # noqa: PLC0415

    retrain(region, workers, dask, now, as_json)


def forecast(
    hours: Annotated[
        int | None, typer.Option(metavar="N", help="Forecast the next N hours, up to 48.")
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(metavar="tomorrow|DATE", help="Forecast all hours of a local day of the region."),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(parser=options.moment, metavar="TIME", help="Issue the forecast as of this past time."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Write the picture to this file.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what calendar, temperature, sun and the other parts add.")
    ] = False,
    quantiles: Annotated[
        bool,
        typer.Option(
            "--quantiles", help="Show the distribution of the energy and the peak; in --json of each hour."
        ),
    ] = False,
    scenario: Annotated[
        str | None,
        typer.Option(
            metavar="CHANGES",
            help="Show the same hours under other weather or on another kind of day, e.g. "
            "temperature+3,cloud=0,day=holiday; nothing is logged.",
        ),
    ] = None,
    scheduled: Annotated[
        bool,
        typer.Option("--scheduled", help="The morning job: ingest, then log tomorrow's forecast once."),
    ] = False,
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="CODE",
            help="The region; default: EIA_REGION, with --scheduled all of EIA_REGIONS.",
        ),
    ] = None,
    workers: RegionWorkers = None,
    dask: DaskAddress = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Forecast the next hours or a whole day, from what was known at the issue time.

    Example: energy-demand forecast --day tomorrow

    Example: energy-demand forecast --day tomorrow --scenario temperature+3,cloud=0
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.forecast import run_forecast  # noqa: PLC0415
    from energy_demand.jobs.operator_combination import combine  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json  # noqa: PLC0415
    from energy_demand.terminal.forecasts import print_forecast  # noqa: PLC0415

    if scheduled:
        if any(each is not None for each in (hours, day, as_of, picture, scenario)) or explain or quantiles:
            raise typer.BadParameter(
                "--scheduled forecasts tomorrow as of now; leave out --hours, --day, --as-of, --picture, "
                "--explain, --quantiles and --scenario"
            )
        check_workers(workers, dask)
        each_region(settings_at(now), region, _morning, as_json=as_json, workers=workers, dask=dask)
        return
    if workers is not None or dask is not None:
        raise typer.BadParameter("--workers and --dask are for --scheduled, which forecasts every region")
    if hours is not None and day is not None:
        raise typer.BadParameter("give --hours or --day, not both")
    settings = of_region(settings_at(now), region)
    present = settings.present()
    issued_at = as_of or present
    if issued_at > present:
        raise typer.BadParameter(f"--as-of {issued_at:%Y-%m-%dT%H:%MZ} is in the future")
    wanted = day if day in (None, "tomorrow") else options.day(day)
    options.check_files(picture=picture)
    if scenario is not None:
        _scenario(settings, issued_at, scenario, hours, wanted, picture, as_json=as_json)
        return
    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        hourly_forecast = run_forecast(
            database, Registry(settings), settings, issued_at, present, hours=hours, day=wanted
        )
        combined = combine(database, settings, hourly_forecast)
    for warning in combined.warnings():
        err.print(f"warning: {warning}", soft_wrap=True)
    if as_json:
        print_json(combined.to_json(explain=explain, quantiles=quantiles))
    else:
        picture = picture or settings.picture_path
        print_forecast(
            hourly_forecast,
            settings.region.zone,
            picture,
            explain=explain,
            quantiles=quantiles,
            operator=combined.operator,
        )


def _scenario(
    settings: Settings,
    issued_at: datetime,
    text: str,
    hours: int | None,
    day: date | str | None,
    picture: Path | None,
    *,
    as_json: bool,
) -> None:
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.scenarios import run_scenario  # noqa: PLC0415
    from energy_demand.model.scenarios.changes import ScenarioError, read_scenario  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json  # noqa: PLC0415
    from energy_demand.terminal.scenarios import print_scenario  # noqa: PLC0415

    try:
        changes = read_scenario(text, settings.region.country)
    except ScenarioError as error:
        raise typer.BadParameter(f"--scenario: {error}") from None
    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        made = run_scenario(database, Registry(settings), settings, issued_at, changes, hours=hours, day=day)
    for warning in made.forecast.warnings():
        err.print(f"warning: {warning}", soft_wrap=True)
    if as_json:
        print_json(made.to_json())
    else:
        print_scenario(
            made.scenario, settings.region.zone, picture or settings.picture_path.with_name("scenario.png")
        )


def _morning(settings: Settings, emit: Emit) -> None:
    """Run the flow `forecast` in this process."""
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.database.job_runs import Job  # noqa: PLC0415
    from energy_demand.jobs.job_lock import run_exclusively  # noqa: PLC0415
    from energy_demand.jobs.scheduled_forecast import NothingNewError, run_scheduled_forecast  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, out, progress_bars  # noqa: PLC0415
    from energy_demand.terminal.forecasts import peak_sentence  # noqa: PLC0415

    with opened(settings) as database, progress_bars() as progress:
        err.print(f"database: {database.label}", soft_wrap=True)
        now = settings.present()
        outcome = run_exclusively(
            database,
            settings,
            Job.FORECAST,
            now,
            lambda _lock: run_scheduled_forecast(database, Registry(settings), settings, now, progress),
        )
    if outcome is None:
        raise AssertionError("only scheduled runs are caught up")
    if outcome.forecast is None:
        line = f"the forecast for {outcome.day} was already logged; nothing changed"
    else:
        line = f"logged: {peak_sentence(outcome.forecast, settings.region.zone)}"
        if outcome.peak is not None and outcome.peak.alert:
            line += f"\n{outcome.peak.reason(settings.region.zone)}"
    emit(outcome.to_json(), lambda _body: out.print(line))
    if outcome.trouble is not None:
        raise NothingNewError(outcome.trouble)


def backtest(
    protocol: Annotated[
        str, typer.Option(metavar="rolling-24h|day-ahead", help="When each hour is forecast.")
    ],
    start: FirstDay,
    end: LastDay,
    weather: Weather = None,
    refit_days: Annotated[int, typer.Option(min=1, help="Days between refits.")] = 30,
    loss: Annotated[
        str,
        typer.Option(
            metavar="nothing|demand-6h|demand-30h|weather|other-sites|first-model|no-runs|stale-runs|provider-change|operator",
            help="Withhold or change these inputs, to score forecasts without them.",
        ),
    ] = "nothing",
    output: Annotated[
        Path | None, typer.Option(metavar="PARQUET", help="Write one row per hour to this file.")
    ] = None,
    workers: WorkerCount = None,
    dask: DaskAddress = None,
    region: OneRegion = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Forecast past days walk-forward, refitting on earlier data only, and score the forecasts.

    Demand that was revised is seen as known at each issue where its earlier values are stored; `vintages` in
    the JSON is as_known if every hour was stored within a day of its end, else as_revised.

    A run that was cut off goes on from its last finished fit when the same command is given again.

    Example: energy-demand backtest --protocol day-ahead --start 2024-06-01 --end 2024-06-30
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.evaluation.losses import Loss  # noqa: PLC0415
    from energy_demand.evaluation.schedule import Protocol  # noqa: PLC0415
    from energy_demand.jobs.backtest import run_backtest  # noqa: PLC0415
    from energy_demand.jobs.fan_out.workers import workers_of  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json, progress_bars  # noqa: PLC0415
    from energy_demand.terminal.scores import print_backtest  # noqa: PLC0415

    settings = of_region(settings_at(now), region)
    chosen, without = choice(Protocol, "--protocol", protocol), choice(Loss, "--loss", loss)
    check_window(start, end, weather, output=output)
    check_workers(workers, dask)
    if without.needs_runs and (weather or chosen.weather) != "as_issued":
        raise typer.BadParameter(f"--loss {loss} needs --weather as_issued; observed weather has no runs")
    with (
        workers_of(workers, dask) as chosen_workers,
        opened(settings) as database,
        progress_bars() as progress,
    ):
        err.print(f"database: {database.label}", soft_wrap=True)
        result = run_backtest(
            database,
            settings,
            settings.present(),
            protocol=chosen,
            weather=weather,  # type: ignore[arg-type]
            start=start,
            end=end,
            refit_days=refit_days,
            loss=without,
            progress=progress,
            workers=chosen_workers,
        )
    (print_json if as_json else print_backtest)(result.body)
    if output is not None:
        result.write(output)
