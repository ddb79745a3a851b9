"""`forecasts`, `demand` and `scores` in the shell: the rows of the API, into a file or a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.ipc
import pytest

from energy_demand.database.engine import open_database
from energy_demand.exports.formats import pieces
from energy_demand.exports.questions import parse_question
from energy_demand.exports.reading import open_export
from energy_demand.region import NEW_YORK
from logged_days import LONG_DAY, fill
from support import PRESENT, make_settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("processes")]

COMMAND = Path(sys.executable).with_name("energy-demand")


@pytest.fixture(scope="module")
def address(new_database_url) -> str:
    url = new_database_url()
    database = open_database(make_settings(database_url=url))
    fill(database)
    database.close()
    return url


@pytest.fixture
def call(address, tmp_path):
    """Run a command; gives exit status, standard output and standard error, as bytes and text."""

    def run(*arguments: str) -> tuple[int, bytes, str]:
        environment = {
            "PATH": str(COMMAND.parent),
            "HOME": str(tmp_path),
            "ENERGY_DEMAND_HOME": str(tmp_path),
            "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
            "DATABASE_URL": address,
            "COLUMNS": "200",
        }
        done = subprocess.run(
            [COMMAND, *arguments], env=environment, capture_output=True, check=False, timeout=120
        )
        return done.returncode, done.stdout, done.stderr.decode()

    return run


def test_the_shell_writes_the_bytes_of_the_api(call, address, tmp_path):
    day = {"period_from": str(LONG_DAY), "period_to": str(LONG_DAY)}
    database = open_database(make_settings(database_url=address))
    asked = parse_question("forecasts", {name: [text] for name, text in day.items()}, NEW_YORK, PRESENT)
    expected = b"".join(pieces(open_export(database, asked), "csv"))
    database.close()
    options = [part for name, text in day.items() for part in (f"--{name.replace('_', '-')}", text)]
    status, printed, _ = call("forecasts", *options)
    assert (status, printed) == (0, expected)
    assert printed.count(b"\n") == 1 + 3 * 25 + 1, "25 hours by three forecasts, and one of a caller"
    files = {each: tmp_path / f"day.{each}" for each in ("csv", "parquet", "arrow", "json")}
    for file in files.values():
        assert call("forecasts", *options, "--output", str(file))[0] == 0
    assert files["csv"].read_bytes() == expected
    parquet = pd.read_parquet(files["parquet"])
    with pyarrow.ipc.open_stream(files["arrow"]) as stream:
        pd.testing.assert_frame_equal(stream.read_pandas(), parquet)
    assert len(json.loads(files["json"].read_text())["rows"]) == len(parquet) == 76


def test_a_page_says_how_to_go_on(call):
    status, first, err = call("demand", "--limit", "30", "--json")
    body = json.loads(first)
    assert (status, len(body["rows"])) == (0, 30)
    assert f"more rows follow: --cursor {body['next']}" in err
    _, second, _ = call("demand", "--limit", "30", "--json", "--cursor", body["next"])
    assert json.loads(second)["rows"][0]["period"] > body["rows"][-1]["period"]


def test_scores_have_a_row_for_each_version(call):
    status, printed, _ = call("scores", "--by", "version")
    lines = printed.decode().splitlines()
    assert status == 0
    assert lines[0].startswith("region,model_version,hours,known,mae_mwh")
    assert len(lines) > 1
    assert "8" not in {line.split(",")[1] for line in lines[1:]}, "a model in the shadow answered nobody"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["forecasts", "--format", "xlsx"], "json, csv, parquet, arrow", id="a format"),
        pytest.param(["forecasts", "--json", "--format", "csv"], "not both", id="two formats"),
        pytest.param(["scores", "--by", "week"], "--by: must be one of day, version, quality", id="a word"),
        pytest.param(["demand", "--period-from", "soon"], "--period-from", id="a time"),
        pytest.param(["demand", "--limit", "0"], "--limit: must be a whole number", id="a limit"),
        pytest.param(["demand", "--cursor", "abc"], "--cursor: is not one that", id="a cursor"),
        pytest.param(["demand", "--output", "/nowhere/x.csv"], "--output", id="a file"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_message_and_no_output(call, arguments, message):
    status, printed, err = call(*arguments)
    assert (status, printed) == (2, b"")
    assert message in " ".join(err.replace("│", " ").split())


def test_an_empty_answer_has_its_header(call):
    status, printed, _ = call("forecasts", "--version", "999")
    assert status == 0
    assert printed.startswith(b"region,period,issued_at,lead_hours,predicted_demand_mwh")
    assert printed.count(b"\n") == 1
