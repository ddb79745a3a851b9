"""Fills a database with synthetic rows of many regions and years, in SQL; for `storage.py`.

Values are plausible, not a model of anything: a year's and a day's swing and noise, one series for all places
with a shift of its own for each. Rows are put in the order of time, all regions of an hour beside one
another, as ingestion of all regions leaves them after years: the layout in which the rows of one region are
scattered most.
"""

# ruff: noqa: E501, ISC004  (statements of SQL)
from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from energy_demand.columns import CALENDAR_COLUMNS, FEATURE_COLUMNS, WEATHER_VARIABLES
from energy_demand.database.tables import metadata
from energy_demand.region import Region, Site
from energy_demand.region_catalogue import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from energy_demand.database.engine import Database

NOW = datetime(2026, 11, 1, 15, 0, tzinfo=UTC)  # 10:00 in New York
SITES = 4  # of each region, with names of its own, so that no two regions share rows
MODEL = "ecmwf_ifs"
RUN_HOURS = {0: 120, 6: 90, 12: 120, 18: 90}  # stored of the run that starts at the hour
HOURLY_DF_UNTIL = datetime(2020, 7, 1, tzinfo=UTC)  # as EIA published the operators' forecast by the hour
OPERATOR_ZONES = ("NYISO", "CAPITL", "CENTRL", "DUNWOD", "GENESE", "HUD VL", "LONGIL", "MHK VL", "MILLWD",
                  "N.Y.C.", "NORTH", "WEST")  # fmt: skip
FEATURE_YEARS = OPERATOR_YEARS = 2
CHUNK = timedelta(days=30)
# Their keys and indexes are built after the rows, which is what takes least time.
BUILT_AFTER = ("raw_demand", "raw_weather", "raw_weather_revision", "weather_forecast", "features",
               "prediction_log", "operator_forecast")  # fmt: skip
SHADOW_DAYS = 28


@dataclass(frozen=True)
class Extent:
    """What is filled: the regions, and how many days of observations and of forecasts."""

    regions: tuple[Region, ...]
    days: int

    @property
    def start(self) -> datetime:
        """The first hour."""
        return (NOW - timedelta(days=self.days)).replace(hour=0)

    @property
    def forecast_start(self) -> datetime:
        """The first hour of runs and logged predictions: a year, or all days if there are fewer."""
        return max(self.start, (NOW - timedelta(days=365)).replace(hour=0))


def chosen_regions(count: int) -> tuple[Region, ...]:
    """`count` regions of the catalogue, New York first, each with `SITES` sites of its own."""
    known = [entry for entry in entries().values() if entry.retired is None]
    known.sort(key=lambda entry: entry.code != "NY")
    if count > len(known):
        raise SystemExit(f"--regions {count}: the catalogue has {len(known)} regions that are not retired")

    def sites(code: str, first: Site) -> tuple[Site, ...]:
        return tuple(
            first.model_copy(update={"name": f"{code.lower()}_site_{number}", "weight": 1 / SITES})
            for number in range(SITES)
        )

    return tuple(
        Region(each.code, each.region.zone, each.country, sites(f"s{each.code}", each.sites[0]))
        for each in known[:count]
    )


def regions_toml(regions: tuple[Region, ...]) -> str:
    """The regions as a file for `REGIONS_FILE`."""
    parts = []
    for region in regions:
        parts.append(
            f'[[region]]\ncode = "{region.respondent}"\nname = "{region.respondent}"\n'
            f'zone = "{region.zone.key}"\ncountry = "{region.country}"\nsites = ['
        )
        parts.extend(
            f'  {{name = "{site.name}", latitude = {site.latitude}, longitude = {site.longitude}, '
            f"weight = {site.weight}}},"
            for site in region.sites
        )
        parts.append("]\n")
    return "\n".join(parts)


