"""Several weather models: each corrected, mixed by errors known at the issue, never by later ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energy_demand.data.feature_engineering import WARM_UP
from energy_demand.data.issued_weather import WEIGHED_DAYS, IssuedWeather
from energy_demand.data.record_store import OLDEST_WEIGHED_RUN
from energy_demand.data.weather_path import COLUMN, MAIN, PATH_COLUMNS
from energy_demand.model.weather.horizon import weather_horizon
from energy_demand.model.weather.issues import LEADS
from energy_demand.model.weather.past_errors import (
    FIRST,
    PAST_LEADS,
    ModelErrors,
    PastErrors,
    past_hours,
)
from energy_demand.model.weather.training import fit_corrections, fit_guesses
from energy_demand.region import NEW_YORK
from energy_demand.sandbox.worlds.models import Model
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.sandbox.worlds.world import IFS, hour_number
from records import QUICK, START, altered_after, runs_of, synthetic_record

if TYPE_CHECKING:
    from energy_demand.data.record import Record
    from energy_demand.model.weather.outlook import Outlook

RECIPE = replace(QUICK.outlook, correction_trees=40)
CUT = START + timedelta(days=140)
ISSUES = [CUT + timedelta(days=day, hours=13) for day in range(1, 96)]
MIDDLE = CUT + timedelta(days=45)
SECOND = Model(error=1.1, common=0.4, bias=0.4)
WORLD = SyntheticWorld(
    seed=1,
    models={
        IFS: Model(),
        "second": SECOND,
        "ended": SECOND._replace(ends=hour_number(MIDDLE)),
        "late": SECOND._replace(begins=hour_number(MIDDLE)),
        "moved": SECOND._replace(changes=hour_number(MIDDLE), by=2.0),
    },
)


@pytest.fixture(scope="module")
def alone() -> Record:
    return synthetic_record(WORLD)


@pytest.fixture(scope="module")
def guessing(alone) -> Outlook:
    return fit_guesses(alone.observed.until(pd.Timestamp(CUT), 10_000), alone.issued, NEW_YORK, RECIPE)


@pytest.fixture(scope="module")
def both(alone) -> Record:
    return replace(alone, other_runs={"second": runs_of(WORLD, "second")})


@pytest.fixture(scope="module")
def outlook(guessing, both) -> Outlook:
    return fit_corrections(guessing, both, RECIPE, pd.Timestamp(CUT))


def past_of(outlook: Outlook, record: Record) -> PastErrors:
    """The errors of all models at the past issues of the whole record, at once."""
    last = record.periods[-1]
    hours = past_hours(pd.Timestamp(CUT) - pd.Timedelta(days=WEIGHED_DAYS), last, NEW_YORK.zone)
    runs = {FIRST: record.issued, **record.other_runs}
    return outlook.past_errors(outlook.completed(record.observed), runs, hours)


def errors_of(outlook: Outlook, record: Record, issues=ISSUES) -> np.ndarray:
    """Issues × hours: errors of the main site's temperature a day ahead."""
    found, past = [], past_of(outlook, record) if record.other_runs else None
    for issue in issues:
        path, *_ = outlook.horizon(
            record.observed, record.issued, pd.Timestamp(issue), record.other_runs, past
        )
        observed = record.observed.values[record.position(issue) + 1 :][: len(LEADS)]
        found.append((path.values - observed)[15:39, COLUMN[MAIN]])
    return np.array(found)


