"""A weather model that changes is found by its errors within days; one that does not is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from energy_demand.data.issued_weather import WEIGHED_DAYS
from energy_demand.model.weather.changes import FEWEST_BEFORE, change_in


def errors_of(seed: int, days: int = 400) -> np.ndarray:
    """Daily mean errors as those of a weather model: 0.85 °C, neighbouring days correlated by 0.3."""
    random = np.random.default_rng(seed)
    noise, errors = random.normal(0.0, 0.85, days), np.zeros(days)
    for day in range(1, days):
        errors[day] = 0.3 * errors[day - 1] + np.sqrt(1.0 - 0.3**2) * noise[day]
    return errors


def windows(errors: np.ndarray) -> list[np.ndarray]:
    return [errors[end - WEIGHED_DAYS : end] for end in range(WEIGHED_DAYS, len(errors) + 1)]


@pytest.mark.parametrize("degrees", [2.0, -2.0])
def test_a_shift_of_two_degrees_is_found_within_days_and_dated(degrees):
    delays, dates, sizes = [], [], []
    for seed in range(40):
        errors = errors_of(seed)
        errors[200:] += degrees
        for days in range(1, 20):
            change = change_in(errors[200 + days - WEIGHED_DAYS : 200 + days])
            if change is not None and change.kind == "level":
                delays.append(days)
                dates.append(change.day + 200 + days - WEIGHED_DAYS - 200)
                sizes.append(change.size)
                break
    assert len(delays) >= 38
    assert np.median(delays) <= 5
    assert np.quantile(delays, 0.9) <= 9
    assert abs(np.median(dates)) <= 1
    assert np.median(sizes) == pytest.approx(degrees, abs=0.5)


def test_a_model_that_does_not_change_is_seldom_named():
    found = [[change_in(window) is not None for window in windows(errors_of(seed))] for seed in range(10)]
    begun = sum(int(np.diff(np.array(each, dtype=int)).clip(0).sum()) for each in found)
    assert begun <= 2.5 * 10 * 355 / 365  # a year and model; 1.4 on recorded errors


def test_errors_that_grow_are_another_kind_of_change():
    kinds = []
    for seed in range(20):
        errors = errors_of(seed)
        errors[200:] *= 4.0
        change = change_in(errors[200 + 20 - WEIGHED_DAYS : 200 + 20])
        kinds.append(None if change is None else change.kind)
    assert kinds.count("spread") >= 13
    assert kinds.count(None) <= 2


@pytest.mark.parametrize("known", [0, 1, FEWEST_BEFORE + 1])
def test_a_few_days_are_not_enough(known):
    errors = np.full(WEIGHED_DAYS, np.nan)
    errors[:known] = 9.0 * np.arange(known)
    assert change_in(errors) is None


def test_days_without_errors_are_passed_over():
    errors = errors_of(3)[:WEIGHED_DAYS]
    errors[30:] += 3.0
    change = change_in(errors)
    holed = np.insert(errors, [5, 20], np.nan)
    assert change is not None
    shifted = change_in(holed)
    assert shifted is not None
    assert (shifted.day, shifted.size) == (change.day + 2, pytest.approx(change.size))
