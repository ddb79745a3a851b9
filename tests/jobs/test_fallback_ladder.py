"""The ladder of a forecast: each rung is broken in turn, and the next one answers and says so."""

from __future__ import annotations

import json
import logging
import pickle
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.record import Record, make_record
from energy_demand.data.weather_path import PATH_COLUMNS
from energy_demand.jobs.fallback_ladder import best_available
from energy_demand.model.distribution import CENTRAL_LEVELS, ErrorDistribution
from energy_demand.model.forecast import (
    BASE_INPUTS,
    FORECASTER_INPUTS,
    LAST_WEEK_INPUTS,
    NAIVE_COLUMNS,
    Forecast,
)
from energy_demand.model.forecaster import EXPLANATION
from energy_demand.model.intervals import ConformalIntervals
from energy_demand.model.predict import (
    ForecastError,
    NoForecastError,
    Question,
    by_base_booster,
    by_forecaster,
)
from energy_demand.model.train import fit
from energy_demand.registry.champion import Champion
from energy_demand.registry.manifest import ModelRefusedError
from energy_demand.timeaxis import HOUR, Availability, horizon_periods
from records import QUICK, START, not_a_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.model.forecaster import Forecaster

CODE = {"sources": "0"}
ISSUE = START + timedelta(days=222, hours=13)  # six days after the champion's fit
WARM_UP = timedelta(days=56)
AVAILABILITY = Availability(1)
INPUTS = {"base_booster": BASE_INPUTS, "last_week": LAST_WEEK_INPUTS}
SAME_NAME = {"humidity", "cloud_cover", "wind_speed"}  # the forecaster's are corrected, the booster's are not
QUESTION = Question(ISSUE, horizon_periods(ISSUE, 48), AVAILABILITY)


@dataclass
class Known:
    """What is stored, read as `best_available` reads it; keeps the starts that it was asked for."""

    record: Record
    starts: list[datetime] = field(default_factory=list)

    def __call__(self, start: datetime) -> Record:
        self.starts.append(start)
        return altered(self.record, since=start)


def altered(
    record: Record,
    since: datetime = START,
    demand_until: datetime | None = None,
    weather_until: datetime | None = None,
) -> Record:
    """The hours from `since` on, without demand or weather forecasts of hours after these moments."""
    demand = record.demand[record.demand["period"] >= since].copy()
    if demand_until is not None:
        demand["demand_mwh"] = not_a_number(
            demand["demand_mwh"].to_numpy(), (demand["period"] > demand_until).to_numpy()
        )
    weather = record.weather[record.weather["timestamp"] >= since]
    forecasts = record.forecasts
    if weather_until is not None:
        forecasts = forecasts[forecasts["timestamp"] <= weather_until]
    return make_record(demand, weather, forecasts, record.region, record.periods[-1])


@pytest.fixture(scope="module")
def stored(record) -> Record:
    """Everything that was known at the hour of issue."""
    return record.cut_at(ISSUE, AVAILABILITY)


@pytest.fixture
def known(stored) -> Known:
    return Known(stored)


@pytest.fixture(scope="module")
def champion(trained) -> Champion:
    return Champion("2", "run 2", trained.judged, {}, "1")


@pytest.fixture(scope="module")
def previous(record) -> Champion:
    """Trained ten weeks before the hour of issue."""
    long_ago = record.cut_at(START + timedelta(days=150), AVAILABILITY)
    return Champion("1", "run 1", fit(long_ago, QUICK, judge=False).forecaster, {})


def with_state(model: Forecaster, **parts: object) -> Forecaster:
    return replace(model, regression=replace(model.regression, **parts))


def with_widths(model: Forecaster, narrow: np.ndarray, wide: np.ndarray) -> Forecaster:
    """With one width up to the 80 % interval and another beyond it."""
    tables = {level: narrow if level <= 80 else wide for level in CENTRAL_LEVELS}
    return replace(model, distribution=ErrorDistribution(tables, model.distribution.dependence))


def with_base(model: Forecaster, **parts: object) -> Forecaster:
    return replace(model, base=replace(model.base, **parts))


