"""Commands that manage the application's database."""

from __future__ import annotations

import typer

from energy_demand.commands.options import current_settings


def upgrade() -> None:
    """Migrate the tables to this version; commands that need the database do so on their own.

    Example: energy-demand db upgrade
    """
    from energy_demand.database.engine import migrate, open_database  # noqa: PLC0415

    database = open_database(current_settings(), migrate_now=False)
    changed = migrate(database)
    typer.echo(f"{database.label}: {'upgraded' if changed else 'up to date'}")
    database.close()


def url() -> None:
    """Print the database URL for psql or pandas, with its password; starts the embedded server.

    Example: psql "$(energy-demand db url)"
    """
    from energy_demand.database.engine import database_url  # noqa: PLC0415

    address = database_url(current_settings()).set(drivername="postgresql")
    typer.echo(address.render_as_string(hide_password=False))


def stop() -> None:
    """Stop the embedded server; the data is kept.

    Example: energy-demand db stop
    """
    from energy_demand.config import SettingsError  # noqa: PLC0415
    from energy_demand.database.embedded import EmbeddedServer  # noqa: PLC0415

    settings = current_settings()
    if settings.database_url is not None:
        raise SettingsError("DATABASE_URL is set, so the embedded database is not in use; nothing to stop")
    stopped = EmbeddedServer(settings.home).stop()
    typer.echo(f"{settings.home}: {'stopped' if stopped else 'was not running'}")
