"""Demand into the database: hourly values, the hours that are missing once more, daily totals."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from energy_demand.data.eia_client import DEMAND, SERIES, names_on_record
from energy_demand.data.ingestion.ingestion_run import (
    EmptyAnswerError,
    IngestionRun,
    NoDataError,
    chunks_of,
)
from energy_demand.data.quality import check_daily, check_demand
from energy_demand.database import repository, state
from energy_demand.database.daily_totals import DAILY_WITHIN, EIA_DAILY, LOOK_BACK, missing_totals
from energy_demand.database.engine import stamp
from energy_demand.database.repository import Written
from energy_demand.http import UpstreamError
from energy_demand.timeaxis import HOUR, local_day, local_midnight, parse_moment, spans_text, utc_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import sqlalchemy as sa

    from energy_demand.data.eia_client import EIAClient

EIA = "eia"
# When the trailing weeks were last read in full, for late corrections.
LONG_LOOK = "eia_long_look"
# The newest hours are published one to two hours after their end: later than this one is missing.
PUBLISHED_WITHIN = timedelta(hours=3)
# More gaps than this are not requested one by one, but as one range from the first to the last.
MOST_HOLES = 40

logger = logging.getLogger(__name__)


@dataclass
class _Served:
    """What the answers of an ingestion had, of hours as (series, period)."""

    rows: int = 0
    hours: set[tuple[str, datetime]] = field(default_factory=set)

    def note(self, rows: Sequence[dict[str, Any]]) -> None:
        """Note rows as served; a row without a value is an hour that EIA does not have."""
        self.rows += len(rows)
        for row in rows:
            if row.get("value") is not None and (hour := _hour(row)) is not None:
                self.hours.add(hour)


class DemandSource(Protocol):
    """The source of hourly rows: EIA's API, or its six-month files."""

    @property
    def data_kind(self) -> str:
        """Live, recorded or synthetic."""

    def fetch_rows(self, start: datetime, end: datetime, series: Sequence[str]) -> list[dict[str, Any]]:
        """Rows with `period`, `respondent`, `type` and `value` as EIA writes them."""


def ingest_demand(run: IngestionRun, source: DemandSource, *, may_withdraw: bool = False) -> None:
    """Store the span's hours, then request the missing ones once more.

    With `may_withdraw`, a stored hour that twice was not served any more counts as taken back.

    Raises:
        NoDataError: the source has no rows in the span.
        EmptyAnswerError: none of its rows can be used.
        IngestInterruptedError: the source failed.
    """
    chunks = list(chunks_of(run.span.start, run.span.end))
    served = _Served()
    usable = 0
    for done, (first, last) in enumerate(chunks):
        try:
            usable += _fetch(run, source, first, last, served)
        except UpstreamError as error:
            raise run.interrupted(EIA, error, "demand", chunks, done) from None
        run.progress("demand", done + 1, len(chunks))
    if not served.rows:
        raise NoDataError(
            f"EIA has no demand for respondent {run.respondent} from {run.span.start:%Y-%m-%dT%H} to "
            f"{run.span.end:%Y-%m-%dT%H} UTC; nothing was stored. Check EIA_REGION and the dates"
        )
    if not usable:
        raise EmptyAnswerError(
            f"EIA served {served.rows} rows of demand from {run.span.start:%Y-%m-%dT%H} to "
            f"{run.span.end:%Y-%m-%dT%H} UTC and none of them can be used; see `energy-demand quarantine`"
        )
    gone = _gone(run, served) if may_withdraw else set()
    missing = {hour for name in SERIES for hour in _missing(run, name)} | {period for _, period in gone}
    for first, last in _holes(sorted(missing)):
        try:
            _fetch(run, source, first, last, served)
        except UpstreamError as error:
            raise run.interrupted(EIA, error, "missing demand", [(first, last)], 0) from None
    _withdraw(run, gone - served.hours)
    run.report.missing_hours = len(_missing(run, DEMAND))
    if run.report.missing_hours:
        logger.warning(
            "%d hours of demand between %s and %s UTC are missing after two requests; the other hours are "
            "stored, and later runs request the missing ones again",
            run.report.missing_hours,
            f"{run.span.start:%Y-%m-%dT%H}",
            f"{run.span.end:%Y-%m-%dT%H}",
        )
    run.database.run(lambda connection: _note(run, connection))


