"""Grafana's files, as far as can be told without Grafana: shapes, identities, queries that can be read."""

from __future__ import annotations

import configparser
import itertools
import re
import runpy
from typing import TYPE_CHECKING

import promql_parser
import pytest
from files import GRAFANA, alerts, dashboard, grafana_alerts, models, promql, read, targets

if TYPE_CHECKING:
    from pathlib import Path

DASHBOARD, RULES = dashboard(), grafana_alerts()
PROVISIONED = read(GRAFANA / "provisioning/datasources/datasources.yml")["datasources"]
SOURCES = {source["uid"]: source["type"] for source in PROVISIONED}
ROWS = [
    ["MAE", "MAPE", "Drift share", "Data freshness"],
    ["Request rate", "Latency", "Predicted demand"],
    ["Drift share over time", "Drift by feature", "Retrainings requested"],
    ["Actual against predicted", "Feature rows"],
    ["Contest"],
]
# How an alert's expression in Prometheus ends, where Grafana's steps B and C compare.
ENDS = {"gt": ">", "lt": "<"}


def test_there_are_thirteen_panels_in_five_rows():
    panels = sorted(DASHBOARD["panels"], key=lambda panel: (panel["gridPos"]["y"], panel["gridPos"]["x"]))
    found = itertools.groupby(panels, key=lambda panel: panel["gridPos"]["y"])
    assert [[panel["title"] for panel in row] for _, row in found] == ROWS


def test_panels_fill_a_width_of_24_and_none_lies_on_another():
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in DASHBOARD["panels"]):
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
            )
        )
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
    assert len(taken) == 24 * (1 + max(y for _, y in taken)), "no gaps"


def test_the_dashboard_is_the_one_that_its_code_writes():
    code = runpy.run_path(str(GRAFANA / "write_dashboard.py"))
    assert code["FILE"].read_text() == code["written"](), "run `make grafana` and commit what it writes"


def test_the_dashboard_is_of_a_known_schema_and_in_new_york_s_time():
    assert (DASHBOARD["schemaVersion"], DASHBOARD["uid"]) == (41, "energy-demand")
    assert (DASHBOARD["timezone"], DASHBOARD["refresh"]) == ("America/New_York", "1m")
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    assert all(panel["description"] for panel in DASHBOARD["panels"])


def test_every_query_goes_to_a_data_source_that_there_is():
    asked = [panel["datasource"] for panel in [*DASHBOARD["panels"], *DASHBOARD["templating"]["list"]]] + [
        target["datasource"] for panel in DASHBOARD["panels"] for target in panel["targets"]
    ]
    # Loki is there for whoever explores logs; no panel needs it.
    assert {(source["uid"], source["type"]) for source in asked} == SOURCES.items() - {("loki", "loki")}
    for rule in RULES.values():
        assert [step["datasourceUid"] for step in rule["data"]] == ["prometheus", "__expr__", "__expr__"]


@pytest.mark.parametrize("name", targets("expr"))
def test_each_query_of_prometheus_can_be_read(name):
    promql_parser.parse(promql(targets("expr")[name]))


@pytest.mark.parametrize("name", RULES)
def test_each_alert_s_query_can_be_read(name):
    promql_parser.parse(promql(models(RULES[name])["A"]["expr"]))


@pytest.mark.parametrize("name", targets("rawSql"))
def test_each_query_of_the_database_is_about_one_respondent_and_the_time_shown(name):
    text = targets("rawSql")[name]
    assert "respondent = ${respondent:sqlstring}" in text
    assert "$__time" in text
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["respondent"]


def test_a_drift_share_over_its_threshold_is_red():
    (panel,) = [panel for panel in DASHBOARD["panels"] if panel["title"] == "Drift share"]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps == [{"color": "green", "value": None}, {"color": "red", "value": 0.3}]


def test_the_contest_shows_gain_and_days_each_on_its_own_axis():
    (panel,) = [panel for panel in DASHBOARD["panels"] if panel["title"] == "Contest"]
    shown = {target["refId"]: (target["expr"], target["legendFormat"]) for target in panel["targets"]}
    assert shown == {
        "A": ('max(challenger_gain_percent{region="$respondent"})', "gain"),
        "B": ('max(challenger_shadow_days{region="$respondent"})', "days in the shadow"),
    }
    assert panel["fieldConfig"]["defaults"]["unit"] == "percent"
    (days,) = panel["fieldConfig"]["overrides"]
    assert days["matcher"]["options"] == "B"
    assert {"id": "custom.axisPlacement", "value": "right"} in days["properties"]


def test_grafana_has_the_alerts_of_prometheus():
    assert set(RULES) == set(alerts())


