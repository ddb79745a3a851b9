"""Answers a question from the database, batch by batch: each in a transaction of its own, after the last key.

So a caller that reads slowly holds neither a connection nor a snapshot, and one that goes away leaves nothing
open. Rows that are logged meanwhile may be among those still to come; none comes twice.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pyarrow as pa
from sqlalchemy.exc import OperationalError

from energy_demand.columns import ANSWERS
from energy_demand.database import exports
from energy_demand.database.exports import IssueDay, LoggedForecasts
from energy_demand.exports.columns import DEMAND, FORECASTS, columns_of, schema_of
from energy_demand.exports.formats import Export
from energy_demand.exports.questions import MOST_ROWS, QuestionError
from energy_demand.timeaxis import HOUR, local_day, local_midnight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from energy_demand.arrays import Floats
    from energy_demand.database.engine import Database
    from energy_demand.exports.questions import Key, Question

# The first batch is small, so that the first byte does not wait for it.
FIRST_ROWS, BATCH_ROWS = 2_000, 25_000
DAYS_AT_ONCE = 60
STATEMENT_SECONDS = 10.0
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


def open_export(database: Database, question: Question, *, most_rows: int = MOST_ROWS) -> Export:
    """The answer to a question; a page is read at once, everything else while it is used.

    Raises:
        QuestionError: more rows match than `most_rows`, or a statement takes too long.
        DatabaseUnavailableError: the database cannot be reached.
    """
    columns = columns_of(question.export, question.by)
    batches = _batches(database, question)
    if question.limit is None:
        if question.export == FORECASTS and question.issued_by is None:
            _check_count(database, _which(question), most_rows)
        return Export(columns, (rows for rows, _ in batches))
    page: list[pa.RecordBatch] = []
    keys: list[Key] = []
    wanted = question.limit
    for rows, keys_of in batches:
        page.append(rows.slice(0, wanted))
        if rows.num_rows > wanted:
            return Export(columns, iter(page), question.cursor(keys_of(wanted - 1) if wanted else keys[-1]))
        if rows.num_rows:
            keys.append(keys_of(rows.num_rows - 1))
        wanted -= rows.num_rows
    return Export(columns, iter(page))


def _check_count(database: Database, which: LoggedForecasts, most: int) -> None:
    """Refuse an answer that is too long before its first byte."""
    with _in_time(database) as connection:
        if exports.exceeds(connection, which, most):
            raise QuestionError(
                "period_from",
                f"more than {most:,} rows match; ask for fewer days, or for pages with limit and cursor",
            )


def _batches(database: Database, question: Question) -> Iterator[tuple[pa.RecordBatch, Callable[[int], Key]]]:
    """Batches in the order of the key, and the key of each row of a batch."""
    if question.export == FORECASTS:
        read = _forecasts if question.issued_by is None else _day_ahead
        return read(database, question)
    return (_demand if question.export == DEMAND else _scores)(database, question)


def _forecasts(
    database: Database, question: Question
) -> Iterator[tuple[pa.RecordBatch, Callable[[int], Key]]]:
    which, after, most = _which(question), question.after, FIRST_ROWS
    while True:
        with _in_time(database) as connection:
            found = exports.read_forecasts(connection, which, after, most)  # type: ignore[arg-type]
            actual = _actual(connection, found, question)

        def key(number: int, rows: pa.RecordBatch = found) -> Key:
            return tuple(rows[name][number].as_py() for name in ("period", "issued_at", "id"))

        yield _shown_forecasts(found, actual, question), key
        if found.num_rows < most:
            return
        after, most = key(found.num_rows - 1), BATCH_ROWS


def _day_ahead(
    database: Database, question: Question
) -> Iterator[tuple[pa.RecordBatch, Callable[[int], Key]]]:
    which, zone = _which(question), question.region.zone
    day, last = local_day(which.first - _MICROSECOND, zone), local_day(which.last - _MICROSECOND, zone)
    while day <= last:
        days = [_issue_day(day + n * _DAY, question) for n in range(min(DAYS_AT_ONCE, (last - day).days + 1))]
        with _in_time(database) as connection:
            found = exports.read_day_ahead(connection, which, days)
            actual = _actual(connection, found, question)
        yield _shown_forecasts(found, actual, question), _period_of(found)
        day += len(days) * _DAY


def _issue_day(day: Any, question: Question) -> IssueDay:
    zone, before = question.region.zone, day - _DAY
    if question.issued_by is None:
        raise AssertionError("a day-ahead series has a time of issue")
    by = datetime.combine(before, question.issued_by, tzinfo=zone)
    return IssueDay(
        local_midnight(day, zone), local_midnight(day + _DAY, zone), local_midnight(before, zone), by
    )


def _demand(database: Database, question: Question) -> Iterator[tuple[pa.RecordBatch, Callable[[int], Key]]]:
    start, hours = _start(question), FIRST_ROWS
    while start <= question.last:
        end = min(start + (hours - 1) * HOUR, question.last)
        with _in_time(database) as connection:
            found = exports.read_hours(
                connection, question.region.respondent, start, end, question.known, question.as_of
            )
        arrays = dict(zip(found.schema.names, found.columns, strict=True))
        shown = {
            **arrays,
            "demand_mwh": arrays["value"],
            "actual_mwh": arrays["actual"],
            "imputed_mwh": arrays["imputed"],
        }
        yield _shown(shown, found.num_rows, question), _period_of(found)
        start, hours = end + _MICROSECOND, BATCH_ROWS


def _scores(database: Database, question: Question) -> Iterator[tuple[pa.RecordBatch, Callable[[int], Key]]]:
    region = question.region
    which = exports.judged_by(
        region.respondent, region.zone.key, question.first, question.last, question.known, question.version
    )
    with _in_time(database) as connection:
        rows = exports.read_scores(connection, which, question.by, question.qualities)
    keys: list[Any] = [row[0] for row in rows]
    if question.after is not None:
        ranks = [_rank(key, question.by) for key in keys]
        rows = rows[sum(rank <= _rank(question.after[0], question.by) for rank in ranks) :]
        keys = [row[0] for row in rows]
    columns = columns_of(question.export, question.by)[1:]
    schema = schema_of(columns)
    arrays = {
        each.name: pa.array([row[number] for row in rows], schema.field(each.name).type)
        for number, each in enumerate(columns)
    }
    yield _shown(arrays, len(rows), question), lambda number: (keys[number],)


def _rank(key: Any, by: str) -> Any:
    """The place of a key in the order of the rows."""
    if by != "quality":
        return key
    return (ANSWERS.index(key) if key in ANSWERS else len(ANSWERS), key)


def _which(question: Question) -> LoggedForecasts:
    return LoggedForecasts(
        question.region.respondent,
        _start(question),
        question.last,
        question.known,
        question.as_of,
        question.issued_from,
        question.issued_to,
        question.qualities,
        question.version,
    )


def _start(question: Question) -> datetime:
    """The first hour; on a further page of a series with one row for an hour, the one after the last row."""
    after = question.after
    if after is None or len(after) != 1 or not isinstance(after[0], datetime):
        return question.first
    return max(question.first, after[0] + _MICROSECOND)


def _period_of(rows: pa.RecordBatch) -> Callable[[int], Key]:
    return lambda number: (rows["period"][number].as_py(),)


def _actual(connection: sa.Connection, rows: pa.RecordBatch, question: Question) -> Floats:
    """The demand of each row's hour as the export of demand has it; NaN where it is unknown or not truth.

    Each hour is asked for once: it has many forecasts.
    """
    count = rows.num_rows
    if not count:
        return np.empty(0)
    first, last = rows["period"][0].as_py(), rows["period"][count - 1].as_py()
    hours = exports.read_hours(
        connection, question.region.respondent, first, last, question.known, question.as_of
    )
    known = np.append(hours["period"].cast(pa.int64()).to_numpy(), np.iinfo(np.int64).max)
    values = np.append(np.asarray(hours["actual"].to_numpy(zero_copy_only=False), dtype=float), np.nan)
    wanted = rows["period"].cast(pa.int64()).to_numpy()
    places = np.searchsorted(known, wanted)
    found: Floats = np.where(known[places] == wanted, values[places], np.nan)
    return found


def _shown_forecasts(rows: pa.RecordBatch, actual: Floats, question: Question) -> pa.RecordBatch:
    """The columns of the export, errors among them: as `scored_forecasts` has them."""
    arrays = dict(zip(rows.schema.names, rows.columns, strict=True))
    error = arrays["predicted"].to_numpy(zero_copy_only=False) - actual
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.where(actual == 0, np.nan, 100 * error / actual)
    shown = {
        **arrays,
        "predicted_demand_mwh": arrays["predicted"],
        "actual_mwh": pa.array(actual, from_pandas=True),
        "error_mwh": pa.array(error, from_pandas=True),
        "error_percent": pa.array(percent, from_pandas=True),
    }
    return _shown(shown, rows.num_rows, question)


def _shown(arrays: dict[str, Any], count: int, question: Question) -> pa.RecordBatch:
    region = pa.array([question.region.respondent], pa.string()).take(pa.array(np.zeros(count, np.int8)))
    schema = schema_of(columns_of(question.export, question.by))
    found = {**arrays, "region": region}
    return pa.RecordBatch.from_arrays([found[name] for name in schema.names], schema=schema)


@contextmanager
def _in_time(database: Database) -> Iterator[sa.Connection]:
    """A transaction whose statements that take too long are the question's fault, not the database's."""
    try:
        with database.transaction() as connection:
            try:
                yield connection
            except (psycopg.errors.QueryCanceled, OperationalError) as error:
                original = error.orig if isinstance(error, OperationalError) else error
                if isinstance(original, psycopg.errors.QueryCanceled):
                    raise _TooLongError from error
                raise
    except _TooLongError as error:
        raise QuestionError(
            "period_from",
            f"the answer takes longer than {STATEMENT_SECONDS:g} s to find; ask for fewer days",
        ) from error


class _TooLongError(Exception):
    """A statement was cancelled."""
