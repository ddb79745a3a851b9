"""Settings: every variable of the contract, read from the environment and `.env`, refused by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from pydantic import SecretStr, ValidationError

from dashboard.widgets import DEFAULT_DAYS
from energy_demand import config
from energy_demand.config import (
    CHAMPION_ALIAS,
    DRIFT_SHARE_THRESHOLD,
    FEATURE_COLUMNS,
    FORECAST_HORIZON_HOURS,
    LEAST_RETENTION_DAYS,
    MLFLOW_EXPERIMENT_NAME,
    MODEL_NAME,
    PERFORMANCE_MAE_THRESHOLD,
    TARGET_COLUMN,
    Settings,
    SettingsError,
    environment_with,
    load_settings,
    opt_out_of_telemetry,
    prepare_flows,
    settings_of,
)
from energy_demand.database.watched import WATCHED_SPAN
from energy_demand.errors import UserError
from energy_demand.logs import redact
from energy_demand.monitoring.performance_monitor import WINDOWS_DAYS
from energy_demand.setting_names import COMPOSE_VARIABLES
from energy_demand.timeaxis import MAX_LEAD_HOURS, Availability

CANARY = "canary0123456789secret"
ADDRESSES = (
    "eia_base_url",
    "eia_bulk_url",
    "open_meteo_historical_url",
    "open_meteo_forecast_url",
    "open_meteo_single_runs_url",
)


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """An empty project folder of the test's own, whose `.env` counts."""
    monkeypatch.setattr(config, "project_root", lambda: tmp_path)
    return tmp_path


def no_secret_in(error: BaseException) -> bool:
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__context__)
    return CANARY not in shown


