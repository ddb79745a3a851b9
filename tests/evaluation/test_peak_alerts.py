"""Replayed alerts: what was known at each issue decides, the truth only scores."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from energy_demand.evaluation.peak_alerts import alerted_days, chances_of_days, score_years
from energy_demand.model.distribution import PROBABILITIES, QUANTILES
from energy_demand.model.peaks import AlertRule
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import Availability, day_ahead_issue, day_periods, days_periods

ZONE = NEW_YORK.zone
HOT = (date(2024, 7, 9), date(2024, 7, 10))
DAYS = [date(2024, 7, 1) + timedelta(days=number) for number in range(20)]
DELAY = Availability(1)
RULE = AlertRule(limit=0.5, slope=0.0, alert_days=8)


@pytest.fixture
def demand() -> pd.Series:
    """Two years, with five high hours on each of two days."""
    series = pd.Series(15_000.0, index=days_periods(date(2023, 1, 1), date(2024, 12, 31), ZONE))
    for day in HOT:
        series[day_periods(day, ZONE)[14:19]] = 30_000.0
    return series


@pytest.fixture
def days() -> pd.DataFrame:
    """Forecasts of twenty days, that foresee the two."""
    rows = []
    for day in DAYS:
        peak = 29_000.0 if day in HOT else 14_000.0
        quantiles = {
            name: peak + 500.0 * (at - 0.5) for name, at in zip(QUANTILES, PROBABILITIES, strict=True)
        }
        periods = day_periods(day, ZONE)
        rows.append({"issued_at": day_ahead_issue(day, ZONE), "first": periods[0], **quantiles})
    return pd.DataFrame(rows)


def test_the_days_that_were_foreseen_are_alerted_and_hold_the_highest_hours(days, demand):
    alerted = alerted_days(chances_of_days(days, demand, ZONE, DELAY), RULE)
    assert alerted == list(HOT)
    scores = score_years(alerted, demand, [2024], ZONE)
    assert scores["mean"] == {"alerted_days": 2.0, "hours": 10.0, "days": 2.0}
    assert score_years(HOT[:1], demand, [2023, 2024], ZONE)["years"]["2024"]["hours"] == 5


def test_demand_after_the_issue_moves_no_chance(days, demand):
    found = chances_of_days(days, demand, ZONE, DELAY)
    for number in (0, 8, 19):
        later = demand.index > DELAY.newest_known(days["issued_at"][number])
        changed = chances_of_days(days.iloc[[number]], demand.mask(later, 50_000.0), ZONE, DELAY)
        pd.testing.assert_series_equal(changed.iloc[0], found.iloc[number], check_names=False)


def test_a_year_begins_with_all_its_alert_days():
    chances = pd.DataFrame(
        {
            "day": [date(2023, 7, 1), date(2023, 7, 2), date(2024, 7, 1)],
            "hour_probability": 0.5,
            "to_come": 1.0,
        }
    )
    rule = AlertRule(limit=0.4, slope=0.9, alert_days=1)
    assert alerted_days(chances, rule) == [date(2023, 7, 1), date(2024, 7, 1)]


def test_an_unknown_probability_alerts_nothing():
    chances = pd.DataFrame({"day": [DAYS[0]], "hour_probability": [None], "to_come": [1.0]}).astype(
        {"hour_probability": float}
    )
    assert alerted_days(chances, RULE) == []
