"""Training on the synthetic world: better than both naive forecasts, the holdout unseen, repeatable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from energy_demand.columns import TARGET_COLUMN, WEATHER_VARIABLES
from energy_demand.data.feature_engineering import build_features
from energy_demand.errors import UserError
from energy_demand.model.base.training import (
    BaseRecipe,
    TooFewRowsError,
    data_hash,
    fit_base,
    lose_weather,
    split,
    train_model,
    training_targets,
)
from energy_demand.model.baselines import seasonal_naive_24, seasonal_naive_168
from energy_demand.model.metrics import coverage, headline, scores
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.sandbox.worlds.world import SITES
from energy_demand.timeaxis import hourly

START = datetime(2023, 3, 1, tzinfo=UTC)
DAYS = 150
QUICK = BaseRecipe(max_trees=150, patience=20)


@pytest.fixture(scope="module")
def world() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Demand and weather of the main site, five months of them."""
    synthetic = SyntheticWorld(seed=1)
    periods = hourly(START, START + timedelta(days=DAYS))
    hours = periods.as_unit("s").asi8 // 3600
    demand = pd.DataFrame({"period": periods, TARGET_COLUMN: synthetic.hourly.values("D", hours)})
    observed = synthetic.weather.observed(SITES["new_york_city"], WEATHER_VARIABLES, hours)
    return demand, pd.DataFrame(
        dict(zip(WEATHER_VARIABLES, observed, strict=True)), index=periods
    ).rename_axis("timestamp").reset_index()


@pytest.fixture(scope="module")
def rows(world) -> pd.DataFrame:
    """About 3,500 rows, each hour once at one of its leads."""
    demand, weather = world
    targets = training_targets(pd.DatetimeIndex(demand["period"][200:]), BaseRecipe(lead_stride=48))
    return build_features(demand, weather, targets=targets)


@pytest.fixture(scope="module")
def trained(rows):
    return fit_base(rows, QUICK)


def text(model) -> tuple[str, dict]:
    """Everything that defines a base booster."""
    return model.booster.model_to_string(), model.intervals.to_dict()


def test_the_model_beats_both_naive_forecasts_on_the_same_rows(rows):
    _, metrics = train_model(rows, recipe=QUICK)
    assert metrics["test_n"] == metrics["test_seasonal_naive_24_n"] == metrics["test_seasonal_naive_168_n"]
    for score in ("mape", "mae", "rmse"):
        naive = min(metrics[f"test_seasonal_naive_24_{score}"], metrics[f"test_seasonal_naive_168_{score}"])
        assert metrics[f"test_{score}"] < 0.9 * naive


def test_the_metrics_are_the_scores_of_the_judged_fit_on_the_holdout(trained):
    actual, predicted = trained.holdout[TARGET_COLUMN], trained.judged.predict(trained.holdout)
    expected = {
        "test": scores(actual, predicted["predicted_demand_mwh"]),
        "test_seasonal_naive_24": scores(actual, seasonal_naive_24(trained.holdout)),
        "test_seasonal_naive_168": scores(actual, seasonal_naive_168(trained.holdout)),
    }
    flat = {
        f"{model}_{score}": float(value)
        for model, by_score in expected.items()
        for score, value in by_score.items()
    }
    for level in (80, 95):
        lower, upper = predicted[f"lower_{level}"].to_numpy(), predicted[f"upper_{level}"].to_numpy()
        flat[f"test_coverage_{level}"] = coverage(actual.to_numpy(), lower, upper)
    trees = trained.metrics["trees"]
    callers = headline(actual, predicted["predicted_demand_mwh"])
    assert callers.keys() == {"mae", "rmse", "r2", "mape"}
    assert trained.metrics == {**flat, **callers, "trees": trees}
    assert 1 <= trees <= QUICK.max_trees


def test_the_intervals_have_about_nominal_coverage(trained):
    assert trained.metrics["test_coverage_80"] > 55
    assert trained.metrics["test_coverage_95"] > 80


def test_the_holdout_does_not_change_the_judged_fit(rows, trained):
    altered = rows.copy()
    in_holdout = altered["timestamp"].isin(trained.holdout["timestamp"])
    altered.loc[in_holdout, TARGET_COLUMN] *= 2
    again = fit_base(altered, QUICK)
    assert again.metrics["trees"] == trained.metrics["trees"]
    assert text(again.judged) == text(trained.judged)
    pd.testing.assert_frame_equal(again.judged.predict(rows), trained.judged.predict(rows))
    # The served fit has learnt from it, so the alteration has an effect.
    assert text(again.served) != text(trained.served)


