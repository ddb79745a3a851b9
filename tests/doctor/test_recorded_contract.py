"""The sandbox against recorded answers of the real upstreams: the same questions, the same shape, both ways.

By default the project's own examples are compared, which have the shape of real answers and invented figures.
With a network and a key, `make contract` records the real ones and compares those.
"""

from __future__ import annotations

import json
import os
import re
from datetime import date, datetime
from pathlib import Path

import httpx
import pytest

from energy_demand.columns import SYSTEM
from energy_demand.data.operator_client import ZONES
from energy_demand.doctor.contract import compare_eia, compare_file, compare_operator, compare_weather
from energy_demand.doctor.questions import (
    Topic,
    archive,
    eia_daily,
    eia_file,
    eia_hourly,
    forecast,
    operator,
    single_run,
)
from energy_demand.doctor.recording import MANIFEST
from energy_demand.doctor.refusals import parsed, refusal
from energy_demand.doctor.shape import Shape, differences, shape_of, shape_of_table
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from support import make_settings

EXAMPLES = Path(__file__).with_name("recorded")
FOLDER = Path(os.environ.get("DOCTOR_RECORDED") or EXAMPLES)
RECORDED = json.loads((FOLDER / MANIFEST).read_text())
NOW = datetime.fromisoformat(RECORDED["now"])
ANSWERS = [pytest.param(each, id=each["topic"]) for each in RECORDED["answers"]]
# What the real ones have and the sandbox leaves out, each with the reason.
LEFT_OUT = {
    # Since open-meteo/open-meteo#522 the second place of an answer and those after it are numbered.
    "[].location_id": "no client reads it: places are known by where they are",
}


@pytest.fixture(scope="module")
def sandbox(processes):
    with serving(create_app(SyntheticWorld(seed=1), now=NOW)) as address:
        yield make_settings(sandbox_url=address, energy_demand_now=NOW)


def recorded_text(answer) -> str:
    text = (FOLDER / answer["file"]).read_text(encoding="utf-8")
    table = Topic(answer["topic"]).is_table
    refused = refusal(answer["status"], text.encode(), table=table)
    assert refused is None, (
        f"{answer['topic']} was refused when it was recorded ({refused.text}); record again"
    )
    return text


def day_of(answer) -> date:
    """The day of a recorded file of the operator."""
    found = re.search(r"(\d{8})isolf\.csv$", answer["url"])
    assert found, answer["url"]
    return date.fromisoformat(found[1])


def address_in(settings, answer) -> str:
    """Where the sandbox has what was asked."""
    if answer["topic"] == Topic.OPERATOR:
        return operator(settings, day_of(answer)).url
    asked = {
        Topic.EIA_HOURLY: eia_hourly(settings, NOW),
        Topic.EIA_DAILY: eia_daily(settings, NOW),
        Topic.EIA_FILE: eia_file(settings, NOW),
        Topic.ARCHIVE: archive(settings, NOW),
        Topic.FORECAST: forecast(settings),
        Topic.RUN: single_run(settings, NOW),
    }[Topic(answer["topic"])]
    return asked.url


def left_over(topic: str, recorded: Shape, sandboxed: Shape) -> dict[str, str]:
    found = {path: why for path, why in differences(recorded, sandboxed).items() if path not in LEFT_OUT}
    if topic == Topic.EIA_FILE:  # of its forty columns the sandbox has those that are no fuels
        return {name: why for name, why in found.items() if name in sandboxed}
    return found


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_sandbox_answers_the_same_question_in_the_same_shape(sandbox, answer):
    text = recorded_text(answer)
    response = httpx.get(address_in(sandbox, answer), params=answer["params"], timeout=60)
    assert response.status_code == 200, response.text[:300]
    if Topic(answer["topic"]).is_table:
        recorded = shape_of_table(text)
        lines = response.text.splitlines(keepends=True)
        sandboxed = shape_of_table("".join(lines[: text.count("\n")]))
    else:
        recorded, sandboxed = shape_of(json.loads(text)), shape_of(response.json())
    assert left_over(answer["topic"], recorded, sandboxed) == {}