@pytest.mark.parametrize("name", RULES)
def test_each_alert_compares_as_prometheus_does(name):
    """The same expression, threshold, wait and severity."""
    rule, other = RULES[name], alerts()[name]
    steps = models(rule)
    assert (steps["B"]["type"], steps["B"]["expression"], steps["B"]["reducer"]) == ("reduce", "A", "last")
    assert (steps["C"]["type"], steps["C"]["expression"], rule["condition"]) == ("threshold", "B", "C")
    (condition,) = steps["C"]["conditions"]
    (limit,) = condition["evaluator"]["params"]
    sign = ENDS[condition["evaluator"]["type"]]
    assert (rule["for"], rule["labels"]) == (other.get("for", "0s"), other["labels"])
    asked, theirs = " ".join(steps["A"]["expr"].split()), " ".join(other["expr"].split())
    if name == "ApiDown":  # Prometheus's has no value to compare where nothing is scraped
        assert theirs == 'up{job="energy-demand-api"} == 0 or absent(up{job="energy-demand-api"})'
        assert asked == 'up{job="energy-demand-api"} or absent(up{job="energy-demand-api"}) - 1'
        assert (sign, limit) == ("<", 1)
    elif name == "NoForecastForTomorrow":  # the condition on the hour comes last in both
        value, condition = asked.rsplit(" and on (region) ", 1)
        assert theirs == f"{value} {sign} {limit} and on (region) {condition}"
    else:
        assert theirs in {f"{asked} {sign} {limit}", f"({asked}) {sign} {limit}"}


@pytest.mark.parametrize("name", RULES)
def test_each_alert_tells_the_same_and_belongs_to_a_panel(name):
    rule, other = RULES[name], alerts()[name]
    notes = rule["annotations"]
    assert (notes["summary"], notes["runbook_url"]) == tuple(
        other["annotations"][key] for key in ("summary", "runbook_url")
    )
    assert ".Values.B" in notes["description"]
    assert (rule["dashboardUid"], rule["panelId"]) == (
        notes["__dashboardUid__"],
        int(notes["__panelId__"]),
    )
    assert rule["panelId"] in {panel["id"] for panel in DASHBOARD["panels"]}


def test_where_prometheus_is_away_one_alert_tells_and_not_seven():
    assert {rule["noDataState"] for rule in RULES.values()} == {"OK"}
    assert [name for name, rule in RULES.items() if rule["execErrState"] == "Alerting"] == ["ApiDown"]
    assert {rule["execErrState"] for rule in RULES.values()} == {"Alerting", "KeepLast"}


def test_rules_and_dashboards_do_not_share_a_folder():
    # Grafana would make two folders of one name, or end: its issues 125079 and 87889.
    dashboards = read(GRAFANA / "provisioning" / "dashboards" / "dashboards.yml")["providers"]
    rules = read(GRAFANA / "provisioning" / "alerting" / "rules.yml")["groups"]
    named = [each["folder"] for each in dashboards] + [each["folder"] for each in rules]
    assert len(set(named)) == len(named)


def test_no_unit_begins_with_a_blank():
    units = re.findall(
        r'"unit": "(?:suffix|prefix):(.*)"', (GRAFANA / "dashboards" / "energy-demand.json").read_text()
    )
    assert units
    assert [each for each in units if each != each.strip()] == []


def test_no_dollar_sign_stands_where_grafana_would_look_for_a_variable():
    assert "$" not in (GRAFANA / "provisioning/alerting/rules.yml").read_text()


@pytest.mark.parametrize("path", sorted((GRAFANA / "contact").iterdir()), ids=lambda path: path.stem)
def test_each_contact_is_the_one_that_the_policy_names(path: Path):
    contact = read(path)
    (point,), (policy,) = contact["contactPoints"], contact["policies"]
    assert policy["receiver"] == point["name"]
    (receiver,) = point["receivers"]
    used = re.findall(r"\$(\w+)", str(receiver["settings"]))
    assert used == {"none": [], "webhook": ["ALERT_WEBHOOK_URL"], "email": ["ALERT_EMAIL"]}[path.stem]


def test_no_contact_lets_nothing_out():
    contact = read(GRAFANA / "contact/none.yml")
    (route,) = contact["policies"][0]["routes"]
    assert route["object_matchers"] == [["alertname", "=~", ".+"]]
    (muted,) = contact["muteTimes"]
    assert route["mute_time_intervals"] == [muted["name"]]
    assert muted["time_intervals"] == [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]


def test_grafana_lets_nobody_in_without_a_password_and_holds_none():
    text = (GRAFANA / "grafana.ini").read_text()
    assert "password" not in re.sub(r"#.*", "", text)
    settings = configparser.ConfigParser()
    settings.read_string(text)
    assert settings["auth.anonymous"]["enabled"] == "false"
    assert settings["users"]["allow_sign_up"] == "false"
    assert settings["analytics"]["reporting_enabled"] == "false"
    (database,) = [source for source in PROVISIONED if source["uid"] == "postgresql"]
    assert (database["user"], database["jsonData"]["database"]) == ("grafana", "energy_demand")
    assert database["secureJsonData"] == {"password": "$GRAFANA_DB_PASSWORD"}
