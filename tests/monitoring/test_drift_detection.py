"""Data drift: weeks compared with the same season of earlier years, each column by its own distance."""

from __future__ import annotations

import re
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_demand.columns import CALENDAR_COLUMNS
from energy_demand.data.feature_engineering import build_features, degree_features
from energy_demand.monitoring import drift_detection
from energy_demand.monitoring.drift_detection import (
    FEWEST_ROWS,
    GROUPS,
    THRESHOLD,
    WATCHED,
    generate_drift_html_report,
    run_drift_check,
    wasserstein_scores,
)
from energy_demand.monitoring.watched_rows import rows_between, watched_rows
from records import START, synthetic_record

YEAR = timedelta(days=365)
JULY = START + 2 * YEAR


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Two years and a July of the synthetic world."""
    record = synthetic_record(days=2 * 365 + 28, runs=False)
    return watched_rows(record, START, record.periods[-1])


@pytest.fixture(scope="module")
def two_years(rows) -> pd.DataFrame:
    return rows_between(rows, START, JULY)


@pytest.fixture(scope="module")
def july(rows) -> pd.DataFrame:
    return rows_between(rows, JULY, JULY + timedelta(days=28))


def check(reference, current, **more):
    """The check without Evidently's seconds."""
    return run_drift_check(reference, current, scorer=wasserstein_scores, **more)


def standard_normal(size: int = 400, seed: int = 1) -> pd.DataFrame:
    """Every watched column, standard normal, without times."""
    values = np.random.default_rng(seed).normal(size=(size, len(WATCHED)))
    return pd.DataFrame(values, columns=list(WATCHED))


def warmer(rows: pd.DataFrame, degrees: float) -> pd.DataFrame:
    temperature = rows["temperature"] + degrees
    return rows.assign(
        temperature=temperature,
        apparent_temperature=rows["apparent_temperature"] + degrees,
        **degree_features(temperature.to_numpy()),
    )


def test_data_does_not_drift_from_itself(two_years):
    drifted, share, details = check(two_years, two_years)
    assert (drifted, share) == (False, 0.0)
    assert details["n_drifted_features"] == 0
    assert details["n_total_features"] == len(WATCHED)
    assert details["groups"] == dict.fromkeys(GROUPS, 0.0)
    assert {each["score"] for each in details["per_feature"].values()} == {0.0}


@pytest.mark.parametrize("left_out", [[], ["timestamp"]], ids=["with times", "without times"])
def test_a_year_that_is_ten_degrees_warmer_is_drift(two_years, left_out):
    year = rows_between(two_years, START + YEAR, JULY).drop(columns=left_out)
    drifted, share, details = check(year, warmer(year, 10.0))
    assert drifted is True
    assert share > 0.3
    assert details["groups"] == {"temperature": 1.0, "other_weather": 0.0, "demand": 0.0}
    assert details["per_feature"]["temperature"]["shift"] == pytest.approx(10.0)
    assert details["season_matched"] is not bool(left_out)


def test_base_rows_as_training_has_them_are_enough():
    record = synthetic_record(days=365, runs=False)
    year = build_features(record.demand, record.weather)
    drifted, share, details = check(year, warmer(year, 10.0))
    assert (drifted, details["n_total_features"]) == (True, len(WATCHED))
    assert share > 0.3
    assert not set(details["per_feature"]) & set(CALENDAR_COLUMNS)
    assert check(year, year)[:2] == (False, 0.0)


def test_a_usual_july_is_not_drift_against_whole_years(two_years, july):
    drifted, share, details = check(two_years, july)
    assert not drifted
    assert share < 0.3
    assert details["season_matched"]
    assert details["n_reference_rows"] < len(two_years) / 8


def test_without_timestamps_the_season_itself_counts_as_drift(two_years, july):
    drifted, _, details = check(two_years.drop(columns="timestamp"), july)
    assert drifted
    assert not details["season_matched"]
    assert details["n_reference_rows"] == len(two_years)


