"""The cause of a trigger: each one injected, and found under its name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.monitoring.circumstances import unchanged_share
from energy_demand.monitoring.diagnosis import (
    Cause,
    Circumstances,
    Residuals,
    Symptoms,
    WeatherErrors,
    diagnose,
    newest_residuals,
    newest_weather_errors,
)
from energy_demand.monitoring.drift_detection import GROUPS
from energy_demand.monitoring.performance_monitor import Comparison
from energy_demand.monitoring.retraining_policy import Evidence, Trigger, decide

NOW = datetime(2025, 7, 15, 4, tzinfo=UTC)
GOOD = Comparison(days=14, mae=400.0, mape=2.0, expected_mape=2.1, ratio=0.95, p_value=0.6, worse=False)
WORSE = Comparison(days=14, mae=900.0, mape=4.5, expected_mape=2.1, ratio=2.14, p_value=0.0004, worse=True)
ALARM = date(2025, 7, 10)
FINE = WeatherErrors(days=14, mae=1.2, usual_mae=1.1, step=0.1, worse=False, stepped=False)
FAILED = replace(FINE, mae=4.0, worse=True)
STEPPED = replace(FINE, step=-5.0, stepped=True)
EXPECTED = Residuals(days=14, ratio=1.0, above=False)
ABOVE = Residuals(days=14, ratio=2.5, above=True)
FAULTS = {"performance": ("weather runs were missing or old on 9 of 28 days",)}
KNOWN = Circumstances(
    sound_comparison=GOOD, sound_share=0.1, unchanged_share=0.1, residuals=EXPECTED, weather=FINE
)
QUIET = Evidence(
    now=NOW,
    trained_through=NOW - timedelta(days=20),
    drift_share=0.1,
    comparison=GOOD,
    circumstances=KNOWN,
)

CASES = {
    "errors only on the days without weather runs": (
        {"comparison": WORSE},
        {"faults": FAULTS},
        Cause.SOURCE_FAULT,
    ),
    "errors on the other days too": (
        {"comparison": WORSE},
        {"faults": FAULTS, "sound_comparison": WORSE},
        Cause.BROKEN_MODEL,
    ),
    "an alarm only through days without observations": (
        {"concept_alarm": ALARM},
        {"faults": {"concept": ("observed weather of a site was missing on 5 of 30 days",)}},
        Cause.SOURCE_FAULT,
    ),
    "an alarm that runs have nothing to do with": (
        {"concept_alarm": ALARM},
        {"faults": FAULTS, "sound_alarm": ALARM},
        Cause.CHANGED_RESPONSE,
    ),
    "drift only of columns with a new source": (
        {"drift_share": 0.4},
        {"changed_columns": ("temperature",), "unchanged_share": 0.27},
        Cause.PROVIDER_CHANGE,
    ),
    "drift of other columns too": (
        {"drift_share": 0.5},
        {"changed_columns": ("temperature",), "unchanged_share": 0.4},
        Cause.UNUSUAL_WEATHER,
    ),
    "an alarm after a step of the observed temperature": (
        {"concept_alarm": ALARM},
        {"weather": STEPPED},
        Cause.PROVIDER_CHANGE,
    ),
    "drift through a step of the observed temperature": (
        {"drift_share": 0.4},
        {"weather": STEPPED},
        Cause.PROVIDER_CHANGE,
    ),
    "an alarm": ({"concept_alarm": ALARM}, {}, Cause.CHANGED_RESPONSE),
    "an alarm in a heat wave": (
        {"concept_alarm": ALARM, "drift_share": 0.5},
        {"unchanged_share": 0.5, "weather_drifts": True},
        Cause.CHANGED_RESPONSE,
    ),
    "drift with residuals above the expected": (
        {"drift_share": 0.4},
        {"residuals": ABOVE},
        Cause.CHANGED_RESPONSE,
    ),
    "a heat wave": ({"drift_share": 0.5}, {"unchanged_share": 0.5}, Cause.UNUSUAL_WEATHER),
    "errors in a heat wave": (
        {"comparison": WORSE, "drift_share": 0.5},
        {"unchanged_share": 0.5, "weather_drifts": True},
        Cause.UNUSUAL_WEATHER,
    ),
    "errors of the weather forecast": ({"comparison": WORSE}, {"weather": FAILED}, Cause.UNUSUAL_WEATHER),
    "errors that nothing explains": ({"comparison": WORSE}, {}, Cause.BROKEN_MODEL),
    "errors while demand drifts, not weather": (
        {"comparison": WORSE, "drift_share": 0.4},
        {"unchanged_share": 0.4},
        Cause.BROKEN_MODEL,
    ),
    "errors without known residuals": (
        {"comparison": WORSE},
        {"residuals": None, "weather": FAILED},
        Cause.BROKEN_MODEL,
    ),
    "age": ({"trained_through": NOW - timedelta(days=91)}, {"faults": FAULTS}, Cause.ROUTINE),
    "nothing": ({}, {}, None),
    "no trigger, but no sound days": (
        {},
        {"unsound": "a fallback answered on 9 of 14 days"},
        Cause.SOURCE_FAULT,
    ),
    "no trigger, but a step of the temperature": ({}, {"weather": STEPPED}, Cause.PROVIDER_CHANGE),
}
RETRAINED = {Cause.CHANGED_RESPONSE, Cause.BROKEN_MODEL, Cause.ROUTINE}


@pytest.mark.parametrize("name", list(CASES))
def test_an_injected_cause_is_found_under_its_name(name):
    found, circumstances, cause = CASES[name]
    decision = decide(replace(QUIET, **found, circumstances=replace(KNOWN, **circumstances)))
    assert decision.cause is cause
    assert decision.retrain is (cause in RETRAINED)
    assert (f"cause: {cause}" in decision.reason) is (cause not in {None, Cause.ROUTINE})


def test_the_reason_of_a_source_s_fault_names_the_source():
    faults = {"performance": ("demand was late, missing or in doubt on 8 of 28 days", *FAULTS["performance"])}
    decision = decide(replace(QUIET, comparison=WORSE, circumstances=replace(KNOWN, faults=faults)))
    assert decision.trigger is Trigger.PERFORMANCE
    assert (
        "demand was late, missing or in doubt on 8 of 28 days; weather runs were missing" in decision.reason
    )


@pytest.mark.parametrize("cause", list(Cause))
def test_only_a_changed_response_a_broken_model_and_routine_may_retrain(cause):
    assert cause.may_retrain is (cause in RETRAINED)


def test_a_person_s_request_is_routine():
    nothing: frozenset[str] = frozenset()
    found = diagnose(Symptoms("manual", nothing, nothing, nothing, Circumstances()))
    assert found is not None
    assert (found.cause, found.may_retrain) == (Cause.ROUTINE, True)


def days(values: list[float]) -> pd.Series:
    return pd.Series(values, index=pd.date_range("2025-01-01", periods=len(values)), dtype=float)


@pytest.mark.parametrize(
    ("values", "above"),
    [
        pytest.param([1.0, -1.0] * 10, False, id="as expected"),
        pytest.param([1.0, -1.0] * 3 + [2.5, -2.5] * 7, True, id="large in the newest days, of either sign"),
        pytest.param([2.5, -2.5] * 7 + [1.0, -1.0] * 7, False, id="large before"),
        pytest.param([1.4] * 14, False, id="below 1.5 times"),
    ],
)
def test_residuals_are_compared_with_the_expected_ones(values, above):
    assert newest_residuals(days(values)).above is above


def test_too_few_days_of_residuals_are_unknown():
    assert newest_residuals(days([5.0] * 6 + [np.nan] * 8)) is None


def weather_days(newest: float, *, sign: bool) -> pd.DataFrame:
    """Ninety days with errors of 1 °C, and fourteen with these; of one sign, or of changing sign."""
    alternating = np.where(np.arange(104) % 2, 1.0, -1.0)
    size = np.where(np.arange(104) < 90, 1.0, newest) * (1 + 0.1 * np.sin(np.arange(104)))
    bias = np.where(np.arange(104) < 90, alternating * size, (1.0 if sign else alternating) * size)
    return pd.DataFrame({"bias": bias, "mae": np.abs(bias)}, index=pd.date_range("2025-01-01", periods=104))


@pytest.mark.parametrize(
    ("newest", "sign", "worse", "stepped"),
    [
        pytest.param(1.0, False, False, False, id="usual errors"),
        pytest.param(3.0, False, True, False, id="large errors of either sign"),
        pytest.param(3.0, True, True, True, id="a step"),
    ],
)
def test_a_bad_weather_forecast_is_told_from_a_step(newest, sign, worse, stepped):
    found = newest_weather_errors(weather_days(newest, sign=sign))
    assert (found.worse, found.stepped, found.days) == (worse, stepped, 14)


def test_too_few_days_of_weather_errors_are_unknown():
    assert newest_weather_errors(weather_days(3.0, sign=True).tail(20)) is None


def test_a_column_of_a_new_source_counts_as_not_drifted():
    drifted = {"demand_lag_1h", "demand_lag_24h", "humidity", "wind_speed"}
    per_feature = {
        name: {
            "status": "source_changed" if group == "temperature" else "compared",
            "drifted": name in drifted,
        }
        for group, columns in GROUPS.items()
        for name in columns
    }
    details = {"per_feature": per_feature, "source_changes": list(GROUPS["temperature"])}
    assert unchanged_share(details, stepped=False) == pytest.approx(0.8 / 3)


def test_after_a_step_no_temperature_column_counts():
    per_feature = {
        name: {"status": "compared", "drifted": group == "temperature"}
        for group, columns in GROUPS.items()
        for name in columns
    }
    details = {"per_feature": per_feature, "source_changes": []}
    assert unchanged_share(details, stepped=False) == pytest.approx(1 / 3)
    assert unchanged_share(details, stepped=True) == 0.0
