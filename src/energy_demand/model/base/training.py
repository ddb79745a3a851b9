"""Trains the base booster from feature rows. Pure.

Splits follow time. The holdout is scored by a booster that saw none of it, not even for early stopping; the
returned model is then fitted on all rows with the number of trees found.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.boosting import lgb, train
from energy_demand.columns import DERIVED_COLUMNS, FEATURE_COLUMNS, LEAD, TARGET_COLUMN, WEATHER_COLUMNS
from energy_demand.errors import UserError
from energy_demand.limits import HOLDOUT_DAYS
from energy_demand.model.base.booster import BOOSTER_COLUMNS, BaseBooster
from energy_demand.model.baselines import seasonal_naive_24, seasonal_naive_168
from energy_demand.model.intervals import LEVELS, ConformalIntervals
from energy_demand.model.metrics import coverage, headline, scores
from energy_demand.timeaxis import HOUR, MAX_LEAD_HOURS

if TYPE_CHECKING:
    from collections.abc import Mapping

FEWEST_ROWS = 1000
SEED = 1


class TooFewRowsError(UserError, ValueError):
    """Not enough feature rows to train and evaluate a model."""


@dataclass(frozen=True)
class BaseRecipe:
    """How the base booster is fitted.

    Attributes:
        lead_stride: each hour gives every `lead_stride`-th of the leads 1–48 to the training rows; the first
            lead shifts from hour to hour.
        test_share: share of the time span, its newest part, that is the holdout; at most `test_days`.
        validation_share: share before the holdout that is used for early stopping.
        max_trees: maximum number of trees.
        loss_share: share of the rows that lose all weather, and of those that keep the main site's alone.
        patience: rounds without improvement until boosting stops.
        parameters: LightGBM's own. MAPE at 24 h, out of sample on 2022-08 … 2024-07: 31 leaves 2.56 %,
            63 leaves 2.58 %.
    """

    lead_stride: int = 24
    test_share: float = 0.1
    test_days: int = HOLDOUT_DAYS
    validation_share: float = 0.1
    max_trees: int = 500
    loss_share: float = 0.1
    patience: int = 30
    parameters: Mapping[str, Any] = field(
        default_factory=lambda: {
            "objective": "l2",
            "learning_rate": 0.1,
            "num_leaves": 31,
            "min_data_in_leaf": 60,
            "feature_fraction": 0.8,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "seed": SEED,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
    )


def training_targets(periods: pd.DatetimeIndex, recipe: BaseRecipe | None = None) -> pd.DataFrame:
    """`period` and `issued_at` of the training rows: a few evenly spaced leads of every hour."""
    recipe = recipe or BaseRecipe()
    hour_number = ((periods - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(HOUR)).to_numpy(dtype=np.int64)
    # Shifted by one each day, so that every lead occurs at every hour of the day.
    first = (5 * hour_number + hour_number // 24) % recipe.lead_stride + 1
    offsets = np.arange(0, MAX_LEAD_HOURS, recipe.lead_stride)
    leads = (first[:, None] + offsets[None, :]).reshape(-1)
    repeated = periods.repeat(len(offsets))
    return pd.DataFrame({"period": repeated, "issued_at": repeated - pd.to_timedelta(leads, unit="h")})


@dataclass(frozen=True)
class TrainedBase:
    """The result of a fit.

    Attributes:
        served: fitted on all rows.
        judged: the same recipe fitted without `holdout`; this one is scored.
        holdout: the newest rows, which `judged` was not fitted on.
        metrics: scores of `judged` on `holdout`, see `train_model`.
    """

    served: BaseBooster
    judged: BaseBooster
    holdout: pd.DataFrame
    metrics: dict[str, float]


def train_model(
    df: pd.DataFrame, *, recipe: BaseRecipe | None = None
) -> tuple[BaseBooster, dict[str, float]]:
    """Fit the recipe on feature rows.

    Args:
        df: rows of `build_features`; those without `demand_mwh` are left out.
        recipe: how to fit.

    Returns:
        The model, fitted on all rows; and holdout metrics (`mae`, `rmse`, `r2`, `mape`; `test_mape`,
        `test_mae`, `test_rmse`, `test_bias_percent`, `test_n`, `test_coverage_80`, `test_coverage_95`,
        those of both naive baselines on the same rows, `trees`), from a fit that did not see the holdout.

    Raises:
        TooFewRowsError: fewer than 1,000 rows, or none in one of the parts.
    """
    trained = fit_base(df, recipe or BaseRecipe())
    return trained.served, trained.metrics


def fit_base(df: pd.DataFrame, recipe: BaseRecipe, holdout_from: pd.Timestamp | None = None) -> TrainedBase:
    """As `train_model`, with the scored fit as well; the holdout begins after `holdout_from`."""
    rows = usable_rows(df)
    fitted, validation, holdout = split(rows, recipe, holdout_from)
    booster = _boost(fitted, recipe, recipe.max_trees, validation)
    trees = booster.best_iteration or recipe.max_trees

    # The intervals that are scored must not have seen the holdout either.
    judged = BaseBooster(booster, _intervals(booster, validation))
    served = BaseBooster(_boost(rows, recipe, trees), _intervals(booster, pd.concat([validation, holdout])))
    return TrainedBase(served, judged, holdout, {**_holdout_metrics(judged, holdout), "trees": float(trees)})


def usable_rows(df: pd.DataFrame) -> pd.DataFrame:
    """The rows with demand, in order of time.

    Raises:
        TooFewRowsError: fewer than 1,000.
    """
    rows = df[df[TARGET_COLUMN].notna()].sort_values("timestamp", kind="stable", ignore_index=True)
    if len(rows) < FEWEST_ROWS:
        raise TooFewRowsError(
            f"{len(rows)} feature rows are too few to train on; at least {FEWEST_ROWS} are needed"
        )
    return rows


def split(
    rows: pd.DataFrame, recipe: BaseRecipe, holdout_from: pd.Timestamp | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows to fit, for early stopping, and the holdout, in order of time.

    Raises:
        TooFewRowsError: a part is empty.
    """
    at = rows["timestamp"]
    first, last = at.iloc[0], at.iloc[-1]
    if holdout_from is None:
        holdout_from = holdout_start(first, last, recipe)
    validation_from = holdout_from - (holdout_from - first) * recipe.validation_share
    parts = (
        rows[at <= validation_from],
        rows[(at > validation_from) & (at <= holdout_from)],
        rows[at > holdout_from],
    )
    if any(part.empty for part in parts):
        raise TooFewRowsError(f"{first} to {last} is too short to fit, validate and evaluate on")
    return parts


