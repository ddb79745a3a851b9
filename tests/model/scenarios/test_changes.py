"""The text of a scenario: what is read, and what is refused with a list of what is possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_demand.model.scenarios.changes import (
    POSSIBLE,
    Change,
    Scenario,
    ScenarioError,
    read_scenario,
)


@pytest.mark.parametrize(
    ("text", "scenario"),
    [
        pytest.param("temperature+3", Scenario((Change("temperature", 3.0, is_set=False),)), id="warmer"),
        pytest.param("temperature 3", Scenario((Change("temperature", 3.0, is_set=False),)), id="a space"),
        pytest.param(
            "temperature\N{MINUS SIGN}2.5", Scenario((Change("temperature", -2.5, is_set=False),)), id="minus"
        ),
        pytest.param(
            " cloud = 0 , wind - 5 ",
            Scenario((Change("cloud", 0.0, is_set=True), Change("wind", -5.0, is_set=False))),
            id="several, with room",
        ),
        pytest.param("day=thanksgiving", Scenario(day="thanksgiving"), id="a holiday by its name"),
        pytest.param(
            "day=sunday,humidity=100",
            Scenario((Change("humidity", 100.0, is_set=True),), "sunday"),
            id="both",
        ),
    ],
)
def test_a_text_is_read(text, scenario):
    assert read_scenario(text, "US") == scenario


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "'' is not a change", id="nothing"),
        pytest.param("temperature", "'temperature' is not a change", id="no value"),
        pytest.param("rain+3", "'rain' is not a quantity", id="an unknown quantity"),
        pytest.param("solar=300", "'solar' is not a quantity", id="sun, which is only given by hour"),
        pytest.param("temperature=30", "can be changed and not set", id="a temperature for all hours"),
        pytest.param("temperature+20.1", "temperature+20.1 is out of bounds", id="too warm"),
        pytest.param("temperature 21", "temperature+21 is out of bounds", id="too warm, with a space"),
        pytest.param("temperature+-3", "'-3' is not a number", id="two signs"),
        pytest.param("temperature+nan", "'nan' is not a number", id="no number"),
        pytest.param("temperature+1e1", "'1e1' is not a number", id="an exponent"),
        pytest.param("temperature+٣", "'٣' is not a number", id="another script's digit"),
        pytest.param("cloud=101", "cloud=101 is out of bounds", id="more than the whole sky"),
        pytest.param("cloud=-1", "'-1' is not a number", id="less than no cloud"),
        pytest.param("cloud=0,cloud+1", "cloud is given twice", id="twice"),
        pytest.param("day=sunday,day=holiday", "day is given twice", id="two days"),
        pytest.param("day+1", "is not a kind of day", id="a day by a number"),
        pytest.param("day=monday", "is not a kind of day", id="another day"),
        pytest.param("temperature+1," * 20, "longer than 200", id="a long text"),
        pytest.param("temperature+1,", "'' is not a change", id="a comma at the end"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_can(text, reason):
    with pytest.raises(ScenarioError) as refused:
        read_scenario(text, "US")
    assert reason in str(refused.value)
    assert str(refused.value).endswith(POSSIBLE)


def test_holidays_are_those_of_the_country():
    assert read_scenario("day=good_friday", "GB").day == "good_friday"
    with pytest.raises(ScenarioError, match=r"thanksgiving is not a holiday .* good_friday, christmas"):
        read_scenario("day=thanksgiving", "GB")


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(text):
    try:
        scenario = read_scenario(text, "US")
    except ScenarioError:
        return
    assert read_scenario(scenario.text, "US") == scenario
