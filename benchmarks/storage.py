"""Fills a database with many regions and years, and measures every query that the product makes.

    .venv/bin/python benchmarks/storage.py --json                              # 60 regions, ten years: 20 GB
    .venv/bin/python benchmarks/storage.py --regions 3 --years 0.2 --json      # in a minute
    .venv/bin/python benchmarks/storage.py --home DIR --keep                   # fill once, measure again

The queries are calls of the product's own functions (`storage_queries.py`), each asked of several regions at
several times. Reported of each: milliseconds in its statements (p50, p95) and of the whole call (p95), rows,
the nodes of its slowest statement's plan, the pages (8 kB) that all its statements read, and the growing
tables that they read without a condition on an index. A statement is seen where it is sent, in psycopg's
cursor, so that COPY is, too; its plan is of a further call, in the same transaction, which is taken back.
Reported besides: rows and bytes by table, how many of a table's pages hold the rows of one region, and the
time of a backup by `pg_dump`, as docs/operations.md has it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import sqlalchemy as sa

from answers import answer_alone
from energy_demand.config import Settings
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.embedded_host import packaged_binaries
from energy_demand.database.engine import Database, open_database
from storage_fill import MODEL, NOW, Extent, chosen_regions, fill, regions_toml, tables
from storage_queries import DAY, SHOWN, Asked, Query, every_query

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20261101
TIMES, TIMES_OF_A_HISTORY, PLANS = 20, 3, 3
LONGEST_SECONDS = 10  # after so long a query is not asked again
# Tables that grow with time or regions without end; the others have a row of each region or source.
GROWING = {
    "raw_demand", "raw_demand_revision", "raw_demand_daily", "raw_demand_daily_revision", "raw_weather",
    "raw_weather_revision", "weather_forecast", "prediction_log", "demand_flag", "truth_flag", "features",
    "drift_log", "notification", "operator_forecast", "peak_forecast", "quarantine",
}  # fmt: skip
# A table and its partitions, of which only those without partitions of their own have bytes.
PARTS = "(SELECT '{0}'::regclass AS relid UNION SELECT relid FROM pg_partition_tree('{0}')) AS parts"
OF_FEW_ROWS = {"ix_quarantine_open"}
PARTITION = re.compile(r"_p\d+$")
EXPLAINED = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
COPIED = re.compile(r"COPY \((.*)\) TO STDOUT", re.DOTALL)


class Plans:
    """The plans of the statements that are sent while it listens."""

    def __init__(self) -> None:
        """Not listening."""
        self.listening = False
        self.found: list[dict[str, Any]] = []
        self.seconds = 0.0  # spent in statements

    def cursor(self) -> type[psycopg.Cursor[Any]]:
        """A cursor that explains each statement before it is sent."""
        plans = self

        class Cursor(psycopg.Cursor[Any]):
            def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
                plans.see(self.connection, query, params)
                with plans.timed():
                    return super().execute(query, params, **more)

            @contextmanager
            def copy(self, statement: Any, params: Any = None, **more: Any) -> Iterator[Any]:
                plans.see(self.connection, statement, params)
                with plans.timed(), super().copy(statement, params, **more) as copy:
                    yield copy

        return Cursor

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time of a block to that of the statements."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began

    def see(self, connection: psycopg.Connection[Any], query: Any, params: Any) -> None:
        """Keep the plan of a statement, which is run for it and taken back."""
        if not self.listening or connection.autocommit:
            return
        text = query if isinstance(query, str) else query.as_string(connection)
        copied = COPIED.match(text)
        text = copied[1] if copied else text
        if not EXPLAINED.match(text):
            return
        cursor = psycopg.Cursor(connection)
        cursor.execute("SAVEPOINT explained")
        found = cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", params).fetchone()
        cursor.execute("ROLLBACK TO SAVEPOINT explained")
        (plan,) = found[0]
        self.found.append({"statement": " ".join(text.split()), **_of_plan(plan)})


def _of_plan(plan: dict[str, Any]) -> dict[str, Any]:
    top = plan["Plan"]
    nodes = list(_nodes(top))
    return {
        "milliseconds": plan["Execution Time"],
        "planning_milliseconds": plan["Planning Time"],
        "rows": sum(node["Actual Rows"] for node in nodes[:1]),
        "buffers": top.get("Shared Hit Blocks", 0) + top.get("Shared Read Blocks", 0),
        "nodes": sorted({_node_name(node) for node in nodes}),
        "whole": sorted({found for node in nodes if (found := _read_whole(node))}),
    }


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _nodes(below | {"Limited": node["Node Type"] == "Limit"})


def _node_name(node: dict[str, Any]) -> str:
    index = node.get("Index Name", node.get("Relation Name"))
    return node["Node Type"] if index is None else f"{node['Node Type']} {PARTITION.sub('', index)}"


def _read_whole(node: dict[str, Any]) -> str | None:
    """The growing table that a node reads from end to end, or None.

    A sequential scan, or a walk along an index without a condition on it. The first row of an index is no
    such walk, nor is an index of the few rows that are open.
    """
    if "Scan" not in node["Node Type"] or not node.get("Actual Loops", 1):
        return None
    table = PARTITION.sub("", node.get("Relation Name", ""))
    if node["Node Type"] == "Bitmap Heap Scan" or table not in GROWING or "Index Cond" in node:
        return None
    first = node.get("Limited") and "Index Name" in node and "Filter" not in node
    return None if first or node.get("Index Name") in OF_FEW_ROWS else table


def measure(
    database: Database, extent: Extent, regions_file: Path, *, times: int = TIMES, only_indexes: bool = False
) -> dict[str, Any]:
    """Every query by name. With `only_indexes`, a table is read whole only where no index would do.

    Small tables are read whole because that is faster, which says nothing about large ones.
    """
    plans = Plans()
    factory = plans.cursor()

    def connected(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.cursor_factory = factory
        if only_indexes:
            for way in ("seqscan", "hashjoin", "mergejoin"):
                connection.execute(f"SET enable_{way} = off")
            connection.commit()

    sa.event.listen(database.engine, "connect", connected)
    database.engine.dispose()
    try:
        settings = {
            region.respondent: Settings(
                _env_file=None,
                eia_region=region.respondent,
                regions_file=regions_file,
                energy_demand_now=NOW,
                operator_forecast="nyiso" if region.respondent == "NY" else None,
            )
            for region in extent.regions
        }
        found = {}
        for query in every_query():
            found[query.name] = _measured(query, database, settings, plans, times)
            print(query.name, found[query.name]["p95_ms"], file=sys.stderr)
        return found
    finally:
        sa.event.remove(database.engine, "connect", connected)
        database.engine.dispose()


def _measured(
    query: Query, database: Database, settings: dict[str, Settings], plans: Plans, times: int
) -> dict[str, Any]:
    chance = random.Random(f"{SEED} {query.name}")
    times = times if query.about == "window" else min(times, TIMES_OF_A_HISTORY)
    milliseconds, calls, rows = [], [], []
    plans.found = []
    number = 0
    while number < times + PLANS:
        if number < times and sum(calls) > 1000 * LONGEST_SECONDS:
            number = times + PLANS - 1  # a slow query: its plan is still to be seen
        respondent = chance.choice(list(settings))
        now = NOW - chance.randrange(20) * DAY
        asked = Asked(database, settings[respondent], now, chance.choice(SHOWN), number)
        with database.engine.connect() as connection:
            prepared = query.prepare(connection, asked)
            plans.listening = number >= times
            plans.seconds, began = 0.0, time.perf_counter()
            answer = query.run(connection, asked, prepared)
            if number < times:
                calls.append(1000 * (time.perf_counter() - began))
                milliseconds.append(1000 * plans.seconds)
                rows.append(_rows(answer))
            plans.listening = False
            connection.rollback()
        number += 1
    by_statement: dict[str, dict[str, Any]] = {}
    for plan in plans.found:
        known = by_statement.get(plan["statement"])
        if known is None or plan["buffers"] > known["buffers"]:
            by_statement[plan["statement"]] = plan
    statements = sorted(by_statement.values(), key=lambda plan: -plan["milliseconds"])
    seconds = sum(calls) / 1000
    return {
        "by": query.by,
        "about": query.about,
        "times": len(calls),
        "p50_ms": round(float(np.percentile(milliseconds, 50)), 2),
        "p95_ms": round(float(np.percentile(milliseconds, 95)), 2),
        "call_p95_ms": round(float(np.percentile(calls, 95)), 2),
        "rows": int(np.median([count for count in rows if count is not None])) if any(rows) else None,
        "rows_per_second": round(sum(filter(None, rows)) / seconds) or None,
        "statements": len(statements),
        "buffers": sum(plan["buffers"] for plan in statements),
        "whole": sorted({name for plan in statements for name in plan["whole"]}),
        "nodes": statements[0]["nodes"] if statements else [],
        "slowest": statements[0]["statement"][:400] if statements else None,
    }


def _rows(answer: object) -> int | None:
    return len(answer) if hasattr(answer, "__len__") else None


def sizes(database: Database) -> dict[str, Any]:
    """Rows and MB of each table, indexes and partitions included, and of the whole database."""
    found = {}
    with database.transaction() as connection:
        for name in tables():
            parts = PARTS.format(name)
            row = {
                "rows": connection.scalar(sa.text(f'SELECT count(*) FROM "{name}"')),
                **{
                    what: round(
                        float(
                            connection.scalar(sa.text(f"SELECT sum(pg_{size}(relid)) / 1e6 FROM {parts}"))
                            or 0
                        ),
                        1,
                    )
                    for what, size in (
                        ("table_mb", "table_size"),
                        ("indexes_mb", "indexes_size"),
                        ("total_mb", "total_relation_size"),
                    )
                },
            }
            found[name] = row
        whole = _mb(connection, "SELECT pg_database_size(current_database())")
    return {"tables": found, "database_mb": whole}


def _mb(connection: sa.Connection, query: str) -> float:
    return round(float(connection.scalar(sa.text(query)) or 0) / 1e6, 2)


def own_part(database: Database, extent: Extent) -> dict[str, Any]:
    """Pages that hold rows of one region, of all pages of the table: its whole record, and 56 days of it."""
    region = extent.regions[len(extent.regions) // 2]
    sites = [site.name for site in region.sites]
    since = NOW - timedelta(days=56)
    looks = {
        "raw_demand": ("respondent = :respondent AND series = 'D'", "period"),
        "raw_weather": ("site = ANY(:sites)", "timestamp"),
        "weather_forecast": (f"model = '{MODEL}' AND site = ANY(:sites)", "issued_at"),
    }
    found: dict[str, Any] = {"region": region.respondent}
    with database.transaction() as connection:
        for table, (where, at) in looks.items():
            pages = connection.scalar(
                sa.text(f"SELECT sum(pg_relation_size(relid)) / 8192 FROM {PARTS.format(table)}")
            )
            row: dict[str, Any] = {"pages": int(pages or 0)}
            for span, more in (("record", ""), ("56_days", f" AND {at} > :since")):
                values = {"respondent": region.respondent, "sites": sites, "since": since}
                text = (
                    "SELECT count(*), count(DISTINCT (tableoid, (ctid::text::point)[0]::bigint)) "
                    f"FROM {table} WHERE {where}{more}"
                )
                given = {name: each for name, each in values.items() if f":{name}" in text}
                rows, touched = connection.execute(sa.text(text), given).one()
                row[span] = {
                    "rows": rows,
                    "pages": touched,
                    "percent_of_pages": round(100 * touched / max(1, row["pages"]), 2),
                }
            found[table] = row
    return found


def backup(database: Database, folder: Path) -> dict[str, float]:
    """Seconds and MB of a dump in PostgreSQL's own format, as docs/operations.md has it."""
    url = database.engine.url
    file = folder / "energy_demand.dump"
    began = time.perf_counter()
    subprocess.run(
        [
            packaged_binaries() / "pginstall/bin/pg_dump",
            "--format=custom",
            f"--file={file}",
            f"--host={url.host}",
            f"--port={url.port}",
            f"--username={url.username}",
            str(url.database),
        ],
        check=True,
        env={**os.environ, "PGPASSWORD": str(url.password)},
    )
    taken = time.perf_counter() - began
    size = file.stat().st_size / 1e6
    file.unlink()
    return {"seconds": round(taken, 1), "mb": round(size, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regions", type=int, default=60)
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--times", type=int, default=TIMES, help="each query is asked so often")
    parser.add_argument("--home", type=Path, help="folder of the database; otherwise a temporary one")
    parser.add_argument("--keep", action="store_true", help="leave the filled database in --home")
    parser.add_argument("--no-backup", action="store_true", help="do not measure a backup")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with answer_alone():
        figures = _all(arguments)
    print(json.dumps(figures, indent=1) if arguments.json else markdown(figures))


def _all(arguments: argparse.Namespace) -> dict[str, Any]:
    extent = Extent(chosen_regions(arguments.regions), round(365.25 * arguments.years))
    home = arguments.home or Path(tempfile.mkdtemp(prefix="energy-demand-storage-"))
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)  # PostgreSQL's account has to enter it
    server = EmbeddedServer(home)
    try:
        settings = Settings(_env_file=None, energy_demand_home=home)
        database = open_database(settings, migrate_now=False)
        began = time.perf_counter()
        migrated = _migrated(settings)
        figures: dict[str, Any] = {
            "regions": arguments.regions,
            "years": arguments.years,
            "migration_seconds": round(time.perf_counter() - began, 1) if migrated else None,
        }
        with database.transaction() as connection:
            empty = connection.scalar(sa.text("SELECT count(*) FROM database_stamp")) == 0
        if empty:
            figures["fill"] = fill(database, extent)
        regions_file = home / "regions.toml"
        regions_file.write_text(regions_toml(extent.regions), encoding="utf-8")
        figures |= {
            "queries": measure(database, extent, regions_file, times=arguments.times),
            "own_part": own_part(database, extent),
            **sizes(database),
        }
        if not arguments.no_backup:
            figures["backup"] = backup(database, home)
        database.close()
        return figures
    finally:
        if not arguments.keep:
            server.stop()
            if arguments.home is None:
                shutil.rmtree(server.data.parent, ignore_errors=True)
                shutil.rmtree(home, ignore_errors=True)


def _migrated(settings: Settings) -> bool:
    open_database(settings).close()
    return True


def markdown(figures: dict[str, Any]) -> str:
    """The tables of docs/storage.md."""
    lines = [
        "| query | by | p50 ms | p95 ms | rows | pages | plan of the slowest statement |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    order = sorted(figures["queries"].items(), key=lambda each: -each[1]["p95_ms"])
    for name, each in order:
        scans = [node for node in each["nodes"] if "Scan" in node and "Function" not in node]
        rows = "" if each["rows"] is None else f"{each['rows']:,}"
        lines.append(
            f"| `{name}` | {each['by']} | {each['p50_ms']:,.1f} | {each['p95_ms']:,.1f} | {rows} | "
            f"{each['buffers']:,} | {', '.join(scans)} |"
        )
    lines += ["", "| table | rows | table MB | indexes MB | all MB |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| `{name}` | {each['rows']:,} | {each['table_mb']:,.0f} | {each['indexes_mb']:,.0f} | "
        f"{each['total_mb']:,.0f} |"
        for name, each in figures["tables"].items()
    ]
    rest = {name: each for name, each in figures.items() if name not in ("queries", "tables")}
    return "\n".join([*lines, "", json.dumps(rest)])


if __name__ == "__main__":
    sys.exit(main())