def rmse(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def test_each_model_has_corrections_of_its_own(outlook):
    assert set(outlook.others) == {"second"}
    assert set(outlook.others["second"]) == set(outlook.corrections)
    assert outlook.others["second"][MAIN].model_to_string() != outlook.corrections[MAIN].model_to_string()


def test_two_models_are_nearer_than_the_first_alone(outlook, both, alone):
    assert rmse(errors_of(outlook, both)) < 0.97 * rmse(errors_of(outlook, alone))


def test_the_spread_between_models_joins_that_of_the_runs(outlook, both, alone):
    one, two = (
        outlook.horizon(each.observed, each.issued, pd.Timestamp(ISSUES[0]), each.other_runs)[2]
        for each in (alone, both)
    )
    assert (two > 0.0).all()
    assert not np.array_equal(one, two)


def test_a_model_that_has_never_run_changes_nothing_at_all(outlook, alone):
    nothing = IssuedWeather(alone.issued.issued_at[:0], alone.issued.values[:0])
    idle = replace(alone, other_runs={"second": nothing})
    for issue in ISSUES[:3]:
        one, other = (weather_horizon(each, outlook, pd.Timestamp(issue)) for each in (alone, idle))
        np.testing.assert_array_equal(one.weather.values, other.weather.values)
        np.testing.assert_array_equal(one.doubt, other.doubt)


def test_a_fit_with_one_model_is_the_fit_before_there_were_several(guessing, alone, both):
    one, two = (fit_corrections(guessing, each, RECIPE, pd.Timestamp(CUT)) for each in (alone, both))
    assert one.others == {}
    for name, booster in one.corrections.items():
        assert booster.model_to_string() == two.corrections[name].model_to_string()


def test_the_other_model_alone_is_a_forecast_too(outlook, both):
    gone = IssuedWeather(both.issued.issued_at[:-60], both.issued.values[:-60])
    issue = pd.Timestamp(ISSUES[-1])
    horizon = weather_horizon(replace(both, issued=gone), outlook, issue)
    assert horizon.has_run.all()
    second = weather_horizon(replace(both, issued=gone, other_runs={}), outlook, issue)
    assert not second.has_run.any()
    issues = [each for each in ISSUES if each > gone.issued_at[-1] + pd.Timedelta(days=2)]
    with_second, without = (
        rmse(errors_of(outlook, replace(both, issued=gone, other_runs=others), issues))
        for others in (both.other_runs, {})
    )
    assert with_second < 0.8 * without


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(60, 98 * 24 - 60), st.integers(0, 59))
def test_nothing_known_after_the_issue_changes_the_mixture(outlook, both, hours, minutes):
    issue = pd.Timestamp(CUT) + pd.Timedelta(hours=hours, minutes=minutes)
    altered = altered_after(both, issue.to_pydatetime())
    one, other = (weather_horizon(each, outlook, issue) for each in (both, altered))
    np.testing.assert_array_equal(one.weather.values, other.weather.values)
    np.testing.assert_array_equal(one.doubt, other.doubt)


def test_errors_of_many_issues_at_once_give_the_weights_of_each(outlook, both):
    issue, past = pd.Timestamp(ISSUES[60]), past_of(outlook, both)
    one, other = (weather_horizon(both, outlook, issue, past_errors=each) for each in (None, past))
    np.testing.assert_allclose(one.weather.values, other.weather.values, rtol=1e-9)


def test_what_serving_loads_gives_the_mixture_of_the_whole_record(outlook, both):
    """The runs of `OLDEST_WEIGHED_RUN` and the observed weather of `WARM_UP` are enough."""
    issue = pd.Timestamp(ISSUES[-1])
    oldest = issue - pd.Timedelta(OLDEST_WEIGHED_RUN)

    def recent(runs: IssuedWeather) -> IssuedWeather:
        chosen = runs.issued_at >= oldest
        return IssuedWeather(runs.issued_at[chosen], runs.values[chosen])

    hours = int(WARM_UP / timedelta(hours=1))
    served = replace(
        both,
        observed=both.observed.until(issue, hours),
        issued=recent(both.issued),
        other_runs={model: recent(runs) for model, runs in both.other_runs.items()},
    )
    one, other = (weather_horizon(each, outlook, issue) for each in (both, served))
    np.testing.assert_allclose(one.weather.values, other.weather.values, rtol=1e-9)
    np.testing.assert_allclose(one.doubt, other.doubt, rtol=1e-9)


