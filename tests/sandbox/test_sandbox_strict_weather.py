"""Open-Meteo's bad sides: runs that are missing or half there, models, and an archive that fills up late."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.open_meteo.runs import Missing, Runs
from energy_demand.sandbox.strictness import Strictness
from energy_demand.sandbox.worlds.world import SITES, VARIABLES

ARCHIVE, FORECAST, RUNS = "/archive/v1/archive", "/forecast/v1/forecast", "/single-runs/v1/forecast"
CITY = {"latitude": "40.7128", "longitude": "-74.0060", "hourly": "temperature_2m,precipitation"}
TWO = CITY | {"latitude": "40.7128,42.6526", "longitude": "-74.0060,-73.7562"}
IFS = "ecmwf_ifs"
NOW = datetime(2026, 6, 20, 14, 30, tzinfo=UTC)


@pytest.fixture
def ask(in_process, synthetic_world):
    """Asks a sandbox that is strict in the named parts, at `now`."""

    def asked(path, params, now=NOW, status=200, **parts):
        app = create_app(synthetic_world, now=now, strict=Strictness.none(**parts))
        answer = in_process(app).get(path, params=params)
        assert answer.status_code == status, answer.text
        return answer

    return asked


@pytest.fixture
def plain(in_process, synthetic_world):
    """A sandbox that is not strict, on 20 March 2025."""
    return in_process(create_app(synthetic_world, now=datetime(2025, 3, 20, 14, 30, tzinfo=UTC)))


def runs_of(first, last, hours=6):
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    count = int((datetime.fromisoformat(last).replace(tzinfo=UTC) - start) / timedelta(hours=hours))
    return [start + timedelta(hours=hours * number) for number in range(count)]


def text(run):
    return f"{run:%Y-%m-%dT%H:%M}"


YEAR = runs_of("2025-01-01", "2026-06-01")


def test_about_three_percent_of_runs_are_missing_in_all_three_shapes():
    runs = Runs(Strictness())
    shapes = [shape for run in YEAR if (shape := runs.missing(IFS, run))]
    assert 0.02 < len(shapes) / len(YEAR) < 0.04
    assert set(shapes) == set(Missing)


def test_other_models_and_seeds_miss_other_runs_and_the_same_ones_every_time():
    def missing(model, seed=1):
        runs = Runs(Strictness(seed=seed))
        return [run for run in YEAR if runs.missing(model, run)]

    assert missing(IFS) == missing(IFS)
    assert missing(IFS) != missing("gfs_seamless")
    assert missing(IFS) != missing(IFS, seed=2)
    assert not any(Runs(Strictness.none()).missing(IFS, run) for run in YEAR)


def run_with(shape):
    runs = Runs(Strictness())
    return next(run for run in YEAR if runs.missing(IFS, run) is shape)


def test_a_missing_run_can_be_a_400_that_names_model_and_run(ask):
    run = text(run_with(Missing.REFUSED))
    asked = {**CITY, "run": run, "models": IFS}
    assert ask(RUNS, asked, status=400, missing_runs=True).json() == {
        "error": True,
        "reason": f"The requested model run is not available. Model: ecmwf_ifs, run: {run}Z",
    }
    assert ask(RUNS, asked).json()["hourly"]["time"][0] == run


def test_a_missing_run_can_be_a_line_of_text_under_200(ask):
    run = text(run_with(Missing.TEXT))
    answer = ask(RUNS, {**TWO, "run": run, "models": IFS}, missing_runs=True)
    assert answer.text == (
        f"Unexpected error while streaming data: modelRunUnavailable(model: ecmwf_ifs, run: {run}Z)"
    )
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_a_missing_run_can_break_off_half_of_its_json(ask):
    run = text(run_with(Missing.MIDWAY))
    asked = {**TWO, "run": run, "models": IFS}
    answer = ask(RUNS, asked, missing_runs=True).text
    begun, _, rest = answer.partition("Unexpected error while streaming data: ")
    assert rest == f"modelRunUnavailable(model: ecmwf_ifs, run: {run}Z)"
    assert begun.startswith('[{"latitude":40.6875')
    assert len(begun) == pytest.approx(len(ask(RUNS, asked).text) / 2, abs=30)
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer)


def test_about_five_percent_of_runs_are_half_there_for_an_hour_and_whole_afterwards(ask):
    runs = Runs(Strictness())
    young = [run for run in YEAR if runs.is_half(IFS, run, runs.published(IFS, run))]
    assert 0.035 < len(young) / len(YEAR) < 0.065
    published = Runs(Strictness.none(half_runs=True)).published(IFS, young[0])
    asked = {**CITY, "run": text(young[0]), "models": IFS, "forecast_days": "3"}

    def hourly(minutes):
        return ask(RUNS, asked, now=published + timedelta(minutes=minutes), half_runs=True).json()["hourly"]

    half, whole = hourly(59), hourly(60)
    for name in ("temperature_2m", "precipitation"):
        assert half[name][:12] == whole[name][:12]
        assert set(half[name][12:]) == {None}
        assert None not in whole[name]


def test_precipitation_gusts_and_radiation_are_null_at_the_runs_own_hour(ask):
    asked = {**CITY, "hourly": ",".join(VARIABLES), "run": "2026-06-01T00:00", "models": IFS}
    hourly = ask(RUNS, asked, first_hours=True).json()["hourly"]
    assert {name for name in VARIABLES if hourly[name][0] is None} == {
        "precipitation", "rain", "snowfall", "wind_gusts_10m", "shortwave_radiation",
    }  # fmt: skip
    assert all(None not in hourly[name][1:] for name in VARIABLES)


@pytest.mark.parametrize(
    ("model", "run", "there"),
    [
        pytest.param(None, "2026-04-02T00:00", True, id="the first run of the blend"),
        pytest.param(None, "2026-04-01T18:00", False, id="the blend before"),
        pytest.param("best_match", "2026-04-01T18:00", False, id="the blend by its name"),
        pytest.param("gfs_seamless", "2026-04-01T18:00", False, id="another model before"),
        pytest.param(IFS, "2024-03-14T00:00", True, id="the first run of ecmwf_ifs"),
        pytest.param(IFS, "2024-03-13T12:00", False, id="ecmwf_ifs before"),
        pytest.param(IFS, "2024-10-01T12:00", True, id="ecmwf_ifs at 12 UTC in 2024"),
        pytest.param(IFS, "2024-10-01T06:00", False, id="ecmwf_ifs at 06 UTC in 2024"),
        pytest.param(IFS, "2025-10-01T06:00", True, id="ecmwf_ifs at 06 UTC in 2025"),
        pytest.param(IFS, "2025-10-01T03:00", False, id="ecmwf_ifs at 03 UTC"),
        pytest.param(f"{IFS},gfs_seamless", "2025-10-01T00:00", False, id="two models of which one lacks it"),
    ],
)
def test_runs_exist_as_their_models_do(ask, model, run, there):
    asked = {**CITY, "run": run} | ({"models": model} if model else {})
    answer = ask(RUNS, asked, status=200 if there else 400, models=True)
    assert there or "The requested model run is not available. Model: " in answer.json()["reason"]


@pytest.mark.parametrize(
    ("run", "hours"),
    [
        pytest.param("2026-06-19T00:00", 7.7, id="00 UTC"),
        pytest.param("2026-06-19T12:00", 7.7, id="12 UTC"),
        pytest.param("2026-06-19T06:00", 6.5, id="06 UTC"),
        pytest.param("2026-06-19T18:00", 6.5, id="18 UTC"),
    ],
)
def test_a_run_of_ecmwf_is_complete_late(ask, run, hours):
    complete = datetime.fromisoformat(run).replace(tzinfo=UTC) + timedelta(hours=hours)
    asked = {**CITY, "run": run, "models": IFS}
    ask(RUNS, asked, now=complete, models=True)
    ask(RUNS, asked, now=complete - timedelta(minutes=1), models=True, status=400)
    ask(RUNS, asked, now=complete - timedelta(minutes=1))  # not strict: after six hours


def test_columns_of_one_model_are_plain_and_of_several_bear_their_names(plain):
    days = {"start_date": "2024-03-01", "end_date": "2024-03-01"}
    one = plain.get(ARCHIVE, params={**CITY, **days, "models": IFS}).json()
    assert list(one["hourly"]) == ["time", "temperature_2m", "precipitation"]
    two = plain.get(ARCHIVE, params={**CITY, **days, "models": f"{IFS},gfs_seamless"}).json()
    names = [f"{name}_{model}" for model in (IFS, "gfs_seamless") for name in one["hourly"] if name != "time"]
    assert list(two["hourly"]) == list(two["hourly_units"]) == ["time", *names]
    assert two["hourly_units"]["temperature_2m_gfs_seamless"] == "°C"
    assert two["hourly"]["temperature_2m_ecmwf_ifs"] == one["hourly"]["temperature_2m"]


def test_runs_of_two_models_stand_side_by_side_each_with_its_own_values(plain):
    asked = {**CITY, "hourly": "temperature_2m,shortwave_radiation", "run": "2025-03-01T00:00"}
    alone = {
        model: plain.get(RUNS, params=asked | {"models": model}).json() for model in (IFS, "icon_seamless")
    }
    both = plain.get(RUNS, params=asked | {"models": f"{IFS},icon_seamless"}).json()
    for model, answer in alone.items():
        for name in ("temperature_2m", "shortwave_radiation"):
            assert both["hourly"][f"{name}_{model}"] == answer["hourly"][name]
            assert both["hourly_units"][f"{name}_{model}"] == answer["hourly_units"][name]
    assert alone[IFS]["hourly"]["temperature_2m"] != alone["icon_seamless"]["hourly"]["temperature_2m"]
    assert both["hourly_units"]["shortwave_radiation_icon_seamless"] == "undefined"
    assert set(both["hourly"]["shortwave_radiation_icon_seamless"]) == {None}
    assert both["hourly_units"]["shortwave_radiation_ecmwf_ifs"] == "W/m²"


@pytest.mark.parametrize(
    ("model", "run", "there"),
    [
        pytest.param("gfs_seamless", "2024-11-02T18:00", True, id="the last before a gap"),
        pytest.param("gfs_seamless", "2024-11-03T00:00", False, id="the first of a gap, not the one before"),
        pytest.param("gfs_seamless", "2021-12-31T18:00", False, id="before the record"),
        pytest.param("icon_seamless", "2025-03-01T06:00", False, id="an hour at which it does not run"),
        pytest.param("icon_seamless", "2025-03-01T12:00", True, id="an hour at which it runs"),
    ],
)
def test_a_synthetic_model_has_gaps_and_a_beginning_also_where_nothing_is_strict(plain, model, run, there):
    answer = plain.get(RUNS, params={**CITY, "run": run, "models": model})
    assert answer.status_code == (200 if there else 400), answer.text
    assert there or answer.json()["reason"] == (
        f"The requested model run is not available. Model: {model}, run: {run}Z"
    )


def test_a_model_that_nobody_has_is_a_400(plain):
    answer = plain.get(RUNS, params={**CITY, "run": "2025-03-01T00:00", "models": f"{IFS},dwarf"})
    assert answer.status_code == 400
    assert answer.json()["reason"] == (
        "Data corrupted at path ''. Cannot initialize MultiDomains from invalid String value dwarf."
    )


@pytest.mark.parametrize(
    ("path", "more", "reason"),
    [
        pytest.param(FORECAST, {"run": "2025-03-01T00:00"}, "Parameter 'run' must not be set", id="forecast"),
        pytest.param(
            ARCHIVE,
            {"start_date": "2025-03-01", "end_date": "2025-03-01", "run": "2025-03-01T00:00"},
            "Parameter 'run' must not be set",
            id="archive",
        ),
        pytest.param(RUNS, {}, "Parameter 'run' is required", id="single runs without a run"),
        pytest.param(
            RUNS,
            {"run": "2025-03-01T00:00", "past_days": "2"},
            "Parameter 'past_days' must not be set",
            id="single runs with past days",
        ),
        pytest.param(
            ARCHIVE,
            {"start_date": "2025-03-01"},
            "Both 'start_date' and 'end_date' must be set in the url",
            id="one date of two",
        ),
        pytest.param(
            ARCHIVE,
            {"start_date": "2025-03-01", "end_date": "2025-03-01", "past_days": "3"},
            "Parameter 'past_days' is mutually exclusive with 'start_date' and 'end_date'",
            id="dates and past days",
        ),
        pytest.param(
            ARCHIVE,
            {"start_date": "2025-03-01", "end_date": "2025-03-28"},
            "Parameter 'end_date' is out of allowed range from 1940-01-01 to 2025-03-20",
            id="a day to come",
        ),
        pytest.param(
            FORECAST,
            {"past_days": "93"},
            "Past days is invalid. Allowed range 0 to 92. Given 93.",
            id="too many past days",
        ),
        pytest.param(
            RUNS,
            {"run": "2025-03-20T12:00", "models": IFS},
            "The requested model run is not available. Model: ecmwf_ifs, run: 2025-03-20T12:00Z",
            id="a run to come",
        ),
        pytest.param(
            FORECAST,
            {"hourly": "happiness"},
            "Data corrupted at path ''. "
            "Cannot initialize ForecastVariable from invalid String value happiness.",
            id="an unknown variable",
        ),
    ],
)
def test_a_wrong_parameter_is_refused_in_the_words_of_the_real_one(plain, path, more, reason):
    answer = plain.get(path, params={**CITY, **more})
    assert (answer.status_code, answer.json()) == (400, {"error": True, "reason": reason})


@pytest.mark.parametrize(
    ("path", "more"),
    [
        pytest.param("/customer-archive/v1/archive", {"start_date": "2025-03-01", "end_date": "2025-03-01"},
                     id="archive"),
        pytest.param("/customer-forecast/v1/forecast", {}, id="forecast"),
        pytest.param("/customer-single-runs/v1/forecast", {"run": "2025-03-01T00:00"}, id="single runs"),
    ],
)  # fmt: skip
def test_customers_need_a_key_in_the_header_or_the_query(plain, path, more):
    refused = plain.get(path, params={**CITY, **more})
    assert refused.status_code == 400
    assert refused.json() == {"error": True, "reason": "The supplied API key is invalid."}
    in_header = plain.get(path, params={**CITY, **more}, headers={"X-Api-Key": "paid"})
    in_query = plain.get(path, params={**CITY, **more, "apikey": "paid"})
    assert in_header.status_code == in_query.status_code == 200
    assert in_header.json()["hourly"] == in_query.json()["hourly"]
    assert plain.get(f"{path}/elsewhere").status_code == 404


DAYS = {"start_date": "2026-06-01", "end_date": "2026-06-20"}


def test_the_archives_newest_two_days_have_precipitation_alone(ask):
    asked = {**CITY, **DAYS, "hourly": ",".join(VARIABLES)}
    hourly = ask(ARCHIVE, asked, partial_archive=True).json()["hourly"]
    newest = {
        name: max(time for time, value in zip(hourly["time"], hourly[name], strict=True) if value is not None)
        for name in VARIABLES
    }
    rain = {"precipitation", "rain", "snowfall"}
    assert {newest[name] for name in rain} == {"2026-06-17T14:00"}
    assert {newest[name] for name in VARIABLES if name not in rain} == {"2026-06-15T14:00"}


def test_the_archive_has_no_precipitation_of_hours_to_come(in_process, synthetic_world):
    strict = Strictness.none(partial_archive=True)
    app = create_app(synthetic_world, now=NOW, archive_delay_days=1, strict=strict)
    hourly = in_process(app).get(ARCHIVE, params={**CITY, **DAYS}).json()["hourly"]
    known = [
        time for time, value in zip(hourly["time"], hourly["precipitation"], strict=True) if value is not None
    ]
    assert known[-1] == "2026-06-20T14:00"


def test_young_values_of_the_archive_differ_a_little_and_become_final_after_ten_days(ask):
    asked = {**CITY, **DAYS, "hourly": "temperature_2m,dew_point_2m,relative_humidity_2m,wind_speed_10m"}

    def values(now, **parts):
        hourly = ask(ARCHIVE, {**asked, "end_date": "2026-06-14"}, now=now, **parts).json()["hourly"]
        return {name: np.array(column) for name, column in hourly.items() if name != "time"}

    final, young = values(NOW), values(NOW, partial_archive=True)
    later = values(NOW + timedelta(days=10), partial_archive=True)
    old = 9 * 24 + 15  # hours of the first to the tenth of June, until 14:00
    for name in final:
        np.testing.assert_array_equal(young[name][:old], final[name][:old])
        np.testing.assert_array_equal(later[name], final[name])
        assert (young[name][old:] != final[name][old:]).mean() > 0.3
    assert 0 < np.abs(young["temperature_2m"] - final["temperature_2m"]).max() <= 0.6
    assert (young["relative_humidity_2m"] <= 100).all()
    assert (young["dew_point_2m"] <= young["temperature_2m"]).all()
    np.testing.assert_array_equal(
        values(NOW, partial_archive=True)["temperature_2m"], young["temperature_2m"]
    )


@pytest.mark.usefixtures("processes")
def test_a_variable_or_site_that_is_not_there_is_all_null_without_a_unit(recorded):
    where = {"latitude": "40.7128,42.6526", "longitude": "-74.0060,-73.7562"}
    wanted = {"hourly": "temperature_2m,precipitation,shortwave_radiation"}
    city, albany = recorded.get(RUNS, params={**where, **wanted, "run": "2024-03-05T06:00"}).json()
    assert city["hourly_units"] == {
        "time": "iso8601", "temperature_2m": "°C", "precipitation": "mm", "shortwave_radiation": "undefined",
    }  # fmt: skip
    assert set(city["hourly"]["shortwave_radiation"]) == {None}
    assert set(albany["hourly_units"].values()) == {"iso8601", "undefined"}
    days = {"start_date": "2024-03-01", "end_date": "2024-03-01"}
    observed = recorded.get(ARCHIVE, params={**where, **wanted, **days}).json()
    assert [site["hourly_units"]["temperature_2m"] for site in observed] == ["°C", "°C"]
    assert {site["hourly_units"]["shortwave_radiation"] for site in observed} == {"undefined"}


def test_everything_together_is_the_same_at_every_time_of_asking(in_process, synthetic_world):
    def answers():
        client = in_process(create_app(synthetic_world, now=NOW, strict=Strictness()))
        for run in runs_of("2026-06-10", "2026-06-15"):
            asked = {**CITY, "run": text(run), "models": IFS}
            answer = client.get(RUNS, params=asked)
            body = answer.text if answer.status_code == 400 or answer.text.startswith("U") else answer.json()
            yield body["hourly"] if isinstance(body, dict) else body
        yield client.get(ARCHIVE, params={**CITY, **DAYS}).json()["hourly"]

    first = list(answers())
    assert first == list(answers())
    assert len(first) == 21


def test_the_sites_of_the_region_are_all_there_when_strict(ask):
    where = {
        "latitude": ",".join(str(site.latitude) for site in SITES.values()),
        "longitude": ",".join(str(site.longitude) for site in SITES.values()),
    }
    sites = ask(RUNS, {**CITY, **where, "run": "2026-06-01T00:00", "models": IFS}, models=True).json()
    assert len(sites) == 4
    assert all(None not in site["hourly"]["temperature_2m"] for site in sites)