def fill(database: Database, extent: Extent) -> dict[str, float]:
    """Fill the empty, migrated database; seconds of the rows, of keys and indexes, and of ANALYZE."""
    began = time.perf_counter()
    with database.transaction() as connection:
        indexes = _drop_indexes(connection)
        _common(connection, extent)
    # Two at once: runs of weather are half of all bytes.
    _both(
        lambda: _weather_runs(database, extent),
        lambda: (_observed(database, extent), _demand(database, extent), _small(database, extent)),
    )
    rows = time.perf_counter()
    big = [text for table, text in indexes if table == "weather_forecast"]
    others = [text for table, text in indexes if table != "weather_forecast"]
    _both(lambda: _execute(database, big), lambda: _execute(database, others))
    _execute(database, ["DROP TABLE filled_hours, filled_sites, filled_regions"])
    built = time.perf_counter()
    vacuum(database)
    return {
        "rows_seconds": round(rows - began, 1),
        "indexes_seconds": round(built - rows, 1),
        "vacuum_analyze_seconds": round(time.perf_counter() - built, 1),
    }


def vacuum(database: Database) -> None:
    """What autovacuum does some minutes after so many rows."""
    engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")


def _both(first: Callable[[], object], second: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            first()
        except BaseException as error:  # noqa: BLE001  (raised again in the caller's thread)
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        second()
    finally:
        thread.join()
    if failed:
        raise failed[0]


def _execute(database: Database, statements: list[str]) -> None:
    for statement in statements:
        with database.transaction() as connection:
            connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
            connection.exec_driver_sql(statement)


def _drop_indexes(connection: sa.Connection) -> list[tuple[str, str]]:
    """Drop keys and indexes of `BUILT_AFTER`; the statements that make them again, by table."""
    names = {"names": list(BUILT_AFTER)}
    keys = connection.execute(
        sa.text(
            "SELECT relname, conname, pg_get_constraintdef(k.oid) FROM pg_constraint k "
            "JOIN pg_class t ON t.oid = conrelid WHERE relname = ANY(:names) AND contype IN ('p', 'u')"
        ),
        names,
    ).all()
    for table, name, _ in keys:
        connection.exec_driver_sql(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    indexes = connection.execute(
        sa.text(
            "SELECT tablename, indexname, indexdef FROM pg_indexes "
            "WHERE schemaname = 'public' AND tablename = ANY(:names)"
        ),
        names,
    ).all()
    for _, name, _ in indexes:
        connection.exec_driver_sql(f'DROP INDEX "{name}"')
    made = [(table, f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {text}') for table, name, text in keys]
    return made + [(table, text) for table, _, text in indexes]


def _common(connection: sa.Connection, extent: Extent) -> None:
    """The hours with one series of values, the sites and the regions, each with its shift."""
    hour, day = "extract(hour FROM period)", "extract(doy FROM period)"
    year = f"cos(({day} - 200) / 365.25 * 2 * pi())"
    noise = "random()"
    values = {
        "temperature_2m": f"12 + 12 * {year} + 5 * cos(({hour} - 20) / 12 * pi()) + 4 * {noise}",
        "relative_humidity_2m": f"50 + 45 * {noise}",
        "dew_point_2m": f"6 + 10 * {year} + 4 * {noise}",
        "apparent_temperature": f"11 + 14 * {year} + 5 * cos(({hour} - 20) / 12 * pi()) + 5 * {noise}",
        "precipitation": f"greatest(0, 20 * {noise} - 18)",
        "rain": f"greatest(0, 20 * {noise} - 18)",
        "snowfall": f"greatest(0, 20 * {noise} - 19)",
        "cloud_cover": f"100 * {noise}",
        "wind_speed_10m": f"5 + 25 * {noise}",
        "wind_gusts_10m": f"10 + 45 * {noise}",
        "surface_pressure": f"990 + 40 * {noise}",
        "shortwave_radiation": f"greatest(0, 500 * cos(({hour} - 17) / 12 * pi()) + 100 * {noise})",
        "demand": f"9000 + 2500 * abs({year}) + 2000 * cos(({hour} - 21) / 12 * pi()) + 500 * {noise}",
    }
    columns = ", ".join(
        f'round(({text})::numeric, 1)::double precision AS "{name}"' for name, text in values.items()
    )
    connection.execute(
        sa.text(
            f"CREATE UNLOGGED TABLE filled_hours AS SELECT period, {columns} FROM generate_series("
            "CAST(:start AS timestamptz), CAST(:end AS timestamptz), interval '1 hour') AS period"
        ),
        {"start": extent.start, "end": NOW + timedelta(days=7)},
    )
    connection.exec_driver_sql("CREATE UNIQUE INDEX ON filled_hours (period)")
    connection.exec_driver_sql(
        "CREATE UNLOGGED TABLE filled_sites (site text, region text, main bool, shift float)"
    )
    connection.exec_driver_sql("CREATE UNLOGGED TABLE filled_regions (region text, zone text, size float)")
    for number, region in enumerate(extent.regions):
        connection.execute(
            sa.text("INSERT INTO filled_regions VALUES (:region, :zone, :size)"),
            {"region": region.respondent, "zone": region.zone.key, "size": 0.2 + number / 20},
        )
        for place, site in enumerate(region.sites):
            connection.execute(
                sa.text("INSERT INTO filled_sites VALUES (:site, :region, :main, :shift)"),
                {
                    "site": site.name,
                    "region": region.respondent,
                    "main": place == 0,
                    "shift": round(number / 10 + place / 40, 2),
                },
            )
    connection.exec_driver_sql("ANALYZE filled_hours, filled_sites, filled_regions")


def _chunks(start: datetime, end: datetime) -> Iterator[dict[str, datetime]]:
    while start <= end:
        yield {"start": start, "end": min(start + CHUNK, end + timedelta(hours=1)), "now": NOW}
        start += CHUNK


def _in_chunks(database: Database, text: str, start: datetime, end: datetime = NOW) -> None:
    """Run a statement for each month, so that rows are in the order of time."""
    for chunk in _chunks(start, end):
        with database.transaction() as connection:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            connection.exec_driver_sql("SET LOCAL work_mem = '128MB'")
            connection.execute(sa.text(text), chunk)


VALUES = ", ".join(f'h."{name}" + s.shift' for name in WEATHER_VARIABLES)
NAMES = ", ".join(f'"{name}"' for name in WEATHER_VARIABLES)
WITHIN = "h.period >= :start AND h.period < :end"


def _observed(database: Database, extent: Extent) -> None:
    _in_chunks(
        database,
        f"INSERT INTO raw_weather (site, timestamp, {NAMES}, source, known_at, ingested_at) "
        f"SELECT s.site, h.period, {VALUES}, 'archive', h.period + interval '6 hours', "
        "h.period + interval '1 day' FROM filled_hours h CROSS JOIN filled_sites s "
        f"WHERE {WITHIN} ORDER BY h.period, s.site",
        extent.start,
        NOW - timedelta(hours=6),
    )
    # What the forecast API filled in before the archive had it: every hour of the year that was read live.
    _in_chunks(
        database,
        f"INSERT INTO raw_weather_revision (site, timestamp, {NAMES}, source, known_at, ingested_at, "
        f"superseded_at) SELECT s.site, h.period, {VALUES}, 'forecast_api', h.period + interval '1 hour', "
        "h.period + interval '2 hours', h.period + interval '6 hours' "
        f"FROM filled_hours h CROSS JOIN filled_sites s WHERE {WITHIN} ORDER BY h.period, s.site",
        extent.forecast_start,
        NOW - timedelta(hours=6),
    )


def _weather_runs(database: Database, extent: Extent) -> None:
    run = extent.forecast_start
    while run <= NOW - timedelta(hours=8):
        hours = RUN_HOURS[run.hour]
        with database.transaction() as connection:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            connection.exec_driver_sql("SET LOCAL work_mem = '64MB'")
            issued = run + timedelta(hours=7)
            given = {"run": run, "end": run + timedelta(hours=hours), "issued": issued, "model": MODEL}
            connection.execute(
                sa.text(
                    f"INSERT INTO weather_forecast (model, site, issued_at, timestamp, {NAMES}, known_at, "
                    f"ingested_at) SELECT :model, s.site, :issued, h.period, {VALUES}, :issued, :issued "
                    "FROM filled_hours h CROSS JOIN filled_sites s "
                    "WHERE h.period >= :run AND h.period < :end ORDER BY s.site, h.period"
                ),
                given,
            )
            connection.execute(
                sa.text(
                    "INSERT INTO weather_run (model, run_at, issued_at, status, missing_values, lacking, "
                    "asked_at, respondent) SELECT :model, :run, :issued, 'complete', 0, '', :issued, region "
                    "FROM filled_regions"
                ),
                given,
            )
        run += timedelta(hours=6)


def _demand(database: Database, extent: Extent) -> None:
    columns = "respondent, series, period, value, known_at, ingested_at, origin"
    value = "round((h.demand * r.size)::numeric)::double precision"
    for series, end, more in (("D", NOW - timedelta(hours=2), 0), ("DF", HOURLY_DF_UNTIL, 100)):
        _in_chunks(
            database,
            f"INSERT INTO raw_demand ({columns}) SELECT r.region, '{series}', h.period, {value} + {more}, "
            "h.period + interval '2 hours', h.period + interval '3 hours', r.region "
            f"FROM filled_hours h CROSS JOIN filled_regions r WHERE {WITHIN} ORDER BY h.period, r.region",
            extent.start,
            end,
        )
    some = "FROM filled_hours h CROSS JOIN filled_regions r WHERE h.period < :now AND random() < "
    day = "(h.period AT TIME ZONE r.zone)::date"
    daily = "respondent, series, timezone, day, value, known_at, ingested_at"
    known = "h.period + interval '12 hours', h.period + interval '1 day'"
    for statement in (
        f"INSERT INTO raw_demand_revision ({columns}, superseded_at) SELECT r.region, 'D', h.period, "
        f"{value} - 50, h.period + interval '2 hours', h.period + interval '3 hours', r.region, "
        f"h.period + interval '2 days' {some} 0.02",
        f"INSERT INTO demand_flag SELECT r.region, h.period, 'zero', 0, {value}, h.period {some} 0.005",
        f"INSERT INTO truth_flag SELECT r.region, h.period, 'zero', h.period {some} 0.004",
        *(
            f"INSERT INTO raw_demand_daily ({daily}) SELECT r.region, '{series}', r.zone, {day}, "
            f"24 * {value}, {known} FROM filled_hours h CROSS JOIN filled_regions r "
            "WHERE h.period < CAST(:now AS timestamptz) - interval '1 day' "
            "AND extract(hour FROM h.period AT TIME ZONE 'UTC') = 18"
            for series in ("D", "DF")
        ),
        f"INSERT INTO raw_demand_daily_revision ({daily}, superseded_at) SELECT r.region, 'D', r.zone, {day}, "
        f"23 * {value}, h.period, h.period, h.period + interval '2 days' {some} 0.1 "
        "AND extract(hour FROM h.period AT TIME ZONE 'UTC') = 18",
    ):
        with database.transaction() as connection:
            connection.execute(sa.text(statement), {"now": NOW} if ":now" in statement else {})


def _small(database: Database, extent: Extent) -> None:
    """The log of predictions, features, the operator's forecast, checks, jobs, sources and quarantine."""
    features = ", ".join(f'"{name}"' for name in FEATURE_COLUMNS)
    numbers = ", ".join("1" if name in CALENDAR_COLUMNS else "h.temperature_2m" for name in FEATURE_COLUMNS)
    _in_chunks(
        database,
        f"INSERT INTO features (respondent, timestamp, lead_hours, demand_mwh, {features}, created_at) "
        f"SELECT r.region, h.period, 24, h.demand * r.size, {numbers}, h.period + interval '3 hours' "
        f"FROM filled_hours h CROSS JOIN filled_regions r WHERE {WITHIN} ORDER BY h.period, r.region",
        max(extent.start, NOW - timedelta(days=365 * FEATURE_YEARS)),
    )
    zones = ", ".join(f"('{zone}')" for zone in OPERATOR_ZONES)
    _in_chunks(
        database,
        "INSERT INTO operator_forecast (operator, zone, period, lead_days, issued_at, forecast_mwh, known_at, "
        "ingested_at) SELECT 'nyiso', z.zone, h.period, lead, i.issued, h.demand, i.issued, i.issued "
        f"FROM filled_hours h CROSS JOIN generate_series(1, 3) AS lead CROSS JOIN (VALUES {zones}) AS z (zone) "
        "CROSS JOIN LATERAL (SELECT date_trunc('day', h.period) - lead * interval '1 day' "
        f"+ interval '12 hours' AS issued) AS i WHERE {WITHIN} ORDER BY h.period, lead, z.zone",
        max(extent.start, NOW - timedelta(days=365 * OPERATOR_YEARS)),
    )
    _log_predictions(database, extent)
    with database.transaction() as connection:
        for statement in _few_rows():
            values = {"now": NOW, "start": extent.forecast_start}
            connection.execute(
                sa.text(statement), {name: each for name, each in values.items() if f":{name}" in statement}
            )


def _log_predictions(database: Database, extent: Extent) -> None:
    kept = {
        **dict.fromkeys(FEATURE_COLUMNS, "h.temperature_2m"),
        "demand_lag_24h": "h.demand * r.size + 90",
        "demand_lag_168h": "h.demand * r.size - 170",
        "demand_age_hours": "3",
        "rooftop_mwh": "h.shortwave_radiation",
    }
    features = ", ".join(f"'{name}', {text}" for name, text in kept.items())
    columns = (
        "respondent, timestamp, issued_at, lead_hours, predicted_demand, lower_80, upper_80, lower_95, "
        "upper_95, actual_demand, model_version, quality, source, request_id, features_json, "
        "prediction_made_at"
    )
    stored = "round((h.demand * r.size)::numeric)::double precision"  # as in raw_demand
    local_nine = "((d.day::date + time '09:00') AT TIME ZONE r.zone)"
    midnight = "((d.day::date + 1)::timestamp AT TIME ZONE r.zone)"
    for source, version, issued, first, hours, request, more in (
        ("scheduled", "'7'", local_nine, midnight, 24,
         "'scheduled ' || r.region || ' ' || (d.day::date + 1)", "true"),
        ("shadow", "'8'", local_nine, midnight, 24,
         "'shadow 8 ' || r.region || ' ' || (d.day::date + 1)",
         f"d.day >= CAST(:now AS timestamptz) - interval '{SHADOW_DAYS} days'"),
        ("request", "'7'", "(d.day + interval '15 hours')", "(d.day + interval '15 hours')", 48,
         "md5(r.region || d.day)", "true"),
    ):  # fmt: skip
        values = f"h.demand * r.size * (1 + 0.04 * (random() - 0.5)) + {3 if source == 'shadow' else 0}"
        _in_chunks(
            database,
            f"INSERT INTO prediction_log ({columns}) SELECT region, period, issued, "
            "extract(epoch FROM period - issued) / 3600, p, p - 300, p + 300, p - 500, p + 500, "
            f"CASE WHEN period < :now THEN demand END, {version}, "
            "CASE WHEN random() < 0.97 THEN 'champion' ELSE 'last_week' END, "
            f"'{source}', request, features, issued + interval '1 minute' FROM ("
            f"SELECT r.region, h.period, {issued} AS issued, {values} AS p, {stored} AS demand, "
            f"{request} AS request, jsonb_build_object({features}) AS features, d.day "
            "FROM generate_series(CAST(:start AS timestamptz), CAST(:end AS timestamptz) - interval '1 hour', "
            "interval '1 day') AS d (day) CROSS JOIN filled_regions r "
            f"JOIN filled_hours h ON h.period > {first} AND h.period <= {first} + interval '{hours} hours' "
            f"WHERE {issued} <= :now AND {more} ORDER BY d.day, r.region, h.period) AS made",
            extent.forecast_start,
        )


def _few_rows() -> list[str]:
    score = "jsonb_build_object('score', random(), 'drifted', random() < 0.1, 'status', 'compared')"
    details = (
        "jsonb_build_object('champion', '7', 'champion_test_mae', 300, 'per_feature', (SELECT "
        f"jsonb_object_agg(name, {score}) FROM unnest(ARRAY{list(FEATURE_COLUMNS)}) AS name))"
    )
    days = "generate_series(CAST(:start AS timestamptz), :now, interval '1 day')"
    return [
        "INSERT INTO database_stamp (kind, stamped_at) VALUES ('synthetic', :now)",
        "INSERT INTO drift_log (respondent, check_timestamp, dataset_drift_detected, drift_share, "
        "n_drifted_features, n_total_features, drift_details, triggered_retrain, reason) "
        f"SELECT region, d + interval '5 hours', false, random() / 3, 2, 20, {details}, random() < 0.02, "
        f"'no drift' FROM {days} d CROSS JOIN filled_regions ORDER BY d, region",
        "INSERT INTO peak_forecast SELECT region, CAST(d AS date) + 1, d + interval '13 hours', '7', 'champion', "
        "(SELECT jsonb_object_agg(n / 24.0, 20000 + 100 * n) FROM generate_series(1, 23) n), "
        "(SELECT jsonb_agg(jsonb_build_object('period', d + n * interval '1 hour', 'predicted_demand_mwh', "
        "random(), 'probability', 0.04)) FROM generate_series(1, 24) n), 20000, 21000, 22000, 0.5, 0.4, 0.05, "
        "0.5, 0.2, 1, random() < 0.02, d + interval '13 hours' FROM "
        f"{days} d CROSS JOIN filled_regions ORDER BY d, region",
        "INSERT INTO notification (respondent, kind, dedup_key, urgent, title, body, created_at, ended_at, "
        "reached, outcome) SELECT region, 'forecast', 'forecast ' || d, false, 'a forecast', "
        "repeat('a sentence ', 20), d, d, '[\"slack\"]', 'sent' "
        f"FROM {days} d CROSS JOIN filled_regions ORDER BY d, region",
        "INSERT INTO notifier_state (respondent, notifier, last_success_at) "
        "SELECT region, notifier, :now FROM filled_regions, "
        "unnest(ARRAY['slack', 'mailto', 'json']) AS notifier",
        "INSERT INTO retraining_log (respondent, started_at, finished_at, trigger, reason, outcome, "
        "model_version, run_id, verdict, contest, decided_at) SELECT region, d, d + interval '3 minutes', "
        "'age', 'the champion is 90 days old', CASE WHEN d > CAST(:now AS timestamptz) - interval '28 days' "
        "THEN 'shadow' WHEN random() < 0.5 THEN 'promoted' ELSE 'not_promoted' END, "
        "CASE WHEN d > CAST(:now AS timestamptz) - interval '28 days' THEN '8' ELSE '7' END, md5(region || d), "
        "jsonb_build_object('days', 20, 'gain_percent', 1.5, 'reason', 'better'), "
        "jsonb_build_object('champion', '6', 'hours', (SELECT jsonb_agg(jsonb_build_array(n, random(), "
        "random())) FROM generate_series(1, 672) n)), d + interval '28 days' FROM filled_regions, "
        "generate_series(CAST(:now AS timestamptz) - interval '335 days', :now, interval '40 days') AS d",
        "INSERT INTO job_run SELECT job, region, :now, :now FROM filled_regions, "
        "unnest(ARRAY['INGESTION', 'FORECAST', 'DRIFT_CHECK', 'RETRAIN']) AS job",
        *(
            f"INSERT INTO {table} SELECT source, region, :now, :now FROM filled_regions, "
            "unnest(ARRAY['eia', 'eia_daily', 'open_meteo_archive', 'open_meteo_single_runs', 'truth', "
            "'eia_long_look', 'nyiso']) AS source"
            for table in (
                "watermark (source, subject, newest, updated_at)",
                "source_state (source, subject, last_success_at, newest)",
            )
        ),
        "INSERT INTO watermark SELECT 'open_meteo_archive', site, :now, :now FROM filled_sites "
        "ON CONFLICT DO NOTHING",
        "INSERT INTO quarantine (source, subject, reason, payload, seen_at, released_at) SELECT 'eia', region, "
        "'negative demand', jsonb_build_object('period', n, 'value', -1), :now, "
        "CASE WHEN n > 5 THEN CAST(:now AS timestamptz) END FROM filled_regions, generate_series(1, 500) n",
    ]


def tables() -> list[str]:
    """All tables of the program."""
    return sorted(metadata.tables)