def by_name(*cases: tuple[str, Callable[[Forecaster], Forecaster]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("damage", [pytest.param(damage, id=name) for name, damage in cases])


broken_forecasters = by_name(
    ("it gives no numbers", lambda model: with_state(model, reference=np.nan)),
    (
        "it gives seven times the demand",
        lambda model: with_state(model, reference=model.regression.reference + 200),
    ),
    (
        "it gives a seventh of the demand",
        lambda model: with_state(model, reference=model.regression.reference - 200),
    ),
    (
        "its intervals are endless",
        lambda model: with_widths(model, model.distribution.quantiles[80], np.full((5, 5), np.inf)),
    ),
    (
        "its intervals cross",
        lambda model: with_widths(model, model.distribution.quantiles[95], model.distribution.quantiles[80]),
    ),
    ("a part of it is missing, which nobody expected", lambda model: replace(model, outlook=None)),
)
broken_bases = by_name(
    ("its booster is missing, which nobody expected", lambda model: with_base(model, booster=None)),
    (
        "its intervals cross",
        lambda model: with_base(
            model,
            intervals=ConformalIntervals(
                {80: model.base.intervals.half_widths[95] + 0.01, 95: model.base.intervals.half_widths[80]}
            ),
        ),
    ),
)


def nan_forecaster(champion: Champion) -> Champion:
    return replace(champion, forecaster=with_state(champion.forecaster, reference=np.nan))


def with_no_part_whole(champion: Champion) -> Champion:
    broken = nan_forecaster(champion)
    return replace(broken, forecaster=with_base(broken.forecaster, booster=None))


def assert_answers(made: Forecast, quality: str, version: str, *words: str, explained: bool = False) -> None:
    """It says what it is: to the program, to a reader, and as JSON; and its hours can be demand."""
    assert (made.quality, made.model_version, made.demand_age_hours) == (quality, version, 1.0)
    said = made.warnings()
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))
    hours = made.hours
    assert hours["period"].tolist() == QUESTION.periods.tolist()
    assert hours["lead_hours"].tolist() == list(range(1, 49))
    ordered = hours[["lower_95", "lower_80", "predicted_demand_mwh", "upper_80", "upper_95"]].to_numpy()
    assert (np.diff(ordered, axis=1) > 0).all()
    body = json.loads(json.dumps(made.to_json(explain=True), allow_nan=False))
    assert (body["quality"], body["model_version"], body["demand_age_hours"]) == (quality, version, 1.0)
    assert (body["issued_at"], body["state_through"]) == ("2025-02-08T13:00:00Z", "2025-02-08T12:00:00Z")
    assert body["peak"]["predicted_demand_mwh"] == round(hours["predicted_demand_mwh"].max(), 1)
    assert len(body["hours"]) == 48
    parts = set(EXPLANATION) if explained else set()
    assert all(set(hour.get("explanation", ())) == parts for hour in body["hours"])
    logged = made.log_rows("request", "id", ISSUE, "NY", CODE)
    assert {row["quality"] for row in logged} == {quality}
    assert_logged_what_was_used(made, [row["features_json"] for row in logged])


def assert_logged_what_was_used(made: Forecast, logged: list[dict[str, object]]) -> None:
    """The logged features are those of who answered, with the naive forecasts that scores need."""
    names = INPUTS.get(made.quality, FORECASTER_INPUTS)
    assert all(tuple(row) == names for row in logged)
    assert [row["lead_hours"] for row in logged] == list(range(1, 49))
    read = pd.DataFrame(json.loads(json.dumps(logged, allow_nan=False)))
    common = [name for name in (*NAIVE_COLUMNS, *names) if name in made.rows and name not in SAME_NAME]
    if names == BASE_INPUTS:
        common = list(names)
    pd.testing.assert_frame_equal(
        read[common].astype(float), made.rows[common].astype(float), check_exact=True
    )
    if names == FORECASTER_INPUTS:
        assert set(read["demand_age_hours"]) == {made.demand_age_hours}


def never() -> Champion | None:
    raise AssertionError("the previous champion was asked for and not needed")


# The champion.


def test_the_champion_answers_and_nobody_else_is_asked(known, champion):
    made = best_available(known, QUESTION, champion, never)
    assert_answers(made, "champion", "2", explained=True)
    assert not made.in_sample
    assert known.starts == [ISSUE - WARM_UP]
    pd.testing.assert_frame_equal(
        made.hours, by_forecaster(known.record, champion.forecaster, "2", QUESTION).hours, check_exact=True
    )


def test_the_log_has_the_weather_that_the_champion_read(known, champion, stored):
    made = best_available(known, QUESTION, champion, never)
    weather = champion.forecaster.horizon(stored, ISSUE).weather
    pd.testing.assert_frame_equal(
        made.inputs[list(PATH_COLUMNS)].astype(float),
        pd.DataFrame(weather.values, columns=list(PATH_COLUMNS)),
        check_exact=True,
    )
    part = best_available(known, replace(QUESTION, periods=QUESTION.periods[10:20]), champion, never)
    pd.testing.assert_frame_equal(part.inputs, made.inputs[10:20].reset_index(drop=True), check_exact=True)


