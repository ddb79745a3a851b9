"""The MCP server as an assistant starts it: a process that the SDK's own client talks to."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from servers import COMMAND

from energy_demand.jobs.forecast_answer import forecast_answer
from support import PRESENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mcp.types import CallToolResult

pytestmark = pytest.mark.usefixtures("processes")
SECRET = "canary0123456789secret"
TOOLS = {"forecast", "explain", "scores", "status"}


@pytest.fixture
def environment(asked, tmp_path) -> dict[str, str]:
    return {
        "ENERGY_DEMAND_HOME": str(asked.home),
        "DATABASE_URL": asked.settings["DATABASE_URL"],
        "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
        "OMP_NUM_THREADS": "1",
        "HOME": str(tmp_path),
    }


@pytest.fixture
def call(environment, tmp_path) -> Callable[..., tuple[list[CallToolResult], Any, str]]:
    """Start the server and call its tools; gives the results, the list of tools, and what is on stderr."""

    def run(*calls: tuple[str, dict[str, Any]], **changed: str) -> tuple[list[CallToolResult], Any, str]:
        async def talk(log: Any) -> tuple[list[CallToolResult], Any]:
            server = StdioServerParameters(command=str(COMMAND), args=["mcp"], env={**environment, **changed})
            async with Client(stdio_client(server, errlog=log)) as client:
                listed = (await client.list_tools()).tools
                return [await client.call_tool(name, given) for name, given in calls], listed

        errors: Path = tmp_path / "stderr"
        with errors.open("w") as log:
            results, listed = asyncio.run(talk(log))
        return results, listed, errors.read_text()

    return run


def texts(results: Sequence[CallToolResult]) -> list[str]:
    return [result.content[0].text for result in results]


def test_an_assistant_gets_what_the_commands_answer(call, asked_settings, asked):
    results, listed, errors = call(
        ("forecast", {"day": "tomorrow"}),
        ("explain", {"hours": 2, "as_of": "2025-03-12T10:00Z"}),
        ("scores", {}),
        ("scores", {"by": "version", "period_from": "2025-03-01"}),
        ("status", {}),
    )
    assert {tool.name for tool in listed} == TOOLS
    assert all(tool.annotations.read_only_hint and tool.description for tool in listed)
    assert not any(result.is_error for result in results), texts(results)
    forecast, explained, by_day, by_version, status = (result.structured_content for result in results)
    assert forecast == forecast_answer(asked_settings, day="tomorrow").to_json()
    assert explained["issued_at"] == "2025-03-12T10:00:00Z"
    assert {"calendar", "temperature"} <= set(explained["hours"][0]["explanation"])
    assert [row["day"] for row in by_day["rows"]] == ["2025-03-10"]
    assert [row["model_version"] for row in by_version["rows"]] == ["7"]
    assert (status["champion"]["version"], status["problems"]) == ("1", {})
    assert json.loads(results[4].content[0].text) == status
    assert "Traceback" not in errors
    issued = {"issued_from": explained["issued_at"], "issued_to": explained["issued_at"]}
    assert asked.client.get("/forecasts", params=issued).json()["rows"] == [], "nothing is logged"


def test_what_is_refused_is_one_line_that_says_why(call):
    results, _, errors = call(
        ("forecast", {"hours": 49}),
        ("forecast", {"hours": 2, "day": "tomorrow"}),
        ("forecast", {"as_of": "soon"}),
        ("scores", {"period_from": "someday"}),
        ("status", {"region": "PJM"}),
    )
    assert all(result.is_error for result in results)
    errors = [text.removeprefix("Error executing tool ") for text in texts(results)]
    assert errors == [
        "forecast: hours must be between 1 and 48; got 49",
        "forecast: give hours or day, not both",
        "forecast: 'soon' is not a valid time; expected e.g. 2025-07-31T13:00Z",
        "scores: period_from: 'someday' is not a valid time; expected e.g. 2025-07-31T13:00Z",
        "status: PJM is not among the regions that are forecast (NY); EIA_REGIONS says which",
    ]
    assert "Traceback" not in errors


def test_no_secret_is_told_without_a_database(call):
    address = f"postgresql://keeper:{SECRET}@127.0.0.1:9/kept"
    results, _, errors = call(("forecast", {}), ("scores", {}), ("status", {}), DATABASE_URL=address)
    assert [result.is_error for result in results] == [True, True, False]  # status says what it cannot read
    assert "127.0.0.1:9/kept" in texts(results)[0]
    assert "127.0.0.1:9/kept" in results[2].structured_content["problems"]["database"]
    assert SECRET not in "".join([*texts(results), errors])


def test_without_the_extra_there_is_one_clear_line(environment):
    program = (
        "import sys\n"
        "sys.modules['mcp'] = None\n"  # as if it were not installed
        "sys.argv = ['energy-demand', 'mcp']\n"
        "from energy_demand.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the Model Context Protocol is not installed; nothing was started.")
    assert line.endswith("pip install 'energy-demand[mcp]'")


def test_it_ends_when_its_input_ends_and_a_bad_setting_is_reported_at_once(environment):
    def run(**changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "mcp"],
            env={**os.environ, **environment, **changed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    ended = run()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    refused = run(WEATHER_LAT="north")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "WEATHER_LAT" in refused.stderr