def test_the_boosting_stops_where_the_validation_part_gets_no_better(rows):
    patient = BaseRecipe(max_trees=400, patience=20)
    _, validation, _ = split(rows.sort_values("timestamp", ignore_index=True), patient)
    noisy = rows.copy()
    held_out = noisy["timestamp"].isin(validation["timestamp"])
    noisy.loc[held_out, TARGET_COLUMN] = np.random.default_rng(1).permutation(
        noisy.loc[held_out, TARGET_COLUMN]
    )
    unchanged, without_a_pattern = (fit_base(each, patient).metrics["trees"] for each in (rows, noisy))
    assert without_a_pattern < unchanged < patient.max_trees


def test_the_parts_follow_one_another_in_time_and_lose_no_row(rows):
    fitted, validation, holdout = split(rows.sort_values("timestamp"), QUICK)
    assert len(fitted) + len(validation) + len(holdout) == len(rows)
    assert fitted["timestamp"].max() < validation["timestamp"].min()
    assert validation["timestamp"].max() < holdout["timestamp"].min()
    assert 10 <= (holdout["timestamp"].max() - holdout["timestamp"].min()).days <= 15


def test_the_holdout_is_never_longer_than_its_days(rows):
    _, _, holdout = split(rows.sort_values("timestamp"), BaseRecipe(test_share=0.5, test_days=28))
    assert holdout["timestamp"].max() - holdout["timestamp"].min() <= timedelta(days=28)


def test_one_hour_at_several_leads_stays_in_one_part(world):
    targets = training_targets(pd.DatetimeIndex(world[0]["period"][200:800]), BaseRecipe(lead_stride=12))
    rows = build_features(*world, targets=targets)
    parts = [set(part["timestamp"]) for part in split(rows, QUICK)]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]


def test_the_same_rows_give_the_same_model_in_whatever_order_they_come(rows, trained):
    again = fit_base(rows.sample(frac=1, random_state=3), QUICK)
    assert text(again.served) == text(trained.served)
    assert again.metrics == trained.metrics


def test_rows_without_demand_are_left_out(rows, trained):
    unknown = rows.tail(50).assign(demand_mwh=np.nan, timestamp=rows["timestamp"].max() + timedelta(days=9))
    again = fit_base(pd.concat([rows, unknown]), QUICK)
    assert text(again.served) == text(trained.served)


def test_missing_weather_can_be_trained_on(rows):
    without = rows.assign(humidity=np.nan, solar_radiation=np.nan)
    _, metrics = train_model(without, recipe=QUICK)
    assert metrics["test_mape"] < metrics["test_seasonal_naive_24_mape"]


def test_fewer_than_a_thousand_rows_are_refused(rows):
    with pytest.raises(TooFewRowsError, match="999 feature rows are too few.*1000") as caught:
        train_model(rows.head(999), recipe=QUICK)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, UserError)


def test_a_thousand_rows_are_enough(rows):
    assert train_model(rows.head(1000), recipe=QUICK)[1]["test_n"] > 0


def test_rows_without_demand_do_not_count_towards_the_thousand(rows):
    with pytest.raises(TooFewRowsError, match="^500 "):
        train_model(
            rows.head(1500).assign(demand_mwh=lambda r: r[TARGET_COLUMN].where(r.index < 500)), recipe=QUICK
        )


def test_a_thousand_rows_of_one_hour_cannot_be_split(rows):
    with pytest.raises(TooFewRowsError, match="too short"):
        train_model(rows.head(1000).assign(timestamp=rows["timestamp"].iloc[0]), recipe=QUICK)


def test_training_rows_have_every_lead_at_every_hour_of_the_day(world):
    targets = training_targets(pd.DatetimeIndex(world[0]["period"]), BaseRecipe(lead_stride=12))
    leads = ((targets["period"] - targets["issued_at"]) / pd.Timedelta(hours=1)).astype(int)
    assert len(targets) == 4 * len(world[0])
    assert set(leads) == set(range(1, 49))
    met = pd.crosstab(leads, targets["period"].dt.hour)
    assert (met > 0).all(axis=None)


def test_the_hash_differs_for_different_data(rows):
    same, other = rows.copy(), rows.copy()
    other.loc[10, "temperature"] += 1e-9
    later = rows.assign(demand_mwh=rows[TARGET_COLUMN].where(rows.index != 5, 1.0))
    assert data_hash(same) == data_hash(rows)
    assert len({data_hash(each) for each in (rows, other, later, rows.iloc[1:])}) == 4


def test_lost_weather_is_a_share_of_the_rows_and_always_the_same(rows):
    once, again = lose_weather(rows, 0.1), lose_weather(rows, 0.1)
    pd.testing.assert_frame_equal(once, again)
    blank = once["temperature"].isna() & rows["temperature"].notna()
    assert 0.07 < blank.mean() < 0.13
    assert once.loc[blank, ["humidity", "cooling_degree_hours"]].isna().all(axis=None)
    assert once["demand_lag_24h"].equals(rows["demand_lag_24h"])
    assert rows["temperature"].notna().all()