def test_a_forecast_that_is_kept_in_a_cache_has_its_inputs(known, champion):
    made = best_available(known, QUESTION, champion, never)
    again = pickle.loads(pickle.dumps(made))
    pd.testing.assert_frame_equal(again.inputs, made.inputs, check_exact=True)
    rows = ("request", "id", ISSUE, "NY", CODE)
    assert again.log_rows(*rows) == made.log_rows(*rows)


def test_a_champion_whose_state_is_old_is_given_the_hours_that_it_needs(known, previous):
    made = best_available(known, QUESTION, previous, never)
    assert_answers(made, "champion", "1", explained=True)
    assert known.starts == [previous.forecaster.needs_from]
    assert known.starts[0] < ISSUE - WARM_UP


def test_a_champion_that_has_seen_the_hours_it_forecasts_says_so(known, forecaster):
    made = best_available(known, QUESTION, Champion("3", "run 3", forecaster, {}), never)
    assert_answers(made, "champion", "3", "trained on hours after 2025-02-08T13:00:00Z", explained=True)
    assert made.to_json()["in_sample"] is True


@pytest.mark.parametrize(
    ("hours", "quality", "version", "words"),
    [
        pytest.param(48, "champion", "2", (), id="all hours"),
        pytest.param(
            47,
            "champion_without_weather",
            "2",
            ("some hours have no weather forecast",),
            id="all hours but one",
        ),
        pytest.param(
            24,
            "champion_without_weather",
            "2",
            ("some hours have no weather forecast",),
            id="half of the hours",
        ),
        pytest.param(23, "base_booster", "2", ("too few weather forecasts",), id="fewer than half"),
        pytest.param(0, "base_booster", "2", ("too few weather forecasts",), id="none of the hours"),
    ],
)
def test_how_much_weather_was_foreseen_decides_who_answers(
    hours, quality, version, words, stored, champion, previous
):
    known = Known(altered(stored, weather_until=ISSUE + hours * HOUR))
    made = best_available(known, QUESTION, champion, lambda: previous)
    assert_answers(made, quality, version, *words, explained=quality != "base_booster")


@pytest.mark.parametrize(
    ("hours", "warned"), [(6, False), (7, True), (240, True)], ids=["six hours", "seven hours", "ten days"]
)
def test_the_champion_goes_on_without_the_newest_demand_and_says_how_old_it_is(
    hours, warned, stored, champion
):
    late = altered(stored, demand_until=ISSUE - hours * HOUR)
    made = best_available(Known(late), QUESTION, champion, never)
    assert (made.quality, made.demand_age_hours) == ("champion", hours)
    assert made.to_json()["demand_age_hours"] == hours
    assert made.warnings() == ([f"the newest known demand is {hours} hours old"] if warned else [])


# The previous champion.


@broken_forecasters
def test_the_previous_champion_answers_where_the_champion_is_broken(damage, known, champion, previous):
    made = best_available(
        known, QUESTION, replace(champion, forecaster=damage(champion.forecaster)), lambda: previous
    )
    assert_answers(made, "previous_champion", "1", "by the previous champion", explained=True)


def test_a_champion_of_another_region_does_not_answer(known, champion, previous, caplog):
    stranger = replace(champion, forecaster=replace(champion.forecaster, respondent="CAL"))
    made = best_available(known, QUESTION, stranger, lambda: previous)
    assert_answers(made, "previous_champion", "1", "by the previous champion", explained=True)
    assert (
        "champion (version 2): the model was trained for CAL, not for NY; run `energy-demand train`"
        in caplog.text
    )


def test_a_previous_champion_that_needs_an_older_start_is_given_it(known, champion, previous):
    made = best_available(known, QUESTION, nan_forecaster(champion), lambda: previous)
    assert known.starts == [ISSUE - WARM_UP, previous.forecaster.needs_from]
    pd.testing.assert_frame_equal(
        made.hours, by_forecaster(known.record, previous.forecaster, "1", QUESTION).hours, check_exact=True
    )


def test_a_previous_champion_that_needs_no_older_start_answers_from_what_was_read(known, champion):
    made = best_available(known, QUESTION, nan_forecaster(champion), lambda: replace(champion, version="1"))
    assert_answers(made, "previous_champion", "1", "by the previous champion", explained=True)
    assert len(known.starts) == 1


def test_the_previous_champion_answers_where_none_serves(known, previous):
    made = best_available(known, QUESTION, None, lambda: previous)
    assert_answers(made, "previous_champion", "1", "by the previous champion", explained=True)


