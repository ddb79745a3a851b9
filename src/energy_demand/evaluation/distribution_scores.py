"""Scores of a forecast's whole distribution: CRPS, pinball loss, and coverage where it may differ. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.data.feature_engineering import calendar_features
from energy_demand.data.weather_path import MAIN
from energy_demand.evaluation.report import HOURS_OF_A_SHORT_DAY
from energy_demand.model.distribution import PROBABILITIES, QUANTILES, central_interval, season_of
from energy_demand.model.intervals import LEVELS
from energy_demand.model.metrics import coverage, crps, pinball
from energy_demand.timeaxis import HOUR, local_days

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans, Floats
    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster, StageForecasts

SEASON_NAMES = ("winter", "spring", "summer", "autumn")
HOURS_PER_BLOCK = 6
HOT = 30.0  # °C
TOTALS = ("energy", "peak")


class Distributions:
    """Collects the distribution of each forecast of a backtest; an observer of `walk_forward`."""

    def __init__(self) -> None:
        self._quantiles: list[Floats] = []
        self._days: list[dict[str, object]] = []

    def __call__(self, model: Forecaster, stages: StageForecasts) -> None:
        """Keep the quantiles of these hours, and those of energy and peak where they are a whole day."""
        periods = stages.horizon.responses.periods
        if len(periods) < HOURS_OF_A_SHORT_DAY:
            self._quantiles.append(model.quantiles(stages))
            return
        joint = model.joint_distribution(stages)
        self._quantiles.append(joint.hours)
        row: dict[str, object] = {"first": periods[0], "last": periods[-1]}
        for name, found in zip(TOTALS, (joint.energy, joint.peak), strict=True):
            row |= {f"{name}_{each}": value for each, value in zip(QUANTILES, found, strict=True)}
        self._days.append(row)

    def hours(self) -> pd.DataFrame:
        """The columns of `QUANTILES`, a row for each hour in the order of the forecasts."""
        return pd.DataFrame(np.concatenate(self._quantiles), columns=list(QUANTILES))

    def days(self) -> pd.DataFrame:
        """A row for each whole day: its `first` and `last` period, the quantiles of its energy and peak."""
        return pd.DataFrame(self._days)


def with_actual(days: pd.DataFrame, actual: pd.Series) -> pd.DataFrame:
    """Rows of `Distributions.days` with the actual energy and peak, as `day_scores` takes them.

    Args:
        days: see there.
        actual: MWh by period; NaN where unknown.
    """
    if days.empty:
        return days
    spans = [actual.loc[first:last] for first, last in zip(days["first"], days["last"], strict=True)]
    return days.assign(
        energy_actual_mwh=[span.sum(skipna=False) for span in spans],
        peak_actual_mwh=[span.max(skipna=False) for span in spans],
    )


def distribution_scores(hours: pd.DataFrame, zone: ZoneInfo, kinds: Mapping[str, Booleans]) -> dict[str, Any]:
    """The scores of the quantiles of each hour.

    Args:
        hours: `period`, `actual_mwh` (NaN where unknown), the bounds and the columns of `QUANTILES`.
        zone: of the local seasons, hours and days.
        kinds: groups of hours of the same length, see `kinds_of_days`.

    Returns:
        `crps_mwh`, `crps_percent` (of the mean demand), `pinball_mwh` (the mean over the probabilities), and
        `coverage`: `coverage_80`, `coverage_95` and `n_hours` by season, block of local hours and kind of
        day; groups without an hour are left out.
    """
    there = hours["actual_mwh"].notna().to_numpy()
    known = hours[there]
    actual = known["actual_mwh"].to_numpy(dtype=float)
    quantiles = known[list(QUANTILES)].to_numpy(dtype=float)
    local = (pd.DatetimeIndex(known["period"]) - pd.Timedelta(HOUR)).tz_convert(zone)
    season, block = season_of(local.month.to_numpy()), local.hour.to_numpy() // HOURS_PER_BLOCK
    blocks = range(24 // HOURS_PER_BLOCK)
    return {
        **quantile_scores(actual, quantiles),
        "coverage": {
            "season": _by_group(known, {name: season == at for at, name in enumerate(SEASON_NAMES)}),
            "local_hours": _by_group(
                known,
                {
                    f"{at * HOURS_PER_BLOCK:02}-{(at + 1) * HOURS_PER_BLOCK - 1:02}": block == at
                    for at in blocks
                },
            ),
            "days": _by_group(known, {name: inside[there] for name, inside in kinds.items()}),
        },
    }


def kinds_of_days(record: Record, periods: pd.DatetimeIndex) -> dict[str, Booleans]:
    """Which periods are of a local day of 30 °C and more at the main site, and which of a public holiday."""
    zone = record.region.zone
    observed = pd.Series(record.observed.column(MAIN), index=record.observed.periods)
    highest = observed.groupby(local_days(record.observed.periods, zone)).max()
    hot = highest.reindex(local_days(periods, zone)).to_numpy(dtype=float) >= HOT
    holiday = calendar_features(periods, zone, record.region.country)["is_holiday"] == 1
    return {"30_degrees_and_more": hot, "holidays": holiday}


def quantile_scores(actual: Floats, quantiles: Floats) -> dict[str, float]:
    """`crps_mwh`, `crps_percent` and `pinball_mwh` of values whose actual value is known.

    Args:
        actual: MWh.
        quantiles: values × `PROBABILITIES`, MWh.
    """
    score = crps(actual, quantiles, PROBABILITIES)
    return {
        "crps_mwh": score,
        "crps_percent": 100.0 * score / float(actual.mean()),
        "pinball_mwh": float(pinball(actual, quantiles, PROBABILITIES).mean()),
    }


def day_scores(days: pd.DataFrame) -> dict[str, Any]:
    """Scores of the distribution of whole days.

    Args:
        days: by day, for `energy` and `peak`: `NAME_actual_mwh` and a column `NAME_` + each of `QUANTILES`.

    Returns:
        For both, `quantile_scores`, `coverage_80`, `coverage_95` and `n_days`; None without a known day.
    """
    found: dict[str, Any] = dict.fromkeys(TOTALS)
    for name in TOTALS if len(days) else ():
        known = days[days[f"{name}_actual_mwh"].notna()]
        if known.empty:
            continue
        actual = known[f"{name}_actual_mwh"].to_numpy(dtype=float)
        quantiles = known[[f"{name}_{each}" for each in QUANTILES]].to_numpy(dtype=float)
        found[name] = {
            **quantile_scores(actual, quantiles),
            **{
                f"coverage_{level}": coverage(actual, *central_interval(quantiles, level)) for level in LEVELS
            },
            "n_days": len(known),
        }
    return found


def _by_group(known: pd.DataFrame, groups: dict[str, Booleans]) -> dict[str, dict[str, float]]:
    return {
        name: {
            **{
                f"coverage_{level}": coverage(
                    *(
                        known.loc[inside, column].to_numpy(dtype=float)
                        for column in ("actual_mwh", f"lower_{level}", f"upper_{level}")
                    )
                )
                for level in LEVELS
            },
            "n_hours": int(inside.sum()),
        }
        for name, inside in groups.items()
        if inside.any()
    }