def test_an_extreme_july_is_drift(two_years, july):
    assert check(two_years, warmer(july, 10.0))[0]


def test_hours_of_day_are_matched_too(two_years, july):
    """Nights are not compared with days."""
    nights = july[july["timestamp"].dt.hour.isin([5, 6, 7, 8])]
    _, share, details = check(two_years, nights)
    assert details["season_matched"]
    assert details["n_reference_rows"] % 4 == 0
    assert details["per_feature"]["temperature"]["score"] < THRESHOLD
    assert check(two_years, nights.drop(columns="timestamp"))[1] > share


def test_the_season_crosses_new_year(two_years):
    new_year = START + timedelta(days=365 + 184)
    first_days = rows_between(two_years, new_year, new_year + timedelta(days=3))
    _, _, details = check(two_years, first_days)
    assert details["season_matched"]
    # Four days, since the last hour ends on the fourth, and 7 on either side; in two winters.
    assert details["n_reference_rows"] == pytest.approx(2 * 24 * (4 + 14), abs=2 * 24)


def test_with_too_little_of_the_season_the_whole_reference_is_compared(two_years, july):
    winter = rows_between(two_years, START + timedelta(days=120), START + timedelta(days=240))
    _, _, details = check(winter, july)
    assert not details["season_matched"]
    assert details["n_reference_rows"] == len(winter)


def test_naive_times_are_read_as_utc(two_years, july):
    naive = [each.assign(timestamp=each["timestamp"].dt.tz_localize(None)) for each in (two_years, july)]
    assert check(*naive) == check(two_years, july)


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        pytest.param("drop", None, "missing", id="missing in the reference"),
        pytest.param(None, "drop", "missing", id="missing in the window"),
        pytest.param(np.nan, None, "empty", id="empty in the reference"),
        pytest.param(None, np.nan, "empty", id="empty in the window"),
        pytest.param(3.0, None, "constant", id="constant in the reference"),
        pytest.param(3.0, 4.0, "constant", id="constant in both"),
    ],
)
def test_a_column_that_cannot_be_compared_is_named_and_does_not_count(old, new, status):
    def changed(rows: pd.DataFrame, how) -> pd.DataFrame:
        if how is None:
            return rows
        return rows.drop(columns="humidity") if how == "drop" else rows.assign(humidity=how)

    before, after = standard_normal(), standard_normal(seed=2)
    wind = after.assign(wind_speed=after["wind_speed"] + 9.0)
    _, share, details = check(changed(before, old), changed(wind, new))
    found = details["per_feature"]["humidity"]
    assert (found["status"], found["drifted"], found["score"]) == (status, False, None)
    assert details["n_total_features"] == len(WATCHED) - 1
    # One of the four that are left of this group drifted.
    assert details["groups"]["other_weather"] == pytest.approx(1 / 4)
    assert share == pytest.approx(1 / 12)


def test_a_constant_window_is_compared():
    _, _, details = check(standard_normal(), standard_normal(seed=2).assign(humidity=7.0))
    assert details["per_feature"]["humidity"]["status"] == "compared"
    assert details["per_feature"]["humidity"]["drifted"]


def test_a_column_that_hardly_varies_in_the_season_is_not_compared(two_years, july):
    summers = two_years[two_years["timestamp"].dt.month == 7]
    assert summers["heating_degree_hours"].max() > 0
    _, share, details = check(two_years, july.assign(heating_degree_hours=5.0))
    assert details["per_feature"]["heating_degree_hours"]["status"] == "constant"
    assert share == check(two_years, july)[1]


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        pytest.param(pd.DataFrame(), pd.DataFrame(), id="nothing at all"),
        pytest.param(standard_normal(), standard_normal().iloc[:0], id="no rows in the window"),
        pytest.param(standard_normal().iloc[:0], standard_normal(), id="no rows in the reference"),
        pytest.param(standard_normal(), standard_normal() * np.nan, id="nothing known"),
    ],
)
def test_where_nothing_can_be_compared_there_is_no_drift(reference, current):
    drifted, share, details = check(reference, current)
    assert (drifted, share, details["n_total_features"]) == (False, 0.0, 0)
    assert details["groups"] == dict.fromkeys(GROUPS)
    assert set(details["per_feature"]) == set(WATCHED)


