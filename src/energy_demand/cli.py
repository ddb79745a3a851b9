"""The `energy-demand` command: the names of its commands, and what becomes of their failures.

Answers go to standard output, everything else to standard error. Exit status: 0 done, 1 failed with one
line that says why, 2 wrong usage. Heavy modules are imported by the command that needs them.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Annotated

import typer

from energy_demand import __version__
from energy_demand.commands import data, database, local, model, orchestration, servers
from energy_demand.errors import UserError
from energy_demand.logs import configure_logging, redact

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


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every request and step.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    configure_logging(verbose=verbose)


for command in (
    servers.demo,
    local.local,
    data.backfill,
    data.ingest,
    model.train,
    model.forecast,
    model.backtest,
    orchestration.drift,
    orchestration.retrain,
    orchestration.rollback,
    orchestration.replay,
    servers.serve,
    servers.dashboard,
    orchestration.worker,
    data.status,
    data.quarantine,
    servers.sandbox,
):
    app.command()(command)
for command in (database.upgrade, database.url, database.stop):
    database_commands.command()(command)


def main() -> None:
    """Run the command; a failure that a user can meet is one line and exit status 1."""
    sys.excepthook = _redacted_traceback
    try:
        typer.main.get_command(app)()  # calling `app` would put a hook of Typer's over ours
    except UserError as error:
        sys.stderr.write(f"error: {redact(str(error))}\n")
        sys.exit(1)


def _redacted_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))
