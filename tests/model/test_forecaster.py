"""The whole forecaster: no leak of the future, losses of data, stages left out, explanations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from energy_demand.data.weather_path import MAIN, PATH_COLUMNS, REST
from energy_demand.model.distribution import QUANTILES
from energy_demand.model.forecaster import BOUNDS, EXPLANATION, PREDICTED, SUN
from energy_demand.model.weather.horizon import Horizon, doubt_of
from energy_demand.timeaxis import Availability
from records import START, altered_after

if TYPE_CHECKING:
    from energy_demand.data.record import Record

ISSUE = START + timedelta(days=222, hours=13)  # six days after the judged fit


@pytest.fixture(scope="module")
def judged(trained):
    return trained.judged


def forecast_at(model, record: Record, issued_at=ISSUE) -> pd.DataFrame:
    known = record.cut_at(issued_at, Availability(1))
    now = model.advance(known)
    return now.forecast(now.horizon(known, issued_at), issued_at)


def test_it_forecasts_48_hours_with_intervals_that_do_not_cross(judged, record):
    hours = forecast_at(judged, record)
    assert list(hours.columns) == ["period", "lead_hours", PREDICTED, *BOUNDS]
    assert hours["lead_hours"].tolist() == list(range(1, 49))
    ordered = hours[["lower_95", "lower_80", PREDICTED, "upper_80", "upper_95"]].to_numpy()
    assert (np.diff(ordered, axis=1) > 0).all()


def test_the_quantiles_hold_the_forecast_and_its_intervals(judged, record):
    known = record.cut_at(ISSUE, Availability(1))
    now = judged.advance(known)
    stages = now.stages(now.horizon(known, ISSUE), ISSUE)
    hours, quantiles = now.hours_of(stages), pd.DataFrame(now.quantiles(stages), columns=list(QUANTILES))
    assert (np.diff(quantiles.to_numpy(), axis=1) > 0).all()
    for name, column in ((PREDICTED, 0.5), ("lower_80", 0.1), ("upper_80", 0.9), ("upper_95", 0.975)):
        np.testing.assert_array_equal(hours[name], quantiles[f"quantile_{column:g}"])


def test_energy_and_peak_have_a_distribution_of_their_own(judged, record):
    known = record.cut_at(ISSUE, Availability(1))
    now = judged.advance(known)
    stages = now.stages(now.horizon(known, ISSUE), ISSUE)
    joint, hours = now.joint_distribution(stages), now.hours_of(stages)
    assert (np.diff(joint.energy) > 0).all()
    assert (np.diff(joint.peak) > 0).all()
    middle = list(QUANTILES).index("quantile_0.5")
    assert joint.energy[middle] == pytest.approx(hours[PREDICTED].sum(), rel=0.01)
    assert joint.peak[middle] >= 0.99 * hours[PREDICTED].max()
    # The errors of single hours partly cancel in their sum.
    assert joint.energy[-1] < hours["upper_95"].sum() * 1.02
    assert joint.peak_hour.sum() == pytest.approx(1.0)
    assert joint.peak_hour[hours[PREDICTED].argmax()] > 1 / 48
    weights = now.filter_weights(stages)
    np.testing.assert_allclose(weights[["pace_10", "pace_0.1"]].sum(axis=1), 1.0)


def test_nothing_after_the_issue_changes_a_forecast(judged, record):
    # The outlook and the state get the altered hours and must not use them.
    altered = altered_after(record, ISSUE)
    straight = forecast_at(judged, record)
    now = judged.advance(altered.cut_at(ISSUE, Availability(1)))
    whole = now.forecast(now.horizon(altered, ISSUE), ISSUE)
    pd.testing.assert_frame_equal(straight, forecast_at(judged, altered))
    pd.testing.assert_frame_equal(straight, whole)
    later = forecast_at(judged, altered, ISSUE + timedelta(days=1))
    assert not np.allclose(
        later[PREDICTED], forecast_at(judged, record, ISSUE + timedelta(days=1))[PREDICTED]
    )


def test_advancing_day_by_day_equals_advancing_at_once(judged, record):
    step = judged
    for day in range(-3, 1):
        step = step.advance(record.cut_at(ISSUE + timedelta(days=day), Availability(1)))
    at_once = judged.advance(record.cut_at(ISSUE, Availability(1)))
    assert step.regression.through == at_once.regression.through
    known = record.cut_at(ISSUE, Availability(1))
    made = [each.forecast(each.horizon(known, ISSUE), ISSUE)[PREDICTED] for each in (step, at_once)]
    # The slowest smoothing of the weather has forgotten all but a thousandth of what came before its window.
    np.testing.assert_allclose(made[0], made[1], rtol=1e-4)


def test_advancing_again_with_the_same_record_changes_nothing(judged, record):
    known = record.cut_at(ISSUE, Availability(1))
    once = judged.advance(known)
    assert once.advance(known) is once


def test_a_record_that_begins_after_the_state_is_refused(judged, record):
    late = record.cut_at(ISSUE + timedelta(days=10), Availability(1))
    keep = 24 * 5
    short = replace(
        late,
        demand=late.demand.tail(keep).reset_index(drop=True),
        observed=late.observed.until(late.periods[-1], keep),
    )
    with pytest.raises(ValueError, match="begins after"):
        judged.advance(short)


def test_the_state_moves_and_the_fit_does_not(judged, record):
    now = judged.advance(record.cut_at(ISSUE, Availability(1)))
    assert now.regression.through == pd.Timestamp(ISSUE - timedelta(hours=1))
    assert now.trained_through == judged.trained_through
    assert now.residual is judged.residual


def test_the_parts_of_an_explanation_add_up_to_the_forecast(judged, record):
    known = record.cut_at(ISSUE, Availability(1))
    now = judged.advance(known)
    horizon = now.horizon(known, ISSUE)
    parts = now.explain(now.stages(horizon, ISSUE))
    assert list(parts.columns) == ["period", *EXPLANATION]
    np.testing.assert_allclose(
        parts[list(EXPLANATION)].sum(axis=1), now.forecast(horizon, ISSUE)[PREDICTED], rtol=1e-9
    )


def test_a_warmer_summer_day_is_explained_by_temperature(judged, record):
    at = START + timedelta(days=20)
    now = replace(judged, errors=None, residual=None)
    first = record.position(at)
    from energy_demand.model.stages.response_features import response_features  # noqa: PLC0415

    path = now.outlook.completed(record.observed.until(at, 24 * 19))
    warm = replace(path, values=path.values.copy())
    warm.values[:, [PATH_COLUMNS.index(name) for name in (MAIN, REST)]] += 4.0
    plain, warmer = (Horizon(response_features(each, record.region, last=24)) for each in (path, warm))
    assert first > 24 * 19
    change = (
        now.explain(now.stages(warmer, at))[list(EXPLANATION)].mean()
        - now.explain(now.stages(plain, at))[list(EXPLANATION)].mean()
    )
    assert change["temperature"] == max(change)
    assert change["temperature"] > 100


def test_a_stage_can_be_left_out(judged, record):
    known = record.cut_at(ISSUE, Availability(1))
    now = judged.advance(known)
    horizon = now.horizon(known, ISSUE)
    whole = now.forecast(horizon, ISSUE)[PREDICTED]
    without_trees = replace(now, residual=None)
    regression = replace(now, errors=None, residual=None)
    explained = now.explain(now.stages(horizon, ISSUE))
    assert not np.allclose(whole, without_trees.forecast(horizon, ISSUE)[PREDICTED])
    np.testing.assert_allclose(
        regression.forecast(horizon, ISSUE)[PREDICTED],
        np.exp(now.regression.predict(horizon.responses) / 100) - horizon.responses.rooftop_mwh,
    )
    assert (explained["trees"].abs() > 0).any()
    assert (without_trees.explain(without_trees.stages(horizon, ISSUE))["trees"] == 0).all()
    assert (regression.explain(regression.stages(horizon, ISSUE))["recent_error"] == 0).all()


def test_the_sun_of_a_forecast_is_its_gross_load_its_generation_and_other_skies(judged, record):
    known = record.cut_at(ISSUE, Availability(1))
    now = judged.advance(known)
    horizon = now.horizon(known, ISSUE).rows(slice(12, 36))
    stages = now.stages(horizon, ISSUE)
    sun = now.sun(stages, known)
    predicted = now.hours_of(stages)[PREDICTED]
    assert list(sun.columns) == ["period", *SUN]
    assert sun["period"].tolist() == horizon.responses.periods.tolist()
    np.testing.assert_allclose(sun["gross_load_mwh"] - sun["rooftop_solar_mwh"], predicted)
    np.testing.assert_array_equal(sun["rooftop_solar_mwh"], -now.explain(stages)["rooftop_solar"])
    noon = int(sun["rooftop_solar_mwh"].argmax())
    assert sun["rooftop_solar_mwh"][noon] > 500
    assert sun["overcast_mwh"][noon] > sun["cloudless_mwh"][noon] + 300
    night = horizon.responses.hours < 3
    assert not sun["rooftop_solar_mwh"][night].any()


def test_runs_that_differ_widen_the_interval_and_runs_that_agree_narrow_it(judged, record):
    known = record.cut_at(ISSUE, Availability(1))
    now = judged.advance(known)
    horizon = now.horizon(known, ISSUE)

    def width(spread: float) -> float:
        doubt = doubt_of(np.full(len(horizon.responses.periods), spread), horizon.has_run)
        hours = now.forecast(replace(horizon, doubt=doubt), ISSUE)
        return float((hours["upper_80"] - hours["lower_80"]).mean())

    assert width(0.3) < width(np.nan) < width(3.0)


def test_uncertain_weather_widens_the_interval(judged, record):
    known = record.cut_at(ISSUE, Availability(1))
    now = judged.advance(known)
    horizon = now.horizon(known, ISSUE)
    with_doubt = now.forecast(horizon, ISSUE)
    without_doubt = now.forecast(Horizon(horizon.responses), ISSUE)
    pd.testing.assert_series_equal(with_doubt[PREDICTED], without_doubt[PREDICTED])
    wider = (with_doubt["upper_80"] - with_doubt["lower_80"]) / (
        without_doubt["upper_80"] - without_doubt["lower_80"]
    )
    assert (wider >= 1).all()
    assert wider.max() > 1.01


@pytest.mark.parametrize("late", [6, 30])
def test_a_forecast_is_made_without_late_demand(late, judged, record):
    known = record.cut_at(ISSUE - timedelta(hours=late), Availability(1))
    now = judged.advance(known)
    hours = now.forecast(now.horizon(record.cut_at(ISSUE, Availability(1)), ISSUE), ISSUE)
    in_time = forecast_at(judged, record)
    assert hours[PREDICTED].notna().all()
    assert (hours[PREDICTED] / in_time[PREDICTED] - 1).abs().max() < 0.15


def test_an_issue_long_before_the_state_uses_no_recent_errors(forecaster, record):
    issued = START + timedelta(days=150, hours=13)
    known = record.cut_at(issued, Availability(1))
    horizon = forecaster.horizon(known, issued)
    assert (forecaster.explain(forecaster.stages(horizon, issued))["recent_error"] == 0).all()
    assert forecaster.forecast(horizon, issued)[PREDICTED].between(8_000, 35_000).all()


def test_without_a_weather_run_the_interval_is_wider_still(judged, record):
    known = record.cut_at(ISSUE, Availability(1))
    now = judged.advance(known)
    without_runs = replace(known, issued=replace(known.issued, issued_at=known.issued.issued_at[:0]))
    widths = []
    for each in (known, without_runs):
        hours = now.forecast(now.horizon(each, ISSUE), ISSUE)
        widths.append(((hours["upper_80"] - hours["lower_80"]) / hours[PREDICTED]).mean())
    assert widths[1] > 1.02 * widths[0]