def holdout_start(first: pd.Timestamp, last: pd.Timestamp, recipe: BaseRecipe) -> pd.Timestamp:
    """The last hour before the holdout of a span."""
    return last - min((last - first) * recipe.test_share, pd.Timedelta(days=recipe.test_days))


def lose_weather(rows: pd.DataFrame, share: float) -> pd.DataFrame:
    """The rows, a fixed share of them without weather, because serving meets such rows too."""
    lost = np.random.default_rng(SEED).random(len(rows)) < share
    blank = rows.copy()
    blank.loc[lost, [*WEATHER_COLUMNS, *DERIVED_COLUMNS]] = np.nan
    return blank


def data_hash(rows: pd.DataFrame) -> str:
    """A hash of the rows, equal for equal data, that identifies training data."""
    columns = ["timestamp", "issued_at", *FEATURE_COLUMNS, TARGET_COLUMN]
    digest = pd.util.hash_pandas_object(rows[columns], index=False).to_numpy()
    return hashlib.sha256(digest.tobytes()).hexdigest()[:16]


def _boost(
    rows: pd.DataFrame, recipe: BaseRecipe, trees: int, validation: pd.DataFrame | None = None
) -> lgb.Booster:
    data = _dataset(rows)
    if validation is None:
        return train(recipe.parameters, data, trees)
    return train(
        recipe.parameters,
        data,
        trees,
        valid_sets=[_dataset(validation, data)],
        callbacks=[lgb.early_stopping(recipe.patience, verbose=False)],
    )


def _dataset(rows: pd.DataFrame, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    return lgb.Dataset(
        rows[list(BOOSTER_COLUMNS)].to_numpy(dtype=float),
        label=rows[TARGET_COLUMN].to_numpy(dtype=float),
        feature_name=list(BOOSTER_COLUMNS),
        reference=reference,
    )


def _intervals(booster: lgb.Booster, rows: pd.DataFrame) -> ConformalIntervals:
    return ConformalIntervals.fit(
        rows[TARGET_COLUMN].to_numpy(dtype=float),
        np.asarray(booster.predict(rows[list(BOOSTER_COLUMNS)].to_numpy(dtype=float))),
        rows[LEAD].to_numpy(dtype=np.int64),
        rows["hour_of_day"].to_numpy(dtype=np.int64),
    )


def _holdout_metrics(model: BaseBooster, holdout: pd.DataFrame) -> dict[str, float]:
    actual = holdout[TARGET_COLUMN].to_numpy(dtype=float)
    predicted = model.predict(holdout)
    point = predicted["predicted_demand_mwh"].to_numpy()
    metrics = headline(actual, point)
    for name, forecast in (
        ("test", point),
        ("test_seasonal_naive_24", seasonal_naive_24(holdout)),
        ("test_seasonal_naive_168", seasonal_naive_168(holdout)),
    ):
        metrics |= {f"{name}_{key}": float(value) for key, value in scores(actual, forecast).items()}  # type: ignore[arg-type]
    for level in LEVELS:
        lower, upper = predicted[f"lower_{level}"].to_numpy(), predicted[f"upper_{level}"].to_numpy()
        metrics[f"test_coverage_{level}"] = coverage(actual, lower, upper)
    return metrics
