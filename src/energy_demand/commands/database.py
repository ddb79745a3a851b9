"""Commands of the application's database."""

from __future__ import annotations

import typer

from energy_demand.commands.options import load_settings


def upgrade() -> None:
    """Bring the tables up to date; every command that needs it does so by itself.

    Example: energy-demand db upgrade
    """
    from energy_demand.database.engine import migrate, open_database  # noqa: PLC0415

    database = open_database(load_settings(), migrate_now=False)
    changed = migrate(database)
    typer.echo(f"{database.label}: {'upgraded' if changed else 'up to date'}")
    database.close()


def url() -> None:
    """Print what psql or pandas connects to (with its password); starts the embedded server.

    Example: psql "$(energy-demand db url)"
    """
    from energy_demand.database.engine import database_url  # noqa: PLC0415

    address = database_url(load_settings()).set(drivername="postgresql")
    typer.echo(address.render_as_string(hide_password=False))


def stop() -> None:
    """Stop the embedded server; the data stays.

    Example: energy-demand db stop
    """
    from energy_demand.config import SettingsError  # noqa: PLC0415
    from energy_demand.database.embedded import EmbeddedServer  # noqa: PLC0415

    settings = load_settings()
    if settings.database_url is not None:
        raise SettingsError("DATABASE_URL is set, so the database is not the embedded one; nothing to stop")
    stopped = EmbeddedServer(settings.home).stop()
    typer.echo(f"{settings.home}: {'stopped' if stopped else 'was not running'}")
