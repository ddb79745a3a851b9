"""Checks the database and the age of its data. Only reads.

Nothing is started, migrated or made: an embedded server that does not run stays so, and connections are
opened for reading alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from energy_demand.doctor.checks import (
    Area,
    Check,
    Finding,
    age,
    failure,
    not_checked,
    ok,
    unexpected,
    warning,
)
from energy_demand.doctor.machine import existing, room
from energy_demand.doctor.mlflow import look_at_mlflow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database

STATEMENT_SECONDS = 10.0
LIMIT_SECONDS = 45.0
RUNS_SPAN = timedelta(days=7)
LEAST_WHOLE_RUNS = 0.75  # 1 to 5 % of runs are missing, and the newest may be incomplete
BACKFILL = "Run `energy-demand backfill --start 2022-01-01 --end DATE`, with yesterday as DATE"
INGEST = (
    "Run `energy-demand ingest`; it says why where it fails. `energy-demand worker` does it every six hours"
)


@dataclass(frozen=True)
class Newest:
    """A kind of stored rows, its newest time, and how old that may be."""

    name: str
    query: str
    late: timedelta
    too_late: timedelta | None
    none_yet: str
    remedy: str


NEWEST = (
    Newest(
        "demand stored",
        "SELECT max(period) FROM raw_demand WHERE series = 'D' AND respondent = :respondent",
        timedelta(hours=10),
        timedelta(hours=48),  # the alert DataStale
        BACKFILL,
        INGEST,
    ),
    Newest(
        "weather stored",
        "SELECT min(newest) FROM unnest(CAST(:sites AS text[])) AS region (site) CROSS JOIN LATERAL "
        "(SELECT max(timestamp) AS newest FROM raw_weather w WHERE w.site = region.site) AS of_site",
        timedelta(hours=12),
        timedelta(days=7),
        BACKFILL,
        INGEST,
    ),
    Newest(
        "weather forecasts stored",
        "SELECT max(issued_at) FROM weather_run WHERE status IN ('complete', 'incomplete') "
        "AND respondent = :respondent",
        timedelta(hours=18),
        timedelta(days=3),
        BACKFILL,
        INGEST,
    ),
    Newest(
        "scheduled forecast",
        "SELECT max(issued_at) FROM prediction_log WHERE source = 'scheduled' AND respondent = :respondent",
        timedelta(hours=26),
        None,
        "Run `energy-demand forecast --scheduled`; `energy-demand worker` does it at 09:00 New York time",
        "Run `energy-demand forecast --scheduled`, and see whether `energy-demand worker` runs",
    ),
    Newest(
        "drift check",
        "SELECT max(check_timestamp) FROM drift_log WHERE respondent = :respondent",
        timedelta(hours=50),
        None,
        "Run `energy-demand drift --check-only`; `energy-demand worker` does it at midnight New York time",
        "Run `energy-demand drift --check-only`, and see whether `energy-demand worker` runs",
    ),
)

OPERATOR_NEWEST = Newest(
    "operator forecasts stored",
    "SELECT max(issued_at) FROM operator_forecast WHERE operator = 'nyiso' AND zone = 'NYISO'",
    timedelta(hours=30),  # the alert OperatorForecastLate
    None,
    BACKFILL,
    INGEST,
)


def checks(settings: Settings, now: datetime) -> list[Check]:
    """The checks of both stores."""
    return [
        Check(Area.STORES, "database", partial(_database, settings, now), LIMIT_SECONDS),
        Check(Area.STORES, "MLflow", partial(look_at_mlflow, settings, now), LIMIT_SECONDS),
    ]


def _database(settings: Settings, now: datetime) -> list[Finding]:
    from energy_demand.database.embedded_host import EmbeddedServerError  # noqa: PLC0415
    from energy_demand.database.engine import DatabaseUnavailableError, open_database  # noqa: PLC0415

    try:
        reachable = settings if settings.database_url is not None else _embedded(settings)
        if isinstance(reachable, Finding):
            return [reachable]
        database = open_database(
            reachable, migrate_now=False, read_only=True, statement_seconds=STATEMENT_SECONDS
        )
        try:
            return [
                _server(database, settings),
                *(_disk(settings) if settings.database_url is None else ()),
                *_contents(database, settings, now),
            ]
        finally:
            database.close()
    except (DatabaseUnavailableError, EmbeddedServerError) as error:
        return [
            failure(
                "database",
                str(error),
                "PostgreSQL, reachable",
                "Start the server or correct DATABASE_URL; unset, the embedded database is used",
            ),
            not_checked("data", "the database is not reachable", "Put the database right first"),
        ]


def _embedded(settings: Settings) -> Settings | Finding:
    """Settings with the address of the embedded server, or the line that says why it has none."""
    from pydantic import SecretStr  # noqa: PLC0415

    from energy_demand.database.embedded import EmbeddedServer  # noqa: PLC0415
    from energy_demand.database.embedded_host import packaged_binaries  # noqa: PLC0415

    packaged_binaries()
    server = EmbeddedServer(settings.home)
    if not server.data.exists():
        found = f"the embedded one in {settings.home} is not there yet; its programs are installed"
        return not_checked("database", found, f"The first command makes it. {BACKFILL}")
    if not server.is_running():
        return warning(
            "database",
            f"the embedded one in {settings.home} does not run, so its contents were not checked",
            "a running server",
            "Any command that needs it starts it, e.g. `energy-demand status`; then look again",
        )
    return settings.model_copy(update={"database_url": SecretStr(server.url())})


def _server(database: Database, settings: Settings) -> Finding:
    import sqlalchemy as sa  # noqa: PLC0415

    with database.transaction() as connection:
        version = connection.scalar(sa.text("SHOW server_version"))
        kind = None
        if connection.scalar(sa.text("SELECT to_regclass('database_stamp')")) is not None:
            kind = connection.scalar(sa.text("SELECT kind FROM database_stamp"))
    held = f"{kind} data" if kind else "no data yet"
    where = f"the embedded one in {settings.home}, " if settings.database_url is None else ""
    return ok("database", f"{where}{database.label}, PostgreSQL {version}, {held}")


def _disk(settings: Settings) -> list[Finding]:
    """Room where the embedded database has its data, which may be elsewhere than the home folder."""
    from energy_demand.database.embedded import EmbeddedServer  # noqa: PLC0415

    remedy = "Free some room there; PREDICTION_LOG_RETENTION_DAYS moves old predictions to files"
    return [room("database disk", existing(EmbeddedServer(settings.home).data), remedy)]


def _contents(database: Database, settings: Settings, now: datetime) -> list[Finding]:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    def line(name: str, look: Callable[[sa.Connection], Sequence[Finding]]) -> Sequence[Finding]:
        try:
            with database.transaction() as connection:
                return look(connection)
        except SQLAlchemyError as error:
            return [unexpected(name, getattr(error, "orig", None) or error)]

    tables = line("tables", _tables)
    if tables[0].state.value != "ok":
        return [*tables, not_checked("data", "the tables are not those of this version", tables[0].remedy)]
    newest = (*NEWEST, OPERATOR_NEWEST) if settings.operator_forecast else NEWEST
    looks: dict[str, Callable[[sa.Connection], Sequence[Finding]]] = {
        "role": _role,
        "database size": _size,
        **{each.name: partial(_newest, each, settings, now) for each in newest},
        "weather runs": partial(_runs, settings, now),
        "quarantine": _quarantine,
        "sources": _sources,
        "jobs": partial(_jobs, settings),
    }
    return [*tables, *(finding for name, look in looks.items() for finding in line(name, look))]


def _tables(connection: sa.Connection) -> list[Finding]:
    import sqlalchemy as sa  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    from energy_demand.database.engine import MIGRATIONS  # noqa: PLC0415

    scripts = ScriptDirectory(str(MIGRATIONS))
    head, known = scripts.get_current_head(), {each.revision for each in scripts.walk_revisions()}
    stored = None
    if connection.scalar(sa.text("SELECT to_regclass('alembic_version')")) is not None:
        stored = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    expected = f"version {head}"
    if stored == head:
        return [ok("tables", f"version {head}, up to date", expected)]
    if stored is None:
        return [warning("tables", "none yet", expected, "Run `energy-demand db upgrade`")]
    if stored not in known:
        remedy = "Upgrade energy-demand, or set DATABASE_URL to another database"
        return [failure("tables", f"version {stored}, newer than this program", expected, remedy)]
    return [failure("tables", f"version {stored}, behind", expected, "Run `energy-demand db upgrade`")]


def _role(connection: sa.Connection) -> list[Finding]:
    import sqlalchemy as sa  # noqa: PLC0415

    from energy_demand.database.tables import metadata  # noqa: PLC0415

    closed = connection.execute(
        sa.text(
            "SELECT table_name FROM unnest(CAST(:names AS text[])) AS table_name WHERE NOT "
            "(has_table_privilege(table_name, 'SELECT') AND has_table_privilege(table_name, 'INSERT') "
            "AND has_table_privilege(table_name, 'UPDATE'))"
        ),
        {"names": sorted(metadata.tables)},
    ).scalars()
    names = list(closed)
    role = connection.scalar(sa.text("SELECT current_user"))
    expected = "a role that may write every table"
    if connection.scalar(sa.text("SELECT pg_is_in_recovery()")):
        remedy = "Set DATABASE_URL to the primary server"
        return [failure("role", "the server is a standby and takes no writes", expected, remedy)]
    if names:
        remedy = "Connect as the owner of the tables, or grant it: GRANT ALL ON ALL TABLES IN SCHEMA public"
        return [failure("role", f"{role} may not write {', '.join(names[:5])}", expected, remedy)]
    return [ok("role", f"{role} may write", expected)]


def _size(connection: sa.Connection) -> list[Finding]:
    import sqlalchemy as sa  # noqa: PLC0415

    size = connection.scalar(sa.text("SELECT pg_database_size(current_database())"))
    used, most = connection.execute(
        sa.text(
            "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), "
            "current_setting('max_connections')::int"
        )
    ).one()
    found = f"{float(size or 0) / 1e6:,.0f} MB, {used} of {most} connections"
    if used > 0.9 * most:
        remedy = "End programs that hold connections, or raise max_connections of the server"
        return [warning("database size", found, "connections that are free", remedy)]
    return [ok("database size", found)]


def _newest(what: Newest, settings: Settings, now: datetime, connection: sa.Connection) -> list[Finding]:
    import sqlalchemy as sa  # noqa: PLC0415

    statement = sa.text(what.query)
    given = {
        "respondent": settings.region.respondent,
        "sites": [site.name for site in settings.region.sites],
    }
    known = {name: value for name, value in given.items() if f":{name}" in what.query}
    newest: datetime | None = connection.scalar(statement, known)
    expected = f"not older than {age(what.late.total_seconds())}"
    if newest is None:
        return [warning(what.name, "none yet", expected, what.none_yet)]
    old = now - newest
    found = f"newest {newest:%Y-%m-%dT%H:%MZ}, {age(old.total_seconds())} old"
    if old <= what.late:
        return [ok(what.name, found, expected)]
    late = failure if what.too_late is not None and old > what.too_late else warning
    return [late(what.name, found, expected, what.remedy)]


def _runs(settings: Settings, now: datetime, connection: sa.Connection) -> list[Finding]:
    """What became of the newest runs of the model that is used."""
    import sqlalchemy as sa  # noqa: PLC0415

    name, model = "weather runs", settings.weather_models[0].name
    statement = sa.text(
        "SELECT status, count(*), (array_agg(reason ORDER BY run_at DESC))[1] FROM weather_run "
        "WHERE respondent = :respondent AND model = :model AND run_at > :since "
        "GROUP BY status ORDER BY status"
    )
    asked = {"respondent": settings.region.respondent, "model": model, "since": now - RUNS_SPAN}
    rows = connection.execute(statement, asked).all()
    if not rows:
        remedy = "Run `energy-demand ingest`; OPEN_METEO_MODELS says which model is used"
        return [not_checked(name, f"none of {model} in the last {RUNS_SPAN.days} days", remedy)]
    counts = {status: count for status, count, _ in rows}
    counted = ", ".join(f"{count} {status}" for status, count in counts.items())
    found = f"{model}, last {RUNS_SPAN.days} days: {counted}"
    whole = counts.get("complete", 0) / sum(counts.values())
    if whole >= LEAST_WHOLE_RUNS:
        return [ok(name, found)]
    reason = next((f"; {reason}" for status, _, reason in rows if status != "complete" and reason), "")
    remedy = f"{INGEST}. Where only one model is affected, OPEN_METEO_MODELS names another one"
    return [warning(name, found + reason, f"{LEAST_WHOLE_RUNS:.0%} complete", remedy)]


def _quarantine(connection: sa.Connection) -> list[Finding]:
    import sqlalchemy as sa  # noqa: PLC0415

    count = connection.scalar(sa.text("SELECT count(*) FROM quarantine WHERE released_at IS NULL")) or 0
    if not count:
        return [ok("quarantine", "empty")]
    remedy = "`energy-demand quarantine` shows the reasons; `--release ID` stores a row that is right"
    return [warning("quarantine", f"{count:,} rows", "empty", remedy)]


def _sources(connection: sa.Connection) -> list[Finding]:
    from energy_demand.database.state import is_failing, source_states  # noqa: PLC0415

    lines = []
    for source in source_states(connection):
        name = f"source {source['source']} {source['subject']}".strip()
        if is_failing(source):
            found = f"failed {source['last_error_at']:%Y-%m-%dT%H:%MZ}: {source['last_error']}"
            lines.append(warning(name, found, "its last run succeeded", INGEST))
    return lines or [ok("sources", "the last run of each succeeded")]


def _jobs(settings: Settings, connection: sa.Connection) -> list[Finding]:
    import sqlalchemy as sa  # noqa: PLC0415

    rows = connection.execute(
        sa.text("SELECT job, last_success_at, last_error FROM job_run WHERE respondent = :respondent"),
        {"respondent": settings.region.respondent},
    )
    lines = []
    for job, done, error in rows:
        if error is not None:
            since = f"; last success {done:%Y-%m-%dT%H:%MZ}" if done else ""
            name = f"job {job.lower().replace('_', ' ')}"
            remedy = "Put right what the message names; the next scheduled run tries again"
            lines.append(warning(name, f"{error}{since}", "its last run succeeded", remedy))
    return lines or [ok("jobs", "none failed in its last run")]
