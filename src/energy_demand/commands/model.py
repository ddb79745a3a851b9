"""Commands that train, forecast and score models."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from energy_demand.commands import options
from energy_demand.commands.options import Json, Now, choice, settings_at


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
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Forecast the next hours or a whole day, from what was known at the hour of issue.

    Example: energy-demand forecast --day tomorrow
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.model.forecast_job import run_forecast  # noqa: PLC0415
    from energy_demand.model.registry import Registry  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json  # noqa: PLC0415
    from energy_demand.terminal.forecasts import print_forecast  # noqa: PLC0415

    if hours is not None and day is not None:
        raise typer.BadParameter("give either --hours or --day, not both")
    settings = settings_at(now)
    present = settings.present()
    issued_at = as_of or present
    if issued_at > present:
        raise typer.BadParameter(f"--as-of {issued_at:%Y-%m-%dT%H:%MZ} lies in the future")
    wanted = day if day in (None, "tomorrow") else options.day(day)
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


def backtest(
    protocol: Annotated[str, typer.Option(metavar="rolling-24h|day-ahead", help="When an hour is forecast.")],
    start: Annotated[date, typer.Option(parser=options.day, metavar="DATE", help="First New York day.")],
    end: Annotated[date, typer.Option(parser=options.day, metavar="DATE", help="Last one, included.")],
    weather: Annotated[
        str | None,
        typer.Option(
            metavar="as_issued|observed",
            help="As it was foreseen, or as it came; by default what goes with the protocol.",
        ),
    ] = None,
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
    from energy_demand.model.backtest import Loss, Protocol  # noqa: PLC0415
    from energy_demand.model.backtest_job import run_backtest  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json, progress_bars  # noqa: PLC0415
    from energy_demand.terminal.scores import print_backtest  # noqa: PLC0415

    settings = settings_at(now)
    chosen, without = choice(Protocol, "--protocol", protocol), choice(Loss, "--loss", loss)
    if weather not in (None, "as_issued", "observed"):
        raise typer.BadParameter(f"--weather is as_issued or observed, not {weather!r}")
    if end < start:
        raise typer.BadParameter(f"the end {end} is before the start {start}")
    if output is not None and not output.resolve().parent.is_dir():
        raise typer.BadParameter(f"the folder of --output {output} does not exist")
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