def test_unknown_hours_do_not_count():
    before, after = standard_normal(), standard_normal(seed=2)
    holes = after.mask(np.random.default_rng(3).random(after.shape) < 0.3)
    found = check(before, holes)[2]["per_feature"]
    for name in WATCHED:
        assert found[name]["shift"] == pytest.approx(holes[name].mean() - before[name].mean())


def test_the_calendar_never_counts():
    before = standard_normal().assign(**dict.fromkeys(CALENDAR_COLUMNS, 0))
    after = standard_normal().assign(**dict.fromkeys(CALENDAR_COLUMNS, 9))
    drifted, share, details = check(before, after)
    assert (drifted, share) == (False, 0.0)
    assert not set(details["per_feature"]) & set(CALENDAR_COLUMNS)


def from_source(rows: pd.DataFrame, label: str) -> pd.DataFrame:
    return rows.assign(source_humidity=label)


def test_a_change_of_source_is_named_and_does_not_count():
    after = standard_normal(seed=2)
    after = from_source(after.assign(humidity=after["humidity"] + 50.0), "1 site")
    drifted, share, details = check(from_source(standard_normal(), "4 sites"), after)
    assert details["source_changes"] == ["humidity"]
    assert details["per_feature"]["humidity"]["status"] == "source_changed"
    assert (drifted, share, details["n_total_features"]) == (False, 0.0, len(WATCHED) - 1)


def test_the_same_change_from_the_same_source_counts():
    after = standard_normal(seed=2)
    after = from_source(after.assign(humidity=after["humidity"] + 50.0), "4 sites")
    _, share, details = check(from_source(standard_normal(), "4 sites"), after)
    assert details["source_changes"] == []
    assert share == pytest.approx(1 / 15)


def test_only_hours_of_the_usual_source_are_compared():
    far = standard_normal(seed=3)
    far = from_source(far.assign(humidity=far["humidity"] + 5.0), "1 site")
    before = pd.concat([from_source(standard_normal(FEWEST_ROWS), "4 sites"), far], ignore_index=True)
    after = pd.concat([from_source(standard_normal(seed=2), "4 sites"), far.iloc[:100]], ignore_index=True)
    found = check(before, after)[2]["per_feature"]["humidity"]
    assert found["status"] == "compared"
    assert found["score"] < THRESHOLD
    one_fewer = before.drop(index=0)
    assert check(one_fewer, after)[2]["source_changes"] == ["humidity"]


def test_a_column_that_the_reference_never_had_changed_its_source():
    before = from_source(standard_normal().assign(humidity=np.nan), "no site")
    assert check(before, from_source(standard_normal(), "1 site"))[2]["source_changes"] == ["humidity"]


@settings(deadline=None, max_examples=20)
@given(st.floats(-1e4, 1e4), st.floats(0.01, 1e3), st.floats(-3.0, 3.0))
def test_the_score_is_the_shift_in_standard_deviations_in_any_unit(offset, scale, moved):
    before = standard_normal(FEWEST_ROWS)[["temperature"]]
    plain = check(before, before + moved)[2]["per_feature"]["temperature"]
    assert plain["score"] == pytest.approx(abs(moved) / before["temperature"].std(ddof=0), abs=1e-9)
    assert plain["shift"] == pytest.approx(moved, abs=1e-9)
    rescaled = check(before * scale + offset, (before + moved) * scale + offset)
    assert rescaled[2]["per_feature"]["temperature"]["score"] == pytest.approx(
        plain["score"], rel=1e-6, abs=1e-6
    )