@pytest.mark.parametrize(
    ("variable", "default"),
    [
        ("EIA_API_KEY", None),
        ("EIA_REGION", "NY"),
        ("EIA_BASE_URL", "https://api.eia.gov/v2/"),
        ("EIA_BULK_URL", "https://www.eia.gov/electricity/gridmonitor/sixMonthFiles/"),
        ("OPEN_METEO_HISTORICAL_URL", "https://archive-api.open-meteo.com/v1/archive"),
        ("OPEN_METEO_FORECAST_URL", "https://api.open-meteo.com/v1/forecast"),
        ("OPEN_METEO_SINGLE_RUNS_URL", "https://single-runs-api.open-meteo.com/v1/forecast"),
        ("NYISO_FORECAST_URL", "http://mis.nyiso.com/public/csv/isolf/"),
        ("WEATHER_LAT", 40.7128),
        ("WEATHER_LON", -74.0060),
        ("WEATHER_TZ", "America/New_York"),
        ("SANDBOX_URL", None),
        ("EIA_REQUEST_INTERVAL_SECONDS", 1.0),
        ("ENERGY_DEMAND_HOME", None),
        ("ENERGY_DEMAND_NOW", None),
        ("PUBLICATION_DELAY_HOURS", 2),
        ("DATABASE_URL", None),
        ("MLFLOW_TRACKING_URI", None),
        ("DASK_SCHEDULER", None),
        ("API_HOST", "127.0.0.1"),
        ("API_PORT", 8000),
        ("PROMETHEUS_PORT", 8001),
        ("API_KEY", None),
        ("API_WORKERS", 1),
        ("API_CORS_ORIGINS", ()),
        ("API_MAX_IN_FLIGHT", 64),
        ("API_TIMEOUT_SECONDS", 10.0),
        ("MODEL_WATCH_SECONDS", 10.0),
        ("PREDICTION_SPOOL_MB", 256),
        ("PREDICTION_LOG_RETENTION_DAYS", None),
    ],
)
def test_every_variable_of_the_contract_has_its_default(variable, default):
    assert getattr(load_settings(), variable.lower()) == default


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("EIA_API_KEY", CANARY, SecretStr(CANARY)),
        ("EIA_REGION", "CAL", "CAL"),
        ("EIA_BASE_URL", "http://eia.test/", "http://eia.test/"),
        ("EIA_BULK_URL", "http://bulk.test/", "http://bulk.test/"),
        ("OPEN_METEO_HISTORICAL_URL", "http://archive.test/", "http://archive.test/"),
        ("OPEN_METEO_FORECAST_URL", "http://forecast.test/", "http://forecast.test/"),
        ("OPEN_METEO_SINGLE_RUNS_URL", "http://runs.test/", "http://runs.test/"),
        ("WEATHER_LAT", "-33.9", -33.9),
        ("WEATHER_LON", "151.2", 151.2),
        ("WEATHER_TZ", "Australia/Sydney", "Australia/Sydney"),
        ("EIA_REQUEST_INTERVAL_SECONDS", "2.5", 2.5),
        ("ENERGY_DEMAND_NOW", "2025-07-31T09:00-04:00", datetime(2025, 7, 31, 13, tzinfo=UTC)),
        ("PUBLICATION_DELAY_HOURS", "3", 3),
        ("DATABASE_URL", "postgresql://u:p@h/d", SecretStr("postgresql://u:p@h/d")),
        ("MLFLOW_TRACKING_URI", "http://mlflow.test:5000", "http://mlflow.test:5000"),
        ("DASK_SCHEDULER", "tcp://dask.test:8786", "tcp://dask.test:8786"),
        ("API_HOST", "0.0.0.0", "0.0.0.0"),
        ("API_PORT", "9000", 9000),
        ("PROMETHEUS_PORT", "9001", 9001),
        ("API_KEY", CANARY, SecretStr(CANARY)),
        ("API_WORKERS", "2", 2),
        ("API_CORS_ORIGINS", '["https://a.test", "https://b.test"]', ("https://a.test", "https://b.test")),
        ("API_MAX_IN_FLIGHT", "8", 8),
        ("API_TIMEOUT_SECONDS", "2.5", 2.5),
        ("MODEL_WATCH_SECONDS", "0.5", 0.5),
        ("PREDICTION_SPOOL_MB", "1", 1),
        ("PREDICTION_LOG_RETENTION_DAYS", "90", 90),
    ],
)
@pytest.mark.parametrize("source", ["the environment", "the .env file"])
def test_a_variable_is_read_from(source, variable, text, value, project, monkeypatch):
    if source == "the environment":
        monkeypatch.setenv(variable, text)
    else:
        (project / ".env").write_text(f"# a comment\n{variable}={text}\n")
    assert getattr(load_settings(), variable.lower()) == value


