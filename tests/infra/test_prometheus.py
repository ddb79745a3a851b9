"""Prometheus's files: they are valid, and each alert fires when it must (`infra/prometheus/tests`)."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import promql_parser
import pytest
from files import INFRA, PROMETHEUS, alerts, read, rules

if TYPE_CHECKING:
    from pathlib import Path

ALERTS = {
    "ApiDown": "2m",
    "DataStale": "5m",
    "DriftShareHigh": "5m",
    "ModelErrorHigh": "1h",
    "ModelErrorAboveChampion": "1h",
    "NoForecastForTomorrow": "2m",
    "RetrainingFailed": None,
    "WeatherForecastStale": "30m",
    "WeatherObservedStale": "30m",
    "OperatorForecastLate": "30m",
    "ChampionNotAnswering": "1h",
    "SourceFailed": "6h",
    "NotifierFailed": "15m",
    "WeatherModelStopped": "30m",
    "WeatherModelChanged": "30m",
    "PromotionRolledBack": None,
    "ShadowNotForecasting": "30m",
    "PeakDayTomorrow": None,
}
EVERY_RULE = [
    pytest.param(rule["expr"], id=rule.get("alert") or rule["record"])
    for name in ("alerts.yml", "recording.yml")
    for rule in rules(name)
]


@pytest.fixture
def promtool(processes):
    """Runs it in its folder; what it reported, where it was content."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on PATH (Debian: apt-get install prometheus)")

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_configuration_and_its_rules_are_valid(promtool):
    reported = promtool("check", "config", "prometheus.yml")
    assert "SUCCESS: 2 rule files found" in reported
    assert "SUCCESS: 18 rules found" in reported


def test_each_alert_fires_when_it_must_and_not_before(promtool):
    promtool("test", "rules", *sorted((PROMETHEUS / "tests").glob("*.yml")))


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    cases = read(PROMETHEUS / "tests/alerts.yml")["tests"]
    tried = [case for test in cases for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in tried if case.get("exp_alerts")} == set(ALERTS)
    assert {case["alertname"] for case in tried if not case.get("exp_alerts")} == set(ALERTS)


@pytest.mark.parametrize("expression", EVERY_RULE)
def test_each_expression_can_be_read(expression):
    promql_parser.parse(expression)


def test_there_are_the_fourteen_alerts_and_each_waits_as_it_should():
    assert {name: rule.get("for") for name, rule in alerts().items()} == ALERTS


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_how_bad_it_is_what_is_the_matter_and_where_the_remedy_stands(name):
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    notes = rule["annotations"]
    assert notes["summary"]
    assert "$value" in notes["description"]
    page, _, anchor = notes["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (INFRA.parent / page).read_text(), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_what_is_scraped_is_the_service_s_metrics_port_and_prometheus_itself():
    config = read(PROMETHEUS / "prometheus.yml")
    assert config["global"]["scrape_interval"] == "15s"
    assert {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]} == {
        "energy-demand-api": ["api:8001"],
        "prometheus": ["localhost:9090"],
    }
