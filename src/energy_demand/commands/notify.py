"""Commands that send messages to people: a trial to each URL, and all that is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_demand.commands.by_region import EachRegion, each_region
from energy_demand.commands.options import Json, Now, current_settings, settings_at

if TYPE_CHECKING:
    from energy_demand.commands.by_region import Emit
    from energy_demand.config import Settings


def trial(as_json: Json = False) -> None:
    """Send a trial message to each URL of NOTIFY_URLS, and say which arrived.

    Example: energy-demand notify test
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.errors import UserError  # noqa: PLC0415
    from energy_demand.logs import redact  # noqa: PLC0415
    from energy_demand.notifications.notify import note_trial, send_trial  # noqa: PLC0415
    from energy_demand.terminal.console import err, print_json  # noqa: PLC0415
    from energy_demand.terminal.notifications import print_trial  # noqa: PLC0415

    settings = _with_urls(current_settings())
    errors = send_trial(settings)
    if as_json:
        print_json(
            {
                "notifiers": [
                    {"notifier": name, "arrived": not why, "error": why} for name, why in errors.items()
                ]
            }
        )
    else:
        print_trial(errors)
    try:
        with opened(settings) as database:
            note_trial(database, settings, errors)
    except UserError as error:  # what is asked about are the URLs
        err.print(f"warning: `status` does not know of this trial: {redact(str(error))}", soft_wrap=True)
    failed = [name for name, why in errors.items() if why]
    if failed:
        raise UserError(f"{len(failed)} of {len(errors)} URLs did not take the message: {', '.join(failed)}")


def send(region: EachRegion = None, now: Now = None, as_json: Json = False) -> None:
    """Send the messages that are due now, as each job does at its end.

    Example: energy-demand notify send
    """
    each_region(_with_urls(settings_at(now)), region, _send, as_json=as_json)


def _send(settings: Settings, emit: Emit) -> None:
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.errors import UserError  # noqa: PLC0415
    from energy_demand.notifications.notify import send_due  # noqa: PLC0415
    from energy_demand.notifications.state import read_state  # noqa: PLC0415
    from energy_demand.terminal.console import err  # noqa: PLC0415
    from energy_demand.terminal.notifications import print_state  # noqa: PLC0415

    with opened(settings) as database:
        err.print(f"database: {database.label}", soft_wrap=True)
        send_due(database, settings)
        with database.transaction() as connection:
            body: dict[str, Any] = read_state(connection, settings, settings.present()) or {}
    emit(body, print_state)
    failed = [each["notifier"] for each in body["notifiers"] if each["failed"]]
    if failed:
        raise UserError(f"did not take the last message: {', '.join(failed)}")


def _with_urls(settings: Settings) -> Settings:
    from energy_demand.errors import UserError  # noqa: PLC0415

    if not settings.notifiers:
        raise UserError("NOTIFY_URLS is not set; nothing was sent. docs/notifications.md has examples")
    return settings