def test_the_environment_wins_over_the_file_and_an_argument_over_both(project, monkeypatch):
    (project / ".env").write_text("API_PORT=1111\nPROMETHEUS_PORT=1112\nPUBLICATION_DELAY_HOURS=2\n")
    monkeypatch.setenv("API_PORT", "2222")
    monkeypatch.setenv("PROMETHEUS_PORT", "2223")
    settings = load_settings(api_port=3333)
    assert (settings.api_port, settings.prometheus_port, settings.publication_delay_hours) == (3333, 2223, 2)


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("SANDBOX_URL", "")
    monkeypatch.setenv("EIA_API_KEY", "")
    settings = load_settings()
    assert (settings.sandbox_url, settings.eia_api_key) == (None, None)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("API_PORT", "eight thousand"),
        ("API_PORT", "70000"),
        ("API_WORKERS", "0"),
        ("DASK_SCHEDULER", "dask.test:8786"),
        ("DASK_SCHEDULER", "http://dask.test"),
        ("API_CORS_ORIGINS", "https://a.test"),
        ("API_MAX_IN_FLIGHT", "0"),
        ("API_TIMEOUT_SECONDS", "0"),
        ("MODEL_WATCH_SECONDS", "31"),
        ("PREDICTION_SPOOL_MB", "0"),
        ("PREDICTION_LOG_RETENTION_DAYS", "0"),
        ("PREDICTION_LOG_RETENTION_DAYS", "33"),
        ("WEATHER_LAT", "91"),
        ("WEATHER_LAT", "nan"),
        ("WEATHER_TZ", "America/Gotham"),
        ("WEATHER_TZ", "../../etc/passwd"),
        ("WEATHER_FURTHER_SITES", "albany"),
        ("WEATHER_FURTHER_SITES", '[{"name": "albany"}]'),
        ("EIA_BASE_URL", "api.eia.gov"),
        ("SANDBOX_URL", "localhost:8090"),
        ("EIA_REQUEST_INTERVAL_SECONDS", "-1"),
        ("ENERGY_DEMAND_NOW", "yesterday"),
        ("PUBLICATION_DELAY_HOURS", "-1"),
        ("PUBLICATION_DELAY_HOURS", "1.5"),
        ("EIA_REGION", "new york"),
    ],
)
@pytest.mark.parametrize("source", ["the environment", "the .env file"])
def test_a_malformed_value_is_refused_by_name(source, variable, text, project, monkeypatch):
    monkeypatch.setenv("EIA_API_KEY", CANARY)
    if source == "the environment":
        monkeypatch.setenv(variable, text)
    else:
        (project / ".env").write_text(f"{variable}={text}\n")
    with pytest.raises(SettingsError, match=variable) as caught:
        load_settings()
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)
    assert no_secret_in(caught.value)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte-order mark"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["Unix", "Windows"])
def test_a_file_of_any_editor_is_read_whole(mark, ending, project):
    lines = [b"API_PORT=1111", "# größer als üblich".encode(), b"export PROMETHEUS_PORT=1112", b""]
    (project / ".env").write_bytes(mark + ending.join(lines))
    settings = load_settings()
    assert (settings.api_port, settings.prometheus_port) == (1111, 1112)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param(
            f"API_PORT=1\n\nEIA_API_KEY=ü{CANARY}\n".encode("latin-1"), ", line 3: not UTF-8", id="Latin-1"
        ),
        pytest.param(f"EIA_API_KEY={CANARY}\n".encode("utf-16"), ": the file is UTF-16", id="UTF-16"),
        pytest.param(
            f"EIA_API_KEY={CANARY}\n".encode("utf-16-le"), ": the file is UTF-16", id="UTF-16, no mark"
        ),
        pytest.param(f"\n\nEIA_API_KEY: {CANARY}\n".encode(), ", line 3: not a setting", id="a colon"),
        pytest.param(f"API_PORT=1\n{CANARY}\n".encode(), ", line 2: not a setting", id="a value alone"),
        pytest.param(
            f"A=1\nEIA_API_KEY='{CANARY}\nB=2\n".encode(), ", line 2: not a setting", id="an open quote"
        ),
        pytest.param(f"EIA API KEY={CANARY}\n".encode(), ", line 1: not a setting", id="a name with blanks"),
    ],
)
def test_a_line_that_would_be_dropped_is_refused_with_its_number(content, line, project):
    (project / ".env").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"{project / '.env'}{line}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert no_secret_in(caught.value)


@pytest.mark.parametrize("around", [" {} ", "{}\n", "{}\r\n", "\t{}"])
@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("EIA_API_KEY", CANARY, SecretStr(CANARY)),
        ("API_PORT", "9000", 9000),
        ("EIA_REGION", "CAL", "CAL"),
        ("DATABASE_URL", "postgresql://u:p@h/d", SecretStr("postgresql://u:p@h/d")),
        ("MLFLOW_TRACKING_URI", "http://mlflow.test:5000", "http://mlflow.test:5000"),
        ("DASK_SCHEDULER", "tcp://dask.test:8786", "tcp://dask.test:8786"),
        ("ENERGY_DEMAND_NOW", "2025-07-31T13:00Z", datetime(2025, 7, 31, 13, tzinfo=UTC)),
        ("ENERGY_DEMAND_HOME", "/some/where", Path("/some/where")),
        ("SANDBOX_URL", "http://127.0.0.1:8090", "http://127.0.0.1:8090"),
    ],
)
def test_blanks_and_newlines_around_a_value_do_not_count(variable, text, value, around, monkeypatch):
    monkeypatch.setenv(variable, around.format(text))
    assert getattr(load_settings(), variable.lower()) == value


