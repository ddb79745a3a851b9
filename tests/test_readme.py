"""What the README and .env.example say is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from energy_demand import config
from energy_demand.config import Settings, load_settings
from support import PRESENT

ROOT = Path(__file__).resolve().parents[1]
COMPOSE_ONLY = {
    "COMPOSE_PROFILES",
    "COMPOSE_SANDBOX_URL",
    "APP_DB_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "PREFECT_DB_PASSWORD",
    "GRAFANA_DB_PASSWORD",
    "POSTGRES_PASSWORD",
    "GRAFANA_ADMIN_PASSWORD",
    "ALERT_CONTACT",
    "ALERT_WEBHOOK_URL",
    "ALERT_EMAIL",
    "ALERT_SMTP_HOST",
    "ALERT_SMTP_USER",
    "ALERT_SMTP_PASSWORD",
    "ALERT_SMTP_FROM",
}


def test_the_python_of_the_start_page_runs_as_it_stands(synthetic_upstream, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/start.md").read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "EIAClient" in block]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SANDBOX_URL": synthetic_upstream,
        "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"(\d+) rows, MAPE (\d+\.\d+) % on (\d+) it had not seen\n", done.stdout)
    assert found
    assert int(found[1]) > 3000
    assert float(found[2]) < 5


def test_ci_runs_the_test_command_of_the_readme_after_lint():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    readme = re.search(r"^(make test)\b", (ROOT / "README.md").read_text(), re.MULTILINE)[1]
    assert commands[-2:] == ["make lint", readme]


def test_every_setting_stands_in_the_example_and_nothing_else():
    named = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields} | COMPOSE_ONLY


def test_the_example_loads_once_its_passwords_are_filled_in(monkeypatch, tmp_path):
    text = (ROOT / ".env.example").read_text().replace("APP_DB_PASSWORD=\n", "APP_DB_PASSWORD=filled\n")
    (tmp_path / ".env").write_text(text)
    monkeypatch.setattr(config, "project_root", lambda: tmp_path)
    settings = load_settings()
    assert settings.database_url.get_secret_value() == (
        "postgresql://energy_demand:filled@127.0.0.1:5432/energy_demand"
    )
    assert settings.region == Settings(_env_file=None).region
    assert (settings.eia_api_key, settings.api_key) == (None, None)


def test_the_example_holds_no_secret_that_works():
    text = (ROOT / ".env.example").read_text()
    assert re.findall(r"^([A-Z_]*(?:PASSWORD|KEY))=(.+)$", text, re.MULTILINE) == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-uv.txt"])
def test_every_pin_has_a_hash_and_no_file_an_index_address(name):
    text = (ROOT / name).read_text()
    pins = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert all("--hash=sha256:" in pin and "==" in pin for pin in pins)
    assert not re.search(r"https?://|--(extra-)?index|find-links", text)
