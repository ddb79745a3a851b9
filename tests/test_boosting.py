"""LightGBM on a machine without OpenMP: one line that says what to install; no worker dies in a loop."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from energy_demand import openmp
from energy_demand.openmp import LibraryMissingError, check_library

SAID = "libgomp.so.1: cannot open shared object file: No such file or directory"
# The dynamic linker, as it is where the library is missing.
WITHOUT = f"""
import ctypes, os, sys
real = ctypes.CDLL.__init__
def init(self, name, *args, **kwargs):
    if "lightgbm" in str(name):
        raise OSError({SAID!r})
    real(self, name, *args, **kwargs)
ctypes.CDLL.__init__ = init
from energy_demand.cli import main
sys.argv = ["energy-demand", *sys.argv[1:]]
main()
"""


def test_where_the_library_is_there_it_is_loaded(monkeypatch):
    loaded = []
    monkeypatch.setattr(openmp.ctypes, "CDLL", loaded.append)
    check_library()
    assert len(loaded) == 1
    assert "lib_lightgbm" in loaded[0]


def test_a_missing_library_is_one_line_with_the_remedy(monkeypatch):
    def missing(_name: str) -> None:
        raise OSError(SAID)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(LibraryMissingError, match="libgomp.so.1: .*apt-get install libgomp1") as caught:
        check_library()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("command", ["serve", "forecast", "train", "dashboard", "worker"])
def test_a_command_ends_with_one_line(command, tmp_path, database_url):
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "ENERGY_DEMAND_HOME": str(tmp_path),
        "DATABASE_URL": database_url,
        "API_PORT": "18652",
        "PROMETHEUS_PORT": "18653",
        "DASHBOARD_PORT": "18654",
    }
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"error: LightGBM cannot be loaded: {SAID}; install OpenMP"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("given", "policy"),
    [
        pytest.param({}, "passive", id="threads that wait sleep"),
        pytest.param({"OMP_WAIT_POLICY": "active"}, "active", id="unless somebody wants otherwise"),
    ],
)
def test_threads_of_lightgbm_do_not_spin(given, policy, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    script = "import os, energy_demand.boosting; print(os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [policy]
