"""A real service, a real Prometheus that scrapes it, a real PostgreSQL: every panel and alert is asked."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa
import yaml
from files import PROMETHEUS, alerts, dashboard, grafana_alerts, models, promql, read, rules, sql, targets
from servers import Server, fill, free_port, wait_until

from energy_demand.columns import FEATURE_COLUMNS
from energy_demand.database import decisions, job_runs, predictions
from energy_demand.database.engine import opened
from energy_demand.database.job_runs import Job
from energy_demand.database.tables import features
from energy_demand.evaluation.promotion import FIRST
from energy_demand.region import NEW_YORK
from energy_demand.registry.registry import Registry
from energy_demand.serving.schemas import EXAMPLE
from energy_demand.timeaxis import day_ahead_issue, day_periods, local_day
from image import PASSWORDS, connect_as, image_server, port_of, run_init
from logged import HOUR, away, row
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from energy_demand.database.embedded import EmbeddedServer
    from energy_demand.database.engine import Database

pytestmark = pytest.mark.slow

NOW = PRESENT + timedelta(minutes=40)  # 09:40 in New York: the morning's forecast is due
ZONE = NEW_YORK.zone
# Data that drifted, forecasts that are far off, half of them a fallback's, and a retraining that failed.
FIRING = {
    "ChampionNotAnswering",
    "DriftShareHigh",
    "ModelErrorAboveChampion",
    "ModelErrorHigh",
    "RetrainingFailed",
}


@pytest.fixture(scope="module")
def postgres(synthetic_upstream, tmp_path_factory) -> Iterator[EmbeddedServer]:
    """A server as the image's, with ten weeks of demand and with what flows leave in the tables."""
    with image_server() as server:
        assert run_init(server, PASSWORDS).returncode == 0
        fill(application_url(server), synthetic_upstream, tmp_path_factory.mktemp("filled"))
        with opened(make_settings(database_url=application_url(server))) as database:
            store(database)
        yield server


def application_url(server: EmbeddedServer) -> str:
    password = quote(PASSWORDS["APP_DB_PASSWORD"], safe="")
    return f"postgresql://energy_demand:{password}@127.0.0.1:{port_of(server)}/energy_demand"


def store(database: Database) -> None:
    """A week's scheduled forecasts that were 20 % too high, tomorrow's, checks, retrainings, features."""
    stored = sa.text("SELECT period, value FROM raw_demand WHERE series = 'D' AND period > :since")
    with database.transaction() as connection:
        known = connection.execute(stored, {"since": NOW - timedelta(days=7)}).all()
        hours = [(hour.period, 1.2 * hour.value) for hour in known]
        tomorrow = day_periods(local_day(NOW, ZONE) + timedelta(days=1), ZONE)
        made = [*hours, *((period.to_pydatetime(), 15_000.0) for period in tomorrow)]
        predictions.insert_predictions(
            connection, [scheduled(number, *each) for number, each in enumerate(made)]
        )
        for days_ago in (2, 1):
            decisions.insert_check(connection, check(days_ago))
        challenger = decisions.begin_retraining(connection, "NY", NOW - 3 * HOUR, "drift", "a test")
        decisions.note_version(connection, challenger, "2", "run-2")
        verdict = {"days": 28, "gain_percent": 1.5}
        decisions.end_retraining(connection, challenger, NOW - 2 * HOUR, "shadow", verdict=verdict)
        number = decisions.begin_retraining(connection, "NY", NOW - HOUR, "drift", "a test")
        decisions.end_retraining(connection, number, NOW, "failed", error="MLflow is away")
        job_runs.record_start(connection, Job.DRIFT_CHECK, "NY", NOW - HOUR)
        job_runs.record_end(connection, Job.DRIFT_CHECK, "NY", NOW - HOUR)
        columns = dict.fromkeys(FEATURE_COLUMNS, 1.0)
        made_up = [
            {"respondent": "NY", "timestamp": period, "lead_hours": 24, "created_at": NOW, **columns}
            for period, _ in hours
        ]
        connection.execute(sa.insert(features), made_up)


def scheduled(number: int, period: Any, value: float) -> dict[str, Any]:
    issued = day_ahead_issue(local_day(period - HOUR, ZONE), ZONE).isoformat()
    moments = {"timestamp": period.isoformat(), "issued_at": issued, "prediction_made_at": issued}
    quality = "champion" if number % 2 else "base_booster"  # a fallback answers every other hour
    return row(number, source="scheduled", quality=quality, predicted_demand=value, **moments)


def check(days_ago: int) -> dict[str, Any]:
    return {
        "respondent": "NY",
        "check_timestamp": NOW - timedelta(days=days_ago),
        "dataset_drift_detected": True,
        "drift_share": 0.4,
        "n_drifted_features": 1,
        "n_total_features": 2,
        "drift_details": {
            "champion_test_mae": 400.0,
            "per_feature": {
                "temperature": {"drifted": True, "score": 0.9, "status": "compared"},
                "humidity": {"drifted": False, "score": None, "status": "source changed"},
            },
        },
        "triggered_retrain": True,
        "reason": "a test",
    }


@pytest.fixture(scope="module")
def service(postgres, trained, tmp_path_factory) -> Iterator[Server]:
    """The service with two workers, on that database."""
    home = tmp_path_factory.mktemp("live")
    registry = Registry(make_settings(energy_demand_home=home))
    version = registry.register(
        trained.judged, params={}, metrics={"test_mape": 2.5, "test_mae": 400.0}, started_at=PRESENT
    )
    registry.apply_verdict(version.run_id, FIRST)
    server = Server(home, application_url(postgres), energy_demand_now=NOW.isoformat(), api_workers=2)
    try:
        yield server.start()
    finally:
        server.stop()
        server.client.close()


