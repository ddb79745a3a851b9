"""Commands that are asked often load only what they need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.argv = ["energy-demand", *sys.argv[1:]]
from energy_demand.cli import main
main_failed = None
try:
    main()
except SystemExit as ended:
    main_failed = ended.code
print("loaded:", *sorted(sys.modules))
sys.exit(main_failed)
"""
NEVER = {
    "mcp",
    "mlflow",
    "sklearn",
    "pandera",
    "evidently",
    "prefect",
    "fastapi",
    "matplotlib",
    "scipy.stats",
    "h5py",
    "alembic",
    "scipy.optimize",
    "tenacity",
    "apprise",
    "requests",
}


def loaded_by(settings, *arguments: str) -> set[str]:
    environment = {
        **os.environ,
        "ENERGY_DEMAND_HOME": str(settings.home),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "SANDBOX_URL": settings.sandbox_url,
        "ENERGY_DEMAND_NOW": settings.present().isoformat(),
        "NOTIFY_URLS": "json://127.0.0.1:9",
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("loaded: ")]
    return set(line.split()[1:])


@pytest.mark.parametrize(
    ("arguments", "never"),
    [
        pytest.param(["status"], NEVER | {"pandas", "lightgbm", "numpy"}, id="status"),
        pytest.param(["forecast", "--hours", "24"], NEVER, id="forecast"),
    ],
)
def test_a_command_that_is_asked_often_loads_only_what_it_needs(arguments, never, settings, registry):
    registry.champion()  # from then on this machine has a copy
    assert loaded_by(settings, *arguments) & never == set()
