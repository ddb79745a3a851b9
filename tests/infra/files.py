"""What lies in `infra/`, read for tests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[2] / "infra"
PROMETHEUS, GRAFANA = INFRA / "prometheus", INFRA / "grafana"
SECRETS = (
    "POSTGRES_PASSWORD",
    "APP_DB_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "PREFECT_DB_PASSWORD",
    "GRAFANA_DB_PASSWORD",
    "GRAFANA_ADMIN_PASSWORD",
    "API_KEY",
)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def rules(name: str) -> list[dict[str, Any]]:
    """The rules of a file of Prometheus's."""
    groups = read(PROMETHEUS / "rules" / name)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Prometheus's alerts by name."""
    return {rule["alert"]: rule for rule in rules("alerts.yml")}


def grafana_alerts() -> dict[str, dict[str, Any]]:
    """Grafana's alerts by name."""
    (group,) = read(GRAFANA / "provisioning/alerting/rules.yml")["groups"]
    return {rule["title"]: rule for rule in group["rules"]}


def models(rule: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The steps of an alert of Grafana's by their letter."""
    return {step["refId"]: step["model"] for step in rule["data"]}


def dashboard() -> dict[str, Any]:
    return json.loads((GRAFANA / "dashboards/energy-demand.json").read_text())


def targets(kind: str) -> dict[str, str]:
    """The queries of the panels of one kind (`expr` or `rawSql`), by panel and letter."""
    return {
        f"{panel['title']} {target['refId']}": target[kind]
        for panel in dashboard()["panels"]
        for target in panel["targets"]
        if kind in target
    }


def promql(text: str, interval: str = "1m") -> str:
    """A panel's query as Grafana sends it."""
    sent = text.replace("$__rate_interval", interval).replace("$respondent", "NY")
    assert "$" not in sent, "a macro that this test does not know"
    return sent


def sql(text: str, start: str, end: str) -> str:
    """A panel's query as Grafana sends it, for a span of time."""
    sent = re.sub(r"\$__timeFilter\(([^()]+)\)", rf"\1 BETWEEN '{start}' AND '{end}'", text)
    sent = sent.replace("$__timeFrom()", f"'{start}'").replace("$__timeTo()", f"'{end}'")
    sent = sent.replace("${respondent:sqlstring}", "'NY'")
    assert "$" not in sent, "a macro that this test does not know"
    return sent
