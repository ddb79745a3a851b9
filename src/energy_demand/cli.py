"""The `energy-demand` command: reads settings, calls one job, says what happened.

Answers go to standard output, everything else to standard error. Exit status: 0 done, 1 failed with one
line that says why, 2 wrong usage. Heavy modules are imported by the command that needs them.
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import asdict
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from energy_demand import __version__
from energy_demand.config import Settings, SettingsError, load_settings
from energy_demand.errors import UserError
from energy_demand.logs import configure_logging, redact
from energy_demand.timeaxis import TimeFormatError, parse_day, parse_moment

if TYPE_CHECKING:
    from types import TracebackType

app = typer.Typer(
    help="Forecast New York's hourly electricity demand, honestly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
database_commands = typer.Typer(help="The application's database.", no_args_is_help=True)
app.add_typer(database_commands, name="db")


def _moment(text: str) -> datetime:
    try:
        return parse_moment(text)
    except TimeFormatError as error:
        raise typer.BadParameter(str(error)) from None


def _day(text: str) -> date:
    try:
        return parse_day(text)
    except TimeFormatError as error:
        raise typer.BadParameter(str(error)) from None


Now = Annotated[
    datetime | None,
    typer.Option(parser=_moment, metavar="TIME", help="Fix the present; as ENERGY_DEMAND_NOW."),
]


_Choice = TypeVar("_Choice", bound=StrEnum)


class Source(StrEnum):
    """Where a backfill takes demand from."""

    API = "api"
    BULK = "bulk"


Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every request and step.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    configure_logging(verbose=verbose)


@app.command()
def sandbox(
    data: Annotated[
        Path | None, typer.Option(help="Folder of recorded files; without it the data is synthetic.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8090,
    now: Annotated[
        datetime | None,
        typer.Option(parser=_moment, metavar="TIME", help="Its present; serves nothing later."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the synthetic data.")] = 1,
    disturb: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND@START", help="heat-wave or level-step in the synthetic data."),
    ] = None,
    require_key: Annotated[
        str | None, typer.Option(help="The only API key that EIA's routes accept.")
    ] = None,
    archive_delay_days: Annotated[int, typer.Option(min=0, help="How late the weather archive is.")] = 5,
) -> None:
    """Stand in for EIA and Open-Meteo on this machine.

    Example: energy-demand sandbox --data ../shared/data

    Then, in another shell: export SANDBOX_URL=http://127.0.0.1:8090
    """
    from energy_demand.sandbox import errors, recorded, server, synthetic  # noqa: PLC0415

    if data is not None and disturb:
        raise typer.BadParameter("recorded data cannot be disturbed; leave --data or --disturb out")
    try:
        if data is not None:
            world: Any = recorded.RecordedWorld(data)
        else:
            disturbances = [synthetic.Disturbance.parse(text) for text in disturb or ()]
            world = synthetic.SyntheticWorld(seed, disturbances)
        server.run(world, port=port, now=now, require_key=require_key, archive_delay_days=archive_delay_days)
    except errors.SandboxError as error:
        raise UserError(str(error)) from error


@app.command()
def backfill(
    start: Annotated[date, typer.Option(parser=_day, metavar="DATE", help="First day, New York time.")],
    end: Annotated[date, typer.Option(parser=_day, metavar="DATE", help="Last day, included.")],
    source: Annotated[
        Source, typer.Option(help="EIA's API, or its six-month files, which need no key.")
    ] = Source.API,
    folder: Annotated[
        Path | None, typer.Option(help="With bulk: where the files lie; without it they are downloaded.")
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Fetch the history of demand, weather, and weather forecasts as issued.

    Example: energy-demand backfill --start 2019-01-01 --end 2025-07-31
    """
    if folder is not None and source is not Source.BULK:
        raise typer.BadParameter("--folder goes with --source bulk")
    from energy_demand.data.ingest import backfill_span  # noqa: PLC0415

    settings = _settings(now)
    if end < start:
        raise typer.BadParameter(f"the end {end} is before the start {start}")
    span = backfill_span(settings, start, end, settings.present())
    _ingest(settings, span, as_json=as_json, bulk=source is Source.BULK, bulk_folder=folder)


@app.command()
def ingest(now: Now = None, as_json: Json = False) -> None:
    """Fetch what is new, and the last two weeks again for revisions.

    Example: energy-demand ingest
    """
    _ingest(_settings(now), None, as_json=as_json)


def _ingest(settings: Settings, span: Any, *, as_json: bool, **how: Any) -> None:
    from energy_demand.data.feature_store import refresh_features  # noqa: PLC0415
    from energy_demand.data.ingest import ingest as run_ingestion  # noqa: PLC0415
    from energy_demand.data.ingest import trailing_span  # noqa: PLC0415
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.terminal import err, out, print_json, progress_bars  # noqa: PLC0415

    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        now = settings.present()
        span = span or trailing_span(database, settings, now)
        with progress_bars() as progress:
            report = run_ingestion(database, settings, span, now, progress, **how)
            features = refresh_features(database, settings, span.start, span.end, now)
            progress("features", 1, 1)
        body = {**report.to_json(), "features": asdict(features), "start": span.start, "end": span.end}
    if as_json:
        print_json(body)
        return
    for name in ("demand", "daily", "weather", "forecasts", "features"):
        out.print(f"{name:<10} {body[name]['new']:>9,} new {body[name]['revised']:>7,} revised")
    out.print(f"{'quarantine':<10} {body['quarantined']:>9,} new")
    out.print(f"{'missing':<10} {body['missing_hours']:>9,} hours of demand")


