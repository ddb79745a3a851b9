"""Scenarios of a fitted model: nothing changed is nothing changed, parts add up, heat never lowers demand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.weather_path import CLOUD, COLUMN, HUMIDITY, MAIN, RADIATION, REST, WIND, WeatherPath
from energy_demand.model.forecaster import BOUNDS, PREDICTED
from energy_demand.model.scenarios.answer import apportioned, forecast_scenario, weather_before
from energy_demand.model.scenarios.changes import (
    QUANTITIES,
    Scenario,
    ScenarioError,
    SiteHour,
    read_scenario,
)
from energy_demand.model.scenarios.response import WARM_FROM, changed_weather
from energy_demand.model.scenarios.weather import radiation_under
from energy_demand.model.stages.adaptive_regression import PERCENT
from energy_demand.model.stages.response_features import dew_point, response_features
from energy_demand.model.weather.horizon import weather_of
from energy_demand.timeaxis import Availability
from records import START

if TYPE_CHECKING:
    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster, StageForecasts
    from energy_demand.model.scenarios.answer import ScenarioForecast
    from energy_demand.model.scenarios.weather import ChangedWeather

SUMMER = START + timedelta(days=40, hours=13)  # 2024-08-10 09:00 in New York, a Saturday
WINTER = START + timedelta(days=222, hours=13)  # 2025-02-08, likewise
FEW = example_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Issue(NamedTuple):
    """A forecast, and what its scenarios are made of."""

    model: Forecaster
    record: Record
    stages: StageForecasts
    whole: object

    def __repr__(self) -> str:  # Hypothesis prints it
        return f"the forecast issued at {self.stages.issued_at}"

    def under(self, scenario: Scenario | str, model: Forecaster | None = None) -> ScenarioForecast:
        if isinstance(scenario, str):
            scenario = read_scenario(scenario, "US")
        return forecast_scenario(
            model or self.model, self.record, self.past, weather_of(self.whole), self.stages, scenario
        )

    def weather(self, scenario: Scenario) -> ChangedWeather:
        return self.path(scenario)[1]

    def path(self, scenario: Scenario) -> tuple[WeatherPath, ChangedWeather]:
        ahead = weather_of(self.whole)
        return changed_weather(self.model, self.record, self.past, ahead, self.stages, scenario)

    @property
    def past(self) -> WeatherPath:
        return weather_before(self.model, self.record, self.stages.issued_at)


def issue_of(trained, record: Record, issued_at, hours: slice = slice(0, 48)) -> Issue:
    known = record.cut_at(issued_at, Availability(1))
    model = trained.judged.advance(known)
    whole = model.horizon(known, issued_at)
    return Issue(model, known, model.stages(whole.rows(hours), issued_at), whole)


@pytest.fixture(scope="module")
def summer(trained, record) -> Issue:
    return issue_of(trained, record, SUMMER)


@pytest.fixture(scope="module")
def winter(trained, record) -> Issue:
    return issue_of(trained, record, WINTER)


def numbers(low: float, high: float):
    return st.integers(int(low * 10), int(high * 10)).map(lambda tenths: tenths / 10)


TEXTS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": numbers(-20, 20).map(lambda value: f"temperature{value:+}"),
        "humidity": st.one_of(
            numbers(-99, 99).map(lambda value: f"humidity{value:+}"),
            numbers(0, 100).map(lambda value: f"humidity={value}"),
        ),
        "cloud": st.one_of(
            numbers(-99, 99).map(lambda value: f"cloud{value:+}"),
            numbers(0, 100).map(lambda value: f"cloud={value}"),
        ),
        "wind": numbers(-50, 50).map(lambda value: f"wind{value:+}"),
        "day": st.sampled_from(["workday", "saturday", "sunday", "holiday", "christmas"]).map(
            "day={}".format
        ),
    },
).filter(bool)


@pytest.mark.parametrize("season", ["summer", "winter"])
@pytest.mark.parametrize(
    "text",
    ["temperature+0", "temperature-0,humidity+0,cloud 0,wind-0.0", "day=saturday"],
    ids=["one quantity", "every quantity", "the day that it is"],
)
def test_a_change_by_nothing_changes_nothing_to_the_last_bit(season, text, trained, record, request):
    issue = request.getfixturevalue(season)
    if text.startswith("day"):  # the rest of the Saturday
        issue = issue_of(trained, record, SUMMER if season == "summer" else WINTER, slice(0, 15))
    made = issue.under(text)
    pd.testing.assert_frame_equal(made.hours, made.forecast, check_exact=True)
    assert (made.parts.drop(columns="period") == 0.0).all(axis=None)


def test_the_forecast_beside_it_is_the_forecast(summer):
    expected = summer.model.hours_of(summer.stages)
    pd.testing.assert_frame_equal(summer.under("temperature+5").forecast, expected, check_exact=True)


@FEW
@given(texts=TEXTS, season=st.sampled_from(["summer", "winter"]))
def test_the_parts_add_up_to_the_difference_in_numbers_and_as_printed(texts, season, request):
    made = request.getfixturevalue(season).under(",".join(texts.values()))
    names = [name for name in QUANTITIES if name in texts]
    assert list(made.parts) == ["period", *names]
    np.testing.assert_allclose(made.parts[names].sum(axis=1), made.difference, atol=1e-6)
    body = made.to_json()
    for hour in [*body["hours"], body["energy"]]:
        assert round(sum(hour["parts"].values()), 1) == hour["difference_mwh"]
    energy = body["energy"]
    assert round(energy["scenario_mwh"] - energy["forecast_mwh"], 1) == energy["difference_mwh"]
    ordered = made.hours[["lower_95", "lower_80", PREDICTED, "upper_80", "upper_95"]].to_numpy()
    assert (np.diff(ordered, axis=1) > 0).all()


def test_the_order_of_the_changes_does_not_matter(summer):
    changes = ("temperature+4", "cloud=0", "day=sunday")
    first, *others = (summer.under(",".join(each)) for each in permutations(changes))
    for other in others:
        pd.testing.assert_frame_equal(other.parts, first.parts, check_exact=True)


@FEW
@given(
    seed=st.integers(0, 1000), changes=st.lists(numbers(-20, 20), min_size=2, max_size=4), other=st.booleans()
)
def test_a_warmer_summer_afternoon_never_lowers_demand_whatever_the_regression_says(
    seed, changes, other, summer
):
    """With coefficients at random, among which many lose demand with heat."""
    random = np.random.default_rng(seed)
    regression = summer.model.regression
    filters = tuple(
        replace(each, coefficients=each.coefficients + random.normal(0, 1.0, each.coefficients.shape))
        for each in regression.filters
    )
    model = replace(summer.model, regression=replace(regression, filters=filters))
    weather = summer.weather(Scenario())
    suffix = ",cloud=80,humidity+20" if other else ""
    rising = sorted(changes)
    curves = [summer.under(f"temperature{change:+}{suffix}", model).hours for change in rising]
    afternoon = np.isin(summer.stages.horizon.responses.hours, range(12, 20))
    for cooler, warmer, change in zip(curves, curves[1:], rising, strict=False):
        warm = afternoon & (weather.temperature + change >= WARM_FROM)
        for name in (PREDICTED, *BOUNDS):
            assert (warmer[name] >= cooler[name] - 1e-6)[warm].all()


def test_the_regression_alone_would_lose_demand_there(summer):
    """What the test above holds off is there: with the same coefficients heat takes some demand away."""
    random = np.random.default_rng(0)
    regression = summer.model.regression
    filters = tuple(
        replace(each, coefficients=each.coefficients + random.normal(0, 1.0, each.coefficients.shape))
        for each in regression.filters
    )
    perturbed = replace(regression, filters=filters)
    horizon = summer.stages.horizon
    change = perturbed.predict(horizon.warmer) - perturbed.predict(horizon.responses)
    warm = summer.weather(Scenario()).temperature >= WARM_FROM
    assert warm.sum() > 5
    assert (change[warm] < 0).any()


def test_a_change_of_a_whole_degree_is_what_the_regression_says_where_that_rises(summer):
    scenario = read_scenario("temperature+3,cloud=10,day=sunday", "US")
    path, weather = summer.path(scenario)
    hours = len(weather.base)
    values = path.values.copy()
    loads = []
    for step in weather.warming():
        values[-hours:] = weather.of(scenario.quantities, step)
        rows = response_features(WeatherPath(path.periods, values), summer.record.region, last=hours)
        loads.append(summer.model.regression.predict(rows))
    rises = (np.diff(loads, axis=0) >= 0.0).all(axis=0)
    assert rises.mean() > 0.8
    made, without = (summer.under(text) for text in (scenario, "cloud=10,day=sunday"))
    panels = rows.rooftop_mwh
    effect = PERCENT * np.log((made.hours[PREDICTED] + panels) / (without.hours[PREDICTED] + panels))
    weekend = rows.days_of_week >= 5  # the other days have other columns
    chosen = rises & weekend
    assert chosen.sum() > 20
    np.testing.assert_allclose(effect[chosen], (loads[-1] - loads[0])[chosen], atol=1e-6)


@FEW
@given(texts=TEXTS, season=st.sampled_from(["summer", "winter"]))
def test_the_weather_stays_physical(texts, season, request):
    scenario = read_scenario(",".join(texts.values()), "US")
    weather = request.getfixturevalue(season).weather(scenario)
    values = weather.of(scenario.quantities, weather.warming()[-1])
    for name in (HUMIDITY, CLOUD):
        known = values[~np.isnan(values[:, COLUMN[name]]), COLUMN[name]]
        assert ((known >= 0.0) & (known <= 100.0)).all()
    assert not (values[:, COLUMN[WIND]] < 0.0).any()
    for name in RADIATION:
        radiation, before, clear = values[:, COLUMN[name]], weather.base[:, COLUMN[name]], weather.clear[name]
        assert (radiation[clear <= 0.0] == before[clear <= 0.0]).all()
        assert (radiation >= 0.0).all()
        assert (radiation <= np.maximum(before, clear) + 1e-9).all()
        if "cloud" not in texts:
            assert (radiation == before).all()


@FEW
@given(change=numbers(-20, 20))
def test_a_change_of_temperature_keeps_the_dew_point_unless_the_air_is_saturated(change, summer):
    scenario = read_scenario(f"temperature{change:+}", "US")
    weather = summer.weather(scenario)
    values = weather.of(scenario.quantities, weather.warming()[-1])
    moved = float(values[0, COLUMN[MAIN]] - weather.base[0, COLUMN[MAIN]])
    assert abs(moved) >= abs(change) - 1e-9
    before = dew_point(weather.temperature, weather.base[:, COLUMN[HUMIDITY]])
    humidity = values[:, COLUMN[HUMIDITY]]
    share = weather.main_share
    after = dew_point(share * values[:, COLUMN[MAIN]] + (1 - share) * values[:, COLUMN[REST]], humidity)
    free = humidity < 100.0
    np.testing.assert_allclose(after[free], before[free], atol=1e-6)
    assert (after[~free] <= before[~free] + 1e-9).all()


def test_the_sky_goes_from_overcast_to_clear():
    clear, radiation = np.full(4, 800.0), np.full(4, 400.0)
    before = np.full(4, 50.0)
    after = np.array([0.0, 50.0, 75.0, 100.0])
    moved = radiation_under(radiation, before, after, clear)
    assert moved[0] == 800.0
    assert moved[1] == 400.0
    assert 200.0 < moved[2] < 400.0
    assert moved[3] == pytest.approx(200.0)  # a quarter of the clear sky's, Kasten and Czeplak
    night = radiation_under(np.zeros(1), np.full(1, 90.0), np.zeros(1), np.zeros(1))
    assert night[0] == 0.0
    unknown = radiation_under(radiation, np.full(4, np.nan), after, clear)
    assert unknown[0] == 800.0
    assert unknown[3] == pytest.approx(200.0)


def test_only_the_asked_hours_are_changed(trained, record):
    tomorrow = issue_of(trained, record, SUMMER, slice(24, 48))
    whole = issue_of(trained, record, SUMMER)
    changed, all_changed = tomorrow.under("temperature+5"), whole.under("temperature+5")
    first = changed.difference[0]
    assert 0.0 < first < all_changed.difference[24]  # buildings have not warmed through yet


# Weather of one's own.


def own(issue: Issue, hours: slice, site: str | None, **values: float) -> Scenario:
    periods = issue.stages.horizon.responses.periods[hours]
    return Scenario(own=tuple(SiteHour(period.to_pydatetime(), site, values) for period in periods))


def test_own_weather_of_every_site_takes_the_place_of_the_forecast(summer):
    scenario = own(summer, slice(3, 9), None, temperature=38.0, cloud=0.0)
    weather = summer.weather(scenario)
    values = weather.of(scenario.quantities, weather.warming()[-1])
    np.testing.assert_allclose(values[3:9, [COLUMN[MAIN], COLUMN[REST]]], 38.0)
    assert (values[3:9, COLUMN[CLOUD]] == 0.0).all()
    untouched = np.r_[0:3, 9:48]
    np.testing.assert_array_equal(values[untouched], weather.base[untouched])
    made = summer.under(scenario)
    assert (made.difference[:3] == 0.0).all()
    assert (made.difference[4:9] > 0.0).all()
    np.testing.assert_allclose(made.parts[["temperature", "cloud"]].sum(axis=1), made.difference, atol=1e-6)


def test_own_weather_of_one_site_moves_the_mean_by_its_weight(summer):
    site = summer.record.region.sites[1]
    scenario = own(summer, slice(0, 48), site.name, temperature=30.0)
    warmer = own(summer, slice(0, 48), site.name, temperature=31.0)
    rest = [
        weather.of(["temperature"], weather.warming()[-1])[:, COLUMN[REST]]
        for weather in (summer.weather(scenario), summer.weather(warmer))
    ]
    others = summer.record.region.sites[1:]
    np.testing.assert_allclose(rest[1] - rest[0], site.weight / sum(each.weight for each in others))
    main = summer.weather(scenario)
    np.testing.assert_array_equal(
        main.of(["temperature"], main.warming()[-1])[:, COLUMN[MAIN]], main.base[:, COLUMN[MAIN]]
    )


def test_own_sun_is_held_to_what_the_sky_allows(summer):
    weather = summer.weather(own(summer, slice(0, 48), None, solar=1500.0))
    values = weather.of(["solar"], weather.warming()[0])
    for name in RADIATION:
        assert (values[weather.clear[name] <= 0.0, COLUMN[name]] == 0.0).all()
        assert values[:, COLUMN[name]].max() <= 1.2 * weather.clear[name].max()


@pytest.mark.parametrize(
    ("shift", "site", "twice", "reason", "field"),
    [
        pytest.param(
            60, None, False, "give hours from 2024-08-10T14:00:00Z to", "weather.0.period", id="late"
        ),
        pytest.param(-1, None, False, "give hours from", "weather.0.period", id="the past"),
        pytest.param(0, "boston", False, "use new_york_city, albany", "weather.0.site", id="another site"),
        pytest.param(0, "albany", True, "given twice for albany", "weather.1", id="twice"),
    ],
)
def test_own_weather_of_other_hours_and_sites_is_refused(summer, shift, site, twice, reason, field):
    period = summer.stages.horizon.responses.periods[0] + pd.Timedelta(hours=shift)
    row = SiteHour(period.to_pydatetime(), site, {"temperature": 30.0})
    with pytest.raises(ScenarioError, match=reason) as refused:
        summer.under(Scenario(own=(row, row) if twice else (row,)))
    assert refused.value.field == field


# Days.


def test_a_holiday_and_a_sunday_have_less_demand_than_a_workday(winter):
    workday, sunday = (winter.under(f"day={day}").hours[PREDICTED].sum() for day in ("workday", "sunday"))
    assert sunday < workday
    monday = winter.under("day=workday,temperature+0")
    assert monday.parts["temperature"].abs().max() == 0.0


def test_rounded_parts_add_up_whatever_their_rest():
    parts = np.array([[0.04, 0.04, -0.03], [-0.26, 0.13, 0.13], [5.0, 0.0, 0.0]])
    totals = np.array([1, 0, 49])
    assert apportioned(parts, totals).sum(axis=1).tolist() == totals.tolist()
    assert apportioned(np.zeros((2, 0)), np.zeros(2, dtype=np.int64)).shape == (2, 0)


def test_a_region_without_humidity_clouds_and_wind_is_served_too(trained, record):
    """Its estimates are made from the forecast's temperature, so a warmer scenario is no clearer sky."""
    alone = [name for name in WEATHER_VARIABLES if name not in ("temperature_2m", "shortwave_radiation")]
    issue = issue_of(trained, record, SUMMER)
    bare = replace(
        issue.record,
        observed=replace(issue.record.observed, values=_temperature_alone(issue.record.observed.values)),
        weather=issue.record.weather.assign(**dict.fromkeys(alone, np.nan)),
    )
    weather = weather_of(issue.whole)
    whole = replace(issue.whole, weather=replace(weather, values=_temperature_alone(weather.values)))
    made = Issue(issue.model, bare, issue.stages, whole)
    scenario = read_scenario("temperature+5", "US")
    changed = made.weather(scenario)
    assert not np.isnan(changed.base[:, COLUMN[CLOUD]]).any()
    values = changed.of(scenario.quantities, changed.warming()[-1])
    np.testing.assert_array_equal(values[:, COLUMN[CLOUD]], changed.base[:, COLUMN[CLOUD]])
    assert (made.under(scenario).difference != 0.0).any()


def _temperature_alone(values):
    alone = np.full_like(values, np.nan)
    kept = [COLUMN[MAIN], COLUMN[REST]]
    alone[:, kept] = values[:, kept]
    return alone
