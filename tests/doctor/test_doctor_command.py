"""`energy-demand doctor` as a person runs it: the table, JSON, exit status, and that nothing changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer

from energy_demand import cli
from energy_demand.database.engine import open_database
from energy_demand.database.tables import metadata
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from support import PRESENT, make_settings

COMMAND = Path(sys.executable).with_name("energy-demand")
KEY = "zq7kwdoctor0123"


def run(environment, *arguments, cwd):
    return subprocess.run(
        [COMMAND, "doctor", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "COLUMNS": "200", **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def checksum(folder: Path) -> str:
    """Of every name, size, time of change and content below a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        total.update(f"{path.relative_to(folder)} {status.st_mtime_ns} {status.st_mode}".encode())
        if path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()


def database_checksum(url: str) -> str:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = [
            connection.scalar(
                sa.text(f"SELECT md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {name} t")
            )
            for name in (*metadata.tables, "alembic_version")
        ]
        tables = sorted(sa.inspect(connection).get_table_names())
    engine.dispose()
    return str((rows, tables))


@pytest.fixture(scope="module")
def sandbox(processes):
    with serving(create_app(SyntheticWorld(seed=1), now=PRESENT, require_key=KEY)) as address:
        yield address


@pytest.fixture
def shop(sandbox, new_database_url, tmp_path):
    """All settings of a machine that works; nothing listens on its ports."""
    return {
        "SANDBOX_URL": sandbox,
        "EIA_API_KEY": KEY,
        "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
        "ENERGY_DEMAND_HOME": str(tmp_path / "home"),
        "DATABASE_URL": new_database_url(),
    }


def test_a_machine_that_works(shop, tmp_path):
    done = run(shop, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    body = json.loads(done.stdout)
    assert body["ok"] is True
    assert {each["area"] for each in body["checks"]} == {"machine", "upstreams", "stores", "services"}
    for each in body["checks"]:
        assert each["ok"] == (each["state"] != "failure")
        assert each["found"]
        assert each["remedy"] or each["state"] in ("ok", "not checked")
        assert set(each) == {
            "area", "name", "ok", "state", "found", "expected", "remedy", "seconds"
        }  # fmt: skip
    assert sum(body["counts"].values()) == len(body["checks"])
    assert KEY not in done.stdout + done.stderr


def test_the_table_says_what_to_do(shop, tmp_path):
    done = run({**shop, "EIA_API_KEY": "wrongkey0123456"}, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for text in (
        "failure",
        "EIA hourly",
        "API_KEY_INVALID",
        "correct EIA_API_KEY",
        "to do first",
        "2 failures",
    ):
        assert text in done.stdout, done.stdout
    assert "wrongkey0123456" not in done.stdout + done.stderr


def test_nothing_is_changed(shop, tmp_path):
    home = Path(shop["ENERGY_DEMAND_HOME"])
    (home / "mlflow").mkdir(parents=True)
    (home / "models").mkdir()
    (home / "mlflow" / "note.txt").write_text("kept")
    folder, tables = checksum(tmp_path), database_checksum(shop["DATABASE_URL"])
    assert run(shop, cwd=tmp_path).returncode == 0
    assert run({**shop, "EIA_API_KEY": "wrong-key"}, "--json", cwd=tmp_path).returncode == 1
    assert checksum(tmp_path) == folder
    assert database_checksum(shop["DATABASE_URL"]) == tables


@pytest.mark.usefixtures("processes")
def test_a_newcomer_is_told_what_to_do_first_and_nothing_is_made(tmp_path):
    """No key, no network (a proxy that is not there), an empty home."""
    nowhere = {"ALL_PROXY": "http://127.0.0.1:9", "ENERGY_DEMAND_HOME": str(tmp_path / "home")}
    done = run(nowhere, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == ""
    for text in (
        "EIA_API_KEY is not set",
        "free key at https://www.eia.gov/opendata/",
        "cannot be reached",
        "not there yet",
        "energy-demand backfill",
        "to do first",
    ):
        assert text in done.stdout, done.stdout
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_wrong_are_a_line(shop, tmp_path):
    done = run({**shop, "API_PORT": "none"}, cwd=tmp_path)
    assert done.returncode == 1
    assert "API_PORT" in done.stdout
    assert "Correct the settings first" in done.stdout
    assert "Traceback" not in done.stderr


def test_one_area_alone_and_what_it_recorded(shop, tmp_path):
    folder = tmp_path / "recorded"
    done = run(shop, "--only", "upstreams", "--record", str(folder), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert {each["area"] for each in json.loads(done.stdout)["checks"]} == {"upstreams"}
    assert "recorded: 6 answers" in done.stderr
    assert KEY not in "".join(file.read_text() for file in folder.iterdir())
    repeated = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider",
         str(Path(__file__).with_name("test_recorded_contract.py"))],
        env={**os.environ, "DOCTOR_RECORDED": str(folder)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert repeated.returncode == 0, repeated.stdout[-3000:]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "everything"], "--only must be one of"),
        (["--only", "machine", "--record", "x"], "add --only upstreams"),
    ],
)
def test_wrong_usage(arguments, told, capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        typer.main.get_command(cli.app)(["doctor", *arguments])
    assert ended.value.code == 2
    assert told in " ".join(capfd.readouterr().err.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_no_heavy_library_is_loaded(shop, tmp_path):
    """They would take seconds, and report their use."""
    code = (
        "import sys; sys.argv = ['energy-demand', 'doctor', '--json']\n"
        "from energy_demand import cli\n"
        "try:\n    cli.main()\nexcept SystemExit: pass\n"
        "print([name for name in ('mlflow', 'prefect', 'evidently', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **shop},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_database_that_was_checked_is_usable_afterwards(shop, tmp_path):
    assert run(shop, "--only", "stores", cwd=tmp_path).returncode == 0
    database = open_database(make_settings(database_url=shop["DATABASE_URL"]))
    with database.transaction() as connection:
        connection.execute(sa.text("CREATE TEMPORARY TABLE written (x int)"))
    database.close()
