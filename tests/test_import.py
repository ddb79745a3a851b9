"""Importing does no work (no network, no file, no key, no process), and the import contracts hold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("processes")

ROOT = Path(__file__).parents[1]

# What `--help` may load beside the standard library: Typer and what it draws with, JSON for logs.
ALLOWED_FOR_HELP = {
    *("__main__", "_distutils_hack", "energy_demand", "orjson"),
    *("annotated_doc", "attr", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"),
}

# Alembic runs these with a connection at hand; they are scripts, not modules to import.
SCRIPTS = "energy_demand.database.migrations"

# An audit hook sees every attempt, by whichever library. `uname` is how one of them learns the processor.
PROGRAM = f"""
import importlib, json, os, pkgutil, sys, threading

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
NEVER = {{
    "socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.fork", "os.posix_spawn",
    "os.system", "os.exec", "os.mkdir", "os.remove", "os.rename", "shutil.copyfile",
}}
attempts = []

def watch(event, args):
    if event == "open":
        path, _, flags = args
        if isinstance(flags, int) and flags & WRITING and path != os.devnull:
            attempts.append(f"open for writing: {{path}}")
            raise PermissionError(f"{{path}} is opened for writing")
    elif event == "os.mkdir" and str(args[0]).endswith(".prefect"):
        pass  # Prefect makes its home when it is imported, which only the flows do
    elif event in NEVER and args[0] != "uname":
        attempts.append(f"{{event}}: {{args}}")
        raise PermissionError(event)

import energy_demand

def broken(name):
    raise ImportError(name)

names = [
    module.name
    for module in pkgutil.walk_packages(energy_demand.__path__, "energy_demand.", onerror=broken)
    if not module.name.startswith("{SCRIPTS}")
] if "--all" in sys.argv else sys.argv[1:]
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
print(json.dumps({{
    "names": names, "attempts": attempts, "threads": [thread.name for thread in threading.enumerate()],
}}))
"""


def imported(*names: str, cwd) -> dict:
    ended = subprocess.run(
        [sys.executable, "-B", "-W", "ignore", "-c", PROGRAM, *names],
        env={},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


def test_every_module_is_imported_without_network_key_or_file_and_starts_nothing(tmp_path):
    found = imported("--all", cwd=tmp_path)
    assert {"energy_demand.cli", "energy_demand.data.eia_client", "energy_demand.model.train"} <= set(
        found["names"]
    )
    assert found["attempts"] == []
    assert found["threads"] == ["MainThread"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("event", ["connect", "write"])
def test_the_watch_would_notice(event, tmp_path):
    body = {
        "connect": "import socket\nsocket.socket().connect(('127.0.0.1', 9))\n",
        "write": "open('left-behind', 'w')\n",
    }[event]
    (tmp_path / "guilty.py").write_text(body)
    with pytest.raises(AssertionError, match="PermissionError"):
        imported("guilty", cwd=tmp_path)


def test_help_loads_nothing_but_what_reads_a_command_line(tmp_path):
    program = (
        "import sys\n"
        "sys.argv = ['energy-demand', '--help']\n"
        "from energy_demand.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(ended.stdout.splitlines()[-1].split())
    assert loaded - {"__editable___energy_demand", "sitecustomize"} <= ALLOWED_FOR_HELP


def contracts(tree) -> subprocess.CompletedProcess:
    """What import-linter finds in a copy of the project."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree / 'src'}:{tree}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the packages and of the contracts."""
    copy = tmp_path_factory.mktemp("tree")
    for folder in ("src/energy_demand", "dashboard"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def test_the_import_contracts_hold(tree):
    found = contracts(tree)
    assert found.returncode == 0, found.stdout
    assert "4 kept, 0 broken" in found.stdout


@pytest.mark.parametrize("package", ["model", "model/stages", "model/weather", "model/base", "evaluation"])
def test_a_new_file_of_the_pure_core_may_not_do_io(package, tree):
    added = tree / "src/energy_demand" / package / "scratch.py"
    added.write_text('"""A file that nobody declared."""\n\nimport sqlalchemy  # noqa: F401\n')
    try:
        found = contracts(tree)
    finally:
        added.unlink()
    assert found.returncode == 1
    assert "The pure core does no I/O BROKEN" in found.stdout
    name = f"energy_demand.{package.replace('/', '.')}.scratch"
    assert f"{name} -> sqlalchemy" in found.stdout
