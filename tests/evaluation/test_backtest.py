"""Backtests: events in order, no leak of the future, the protocols as defined."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from energy_demand.data.record import make_record
from energy_demand.data.screening import screen
from energy_demand.evaluation.backtest import COLUMNS, walk_forward
from energy_demand.evaluation.losses import Loss
from energy_demand.evaluation.schedule import Fit, Predict, Protocol, by_fit, schedule
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import local_midnight
from records import QUICK, altered_after, synthetic_record

pytestmark = pytest.mark.usefixtures("fits")

ZONE = NEW_YORK.zone
FIRST, LAST = date(2025, 1, 20), date(2025, 1, 27)


def backtest(record, protocol, weather=None, *, first=FIRST, last=LAST, refit_days=5, **more) -> pd.DataFrame:
    return walk_forward(
        record,
        schedule(protocol, first, last, ZONE, refit_days),
        protocol=protocol,
        weather=weather or protocol.weather,
        recipe=QUICK,
        **more,
    )


def frozen(record, protocol, model, loss=Loss.NOTHING) -> pd.DataFrame:
    """Two days after the judged fit, without a fit of their own."""
    events = schedule(protocol, date(2025, 2, 5), date(2025, 2, 6), ZONE)
    return walk_forward(
        record,
        (event for event in events if isinstance(event, Predict)),
        protocol=protocol,
        weather=protocol.weather,
        loss=loss,
        model=model,
    )


@pytest.fixture(scope="module")
def day_ahead(record) -> pd.DataFrame:
    return backtest(record, Protocol.DAY_AHEAD)


def test_each_fit_with_its_forecasts_gives_by_itself_what_it_gives_among_the_others(record, day_ahead):
    parts = by_fit(schedule(Protocol.DAY_AHEAD, FIRST, LAST, ZONE, 5))
    assert [len(part) for part in parts] == [1 + 5, 1 + 3]
    alone = [
        walk_forward(
            record,
            part,
            protocol=Protocol.DAY_AHEAD,
            weather="as_issued",
            recipe=QUICK,
            fits_before=number,
        )
        for number, part in enumerate(parts)
    ]
    pd.testing.assert_frame_equal(pd.concat(alone, ignore_index=True), day_ahead, check_exact=True)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_events_are_in_order_of_time_and_a_fit_is_first(protocol):
    events = list(schedule(protocol, date(2024, 10, 30), date(2024, 12, 15), ZONE, 30))
    times = [event.as_of if isinstance(event, Fit) else event.issued_at for event in events]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert isinstance(events[0], Fit)
    fits = [event.as_of for event in events if isinstance(event, Fit)]
    assert len(fits) == 2
    assert fits[1] - fits[0] >= timedelta(days=30)


def test_every_hour_is_forecast_once_and_days_have_23_or_25_hours_too():
    for protocol in Protocol:
        events = schedule(protocol, date(2024, 11, 2), date(2024, 11, 4), ZONE)
        periods = [period for event in events if isinstance(event, Predict) for period in event.periods]
        assert len(periods) == len(set(periods)) == 24 + 25 + 24


def test_day_ahead_is_issued_at_nine_the_day_before(day_ahead):
    local = day_ahead["issued_at"].dt.tz_convert(ZONE)
    assert set(local.dt.hour) == {9}
    assert day_ahead.groupby("issued_at")["lead_hours"].agg(["min", "max"]).eq([16, 39]).all(axis=None)


@pytest.fixture(scope="module")
def rolling(record) -> pd.DataFrame:
    return backtest(record, Protocol.ROLLING_24H, last=date(2025, 1, 22))


def test_rolling_is_issued_24_hours_before_each_hour(rolling):
    assert set(rolling["lead_hours"]) == {24}
    assert (rolling["period"] - rolling["issued_at"] == pd.Timedelta(hours=24)).all()
    assert len(rolling) == 72


def test_the_rows_are_whole_and_in_order(day_ahead):
    assert tuple(day_ahead.columns) == COLUMNS
    assert day_ahead["period"].is_monotonic_increasing
    assert len(day_ahead) == 8 * 24
    assert day_ahead.notna().all(axis=None)
    assert list(day_ahead["model_version"].unique()) == ["fit 1", "fit 2"]


def test_the_model_beats_its_yardsticks_on_the_same_hours(day_ahead):
    errors = {
        name: (day_ahead[name] / day_ahead["actual_mwh"] - 1).abs().mean()
        for name in ("predicted_mwh", "base_mwh", "seasonal_naive_24_mwh", "seasonal_naive_168_mwh")
    }
    assert errors["predicted_mwh"] == min(errors.values())


@pytest.mark.parametrize("protocol", list(Protocol))
def test_nothing_that_becomes_known_later_changes_a_forecast(protocol, record):
    last = date(2025, 1, 21)
    fork = datetime.fromisoformat("2025-01-20T14:00+00:00")  # when the 21st is forecast
    hours = [
        backtest(each, protocol, first=FIRST, last=last, refit_days=1)
        for each in (record, altered_after(record, fork))
    ]
    early = hours[0]["issued_at"] <= fork
    if protocol is Protocol.ROLLING_24H:
        # Observed weather is the only thing that a forecast gets of the hours after its issue.
        early &= hours[0]["period"] <= fork
    columns = [name for name in COLUMNS if name != "actual_mwh"]
    assert early.sum() >= 9
    pd.testing.assert_frame_equal(hours[0].loc[early, columns], hours[1].loc[early, columns])
    end = pd.Timestamp(local_midnight(last + timedelta(days=1), ZONE))
    assert hours[0]["period"].iloc[-1] == end


def test_observed_weather_is_not_used_where_weather_is_as_issued(record, day_ahead):
    other = record.weather.copy()
    later = other["timestamp"] > pd.Timestamp("2025-01-20T14:00Z")
    other.loc[later, "temperature_2m"] += 5.0
    altered = altered_after(record, record.periods[-1])  # a copy
    altered = type(altered)(**{**vars(altered), "weather": other})
    again = backtest(altered, Protocol.DAY_AHEAD, last=date(2025, 1, 21))
    same = again["issued_at"] <= pd.Timestamp("2025-01-20T14:00Z")
    np.testing.assert_array_equal(again.loc[same, "base_mwh"], day_ahead.loc[: same.sum() - 1, "base_mwh"])


@pytest.mark.parametrize(
    ("protocol", "loss"),
    [
        (protocol, loss)
        for protocol in Protocol
        for loss in Loss
        # Runs of another model since the middle of two days are not known to the forecast of the second.
        if loss not in {Loss.NOTHING, Loss.OPERATOR, Loss.PROVIDER_CHANGE}
        and not (loss.needs_runs and protocol.weather == "observed")
    ],
)
def test_a_loss_of_data_increases_the_error_moderately(loss, protocol, record, trained):
    whole, without = (frozen(record, protocol, trained.judged, loss=each) for each in (Loss.NOTHING, loss))
    assert without["predicted_mwh"].notna().all()
    assert not np.allclose(whole["predicted_mwh"], without["predicted_mwh"], rtol=1e-6)
    assert (without["predicted_mwh"] / without["actual_mwh"] - 1).abs().mean() < 0.12


def test_a_stage_can_be_left_out_of_a_backtest(record, trained):
    regression = replace(trained.judged, errors=None, residual=None)
    whole, without = (frozen(record, Protocol.DAY_AHEAD, model) for model in (trained.judged, regression))
    assert not np.allclose(whole["predicted_mwh"], without["predicted_mwh"])
    np.testing.assert_array_equal(whole["base_mwh"], without["base_mwh"])


def test_hours_outside_the_record_are_refused(record):
    with pytest.raises(ValueError, match="ends too early"):
        backtest(record, Protocol.ROLLING_24H, first=date(2025, 2, 24), last=date(2025, 3, 3))


def test_a_record_without_weather_runs_is_backtested_with_observed_weather():
    hours = backtest(synthetic_record(runs=False), Protocol.DAY_AHEAD, "observed", last=date(2025, 1, 21))
    assert hours["predicted_mwh"].notna().all()


# Hours that were revised.

REVISED_AT = pd.Timestamp("2025-02-06T20:00Z")  # between the issues for the 7th and the 8th
WRONG_HOURS = pd.date_range("2025-02-05T15:00Z", "2025-02-06T10:00Z", freq="h")
WRONG_BY = 1.03
LATE = pd.Timestamp("2025-02-20T00:00Z")
SEEN = [name for name in COLUMNS if name not in {"period", "actual_mwh"}]


def screened(record, served, vintages=None):
    """The record with these served values, screened as a stored one."""
    causal = screen(served)
    demand = causal.assign(truth_mwh=causal["served_mwh"])
    end = record.periods[-1]
    return make_record(demand, record.weather, record.forecasts, record.region, end, vintages)


def revised_record(record, revised_at=REVISED_AT, hours=WRONG_HOURS):
    """The record; `hours` were served `WRONG_BY` times too high until `revised_at`."""
    served = record.demand[["period", "demand_mwh"]]
    newest = served[served["period"].isin(hours)].rename(columns={"demand_mwh": "value"})
    newest = newest.assign(stored_at=revised_at, superseded_at=pd.NaT)
    known = newest["period"] + pd.Timedelta(hours=1)
    first = newest.assign(value=newest["value"] * WRONG_BY, stored_at=known, superseded_at=revised_at)
    return screened(record, served, pd.concat([first, newest], ignore_index=True))


def predictions(record, model, protocol=Protocol.DAY_AHEAD) -> pd.DataFrame:
    """The 5th to the 9th of February, without a fit."""
    events = schedule(protocol, date(2025, 2, 5), date(2025, 2, 9), ZONE)
    return walk_forward(
        record,
        (event for event in events if isinstance(event, Predict)),
        protocol=protocol,
        weather=protocol.weather,
        model=model,
    ).set_index("period")


@pytest.fixture(scope="module")
def revised(record):
    return revised_record(record)


@pytest.fixture(scope="module")
def as_known(revised, trained) -> pd.DataFrame:
    return predictions(revised, trained.judged)


def test_a_revised_hour_is_seen_as_known_at_the_issue_and_scored_as_it_is_now(revised, trained, as_known):
    as_revised = predictions(replace(revised, vintages=None), trained.judged)
    # The 6th was issued before any wrong hour, the 7th with them, the 8th and the 9th with the revised ones.
    wrong = as_known["issued_at"] == pd.Timestamp("2025-02-06T14:00Z")
    assert wrong.sum() == 24
    pd.testing.assert_frame_equal(as_known.loc[~wrong, SEEN], as_revised.loc[~wrong, SEEN])
    for name in ("predicted_mwh", "base_mwh", "seasonal_naive_24_mwh"):
        assert (as_known.loc[wrong, name] / as_revised.loc[wrong, name]).max() > 1.002
    pd.testing.assert_series_equal(as_known["actual_mwh"], as_revised["actual_mwh"])


def test_a_forecast_as_known_is_what_a_record_of_that_time_gives(record, trained, as_known):
    served = record.demand[["period", "demand_mwh"]].copy()
    served.loc[served["period"].isin(WRONG_HOURS), "demand_mwh"] *= WRONG_BY
    then = predictions(screened(record, served), trained.judged)
    early = as_known["issued_at"] < REVISED_AT
    assert early.sum() == 72
    pd.testing.assert_frame_equal(as_known.loc[early, SEEN], then.loc[early, SEEN])


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_revision_after_the_issue_never_changes_that_forecast(record, trained, protocol):
    once, again = (
        predictions(revised_record(record, revised_at=at), trained.judged, protocol)
        for at in (REVISED_AT, LATE)
    )
    before = once["issued_at"] < REVISED_AT
    assert before.sum() >= 48
    pd.testing.assert_frame_equal(once.loc[before, SEEN], again.loc[before, SEEN])
    assert not once.loc[~before, "predicted_mwh"].equals(again.loc[~before, "predicted_mwh"])


def test_a_fit_learns_from_values_as_known(record):
    late = revised_record(record, revised_at=LATE, hours=WRONG_HOURS - pd.Timedelta(weeks=3))
    day = {"first": date(2025, 1, 27), "last": date(2025, 1, 27)}
    known, now = (backtest(each, Protocol.DAY_AHEAD, **day) for each in (late, replace(late, vintages=None)))
    assert not known["predicted_mwh"].equals(now["predicted_mwh"])
