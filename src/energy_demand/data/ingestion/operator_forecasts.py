"""The grid operator's own forecast into the database, posting by posting; only where it is switched on.

A file that is missing or damaged takes no other with it: it is asked for again by later runs.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.columns import OPERATOR, SYSTEM
from energy_demand.data.ingestion.ingestion_run import EmptyAnswerError
from energy_demand.data.issued_operator import NEW_YORK, posted_after, usually_posted_by
from energy_demand.data.operator_client import (
    DAILY_FILES_FOR,
    ZONES,
    OperatorFile,
    hours_expected,
)
from energy_demand.data.quality import check_operator
from energy_demand.database import operator_forecasts, state
from energy_demand.database.engine import stamp
from energy_demand.http import UpstreamError
from energy_demand.timeaxis import HOUR, local_day, local_midnight

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from energy_demand.data.ingestion.ingestion_run import IngestionRun
    from energy_demand.data.operator_client import OperatorClient
    from energy_demand.data.quality import Broken
    from energy_demand.database.repository import Written

SOURCE = "nyiso_isolf"
# When the archives were last asked for files that are not stored.
ARCHIVES_ASKED = "nyiso_isolf_archives"
ONCE_A_DAY = timedelta(hours=23)
# The newest files are read again by every run: they may be posted again.
POSTED_AGAIN_FOR = timedelta(days=3)
# A file that is not there so long after its usual time is missing.
MISSING_AFTER = timedelta(hours=2)
MOST_NAMED = 5

logger = logging.getLogger(__name__)


def ingest_operator(run: IngestionRun, client: OperatorClient) -> None:
    """Store the operator's forecasts of the span's days, and of the day after them where it is posted.

    Of history whole months are read from the archives. Otherwise the daily files of the last days are read,
    and those of the span that are not stored yet; once a day also from the archives, where they are older.

    Raises:
        IngestInterruptedError: NYISO failed; what was read before is stored.
        EmptyAnswerError: it answered with files of which no line can be used.
    """
    first = local_day(run.span.start - HOUR, NEW_YORK)
    days = [
        day
        for number in range((local_day(run.span.end - HOUR, NEW_YORK) - first).days + 2)
        if posted_after(day := first + timedelta(days=number)) <= run.now
    ]
    work = _Work(run, client)
    if run.span.history:
        work.read_months(days)
    elif days:
        newest = days[-1]
        missing = set(days) - run.database.run(lambda connection: _stored(connection, days))
        recent = {day for day in days if newest - day < POSTED_AGAIN_FOR}
        late = {day for day in missing if newest - day > DAILY_FILES_FOR}
        work.read_days(sorted((missing | recent) - late))
        asked = run.database.run(
            lambda connection: state.get_watermark(connection, ARCHIVES_ASKED, run.respondent)
        )
        if late and (asked is None or run.now - asked >= ONCE_A_DAY):
            work.read_months(sorted(late))
            run.database.run(
                lambda connection: state.advance_watermark(
                    connection, ARCHIVES_ASKED, run.respondent, run.now, run.now
                )
            )
    work.finish(days)


class _Work:
    """The files of one ingestion: read, stored, and what failed."""

    def __init__(self, run: IngestionRun, client: OperatorClient) -> None:
        self._run = run
        self._client = client
        self._served = 0
        self._usable = 0
        self._failed: list[tuple[date, UpstreamError]] = []

    def read_days(self, days: Sequence[date]) -> None:
        """Read and store daily files, one by one."""
        for done, day in enumerate(days, start=1):
            try:
                found = self._client.fetch_day(day, self._run.now)
            except UpstreamError as error:
                self._failed.append((day, error))
                if error.status is None:  # not the fault of one file
                    raise self._interrupted(day, error) from None
                continue
            self._store([found])
            self._run.progress("operator forecasts", done, len(days))

    def read_months(self, days: Sequence[date]) -> None:
        """Read and store files from the archives, month by month."""
        wanted = set(days)
        months = sorted({day.replace(day=1) for day in days})
        for done, month in enumerate(months, start=1):
            try:
                files = self._client.fetch_month(month)
            except UpstreamError as error:
                raise self._interrupted(month, error) from None
            self._failed += [(found.day, found.error) for found in files if found.error is not None]
            self._store([found for found in files if found.day in wanted])
            self._run.progress("operator forecasts", done, len(months))

    def finish(self, days: Sequence[date]) -> None:
        """Note what is missing, then raise what failed."""
        run = self._run
        due = [day for day in days if usually_posted_by(day) + MISSING_AFTER <= run.now]
        missing = sorted(set(due) - run.database.run(lambda connection: _stored(connection, days)))
        if missing:
            named = ", ".join(map(str, missing[:MOST_NAMED]))
            more = f" and {len(missing) - MOST_NAMED} more days" if len(missing) > MOST_NAMED else ""
            logger.warning("NYISO has no load forecast of %s%s; the other days are stored", named, more)
        if self._failed:
            raise self._interrupted(*self._failed[-1])
        if self._served and not self._usable:
            raise EmptyAnswerError(
                f"NYISO served {self._served} lines of its load forecast and none of them can be used; see "
                "`energy-demand quarantine`"
            )

        def note(connection: sa.Connection) -> None:
            newest = state.get_watermark(connection, SOURCE, run.respondent)
            state.record_success(connection, SOURCE, run.respondent, run.now, newest, 24 * len(missing))

        run.database.run(note)

    def _interrupted(self, day: date, error: UpstreamError) -> Exception:
        start = local_midnight(day, NEW_YORK)
        return self._run.interrupted(
            SOURCE, error, "the operator's forecast", [(start + HOUR, start + 24 * HOUR)], 0
        )

    def _store(self, files: Sequence[OperatorFile]) -> None:
        """Store files in one transaction."""
        run = self._run
        rows: list[pd.DataFrame] = []
        broken: Broken = []
        for found in files:
            if found.lines is None:
                continue
            good, broken_lines = _checked(found, found.lines)
            self._served += len(found.lines)
            self._usable += len(good)
            rows.append(good.assign(issued_at=found.issued_at))
            broken += broken_lines
        if not rows:
            return
        frame = pd.concat(rows, ignore_index=True)
        # Of history a file counts as known since its posting; otherwise not before it was read.
        known_at = frame["issued_at"] if run.span.history else run.now
        frame = frame.assign(operator=OPERATOR, known_at=known_at, ingested_at=run.now)

        def store(connection: sa.Connection) -> tuple[Written, int]:
            state.lock_ingestion(connection)
            stamp(connection, self._client.data_kind, run.now)
            if len(frame):
                newest = frame["issued_at"].max()
                state.advance_watermark(connection, SOURCE, run.respondent, newest, run.now)
            return operator_forecasts.store_postings(connection, frame), run.set_apart(
                connection, SOURCE, broken
            )

        written, apart = run.database.run(store)
        run.report.operator += written
        run.report.quarantined += apart


def _checked(found: OperatorFile, lines: pd.DataFrame) -> tuple[pd.DataFrame, Broken]:
    """The usable rows of a file, and its broken lines with its name."""
    lacking = set(ZONES) - set(found.zones)
    if lacking:
        logger.warning("NYISO's load forecast of %s lacks %s", found.day, ", ".join(sorted(lacking)))
    good, broken = check_operator(lines, zones=ZONES, system=SYSTEM, expected=hours_expected(found.day))
    named = [(breach, {"file": f"{found.day:%Y%m%d}isolf.csv", **line}) for breach, line in broken]
    return good, named


def _stored(connection: sa.Connection, days: Sequence[date]) -> set[date]:
    if not days:
        return set()
    return operator_forecasts.stored_days(connection, OPERATOR, SYSTEM, NEW_YORK.key, days[0], days[-1])
