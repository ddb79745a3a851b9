"""Every page as a script: with data, with nothing, with parts of the system away."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from dashboards import Dashboard
from servers import free_port
from sqlalchemy.exc import InternalError
from streamlit.testing.v1 import AppTest

from dashboard import store
from energy_demand.database.engine import opened
from energy_demand.database.tables import prediction_log
from logged import away
from support import PRESENT, make_settings

PAGES = [
    "overview",
    "peaks",
    "scenario",
    "weather_normalised",
    "model_performance",
    "drift_monitor",
    "training_history",
    "feature_importance",
]


def _script(page: str) -> None:
    from dashboard.app import show  # noqa: PLC0415  (this runs as a script of its own)

    show(page)


def run(page: str = "overview") -> AppTest:
    """The app after a visit to a page."""
    return AppTest.from_function(_script, default_timeout=60, kwargs={"page": page}).run()


def said(app: AppTest) -> str:
    """Every sentence of a page."""
    parts = [
        *app.error,
        *app.warning,
        *app.info,
        *app.caption,
        *app.markdown,
        *app.header,
        *app.subheader,
        *app.success,
    ]
    return "\n".join(str(part.value) for part in parts)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_what_there_is(page, shown, environment):
    environment(shown)
    app = run(page)
    assert not app.exception
    wrong = ["**Drift: share 0.50.**"] if page == "overview" else []  # what the stored check found
    assert [str(each.value)[:22] for each in app.error] == wrong
    assert not app.warning
    assert len(app.get("plotly_chart")) >= {
        "model_performance": 3,
        "drift_monitor": 2,
        "feature_importance": 4,
        "weather_normalised": 0,  # ten weeks have no usual weather
    }.get(page, 1)
    assert "Weather data by [Open-Meteo.com]" in said(app)
    assert "Synthetic data" in said(app)


def test_the_first_screen_answers_what_is_asked_of_it(shown, environment):
    environment(shown)
    app = run()
    metrics = {each.label: each.value for each in app.metric}
    (peak,) = (
        value for label, value in metrics.items() if label.startswith("Peak, ") and "interval" not in label
    )
    assert peak.endswith(" MW")
    assert (
        metrics["Predictions logged"] == "719"
    )  # thirty days, the one of the clock change has 23 hours + 25
    text = said(app)
    assert "Tomorrow, Thursday 13 March 2025: NY" in text
    assert "by version 1, scheduled" in text
    for badge in (
        "Model: version 1, ",
        "Data: 1 h old",
        "Drift: share 0.50",
        "Last decision: keep the model",
    ):
        assert badge in text
    assert "no drift" not in text
    assert "What drives tomorrow" in text
    assert "temperature **" in text
    assert "by the hour" in " ".join(metrics)
    assert "The grid operator's forecast of these days is not stored" in text or "By the day ours is" in text


def test_the_first_screen_says_first_what_is_wrong(shown, environment):
    environment(shown)
    with opened(shown) as database, database.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO source_state (source, subject, last_error_at, last_error) "
                "VALUES ('a source', 'NY', :now, 'it does not answer')"
            ),
            {"now": PRESENT},
        )
    try:
        store.database.clear()
        store._held.clear()
        (error,) = run().error
        assert "**Drift: share 0.50.**" in error.value
        assert "**Sources: no new data from a source.**" in error.value
        assert "it does not answer" in error.value
    finally:
        with opened(shown) as database, database.transaction() as connection:
            connection.execute(sa.text("DELETE FROM source_state WHERE source = 'a source'"))


def test_the_sliders_of_a_scenario_move_its_curve_and_its_parts(shown, environment):
    environment(shown)
    app = run("scenario")
    before = {each.label: each.value for each in app.metric}
    assert before["by temperature"] == "+0.0 GWh"
    app.slider(key="temperature").set_value(-6.0)
    app.select_slider(key="cloud").set_value(0)
    app.selectbox(key="kind_of_day").set_value("thanksgiving")
    app.run()
    assert not app.exception
    assert not app.warning
    after = {each.label: each for each in app.metric}
    assert {"by temperature", "by cloud", "by day"} <= set(after)
    assert after["Daily energy"].value != before["Daily energy"]
    assert "--scenario temperature-6,cloud=0,day=thanksgiving" in said(app)


def test_without_years_of_weather_demand_is_not_normalised_and_the_page_says_why(shown, environment):
    environment(shown)
    app = run("weather_normalised")
    (reason,) = [each.value for each in app.info if "years" in each.value]
    assert reason.startswith("0.1 years of observed weather are stored and usable")


def test_the_race_of_a_challenger_in_the_shadow_is_shown(shown, environment):
    environment(shown)
    app = run("training_history")
    assert not app.exception
    text = said(app)
    assert "**Version 2** forecasts beside version 1 since Wed 05 Mar 2025" in text
    assert "decided on by Wed 02 Apr 2025 (trigger drift)" in text
    assert "Not proven to be better than the champion: MAPE 2.50 %" in text
    assert "energy-demand contest --promote" in text
    assert "watched promotion" not in text, "there is no champion before version 1"
    metrics = {each.label: each.value for each in app.metric}
    assert metrics == {"Days compared": "19", "Gain": "+3.5 %", "Statistic": "1.25 of 3.50"}
    (bar,) = app.get("progress")
    assert bar.proto.value == 35, "whole percents of 1.25 of 3.50"
    assert len(app.get("plotly_chart")) == 2


def test_a_promotion_that_can_be_undone_is_shown_beside_the_champion_before(watched_promotion, environment):
    environment(watched_promotion)
    app = run("training_history")
    assert not app.exception
    text = said(app)
    assert "**Version 1** serves since Tue 04 Mar 2025. Until Tue 01 Apr 2025 version 2 forecasts" in text
    assert "The champion before is not proven better: MAPE" in text
    assert [each.label for each in app.metric].count("Statistic") == 2
    assert len(app.get("plotly_chart")) == 3


def test_retrainings_that_are_in_the_shadow_or_were_rolled_back_say_so(shown, environment):
    environment(shown)
    app = run("training_history")
    (table,) = [each.value for each in app.dataframe if "outcome" in each.value]
    outcomes = table.set_index("version")
    assert outcomes.loc["9", "outcome"] == "rolled back"
    assert outcomes.loc["9", "verdict"].startswith("the champion before is better")
    assert outcomes["rolled back"].notna().sum() == 1
    assert list(outcomes["outcome"])[:2] == ["in the shadow", "promoted"]


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_database_says_what_to_run(page, settings, environment):
    with opened(settings):
        pass  # its tables are made
    environment(settings)
    app = run(page)
    assert not app.exception
    assert "Run `energy-demand" in said(app)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("database_url", ["without tables"], indirect=True)
def test_a_database_without_tables_says_what_to_run(page, settings, environment):
    environment(settings)
    app = run(page)
    assert not app.exception
    assert "energy-demand db upgrade" in said(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_database_that_is_away_is_told_and_is_back_when_it_is(page, shown, environment):
    environment(shown)
    with away(shown.database_url.get_secret_value()):
        app = run(page)
        assert not app.exception
        assert "cannot use the database" in said(app)
    app = app.run()
    assert not app.exception
    assert "cannot use the database" not in said(app)


@pytest.mark.parametrize("page", PAGES)
def test_while_mlflow_is_away_the_rest_is_shown(page, shown, environment, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    gone = f"http://127.0.0.1:{free_port()}"
    environment(shown.model_copy(update={"mlflow_tracking_uri": gone}))
    app = run(page)
    assert not app.exception
    text = said(app)
    if page in {"overview", "scenario", "weather_normalised", "training_history", "feature_importance"}:
        assert "MLflow at" in text
    if page == "overview":
        assert "Data: 1 h old" in text
        assert app.get("plotly_chart")
    assert "Weather data by" in text


@pytest.mark.parametrize("view", ["By hour and lead", "Calibration", "Against the grid operator"])
def test_every_view_of_the_model_is_shown(view, shown, environment):
    environment(shown)
    app = run("model_performance")
    app.session_state["view"] = view
    app.run()
    assert not app.exception
    wanted = {"By hour and lead": "Error by lead", "Calibration": "Interval calibration by lead"}
    assert wanted.get(view, "grid operator's day-ahead forecast") in said(app)


def test_a_version_that_made_nothing_leaves_a_sentence(shown, environment):
    environment(shown)
    app = run("model_performance")
    app.slider(key="leads").set_value((45, 48)).run()
    assert not app.exception
    assert "No forecast matches these filters" in said(app)


def test_where_no_forecast_was_scheduled_it_is_made_now_and_said_so(shown, environment, tmp_path):
    later = shown.energy_demand_now.replace(day=11)  # nothing for the twelfth was made by then
    environment(shown.model_copy(update={"energy_demand_now": later.replace(hour=6)}))
    app = run()
    assert not app.exception
    assert "this one was made now by version 1" in said(app)


def test_a_fixed_present_hides_what_came_later(shown, environment):
    environment(shown.model_copy(update={"energy_demand_now": shown.energy_demand_now.replace(day=1)}))
    text = said(run("drift_monitor"))
    assert "Sat 01 Mar 2025" in text or "Fri 28 Feb 2025" in text
    assert "2025-03-12" not in text


def test_the_drift_page_names_the_cause_of_the_trigger(shown, environment):
    environment(shown)
    assert "Cause: changed response." in said(run("drift_monitor"))


def test_the_dashboard_cannot_write(shown, environment):
    environment(shown)
    with pytest.raises(InternalError, match="read-only transaction"):
        store.read(delete_everything)


def delete_everything(connection: sa.Connection) -> None:
    connection.execute(sa.delete(prediction_log))


def test_settings_reach_the_script_by_the_environment_alone():
    given = make_settings(database_url="postgresql://nobody@127.0.0.1:9/nothing")
    assert Dashboard.variables(given)["DATABASE_URL"] == "postgresql://nobody@127.0.0.1:9/nothing"


def test_the_region_of_the_address_is_shown_and_an_unknown_one_is_named(shown, environment, monkeypatch):
    environment(shown)
    monkeypatch.setenv("EIA_REGIONS", "NY,ERCO,XYZ")
    app = AppTest.from_function(_script, default_timeout=60, kwargs={"page": "overview"})
    app.query_params["region"] = "ERCO"
    app.run()
    assert not app.exception
    (choice,) = [each for each in app.selectbox if each.label == "Region"]
    assert (choice.value, choice.options) == ("ERCO", ["NY", "ERCO"])
    assert "Tomorrow, Thursday 13 March 2025: ERCO" in said(app)
    assert "XYZ cannot be shown: EIA_REGIONS: XYZ is not in the catalogue" in said(app)
    assert "no model of ERCO" in said(app) or "no model serves" in said(app)
    choice.select("NY").run()
    assert "Tomorrow, Thursday 13 March 2025: NY" in said(app)
    assert "by version 1, scheduled" in said(app)


def test_one_region_needs_no_choice(shown, environment):
    environment(shown)
    assert not [each for each in run().selectbox if each.label == "Region"]