# The base booster.


@broken_forecasters
def test_the_base_booster_answers_where_there_is_no_previous_champion(damage, known, champion):
    broken = replace(champion, forecaster=damage(champion.forecaster))
    made = best_available(known, QUESTION, broken)
    assert_answers(made, "base_booster", "2", "by the base booster")
    pd.testing.assert_frame_equal(
        made.hours, by_base_booster(known.record, champion.forecaster, "2", QUESTION).hours, check_exact=True
    )


@by_name(
    ("it gives no numbers", lambda model: with_state(model, reference=np.nan)),
    ("a part of it is missing, which nobody expected", lambda model: replace(model, outlook=None)),
    ("it is another region's", lambda model: replace(model, respondent="CAL")),
)
def test_the_base_booster_answers_where_the_previous_champion_is_broken_too(
    damage, known, champion, previous
):
    made = best_available(
        known,
        QUESTION,
        nan_forecaster(champion),
        lambda: replace(previous, forecaster=damage(previous.forecaster)),
    )
    assert_answers(made, "base_booster", "2", "by the base booster")


@pytest.mark.parametrize(
    "error",
    [ModelRefusedError("version 1 is damaged"), RuntimeError()],
    ids=["its files are damaged", "nobody expected it"],
)
def test_the_base_booster_answers_where_the_previous_champion_cannot_be_loaded(
    error, known, champion, caplog
):
    def load() -> Champion | None:
        raise error

    assert_answers(
        best_available(known, QUESTION, nan_forecaster(champion), load),
        "base_booster",
        "2",
        "by the base booster",
    )
    assert f"previous champion: {str(error) or 'RuntimeError'}" in caplog.text


def test_the_base_booster_answers_where_what_is_stored_begins_after_every_state(
    stored, champion, previous, caplog
):
    begun = altered(stored, since=ISSUE - timedelta(days=4))
    made = best_available(lambda _: begun, QUESTION, champion, lambda: previous)
    assert_answers(made, "base_booster", "2", "by the base booster")
    assert "state ends at 2025-02-02T00:00:00Z" in caplog.text
    assert "run `energy-demand backfill --start 2025-02-02 --end …`" in caplog.text


# The same hour of last week.


def test_without_any_model_each_hour_is_the_same_hour_of_last_week(known, record):
    made = best_available(known, QUESTION, None)
    assert_answers(made, "last_week", "none", "same hour last week")
    assert not made.in_sample
    first = record.position(QUESTION.periods[0]) - 168
    assert made.hours["predicted_demand_mwh"].tolist() == record.demand_mwh[first : first + 48].tolist()
    assert known.starts == [ISSUE - WARM_UP]


def test_last_weeks_intervals_hold_what_demand_differed_by_from_week_to_week(known):
    made = best_available(known, QUESTION, None).hours
    demand = known(ISSUE - WARM_UP).demand_mwh
    changes = np.abs(demand[168:] / demand[:-168] - 1)
    for level in (80, 95):
        half = made[f"upper_{level}"] / made["predicted_demand_mwh"] - 1
        assert np.nanquantile(changes, 0.5) < half.mean() < np.nanmax(changes)
        inside = np.mean([changes[~np.isnan(changes)] <= each for each in half])
        assert 100 * inside == pytest.approx(level, abs=8)


def test_last_weeks_intervals_are_those_of_the_local_time_of_day(stored):
    demand = stored.demand.assign(demand_mwh=15_000.0)
    local = (demand["period"] - HOUR).dt.tz_convert(stored.region.zone)
    every_other_week, at_night = demand["period"].dt.isocalendar().week % 2 == 0, local.dt.hour < 3
    demand.loc[every_other_week & at_night, "demand_mwh"] = 18_000.0
    restless = make_record(demand, stored.weather, stored.forecasts, stored.region, stored.periods[-1])
    made = best_available(Known(restless), QUESTION, None).hours
    wide = made["upper_80"] - made["lower_80"] > 1_000
    assert wide.tolist() == (made["period"] - HOUR).dt.tz_convert(stored.region.zone).dt.hour.lt(3).tolist()


@broken_bases
def test_last_week_answers_where_the_base_booster_is_broken(damage, known, champion):
    broken = nan_forecaster(champion)
    made = best_available(known, QUESTION, replace(broken, forecaster=damage(broken.forecaster)))
    assert_answers(made, "last_week", "none", "same hour last week")


def test_last_week_answers_where_the_only_model_is_another_regions(known, champion):
    stranger = replace(champion, forecaster=replace(champion.forecaster, respondent="CAL"))
    made = best_available(known, QUESTION, stranger)
    assert_answers(made, "last_week", "none", "same hour last week")