@pytest.mark.parametrize("model", ["ended", "late", "moved"])
def test_a_model_that_ends_begins_or_moves_does_no_harm(guessing, alone, model):
    record = replace(alone, other_runs={model: runs_of(WORLD, model)})
    outlook = fit_corrections(guessing, record, RECIPE, pd.Timestamp(CUT))
    issues = ISSUES[::2]
    first, mixed = (errors_of(outlook, each, issues) for each in (alone, record))
    assert rmse(mixed) < rmse(first)
    before = np.array(issues) < MIDDLE
    if model == "ended":
        after = np.array(issues) > MIDDLE + timedelta(days=1)
        np.testing.assert_array_equal(mixed[after], first[after])
    if model == "late":
        np.testing.assert_array_equal(mixed[before], first[before])


def test_the_change_of_a_model_is_found_and_its_older_errors_are_forgotten(guessing, alone):
    record = replace(alone, other_runs={"moved": runs_of(WORLD, "moved")})
    outlook = fit_corrections(guessing, record, RECIPE, pd.Timestamp(CUT))
    after = [MIDDLE + timedelta(days=day, hours=13) for day in range(1, 16)]
    past = past_of(outlook, record)
    found = [past.at(pd.Timestamp(issue)) for issue in after]
    named = [each["moved"].change for each in found]
    first_day = next(day for day, change in enumerate(named, start=1) if change is not None)
    assert first_day <= 9
    assert abs(named[-1] - pd.Timestamp(MIDDLE)) < pd.Timedelta(days=3)
    assert not any(each[FIRST].change is not None for each in found)
    at = COLUMN[MAIN]
    assert found[-1]["moved"].bias[:, at].mean() < -1.0
    assert (found[0]["moved"].bias == 0.0).all()


def model_errors(size: float, days: int, *, known: int | None = None, seed: int = 1) -> ModelErrors:
    random = np.random.default_rng(seed)
    errors = random.normal(0.0, size, (days, len(PAST_LEADS), len(PATH_COLUMNS)))
    if known is not None:
        errors[: days - known] = np.nan
    return ModelErrors(errors, np.full(days, np.nan))


HOURS = past_hours(
    pd.Timestamp(datetime(2025, 1, 1, tzinfo=UTC)),
    pd.Timestamp(datetime(2025, 2, 14, tzinfo=UTC)),
    NEW_YORK.zone,
)
NOW = pd.Timestamp(datetime(2025, 2, 14, 14, tzinfo=UTC))


def share(first: ModelErrors, second: ModelErrors) -> float:
    """The mean weight of the second model."""
    learnt = PastErrors(HOURS, {FIRST: first, "second": second}).at(NOW)
    weights = learnt[FIRST].weights, learnt["second"].weights
    return float((weights[1] / (weights[0] + weights[1])).mean())


def test_weights_are_inverse_to_the_mean_square_and_drawn_to_equal_ones():
    days = len(HOURS)
    assert share(model_errors(1.0, days), model_errors(1.0, days, seed=2)) == pytest.approx(0.5, abs=0.03)
    worse = share(model_errors(1.0, days), model_errors(2.0, days, seed=2))
    assert 0.2 < worse < 0.35
    short = share(model_errors(1.0, days), model_errors(2.0, days, known=16, seed=2))
    assert worse < short < 0.5


def test_a_model_whose_errors_are_not_known_yet_sleeps_beside_one_whose_are():
    days = len(HOURS)
    assert share(model_errors(1.0, days), model_errors(0.1, days, known=2)) == 0.0
    assert share(model_errors(1.0, days, known=2), model_errors(1.0, days, known=2)) > 0.3


def test_recent_errors_count_for_more_than_old_ones():
    days = len(HOURS)
    better, worse = model_errors(1.0, days), model_errors(1.0, days, seed=2)
    half = days // 2
    improving = ModelErrors(np.concatenate([3 * better.errors[:half], better.errors[half:]]), better.daily)
    worsening = ModelErrors(np.concatenate([worse.errors[:half], 3 * worse.errors[half:]]), worse.daily)
    assert share(improving, worsening) < 0.4
