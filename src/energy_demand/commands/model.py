"""Commands that train, forecast and score models."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from energy_demand.commands import options
from energy_demand.commands.options import (
    FirstDay,
    Json,
    LastDay,
    Now,
    Weather,
    check_window,
    choice,
    settings_at,
)

if TYPE_CHECKING:
    from energy_demand.config import Settings


def train(now: Now = None, as_json: Json = False) -> None:
    """Train on everything known, register the model, and let it serve if it is proven.

    Example: energy-demand train
    """
    from energy_demand.commands.orchestration import retrain  # noqa: PLC0415

    retrain(now, as_json)


def forecast(
    hours: Annotated[int | None, typer.Option(metavar="N", help="The next N hours, up to 48.")] = None,
    day: Annotated[
        str | None, typer.Option(metavar="tomorrow|DATE", help="All hours of a New York day.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(parser=options.moment, metavar="TIME", help="Issue it as if it were then."),
    ] = None,
    picture: Annotated[Path | None, typer.Option(metavar="PNG", help="Where the picture goes.")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what calendar, temperature, sun and so on add.")
    ] = False,
    scheduled: Annotated[
        bool,
        typer.Option("--scheduled", help="The morning's job: ingest, then log tomorrow's forecast, once."),
    ] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Forecast the next hours or a whole day, from what was known at the hour of issue.

    Example: energy-demand forecast --day tomorrow
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.jobs.forecast import run_forecast  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json  # noqa: PLC0415
    from energy_demand.terminal.forecasts import print_forecast  # noqa: PLC0415

    if scheduled:
        if any(each is not None for each in (hours, day, as_of, picture)) or explain:
            raise typer.BadParameter("--scheduled forecasts tomorrow, now; it goes with no other choice")
        _morning(settings_at(now), as_json=as_json)
        return
    if hours is not None and day is not None:
        raise typer.BadParameter("give either --hours or --day, not both")
    settings = settings_at(now)
    present = settings.present()
    issued_at = as_of or present
    if issued_at > present:
        raise typer.BadParameter(f"--as-of {issued_at:%Y-%m-%dT%H:%MZ} lies in the future")
    wanted = day if day in (None, "tomorrow") else options.day(day)
    options.check_files(picture=picture)
    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        made = run_forecast(
            database, Registry(settings), settings, issued_at, present, hours=hours, day=wanted
        )
    for warning in made.warnings():
        err.print(f"warning: {warning}", soft_wrap=True)
    if as_json:
        print_json(made.to_json(explain=explain))
    else:
        print_forecast(made, settings.region.zone, picture, explain=explain)


def _morning(settings: Settings, *, as_json: bool) -> None:
    """As the flow `forecast`, in this process."""
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.database.job_runs import Job  # noqa: PLC0415
    from energy_demand.jobs.job_lock import run_exclusively  # noqa: PLC0415
    from energy_demand.jobs.scheduled_forecast import NothingNewError, run_scheduled_forecast  # noqa: PLC0415
    from energy_demand.registry.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, out, print_json, progress_bars  # noqa: PLC0415
    from energy_demand.terminal.forecasts import peak_sentence  # noqa: PLC0415

    with opened(settings) as database, progress_bars() as progress:
        err.print(f"database: {database.label}", soft_wrap=True)
        now = settings.present()
        made = run_exclusively(
            database,
            settings,
            Job.FORECAST,
            now,
            lambda: run_scheduled_forecast(database, Registry(settings), settings, now, progress),
        )
    if made is None:
        raise AssertionError("only scheduled runs are caught up")
    if as_json:
        print_json(made.to_json())
    elif made.forecast is None:
        out.print(f"the forecast of {made.day} was logged before")
    else:
        out.print(f"logged: {peak_sentence(made.forecast, settings.region.zone)}")
    if made.trouble is not None:
        raise NothingNewError(made.trouble)


def backtest(
    protocol: Annotated[str, typer.Option(metavar="rolling-24h|day-ahead", help="When an hour is forecast.")],
    start: FirstDay,
    end: LastDay,
    weather: Weather = None,
    refit_days: Annotated[int, typer.Option(min=1, help="Days between two fits.")] = 30,
    loss: Annotated[
        str,
        typer.Option(
            metavar="nothing|demand-6h|demand-30h|weather|other-sites",
            help="What the forecasts must do without.",
        ),
    ] = "nothing",
    output: Annotated[
        Path | None, typer.Option(metavar="PARQUET", help="One row per hour goes here.")
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Forecast past days walk-forward, refitting on earlier data only, and score it.

    Example: energy-demand backtest --protocol day-ahead --start 2024-06-01 --end 2024-06-30
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.evaluation.backtest import Loss, Protocol  # noqa: PLC0415
    from energy_demand.jobs.backtest import run_backtest  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json, progress_bars  # noqa: PLC0415
    from energy_demand.terminal.scores import print_backtest  # noqa: PLC0415

    settings = settings_at(now)
    chosen, without = choice(Protocol, "--protocol", protocol), choice(Loss, "--loss", loss)
    check_window(start, end, weather, output=output)
    with opened(settings) as database, progress_bars() as progress:
        err.print(f"database: {database.label}", soft_wrap=True)
        made = run_backtest(
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
        )
    (print_json if as_json else print_backtest)(made.body)
    if output is not None:
        made.write(output)