def test_an_hour_that_was_missing_last_week_is_taken_from_the_week_before(stored):
    missing = stored.position(QUESTION.periods[0]) - 168
    demand = stored.demand.copy()
    demand.loc[missing, "demand_mwh"] = np.nan
    holed = make_record(demand, stored.weather, stored.forecasts, stored.region, stored.periods[-1])
    made = best_available(Known(holed), QUESTION, None)
    assert_answers(made, "last_week", "none", "same hour last week")
    assert made.hours["predicted_demand_mwh"].iloc[0] == stored.demand_mwh[missing - 168]


# What it lacked.


def test_demand_that_cannot_be_true_is_not_the_newest_and_the_champion_has_not_seen_it(stored, champion):
    demand = stored.demand.copy()
    demand["imputed"] = demand["period"] > ISSUE - 49 * HOUR
    doubted = make_record(demand, stored.weather, stored.forecasts, stored.region, stored.periods[-1])
    made = best_available(Known(doubted), QUESTION, champion)
    assert (made.quality, made.demand_age_hours) == ("champion", 49)
    assert made.warnings()[0] == "the newest known demand is 49 hours old"
    assert made.warnings()[1].startswith("48 later hours of demand cannot be true")
    assert made.to_json()["warnings"] == made.warnings()
    # As if those hours had not been served at all.
    absent = altered(stored, demand_until=ISSUE - 49 * HOUR)
    alone = best_available(Known(absent), QUESTION, champion)
    assert made.hours["predicted_demand_mwh"].equals(alone.hours["predicted_demand_mwh"])


def test_a_run_with_temperature_alone_is_told_by_what_it_lacks(stored, champion):
    others = [name for name in WEATHER_VARIABLES if name != "temperature_2m"]
    forecasts = stored.forecasts.copy()
    forecasts.loc[:, [name for name in others if name in forecasts]] = np.nan
    bare = make_record(stored.demand, stored.weather, forecasts, stored.region, stored.periods[-1])
    made = best_available(Known(bare), QUESTION, champion)
    assert made.quality == "champion"
    (warning,) = made.warnings()
    assert "no humidity and no cloud cover and no wind" in warning


# Nobody.


def test_where_nobody_can_answer_each_says_why_and_what_to_do(stored, champion):
    few_days = altered(stored, since=ISSUE - timedelta(days=4))
    with pytest.raises(NoForecastError) as caught:
        best_available(lambda _: few_days, QUESTION, with_no_part_whole(champion))
    reasons = (
        "champion (version 2): the model's state ends at",
        "run `energy-demand backfill --start 2025-02-02 --end …`",
        "previous champion: there is no previous champion",
        "base booster: ",
        "same hour last week: demand of the same hours last week is not stored; run `energy-demand ingest`",
    )
    places = [str(caught.value).find(reason) for reason in reasons]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize(
    "until", [START - HOUR, ISSUE - WARM_UP - HOUR], ids=["no demand at all", "demand older than eight weeks"]
)
@pytest.mark.parametrize("serving", ["the champion", "an old champion", "no champion"])
def test_without_demand_of_the_last_weeks_there_is_no_forecast_and_it_says_what_to_do(
    serving, until, stored, champion, previous
):
    serves = {"the champion": champion, "an old champion": previous, "no champion": None}[serving]
    known = Known(altered(stored, demand_until=until))
    with pytest.raises(
        ForecastError, match=r"no demand .*known.*run `energy-demand ingest` or `energy-demand backfill`"
    ):
        best_available(known, QUESTION, serves, never)


def test_a_fault_of_the_store_is_no_forecasters_fault_and_passes(champion):
    def away(_start: datetime) -> Record:
        raise ConnectionError("the store is away")

    with pytest.raises(ConnectionError, match="the store is away"):
        best_available(away, QUESTION, champion)


# What the log says.


@pytest.mark.parametrize(
    ("damage", "traceback"),
    [
        pytest.param(lambda model: replace(model, respondent="CAL"), False, id="expected, without"),
        pytest.param(lambda model: replace(model, outlook=None), True, id="unexpected, with"),
    ],
)
def test_a_fault_that_nobody_expected_is_logged_with_its_traceback(
    damage, traceback, known, champion, caplog
):
    best_available(known, QUESTION, replace(champion, forecaster=damage(champion.forecaster)))
    first = caplog.records[0]
    assert first.levelno == logging.WARNING
    assert first.getMessage().startswith("fallback: no forecast by champion (version 2): ")
    assert bool(first.exc_info) is traceback