def test_a_value_of_blanks_alone_is_an_unset_one(monkeypatch):
    for name in ("EIA_API_KEY", "SANDBOX_URL", "API_PORT"):
        monkeypatch.setenv(name, " \n")
    settings = load_settings()
    assert (settings.eia_api_key, settings.sandbox_url, settings.api_port) == (None, None, 8000)


@pytest.mark.parametrize("variable", ["EIA_API_KEY", "OPEN_METEO_API_KEY", "API_KEY"])
@pytest.mark.parametrize("inside", [" ", "\n", "\x1b", "\u200b"])
def test_a_key_in_two_pieces_is_refused_and_not_shown(variable, inside, monkeypatch):
    monkeypatch.setenv(variable, f"{CANARY}{inside}{CANARY}")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert redact(str(caught.value)) == (
        f"{variable} is refused: a blank, newline or control character is in it; copy it again"
    )
    assert no_secret_in(caught.value)


def test_an_empty_address_of_prefect_is_an_unset_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", " ")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    prepare_flows(settings_of(energy_demand_home=tmp_path))
    assert "PREFECT_API_URL" not in os.environ


def test_another_program_gets_nothing_of_a_foreign_mlflow(monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_STORE_URI", "sqlite:////elsewhere.db")
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", "elsewhere")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "sqlite:////elsewhere.db")
    environment = environment_with({"MLFLOW_BACKEND_STORE_URI": "sqlite:////own.db"}, settings=False)
    assert {name: value for name, value in environment.items() if "MLFLOW" in name} == {
        "MLFLOW_BACKEND_STORE_URI": "sqlite:////own.db"
    }


def test_every_malformed_variable_is_named_at_once(monkeypatch):
    monkeypatch.setenv("API_PORT", "0")
    monkeypatch.setenv("WEATHER_LON", "east")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "API_PORT" in str(caught.value)
    assert "WEATHER_LON" in str(caught.value)


def test_a_malformed_sandbox_address_blames_no_variable_that_was_not_set(monkeypatch):
    monkeypatch.setenv("SANDBOX_URL", "localhost:8090")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert not [name for name in ADDRESSES if name.upper() in str(caught.value)]


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("EIA_APIKEY", "EIA_API_KEY"),
        ("ENERGY_DEMAND_HOEM", "ENERGY_DEMAND_HOME"),
        ("OPEN_METEO_HISTORIC_URL", "OPEN_METEO_HISTORICAL_URL"),
        ("WEATHER_LATITUDE", "WEATHER_LAT"),
        ("PUBLICATION_DELAY", "PUBLICATION_DELAY_HOURS"),
        ("SANDBOX_URI", "SANDBOX_URL"),
        ("PREDICTION_SPOOL_GB", "PREDICTION_SPOOL_MB"),
    ],
)
@pytest.mark.parametrize("source", ["the environment", "the .env file"])
def test_an_unknown_variable_is_refused_by_name_with_the_one_that_was_meant(
    source, variable, meant, project, monkeypatch
):
    if source == "the environment":
        monkeypatch.setenv(variable, CANARY)
    else:
        (project / ".env").write_text(f"{variable}={CANARY}\n")
    with pytest.raises(SettingsError, match=rf"{variable}: .*did you mean {meant}\?") as caught:
        load_settings()
    assert no_secret_in(caught.value)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("DATABASE_ULR", "DATABASE_URL"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("MLFLOW_TRACKING_URL", "MLFLOW_TRACKING_URI"),
        ("MLFLOW_TRAKING_URI", "MLFLOW_TRACKING_URI"),
        ("PROMETEUS_PORT", "PROMETHEUS_PORT"),
        ("HTTP_TIMEOUT_SECOND", "HTTP_TIMEOUT_SECONDS"),
        ("MODEL_VERSION_KEPT", "MODEL_VERSIONS_KEPT"),
        ("API_WORKER", "API_WORKERS"),
        ("REVISION_WINDOWS_DAYS", "REVISION_WINDOW_DAYS"),
        ("ENERGY_DEMAND_HOM", "ENERGY_DEMAND_HOME"),
    ],
)
@pytest.mark.parametrize("source", ["the environment", "the .env file"])
def test_a_mistyped_variable_of_any_prefix_is_refused_in_one_line(
    source, variable, meant, project, monkeypatch
):
    if source == "the environment":
        monkeypatch.setenv(variable, CANARY)
    else:
        (project / ".env").write_text(f"API_PORT=8000\n{variable}={CANARY}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == f"{variable}: no such setting; did you mean {meant}?"
    assert no_secret_in(caught.value)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("APIKEY", "API_KEY"),
        ("API_PROT", "API_PORT"),
        ("POSTGRES_PASWORD", "POSTGRES_PASSWORD"),
        ("GRAFANA_PASSWORD", "GRAFANA_DB_PASSWORD"),
        ("ALERT_MAIL", "ALERT_EMAIL"),
    ],
)
def test_in_the_file_which_is_ours_alone_short_names_and_those_of_compose_are_looked_at_too(
    variable, meant, project
):
    (project / ".env").write_text(f"{variable}=x\n")
    with pytest.raises(SettingsError, match=rf"{variable}: no such setting; did you mean {meant}\?"):
        load_settings()