def test_every_question_was_recorded():
    assert [each["topic"] for each in RECORDED["answers"] if each["topic"] not in set(Topic)] == []
    if FOLDER == EXAMPLES:
        assert {each["topic"] for each in RECORDED["answers"]} == set(Topic)


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_clients_can_use_what_was_recorded(answer):
    text, topic = recorded_text(answer).encode(), Topic(answer["topic"])
    asked = dict(answer["params"])
    settings = make_settings()
    if topic is Topic.EIA_FILE:
        found = compare_file(text, "NYIS")
    elif topic is Topic.OPERATOR:
        found = compare_operator(text, day_of(answer), ZONES, SYSTEM)
    elif topic.source == "EIA":
        frequency, respondent = asked["frequency"], asked["facets[respondent][]"]
        found = compare_eia(parsed(text), frequency=frequency, respondent=respondent, series=("D", "DF"))
    else:
        times = parsed(text)[0]["hourly"]["time"]
        first = datetime.fromisoformat(f"{times[0]}+00:00")
        found = compare_weather(
            parsed(text),
            sites=settings.region.sites,
            first=first,
            hours=len(times),
            skip_first=topic is Topic.RUN,
            may_end_early=topic is Topic.ARCHIVE,
        )
    assert found.problems == []
    if FOLDER == EXAMPLES:
        assert found.doubts == []


# What the comparison has to find, lest it find nothing at all: a change of a recorded body, and where.
CHANGES = {
    "another unit": (
        Topic.FORECAST,
        lambda body: body[0]["hourly_units"].update(temperature_2m="°F"),
        "[].hourly_units.temperature_2m",
    ),
    "text for a number": (
        Topic.FORECAST,
        lambda body: body[0]["hourly"].update(rain=["0.0"] * 48),
        "[].hourly.rain[]",
    ),
    "another form of a time": (
        Topic.EIA_HOURLY,
        lambda body: body["response"]["data"][0].update(period="2025-03-12 01:00"),
        "response.data[].period",
    ),
    "a number for a text": (
        Topic.EIA_HOURLY,
        lambda body: [row.update(value=17000) for row in body["response"]["data"]],
        "response.data[].value",
    ),
    "a field less": (
        Topic.EIA_DAILY,
        lambda body: [row.pop("value-units") for row in body["response"]["data"]],
        "response.data[].value-units",
    ),
    "a field more": (
        Topic.EIA_DAILY,
        lambda body: body["response"].update(cursor="x"),
        "response.cursor",
    ),
    "a field that only some rows have": (
        Topic.EIA_DAILY,
        lambda body: body["response"]["data"][0].pop("type-name"),
        "response.data[].type-name",
    ),
    "only nulls": (
        Topic.FORECAST,
        lambda body: [place["hourly"].update(rain=[None] * 48) for place in body],
        "[].hourly.rain[]",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_shape_is_found(name):
    topic, change, path = CHANGES[name]
    before, after = (json.loads((EXAMPLES / topic.file_name).read_text()) for _ in range(2))
    change(after)
    assert list(differences(shape_of(before), shape_of(after))) == [path]
    assert list(differences(shape_of(after), shape_of(before))) == [path]


def test_nulls_among_values_are_no_change():
    before, after = (json.loads((EXAMPLES / Topic.FORECAST.file_name).read_text()) for _ in range(2))
    after[0]["hourly"]["rain"][5] = None
    assert differences(shape_of(before), shape_of(after)) == {}


def test_a_column_with_other_cells_is_found():
    text = (EXAMPLES / Topic.EIA_FILE.file_name).read_text()
    assert list(differences(shape_of_table(text), shape_of_table(text.replace(",AECI", ",1")))) == []
    other = text.replace('Demand (MW)"', 'Demand (GW)"', 1)
    assert set(differences(shape_of_table(text), shape_of_table(other))) == {"Demand (MW)", "Demand (GW)"}