def ingest_daily(run: IngestionRun, client: EIAClient) -> None:
    """Store the totals of the span's local days, the operator's day-ahead forecast among them.

    A daily total counts as known when the last hour of its day is known. A run on new data also requests the
    totals again that are missing in the last `LOOK_BACK`.

    Raises:
        IngestInterruptedError: EIA failed.
    """
    settings, zone = run.settings, run.settings.region.zone
    first, last = local_day(run.span.start - HOUR, zone), local_day(run.span.end - HOUR, zone)
    if not run.span.history:
        missing = run.database.run(lambda connection: missing_totals(connection, settings, run.now))
        first = min([first, *missing])
    try:
        rows = client.fetch_daily_rows(first, last, SERIES)
    except UpstreamError as error:
        raise run.interrupted(EIA_DAILY, error, "daily totals", [(run.span.start, run.span.end)], 0) from None
    good, broken = check_daily(
        rows, respondents=names_on_record(run.respondent), series=SERIES, start=first, end=last
    )
    ends = [local_midnight(day + timedelta(days=1), zone) for day in good["day"]]
    known = utc_index(pd.DatetimeIndex([settings.availability.known_at(end) for end in ends], tz="UTC"))
    frame = good.assign(respondent=run.respondent, timezone=zone.key, known_at=known, ingested_at=run.now)
    frame = frame[frame["known_at"] <= run.now]
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    due = {day for day in days if local_midnight(day + timedelta(days=1), zone) + DAILY_WITHIN <= run.now}
    # Also those that are stored from earlier and not served any more.
    not_served = {day for _, served in good.groupby("series")["day"] for day in due - set(served)}

    def store(connection: sa.Connection) -> tuple[Written, int, list[date]]:
        state.lock_ingestion(connection)
        written, apart = Written(), 0
        if rows:
            stamp(connection, client.data_kind, run.now)
            written = repository.upsert_daily(connection, frame, run.now)
            apart = run.set_apart(connection, EIA_DAILY, broken)
        missing = sorted(not_served.union(missing_totals(connection, settings, run.now)))
        if rows or missing:
            newest = max(ends, default=None)
            state.record_success(connection, EIA_DAILY, run.respondent, run.now, newest, 24 * len(missing))
        return written, apart, missing

    written, apart, missing = run.database.run(store)
    run.report.daily += written
    run.report.quarantined += apart
    if missing:
        logger.warning(
            "%s has no daily totals of %s; the other days are stored, and later runs request them again",
            EIA_DAILY,
            spans_text(missing),
        )
    run.progress("daily totals", 1, 1)


def _gone(run: IngestionRun, served: _Served) -> set[tuple[str, datetime]]:
    """Stored hours that were not served, though later ones of their series were."""
    newest = {name: max((at for of, at in served.hours if of == name), default=None) for name in SERIES}
    stored = run.database.run(
        lambda connection: repository.stored_periods(connection, run.respondent, run.span.start, run.span.end)
    )
    return {
        (name, period)
        for name, period in stored - served.hours
        if (last := newest.get(name)) is not None and period < last
    }


def _withdraw(run: IngestionRun, hours: set[tuple[str, datetime]]) -> None:
    """Take hours out of truth whose value the upstream took back."""

    def store(connection: sa.Connection) -> int:
        state.lock_ingestion(connection)
        return repository.withdraw_demand(connection, run.respondent, hours, run.now)

    run.report.withdrawn = run.database.run(store) if hours else 0


def _hour(row: dict[str, Any]) -> tuple[str, datetime] | None:
    try:
        return str(row.get("type")), parse_moment(str(row.get("period")))
    except ValueError:
        return None


def _fetch(run: IngestionRun, source: DemandSource, first: datetime, last: datetime, served: _Served) -> int:
    """Fetch, check and store one range in one transaction; return how many rows can be used."""
    rows = source.fetch_rows(first, last, SERIES)
    served.note(rows)
    good, broken = check_demand(
        rows, respondents=names_on_record(run.respondent), series=SERIES, start=first, end=last
    )
    if good.empty and not broken:
        return 0
    delay = pd.Timedelta(run.settings.publication_delay_hours * HOUR)
    good["known_at"] = good["period"] + delay if run.span.history else run.now
    frame = good.assign(respondent=run.respondent, ingested_at=run.now)
    newest = good.loc[good["series"] == DEMAND, "period"].max()

    def store(connection: sa.Connection) -> tuple[Written, int]:
        state.lock_ingestion(connection)
        stamp(connection, source.data_kind, run.now)
        written = repository.upsert_demand(connection, frame, run.now)
        if not pd.isna(newest):
            state.advance_watermark(connection, EIA, run.respondent, newest, run.now)
        return written, run.set_apart(connection, EIA, broken)

    written, apart = run.database.run(store)
    run.report.demand += written
    run.report.quarantined += apart
    return len(good)


def _missing(run: IngestionRun, series: str) -> list[datetime]:
    end = min(run.span.end, run.now - PUBLISHED_WITHIN)
    return run.database.run(
        lambda connection: repository.missing_periods(connection, run.respondent, series, run.span.start, end)
    )


def _holes(missing: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Missing hours as few contiguous ranges."""
    holes: list[tuple[datetime, datetime]] = []
    for hour in missing:
        if holes and hour - holes[-1][1] == HOUR:
            holes[-1] = (holes[-1][0], hour)
        else:
            holes.append((hour, hour))
    return holes if len(holes) <= MOST_HOLES else [(missing[0], missing[-1])]


def _note(run: IngestionRun, connection: sa.Connection) -> None:
    newest = state.get_watermark(connection, EIA, run.respondent)
    state.record_success(connection, EIA, run.respondent, run.now, newest, run.report.missing_hours)
    if run.span.end - run.span.start >= LOOK_BACK:
        state.advance_watermark(connection, LONG_LOOK, run.respondent, run.now, run.now)
