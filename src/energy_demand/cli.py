"""The `energy-demand` command: registers the subcommands and turns failures into one line.

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 failed with a
one-line reason, 2 wrong usage. Heavy modules are imported by the command that needs them.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Annotated

import typer

from energy_demand import __version__
from energy_demand.commands import (
    data,
    database,
    doctor,
    exports,
    local,
    model,
    notify,
    orchestration,
    peaks,
    reproduction,
    servers,
    weather_normalisation,
)
from energy_demand.errors import UserError
from energy_demand.logs import configure_logging, redact

if TYPE_CHECKING:
    from types import TracebackType

app = typer.Typer(
    help="Forecast New York's hourly electricity demand, and keep the model up to date.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
database_commands = typer.Typer(help="Manage the application's database.", no_args_is_help=True)
app.add_typer(database_commands, name="db")
notify_commands = typer.Typer(help="Send messages to people (NOTIFY_URLS).", no_args_is_help=True)
app.add_typer(notify_commands, name="notify")


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every request and step to standard error.")
    ] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    configure_logging(verbose=verbose)


for command in (
    doctor.doctor,
    servers.demo,
    local.local,
    data.backfill,
    data.ingest,
    model.train,
    model.forecast,
    model.backtest,
    peaks.peaks,
    weather_normalisation.weather_normalised,
    exports.forecasts,
    exports.demand,
    exports.scores,
    reproduction.reproduce,
    orchestration.drift,
    orchestration.retrain,
    orchestration.contest,
    orchestration.rollback,
    orchestration.replay,
    servers.serve,
    servers.dashboard,
    servers.mcp,
    orchestration.worker,
    data.status,
    data.quarantine,
    data.regions,
    servers.sandbox,
):
    app.command()(command)
for command in (database.upgrade, database.url, database.stop):
    database_commands.command()(command)
notify_commands.command("test")(notify.trial)
notify_commands.command()(notify.send)


def main() -> None:
    """Run the command; a UserError becomes one line on standard error and exit status 1."""
    sys.excepthook = _redacted_traceback
    try:
        typer.main.get_command(app)()  # calling `app` would replace our excepthook with Typer's
    except UserError as error:
        sys.stderr.write("".join(f"error: {line}\n" for line in redact(str(error)).splitlines()))
        sys.exit(1)


def _redacted_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))