def test_every_mistyped_variable_is_named_at_once(project, monkeypatch):
    (project / ".env").write_text("DATABASE_ULR=x\n")
    monkeypatch.setenv("EIA_APIKEY", "x")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == (
        "DATABASE_ULR: no such setting; did you mean DATABASE_URL?; "
        "EIA_APIKEY: no such setting; did you mean EIA_API_KEY?"
    )


# What shells, servers, clouds and frameworks set.
OTHERS = [
    "ALLUSERSPROFILE",
    "API_BASE_URL",
    "API_SECRET",
    "API_TOKEN",
    "API_URL",
    "API_VERSION",
    "APIKEY",
    "API_KEYS",
    "APP_ENV",
    "APP_HOST",
    "APP_KEY",
    "APP_PORT",
    "APP_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_REGION",
    "BASH_ENV",
    "CI",
    "COLUMNS",
    "CORS_ORIGINS",
    "DATABASE_HOST",
    "DATABASE_NAME",
    "DATABASE_PASSWORD",
    "DATABASE_PORT",
    "DATABASE_URI",
    "DATABASE_URL_TEST",
    "DATABASE_USER",
    "DB_URL",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "DJANGO_DATABASE_URL",
    "DOCKER_HOST",
    "EDITOR",
    "EIA_TOKEN",
    "FASTAPI_ENV",
    "FLASK_APP",
    "FORWARDED_ALLOW_IPS",
    "GF_SECURITY_ADMIN_PASSWORD",
    "GITHUB_API_URL",
    "GITHUB_TOKEN",
    "GOOGLE_API_KEY",
    "GRAFANA_API_KEY",
    "GRAFANA_URL",
    "HISTSIZE",
    "HOME",
    "HOST",
    "HOSTNAME",
    "HTTP_PORT",
    "HTTP_PROXY",
    "HTTP_TIMEOUT",
    "HTTPS_PROXY",
    "JAVA_HOME",
    "KUBERNETES_PORT",
    "KUBERNETES_SERVICE_HOST",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LOG_LEVEL",
    "LOGNAME",
    "MAIL",
    "MLFLOW_ARTIFACT_URI",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_PORT_5000_TCP",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_S3_ENDPOINT_URL",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MODEL_NAME",
    "MODEL_VERSION",
    "MODEL_WATCH",
    "NO_PROXY",
    "OMP_NUM_THREADS",
    "OPENAI_API_KEY",
    "OPENWEATHER_API_KEY",
    "PATH",
    "PGDATABASE",
    "PGHOST",
    "PGPASSWORD",
    "PORT",
    "POSTGRES_DB",
    "POSTGRES_HOST",
    "POSTGRES_PASSWORD",
    "POSTGRES_URL",
    "POSTGRES_USER",
    "PREFECT_API_KEY",
    "PREFECT_API_URL",
    "PREFECT_HOME",
    "PROMETHEUS_HOST",
    "PROMETHEUS_MULTIPROC_DIR",
    "PROMETHEUS_PUSHGATEWAY",
    "PROMETHEUS_URL",
    "PS1",
    "PUBLIC_URL",
    "PWD",
    "PYTEST_CURRENT_TEST",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "REDIS_URL",
    "SHELL",
    "SHLVL",
    "SMTP_HOST",
    "SQLALCHEMY_DATABASE_URI",
    "SSH_AUTH_SOCK",
    "STREAMLIT_SERVER_PORT",
    "TERM",
    "TEST_DATABASE_URL",
    "TMPDIR",
    "TZ",
    "USER",
    "UVICORN_PORT",
    "VIRTUAL_ENV",
    "WEATHER_API_KEY",
    "WEATHER_API_URL",
    "WEB_CONCURRENCY",
    "WORKERS",
    "X_API_KEY",
    "XDG_RUNTIME_DIR",
    "http_proxy",
]


