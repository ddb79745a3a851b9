"""How the sending of messages does, for `status` and the commands; imports neither Apprise nor pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_demand.database import notifications as stored
from energy_demand.notifications.sending import NOT_INSTALLED, is_installed

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings

NEVER = {"last_success_at": None, "last_error_at": None, "last_error": None, "failed": False}


def read_state(connection: sa.Connection, settings: Settings, now: datetime) -> dict[str, Any] | None:
    """A region's messages `waiting` and `expired`, each of its `notifiers`, and the `problem` of all or None.

    None, without a question to the database, where NOTIFY_URLS is not set.
    """
    if not settings.notifiers:
        return None
    respondent = settings.region.respondent
    known = {row["notifier"]: row for row in stored.notifier_states(connection, respondent, now)}
    return {
        **stored.counts(connection, respondent, now),
        "notifiers": [{"notifier": name, **NEVER, **known.get(name, {})} for name in settings.notifiers],
        "problem": None if is_installed() else NOT_INSTALLED,
    }
