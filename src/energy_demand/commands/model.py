"""Commands that train, forecast and score models."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from energy_demand.commands import options
from energy_demand.commands.options import Json, Now, settings_at

_Choice = TypeVar("_Choice", bound=StrEnum)


def train(now: Now = None, as_json: Json = False) -> None:
    """Train on everything known, register the model, and let it serve if it is proven.

    Example: energy-demand train
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.model.registry import Registry  # noqa: PLC0415
    from energy_demand.model.training_job import run_training  # noqa: PLC0415
    from energy_demand.terminal import err, out, print_json  # noqa: PLC0415

    settings = settings_at(now)
    with opened(settings) as database, err.status("starting") as working:
        registry = Registry(settings)
        err.print(f"database: {database.label}\nmlflow:   {registry.label}", soft_wrap=True)
        outcome = run_training(database, registry, settings, settings.present(), progress=working.update)
    if as_json:
        print_json(outcome.to_json())
        return
    metrics = outcome.metrics
    out.print(
        f"version {outcome.version.version}: {outcome.rows:,} rows, {outcome.first:%Y-%m-%d} to "
        f"{outcome.trained_through:%Y-%m-%dT%H:%MZ}, {outcome.seconds:.1f} s"
    )
    if metrics["test_n"]:
        out.print(
            f"day-ahead on {metrics['test_n']:,.0f} hours it had not seen: MAPE {metrics['test_mape']:.2f} % "
            f"(base booster {metrics['test_base_mape']:.2f} %, same hour yesterday "
            f"{metrics['test_seasonal_naive_24_mape']:.2f} %, last week "
            f"{metrics['test_seasonal_naive_168_mape']:.2f} %)",
            soft_wrap=True,
        )
    out.print(f"{'promoted' if outcome.verdict.promoted else 'not promoted'}: {outcome.verdict.reason}")


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
    from energy_demand.terminal import err, print_forecast, print_json  # noqa: PLC0415

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
    from energy_demand.terminal import err, print_backtest, print_json, progress_bars  # noqa: PLC0415

    settings = settings_at(now)
    chosen, without = _choice(Protocol, "--protocol", protocol), _choice(Loss, "--loss", loss)
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


def _choice(kind: type[_Choice], option: str, text: str) -> _Choice:
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(each.value for each in kind)
        raise typer.BadParameter(f"{option} is one of {known}, not {text!r}") from None