@settings(deadline=None, max_examples=40)
@given(st.sets(st.sampled_from(WATCHED)), st.sets(st.sampled_from(WATCHED)))
def test_the_share_is_the_mean_of_what_drifted_in_each_group(moved, absent):
    before = standard_normal(FEWEST_ROWS)
    after = before.assign(**{name: before[name] + 3.0 for name in moved}).drop(columns=sorted(absent))
    drifted, share, details = check(before, after)
    present = [[name for name in columns if name not in absent] for columns in GROUPS.values()]
    expected = [len(moved & set(columns)) / len(columns) for columns in present if columns]
    assert share == pytest.approx(np.mean(expected) if expected else 0.0)
    assert details["n_drifted_features"] == len(moved - absent)
    assert details["n_total_features"] == len(WATCHED) - len(absent)
    assert drifted is (share > 0.3)


def test_a_column_drifts_from_the_threshold_on_and_the_data_beyond_the_share():
    before = standard_normal()
    after = before.assign(temperature=before["temperature"] + 1.0)
    _, share, details = check(before, after)
    score = details["per_feature"]["temperature"]["score"]
    assert check(before, after, threshold=score)[2]["n_drifted_features"] == 1
    assert check(before, after, threshold=np.nextafter(score, 9))[2]["n_drifted_features"] == 0
    assert check(before, after, share_threshold=np.nextafter(share, 0))[0]
    assert not check(before, after, share_threshold=share)[0]


def test_evidently_finds_the_same_distances(two_years, july):
    # Unknown hours and hours of other sources make columns of different lengths.
    holes = july.assign(humidity=july["humidity"].mask(july.index % 3 == 0))
    mixed = two_years.assign(source_cloud_cover=np.where(two_years.index % 2, "4 sites", "1 site"))
    drifted, share, details = run_drift_check(mixed, holes)
    ours = check(mixed, holes)
    assert (drifted, share) == ours[:2]
    assert details["n_total_features"] == ours[2]["n_total_features"] >= 14
    theirs, scipys = (
        {name: each["score"] for name, each in found["per_feature"].items() if each["status"] == "compared"}
        for found in (details, ours[2])
    )
    assert theirs == pytest.approx(scipys, abs=1e-9)
    assert theirs["humidity"] > 0


def test_the_report_is_one_self_contained_file(tmp_path):
    path = tmp_path / "new" / "drift.html"
    assert generate_drift_html_report(standard_normal(), standard_normal(seed=2), path) == str(path)
    page = path.read_text()
    assert page.rstrip().endswith("</html>")
    assert all(name in page for name in WATCHED)
    assert not re.findall(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert [each.name for each in path.parent.iterdir()] == ["drift.html"]


def test_a_report_without_comparable_columns_says_so(tmp_path):
    path = tmp_path / "drift.html"
    generate_drift_html_report(standard_normal(), standard_normal().iloc[:0], path)
    assert "No feature could be compared" in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["drift.html"]


def test_a_report_that_fails_half_way_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "drift.html"
    path.write_text("the old page")

    class Full:
        def save_html(self, name: str) -> None:
            with open(name, "w") as file:  # noqa: PTH123
                file.write("<html><body>half a")
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(drift_detection, "_evidently", lambda *_: Full())
    with pytest.raises(OSError, match="No space"):
        generate_drift_html_report(standard_normal(), standard_normal(seed=2), path)
    assert path.read_text() == "the old page"


def test_a_report_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):  # noqa: PT011
        generate_drift_html_report(
            standard_normal(), standard_normal().iloc[:0], tmp_path / "file" / "drift.html"
        )


def test_the_details_can_be_stored_as_json_numbers(two_years, july):
    drifted, share, details = check(two_years, july)
    assert type(drifted) is bool
    assert type(share) is float
    assert {type(each["drifted"]) for each in details["per_feature"].values()} == {bool}
    assert {type(each["score"]) for each in details["per_feature"].values()} <= {float, type(None)}


def test_the_inputs_are_not_changed(july):
    frames = july.iloc[:400].copy(), july.iloc[400:].copy()
    check(*frames)
    pd.testing.assert_frame_equal(frames[0], july.iloc[:400])
    pd.testing.assert_frame_equal(frames[1], july.iloc[400:])