class Prometheus:
    """A real one with the project's rules and configuration, which looks every second."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        config = read(PROMETHEUS / "prometheus.yml")
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        for job, port in zip(config["scrape_configs"], (target, self.port), strict=True):
            job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        shutil.copytree(PROMETHEUS / "rules", folder / "rules")
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}/api/v1", timeout=10)
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )

    def get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(path, params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def rows(self, expression: str) -> list[float]:
        """The values that it answers with now, numbers alone."""
        found = [float(each["value"][1]) for each in self.get("/query", query=expression)["result"]]
        return [value for value in found if value == value]

    def answers(self) -> bool:
        try:
            return self._client.get("/status/runtimeinfo").status_code == 200
        except httpx.HTTPError:
            return False

    def active(self) -> set[str]:
        """Alerts that fire or wait to."""
        return {alert["labels"]["alertname"] for alert in self.get("/alerts")["alerts"]}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        self._client.close()


@pytest.fixture(scope="module")
def prometheus(service, tmp_path_factory) -> Iterator[Prometheus]:
    """It, once it has scraped the service."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not on PATH (Debian: apt-get install prometheus)")
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), service.metrics_port)
    try:
        wait_until(running.answers, what="Prometheus")
        wait_until(lambda: running.rows("model_mae_mwh") != [], what="a scrape")
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def busy(service, prometheus) -> None:
    """Callers have asked, before and between scrapes."""

    def seen() -> bool:
        service.client.post("/predict", json=EXAMPLE)
        service.client.get("/forecast?day=tomorrow")
        return all(prometheus.rows(rule["expr"]) for rule in rules("recording.yml"))

    wait_until(seen, what="requests in Prometheus")


@pytest.mark.parametrize("name", targets("expr"))
def test_each_panel_of_prometheus_has_something_to_show(prometheus, busy, name):
    assert prometheus.rows(promql(targets("expr")[name], interval="30s"))


def test_panels_show_what_flows_stored(prometheus):
    shown = {name: prometheus.rows(promql(text, "30s")) for name, text in targets("expr").items()}
    assert shown["MAPE A"] == [pytest.approx(20.0)]
    assert shown["MAE A"][0] > 1500
    assert (shown["Drift share A"], shown["Retrainings requested A"]) == ([0.4], [2.0])
    assert shown["Data freshness A"] == [pytest.approx(1 + 40 / 60)]
    assert shown["Feature rows A"][0] > 100
    assert shown["Contest A"] == [1.5]
    assert shown["Contest B"] == [pytest.approx(2 / 24)]


@pytest.mark.parametrize("name", grafana_alerts())
def test_each_alert_of_grafana_has_a_value_to_compare(prometheus, name):
    steps = models(grafana_alerts()[name])
    values = prometheus.rows(steps["A"]["expr"])
    # One for each source; none of the operator's forecast and of messages, which are switched off, nor of a
    # peak day, as no flow forecast tomorrow; and of weather models as many as have runs.
    absent = dict.fromkeys(("OperatorForecastLate", "NotifierFailed", "PeakDayTomorrow"), 0)
    number = {"SourceFailed": 4, **absent}.get(name, 1)
    assert len(values) <= 1 if name.startswith("WeatherModel") else len(values) == number
    (limit,) = steps["C"]["conditions"][0]["evaluator"]["params"]
    above = steps["C"]["conditions"][0]["evaluator"]["type"] == "gt"
    over = [value > limit if above else value < limit for value in values]
    assert any(over) == (name in FIRING)


def test_prometheus_evaluates_every_rule_and_the_alerts_that_must_are_active(prometheus, busy):
    wait_until(lambda: prometheus.active() >= FIRING, what="the alerts")
    assert prometheus.active() == FIRING
    found = [rule for group in prometheus.get("/rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["health"] for rule in found if rule["health"] != "ok"} == {}
    assert len(found) == len(alerts()) + len(rules("recording.yml"))


@pytest.mark.parametrize("name", targets("rawSql"))
def test_each_panel_of_the_database_has_something_to_show_to_the_role_that_reads(postgres, name):
    start, end = (NOW - timedelta(days=7)).isoformat(), NOW.isoformat()
    with connect_as(postgres, "grafana", PASSWORDS["GRAFANA_DB_PASSWORD"], "energy_demand") as connection:
        found = connection.execute(sql(targets("rawSql")[name], start, end))
        names = [column.name for column in found.description]
        rows = found.fetchall()
    assert rows
    if name == "Drift by feature A":
        assert (names, rows) == (
            ["feature", "state", "score"],
            [("temperature", "drifted", 0.9), ("humidity", "source changed", None)],
        )
    else:
        assert names[0] == "time"
        assert rows == sorted(rows)
        assert NOW - timedelta(days=7) <= rows[0][0] <= rows[-1][0] <= NOW


def test_the_choice_of_respondents_is_read_from_the_database(postgres):
    (variable,) = dashboard()["templating"]["list"]
    with connect_as(postgres, "grafana", PASSWORDS["GRAFANA_DB_PASSWORD"], "energy_demand") as connection:
        assert ("NY",) in connection.execute(variable["query"]).fetchall()


def test_where_the_database_is_away_stale_data_and_no_forecast_are_told(postgres, prometheus):
    with away(sa.make_url(postgres.url()).set(database="energy_demand").render_as_string(False)):
        wait_until(lambda: prometheus.active() == {"DataStale", "NoForecastForTomorrow"}, what="two alerts")


def test_where_the_service_is_down_that_alone_is_told(service, prometheus):
    service.stop()
    wait_until(lambda: prometheus.active() == {"ApiDown"}, what="the one alert")
