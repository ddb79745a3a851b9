"""Every block of docs/recipes.md, as it stands there, against a real service."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import duckdb
import httpx
import jinja2
import pytest
import yaml
from mcp import Client, StdioServerParameters
from servers import COMMAND

from logged_days import USUAL_DAY
from support import PRESENT

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/recipes.md").read_text()
WRITTEN = "http://127.0.0.1:8000"
BLOCKS = {
    section.partition("\n")[0]: re.findall(r"^```(\w+)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    for section in PAGE.split("\n## ")[1:]
}
KINDS = {
    "pandas": ["python"],
    "curl and jq": ["sh"],
    "DuckDB": ["sh", "sql"],
    "Excel": ["powerquery"],
    "Grafana": ["json"],
    "Home Assistant": ["yaml"],
    "Assistants": ["json"],
}


def code(recipe: str, address: str = WRITTEN) -> list[str]:
    return [block.replace(WRITTEN, address) for _, block in BLOCKS[recipe]]


def shell(script: str, folder: Path) -> str:
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_block_of_the_page_has_a_test():
    assert {recipe: [kind for kind, _ in blocks] for recipe, blocks in BLOCKS.items()} == KINDS
    assert PAGE.count("\n```") == 2 * sum(map(len, KINDS.values()))


def test_pandas(address, capsys):
    (block,) = code("pandas", address)
    exec(block, {})
    lines = capsys.readouterr().out.splitlines()
    hours = [line.split() for line in lines if re.fullmatch(r"\d+ +\d+\.\d+", line)]
    assert [int(hour) for hour, _ in hours] == list(range(24))
    assert all(float(mape) > 0 for _, mape in hours)


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_curl_and_jq(address, asked, tmp_path):
    (block,) = code("curl and jq", address)
    *hours, peak = shell(block, tmp_path).splitlines()
    answer = asked.client.get("/forecast?day=tomorrow").json()
    assert [line.split("\t")[0] for line in hours] == [hour["period"] for hour in answer["hours"]]
    assert [float(line.split("\t")[1]) for line in hours] == [
        hour["predicted_demand_mwh"] for hour in answer["hours"]
    ]
    period, mwh = answer["peak"]["period"], answer["peak"]["predicted_demand_mwh"]
    assert peak == f"peak {mwh:g} MWh in the hour to {period}, by champion"


def test_duckdb(address, asked, tmp_path):
    fetch, query = code("DuckDB", address)
    shell(fetch, tmp_path)
    with duckdb.connect() as connection:
        connection.execute(f"SET file_search_path = '{tmp_path}'")
        found = {version: rest for version, *rest in connection.sql(query).fetchall()}
    hours, mape, coverage = found["7"]  # others forecast tomorrow, for tests before this one
    (score,) = asked.client.get("/scores?by=version").json()["rows"]
    assert (score["model_version"], score["known"]) == ("7", hours)
    assert mape == pytest.approx(score["mape"], abs=0.006)
    assert coverage == pytest.approx(score["coverage_80"], abs=0.06)


# What Power Query takes for each type, in the culture en-US.
M_TYPES = {
    "type datetimezone": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    "type number": r"-?\d+(\.\d+)?([eE][-+]?\d+)?",
    "Int64.Type": r"-?\d+",
    "type text": r".+",
}
NEVER_EMPTY = {"period", "predicted_demand_mwh", "lead_hours", "quality"}


def test_excel(address):
    (block,) = code("Excel", address)
    (url, path, asked) = re.search(
        r'Web\.Contents\(\s*"(.+?)",\s*\[RelativePath = "(.+?)", Query = \[(.+?)\]\]', block
    ).groups()
    parameters = dict(re.findall(r'(\w+) = "(.*?)"', asked))
    answer = httpx.get(f"{url}/{path}?{urlencode(parameters)}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.encoding.lower() == "utf-8"  # 65001
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) >= 24
    types = dict(re.findall(r'\{"(\w+)", ([\w.]+(?: \w+)?)\}', block))
    (chosen,) = re.findall(r"SelectColumns\(\s*Headed,\s*\{(.*?)\}", block)
    assert re.findall(r'"(\w+)"', chosen) == list(types)
    assert set(types) <= set(rows[0])
    for name, kind in types.items():
        values = {row[name] for row in rows} - (set() if name in NEVER_EMPTY else {""})
        assert values, name
        assert all(re.fullmatch(M_TYPES[kind], value) for value in values), (name, kind, values)
    assert block.count("(") == block.count(")")
    assert block.count("{") == block.count("}")
    assert block.count("[") == block.count("]")


def test_grafana(address):
    (block,) = code("Grafana", address)
    panel = json.loads(block)
    (target,) = panel["targets"]
    times = {
        "from": datetime(USUAL_DAY.year, USUAL_DAY.month, USUAL_DAY.day, 5, tzinfo=UTC),
        "to": PRESENT,
    }
    url = target["url"]
    for name, moment in times.items():  # as Grafana writes them
        text = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        url = url.replace(f"${{__{name}:date:iso}}", text)
    assert "$" not in url
    answer = httpx.request(target["url_options"]["method"], url)
    assert answer.status_code == 200, answer.text
    rows = answer.json()[target["root_selector"]]
    assert len(rows) == 24
    for column in target["columns"]:
        values = [row[column["selector"]] for row in rows]
        if column["type"] == "timestamp":
            assert [datetime.fromisoformat(value) for value in values] == sorted(
                datetime.fromisoformat(value) for value in values
            )
        else:
            assert any(value is not None for value in values)
            assert all(value is None or isinstance(value, int | float) for value in values)


def test_home_assistant(asked, address):
    (block,) = code("Home Assistant", address)
    (rest,) = yaml.safe_load(block)["rest"]
    answer = httpx.get(rest["resource"])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    values = [
        environment.from_string(sensor["value_template"]).render(value_json=body, value=answer.text)
        for sensor in rest["sensor"]
    ]
    assert values == [
        str(round(body["peak"]["predicted_demand_mwh"])),
        body["peak"]["period"],
        str(round(sum(hour["predicted_demand_mwh"] for hour in body["hours"]))),
    ]
    assert datetime.fromisoformat(values[1]).tzinfo is not None  # as `device_class: timestamp` demands
    assert all(set(sensor.get("json_attributes", ())) <= set(body) for sensor in rest["sensor"])
    assert len({sensor["unique_id"] for sensor in rest["sensor"]}) == 3


def test_assistants(asked):
    (block,) = code("Assistants")
    (server,) = json.loads(block)["mcpServers"].values()
    assert Path(server["command"]).name == COMMAND.name
    settings = {
        "ENERGY_DEMAND_HOME": str(asked.home),
        "DATABASE_URL": asked.settings["DATABASE_URL"],
        "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
    }
    assert set(server["env"]) <= set(settings)

    async def ask() -> set[str]:
        started = StdioServerParameters(command=str(COMMAND), args=server["args"], env=settings)
        async with Client(started) as client:
            return {tool.name for tool in (await client.list_tools()).tools}

    assert "forecast" in asyncio.run(ask())


@pytest.mark.parametrize("heading", ["On this machine", "Over HTTP"])
def test_the_blocks_of_the_client_s_page(heading, address, asked, monkeypatch, capsys):
    section = (ROOT / "docs/client.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    for name in ("ENERGY_DEMAND_HOME", "DATABASE_URL", "ENERGY_DEMAND_NOW"):
        monkeypatch.setenv(name, str(asked.settings[name]))
    exec(block.replace(WRITTEN, address), {})
    assert capsys.readouterr().out.startswith("champion ")
