"""Notifies people: stores a message for each new event, and delivers the messages that are due.

Called at the end of each job. Nothing here stops a job: what fails is logged, and what was not delivered is
kept and tried again at the end of the next one.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from energy_demand.database import notifications as stored
from energy_demand.database.job_runs import JobRunningError
from energy_demand.errors import UserError
from energy_demand.logs import redact
from energy_demand.notification_settings import Kind
from energy_demand.notifications.detection import find_events
from energy_demand.notifications.messages import AGE_LIMITS, Message, Place, message, recovery, trial
from energy_demand.notifications.sending import LIMIT_SECONDS, Delivery, NotInstalledError, send

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.notifications.events import Event

_log = logging.getLogger(__name__)


@contextmanager
def notifying(database: Database, settings: Settings) -> Iterator[None]:
    """Notify people after the work of a `with` block, whether it failed or not."""
    try:
        yield
    except JobRunningError:  # nothing was done, and the job that runs does the same
        raise
    except Exception:
        notify_of_state(database, settings)
        raise
    notify_of_state(database, settings)


def notify_of_state(database: Database, settings: Settings, *, limit_seconds: float = LIMIT_SECONDS) -> None:
    """As `send_due`, at the end of a job: never raises, whatever goes wrong is logged."""
    with _logged(settings):
        send_due(database, settings, limit_seconds=limit_seconds)


def notify(
    database: Database, settings: Settings, events: Sequence[Event], *, limit_seconds: float = LIMIT_SECONDS
) -> None:
    """Notify people of events that a job found itself, such as `PeakExpected`; never raises either."""
    with _logged(settings):
        send_due(database, settings, events, limit_seconds=limit_seconds)


def send_due(
    database: Database,
    settings: Settings,
    events: Sequence[Event] | None = None,
    *,
    limit_seconds: float = LIMIT_SECONDS,
) -> None:
    """Notify people of a region's events, and send what waits; without NOTIFY_URLS do nothing.

    Args:
        database: where messages are kept.
        settings: of the region.
        events: None: what the stored data implies, and the end of what no longer goes on.
        limit_seconds: for the services to answer.

    Raises:
        NotInstalledError: Apprise is not installed; the messages are kept.
        DatabaseUnavailableError: the database cannot be used.
    """
    if not settings.notifiers:
        return
    now, place = settings.present(), place_of(settings, database.kind())
    with database.transaction() as connection:
        stored.lock(connection, settings.region.respondent)
        found = find_events(connection, settings, now) if events is None else events
        _store(connection, settings, place, found, now)
        if events is None:
            _store_ends(connection, settings, place, {event.dedup_key for event in found}, now)
    _deliver(database, settings, now, limit_seconds)


def send_trial(settings: Settings) -> dict[str, str | None]:
    """Send a trial message to each URL; by name why it did not arrive, or None.

    Raises:
        NotInstalledError: Apprise is not installed.
    """
    urls = settings.notifiers
    text = trial(place_of(settings, None), len(urls))
    return {name: each.error for name, each in send(urls, {name: [text] for name in urls}).items()}


def note_trial(database: Database, settings: Settings, errors: Mapping[str, str | None]) -> None:
    """Note for every region how the trial ended, so that what was put right counts as such at once.

    Raises:
        DatabaseUnavailableError: the database cannot be used.
    """
    with database.transaction() as connection:
        for respondent in settings.regions:
            for name, error in errors.items():
                stored.note_notifier(connection, respondent, name, settings.present(), error)


def place_of(settings: Settings, data: str | None) -> Place:
    """Where the messages of a region come from; `data` is the kind of its data."""
    return Place(
        region=settings.eia_region,
        zone=settings.region.zone,
        dashboard=settings.dashboard_public_url,
        several=len(settings.regions) > 1,
        data=data,
    )


@contextmanager
def _logged(settings: Settings) -> Iterator[None]:
    """Log what goes wrong in a `with` block, in place of raising it."""
    try:
        yield
    except UserError as error:
        _log.warning("%s: messages could not be sent: %s", settings.eia_region, redact(str(error)))
    except Exception:  # noqa: BLE001  (a fault of ours must not stop a job either)
        _log.exception("%s: messages could not be sent", settings.eia_region)


def _store(
    connection: sa.Connection, settings: Settings, place: Place, events: Sequence[Event], now: datetime
) -> None:
    """Store a message for each event that has none yet, or whose last one was over since."""
    respondent = settings.region.respondent
    goes_on = {row["dedup_key"] for row in stored.ongoing(connection, respondent)}
    happened = [event.dedup_key for event in events if event.recovery is None]
    known = goes_on | stored.known_keys(connection, respondent, happened)
    rows = []
    for event in events:
        if event.kind not in settings.notify_kinds or event.dedup_key in known:
            continue
        known.add(event.dedup_key)
        text = message(event, place)
        ended = now if event.recovery is None else None
        rows.append(
            _row(respondent, event.kind, event.dedup_key, text, now, urgent=event.urgent, ended_at=ended)
            | {"recovery": event.recovery}
        )
    stored.add(connection, rows)


def _store_ends(
    connection: sa.Connection, settings: Settings, place: Place, goes_on: Collection[str], now: datetime
) -> None:
    """Of events that are over: withdraw a message that nobody has yet, and report the end of the others."""
    respondent, kinds = settings.region.respondent, settings.notify_kinds
    for row in stored.ongoing(connection, respondent):
        kind = Kind(row["kind"])
        if kind in kinds and row["dedup_key"] in goes_on:
            continue
        stored.end(connection, row["id"], now, withdraw=not row["reached"] or kind not in kinds)
        if row["reached"] and kind in kinds:
            text = recovery(row["recovery"], kind, row["created_at"], now, place)
            key = f"{row['dedup_key']} ended"
            over = _row(respondent, kind, key, text, now, urgent=row["urgent"], ended_at=now)
            stored.add(connection, [over | {"recovery": None}])


def _row(
    respondent: str,
    kind: Kind,
    dedup_key: str,
    text: Message,
    now: datetime,
    *,
    urgent: bool,
    ended_at: datetime | None,
) -> dict[str, Any]:
    return {
        "respondent": respondent,
        "kind": kind.value,
        "dedup_key": dedup_key,
        "urgent": urgent,
        "title": text.title,
        "body": text.body,
        "created_at": now,
        "ended_at": ended_at,
    }


def _deliver(database: Database, settings: Settings, now: datetime, limit_seconds: float) -> None:
    """Send what is due, and note who has it; what another process is sending is left to it.

    Raises:
        NotInstalledError: Apprise is not installed; noted for each notifier.
    """
    respondent, urls = settings.region.respondent, settings.notifiers
    quiet = settings.notify_quiet_hours
    is_quiet = quiet is not None and quiet.until(now, settings.region.zone) is not None
    with database.transaction() as connection:
        stored.keep_notifiers(connection, respondent, urls)
        due = []
        for row in stored.take_waiting(connection, respondent):
            if now - row["created_at"] > AGE_LIMITS[Kind(row["kind"])]:
                stored.note_outcome(connection, row["id"], row["reached"], stored.EXPIRED)
            elif row["urgent"] or not is_quiet:
                due.append(row)
        batches = {name: [row for row in due if name not in row["reached"]] for name in urls}
        texts = {name: [Message(row["title"], row["body"]) for row in rows] for name, rows in batches.items()}
        missing: NotInstalledError | None = None
        try:
            deliveries = send(urls, texts, limit_seconds)
        except NotInstalledError as error:
            missing = error
            deliveries = {name: Delivery(error=str(error)) for name in urls if texts[name]}
        for name, delivery in deliveries.items():
            for row in batches[name][: delivery.arrived]:
                row["reached"] = [*row["reached"], name]
            stored.note_notifier(connection, respondent, name, now, delivery.error)
            if delivery.error is not None and missing is None:
                _log.warning("%s: NOTIFY_URLS: %s: %s", settings.eia_region, name, delivery.error)
        for row in due:
            outcome = stored.SENT if set(urls) <= set(row["reached"]) else stored.WAITING
            stored.note_outcome(connection, row["id"], row["reached"], outcome)
    if missing is not None:
        raise missing