@app.command()
def train(now: Now = None, as_json: Json = False) -> None:
    """Train on everything known, register the model, and let it serve if it is proven.

    Example: energy-demand train
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.model.registry import Registry  # noqa: PLC0415
    from energy_demand.model.training_job import run_training  # noqa: PLC0415
    from energy_demand.terminal import err, out, print_json  # noqa: PLC0415

    settings = _settings(now)
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


@app.command()
def forecast(
    hours: Annotated[int | None, typer.Option(metavar="N", help="The next N hours, up to 48.")] = None,
    day: Annotated[
        str | None, typer.Option(metavar="tomorrow|DATE", help="All hours of a New York day.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(parser=_moment, metavar="TIME", help="Issue it as if it were then."),
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
    settings = _settings(now)
    present = settings.present()
    issued_at = as_of or present
    if issued_at > present:
        raise typer.BadParameter(f"--as-of {issued_at:%Y-%m-%dT%H:%MZ} lies in the future")
    wanted = day if day in (None, "tomorrow") else _day(day)
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


@app.command()
def backtest(
    protocol: Annotated[str, typer.Option(metavar="rolling-24h|day-ahead", help="When an hour is forecast.")],
    start: Annotated[date, typer.Option(parser=_day, metavar="DATE", help="First day, New York time.")],
    end: Annotated[date, typer.Option(parser=_day, metavar="DATE", help="Last day, included.")],
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

    settings = _settings(now)
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


@app.command()
def status(now: Now = None, as_json: Json = False) -> None:
    """Say what is stored, what is missing, and which model serves.

    Example: energy-demand status
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.status import status as look  # noqa: PLC0415
    from energy_demand.terminal import print_json, print_status  # noqa: PLC0415

    settings = _settings(now)
    with opened(settings) as database:
        body = look(database, settings, settings.present())
    (print_json if as_json else print_status)(body)


@app.command()
def quarantine(
    release: Annotated[
        list[int] | None, typer.Option(metavar="ID", help="Store this row after all; may be repeated.")
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """List the rows that broke the data contract, or let some of them in.

    Example: energy-demand quarantine --release 12
    """
    from energy_demand.data.release import release as let_in  # noqa: PLC0415
    from energy_demand.database import state  # noqa: PLC0415
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.terminal import err, out, print_json, print_quarantine  # noqa: PLC0415

    settings = _settings(now)
    with opened(settings) as database:
        released = 0
        if release:
            err.print(f"database: {database.label}", soft_wrap=True)
            released = let_in(database, release, settings.present())
        rows = database.run(state.quarantined)
    if as_json:
        print_json({"released": released, "rows": rows})
        return
    if release:
        out.print(f"released: {released}")
    print_quarantine(rows)


@app.command()
def demo() -> None:
    """Run the whole loop on synthetic data, with no key, no Docker and no network.

    Example: energy-demand demo
    """
    from energy_demand.demo import run_demo  # noqa: PLC0415

    run_demo()


@database_commands.command("upgrade")
def database_upgrade() -> None:
    """Bring the tables up to date; every command that needs it does so by itself.

    Example: energy-demand db upgrade
    """
    from energy_demand.database.engine import migrate, open_database  # noqa: PLC0415

    database = open_database(load_settings(), migrate_now=False)
    changed = migrate(database)
    typer.echo(f"{database.label}: {'upgraded' if changed else 'up to date'}")
    database.close()


@database_commands.command("url")
def database_address() -> None:
    """Print what psql or pandas connects to (with its password); starts the embedded server.

    Example: psql "$(energy-demand db url)"
    """
    from energy_demand.database.engine import database_url  # noqa: PLC0415

    url = database_url(load_settings()).set(drivername="postgresql")
    typer.echo(url.render_as_string(hide_password=False))


@database_commands.command("stop")
def database_stop() -> None:
    """Stop the embedded server; the data stays.

    Example: energy-demand db stop
    """
    from energy_demand.database.embedded import EmbeddedServer  # noqa: PLC0415

    settings = load_settings()
    if settings.database_url is not None:
        raise SettingsError("DATABASE_URL is set, so the database is not the embedded one; nothing to stop")
    stopped = EmbeddedServer(settings.home).stop()
    typer.echo(f"{settings.home}: {'stopped' if stopped else 'was not running'}")


def main() -> None:
    """Run the command; a failure that a user can meet is one line and exit status 1."""
    sys.excepthook = _redacted_traceback
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"error: {redact(str(error))}\n")
        sys.exit(1)


def _settings(now: datetime | None) -> Settings:
    return load_settings() if now is None else load_settings(energy_demand_now=now)


def _redacted_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))