def test_other_programs_variables_in_the_environment_are_none_of_our_business(monkeypatch):
    for name in OTHERS:
        monkeypatch.setenv(name, "x")
    assert load_settings().api_port == 8000


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "TZ",
        "LOG_LEVEL",
        "DATABASE_HOST",
        "POSTGRES_PASSWORD",
        "PREFECT_API_URL",
        "HTTP_PROXY",
    ],
)
def test_other_programs_variables_in_the_file_are_none_of_our_business(name, project):
    (project / ".env").write_text(f"{name}=x\n")
    assert load_settings().api_port == 8000


def test_what_the_file_holds_for_compose_is_known_and_nothing_else_is():
    root = Path(__file__).parents[1]
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", (root / "infra" / "docker-compose.yml").read_text()))
    named = set(re.findall(r"^([A-Z0-9_]+)=", (root / ".env.example").read_text(), re.MULTILINE))
    settings = {name.upper() for name in Settings.model_fields}
    assert (asked | named) - settings == COMPOSE_VARIABLES
    assert settings <= named


def test_the_example_file_is_good_as_it_is(project):
    shutil.copy(Path(__file__).parents[1] / ".env.example", project / ".env")
    assert load_settings().api_port == 8000


def test_predictions_stay_as_long_as_monitoring_and_the_dashboard_read_them(monkeypatch):
    # The daily check looks back so far for an hour, which was forecast up to 48 hours before it.
    days_before = -(-MAX_LEAD_HOURS // 24)
    read = {"check": max(WINDOWS_DAYS) + 2, "dashboard": DEFAULT_DAYS, "metrics": WATCHED_SPAN.days}
    assert max(read.values()) + days_before == LEAST_RETENTION_DAYS
    monkeypatch.setenv("PREDICTION_LOG_RETENTION_DAYS", str(LEAST_RETENTION_DAYS))
    assert load_settings().prediction_log_retention_days == LEAST_RETENTION_DAYS
    monkeypatch.setenv("PREDICTION_LOG_RETENTION_DAYS", str(LEAST_RETENTION_DAYS - 1))
    with pytest.raises(
        SettingsError, match="^PREDICTION_LOG_RETENTION_DAYS: must be at least 34, .* got 33$"
    ):
        load_settings()


def test_settings_of_given_values_take_nothing_from_environment_and_file(project, monkeypatch):
    (project / ".env").write_text("API_PORT=1\nWEATHER_LAT=1\nno such line\n")
    for name in Settings.model_fields:
        monkeypatch.setenv(name.upper(), "1")
    assert settings_of(eia_region="CAL").eia_region == "CAL"
    defaults = {name: field.get_default() for name, field in Settings.model_fields.items()}
    assert {name: getattr(settings_of(), name) for name in defaults} == defaults
    assert settings_of(sandbox_url="http://s.test").eia_base_url == "http://s.test/eia/v2/"


def test_a_sandbox_stands_in_for_all_five_upstreams_without_key_and_pacing(monkeypatch):
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:8090/")
    settings = load_settings()
    assert [getattr(settings, name) for name in ADDRESSES] == [
        "http://127.0.0.1:8090/eia/v2/",
        "http://127.0.0.1:8090/eia/sixMonthFiles/",
        "http://127.0.0.1:8090/archive/v1/archive",
        "http://127.0.0.1:8090/forecast/v1/forecast",
        "http://127.0.0.1:8090/single-runs/v1/forecast",
    ]
    assert settings.eia_request_interval_seconds == 0


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_set_by_hand_wins_over_the_sandbox(name, monkeypatch):
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:8090")
    monkeypatch.setenv(name.upper(), "http://by.hand/")
    settings = load_settings()
    assert getattr(settings, name) == "http://by.hand/"
    others = [getattr(settings, other) for other in ADDRESSES if other != name]
    assert all(address.startswith("http://127.0.0.1:8090/") for address in others)


def test_pacing_set_by_hand_wins_over_the_sandbox(monkeypatch):
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:8090")
    monkeypatch.setenv("EIA_REQUEST_INTERVAL_SECONDS", "0.5")
    assert load_settings().eia_request_interval_seconds == 0.5


def test_the_present_is_the_one_that_was_set(monkeypatch):
    monkeypatch.setenv("ENERGY_DEMAND_NOW", "2025-03-12T13:00Z")
    assert load_settings().present() == datetime(2025, 3, 12, 13, tzinfo=UTC)


def test_the_present_is_the_clock_in_utc_where_none_was_set():
    present = load_settings().present()
    assert present.tzinfo is UTC
    assert abs(datetime.now(UTC) - present) < timedelta(minutes=1)


def test_a_present_given_in_code_is_read_as_utc():
    assert load_settings(energy_demand_now=datetime(2025, 3, 12, 13)).present() == datetime(  # noqa: DTZ001
        2025, 3, 12, 13, tzinfo=UTC
    )


def test_no_secret_shows_in_the_settings_texts(monkeypatch):
    for variable in ("EIA_API_KEY", "API_KEY"):
        monkeypatch.setenv(variable, CANARY)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{CANARY}@host/db")
    settings = load_settings()
    shown = repr(settings) + str(settings) + settings.model_dump_json() + str(settings.model_dump())
    assert CANARY not in shown
    assert settings.eia_api_key.get_secret_value() == CANARY


@pytest.mark.parametrize("name", ["eia_api_key", "database_url", "api_key"])
def test_a_secret_of_the_wrong_type_is_not_repeated_in_the_complaint(name):
    with pytest.raises(ValidationError, match=name) as caught:
        Settings(_env_file=None, **{name: [CANARY]})
    assert no_secret_in(caught.value)


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        load_settings().api_port = 1


def test_everything_local_lies_in_the_project_and_not_in_the_working_directory(
    project, tmp_path_factory, monkeypatch
):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert load_settings().home == (project / ".energy-demand").resolve()


def test_everything_local_lies_where_it_was_told_to(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ENERGY_DEMAND_HOME", str(folder))
    assert load_settings().home == folder.resolve()


def test_the_region_has_the_first_site_first_and_the_further_ones_after_it(monkeypatch):
    monkeypatch.setenv("WEATHER_LAT", "40.5")
    monkeypatch.setenv(
        "WEATHER_FURTHER_SITES", '[{"name": "utica", "latitude": 43.1, "longitude": -75.2, "weight": 0.2}]'
    )
    region = load_settings().region
    assert [(site.name, site.latitude, site.weight) for site in region.sites] == [
        ("new_york_city", 40.5, 0.65),
        ("utica", 43.1, 0.2),
    ]
    assert (region.respondent, region.zone) == ("NY", ZoneInfo("America/New_York"))


def test_without_further_word_there_are_four_sites_that_share_out_the_population():
    sites = load_settings().region.sites
    assert [site.name for site in sites] == ["new_york_city", "albany", "buffalo", "syracuse"]
    assert sum(site.weight for site in sites) == pytest.approx(1.0)


def test_the_publication_delay_becomes_the_availability_of_demand(monkeypatch):
    monkeypatch.setenv("PUBLICATION_DELAY_HOURS", "2")
    assert load_settings().availability == Availability(2)


def test_the_constants_of_the_contract():
    assert (MLFLOW_EXPERIMENT_NAME, MODEL_NAME) == ("energy-demand-forecast", "energy-demand-lgbm")
    assert (CHAMPION_ALIAS, FORECAST_HORIZON_HOURS) == ("champion", 24)
    assert (TARGET_COLUMN, DRIFT_SHARE_THRESHOLD, PERFORMANCE_MAE_THRESHOLD) == ("demand_mwh", 0.3, 1500)


def test_the_twenty_feature_columns_of_the_contract_are_in_order_and_index_a_frame():
    weather = ["temperature", "apparent_temperature", "humidity", "wind_speed", "cloud_cover"]
    weather += ["solar_radiation", "precipitation"]
    calendar = ["hour_of_day", "day_of_week", "month", "is_weekend", "is_holiday"]
    demand = ["demand_lag_1h", "demand_lag_24h", "demand_lag_168h"]
    demand += ["demand_rolling_mean_24h", "demand_rolling_std_24h"]
    derived = ["temp_squared", "cooling_degree_hours", "heating_degree_hours"]
    wanted = [*weather, *calendar, *demand, *derived]
    frame = pd.DataFrame({name: [1.0] for name in [*reversed(wanted), TARGET_COLUMN]})
    assert list(frame[FEATURE_COLUMNS]) == wanted


@pytest.mark.parametrize("name", config.__all__)
def test_a_name_that_callers_rely_on_is_defined_once(name):
    """Whoever else has the name in the package has the very same object."""
    defined = [
        path
        for path in Path(config.__file__).parent.rglob("*.py")
        if re.search(rf"^(?:class |def )?{name}(?:\b.*=| ?\(|:)", path.read_text(), re.MULTILINE)
    ]
    assert len(defined) == 1, defined


@pytest.mark.usefixtures("processes")
def test_importing_the_names_reads_no_environment_and_touches_no_file(tmp_path):
    code = (
        "import os, re, sys\n"
        "import pandas, pydantic_settings, dotenv\n"  # theirs is not our work
        "opened = []\n"
        "sys.addaudithook(lambda name, given: opened.append(str(given[0])) if name == 'open' else None)\n"
        "from energy_demand.config import FEATURE_COLUMNS, MODEL_NAME\n"
        "print([path for path in opened if not re.search(r'__pycache__|[.]py$|/zoneinfo/|^[0-9]+$', path)])\n"
    )
    environment = {"PATH": os.environ["PATH"], "API_PORT": "no port", "EIA_REGIN": "NY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_telemetry_is_off_unless_somebody_chose_it(monkeypatch):
    for name in config.TELEMETRY_OFF:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    opt_out_of_telemetry()
    chosen = {name: os.environ[name] for name in config.TELEMETRY_OFF}
    assert chosen == {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "0",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def test_every_setting_has_a_meaningful_name_in_the_environment():
    assert all(name == name.lower() and name.isidentifier() for name in Settings.model_fields)
