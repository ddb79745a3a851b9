"""The cause of a trigger, and whether a retraining can help against it. Pure: symptoms in, a cause out.

A model that is trained on the days of a fault learns the fault, and one that is trained on a heat wave learns
nothing that the next heat wave needs. So only two causes may retrain: demand that answers to weather and
calendar otherwise than before, and a champion that is broken itself. The causes are checked in the order of
`Cause`; docs/monitoring.md has the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from energy_demand.monitoring.performance_monitor import (
    FEWEST_DAYS,
    JUDGED_DAYS,
    SIGNIFICANT,
    WORSE_RATIO,
    Comparison,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import pandas as pd


# Triggers that have a cause to find; age and a person's request are routine.
EXPLAINED = frozenset({"performance", "concept", "drift"})


class Cause(StrEnum):
    """Why a trigger applies."""

    SOURCE_FAULT = "source_fault"
    PROVIDER_CHANGE = "provider_change"
    CHANGED_RESPONSE = "changed_response"
    UNUSUAL_WEATHER = "unusual_weather"
    BROKEN_MODEL = "broken_model"
    ROUTINE = "routine"

    @property
    def may_retrain(self) -> bool:
        """Whether a new model can be better than the champion."""
        return self in {Cause.CHANGED_RESPONSE, Cause.BROKEN_MODEL, Cause.ROUTINE}


@dataclass(frozen=True)
class Residuals:
    """The daily residuals of the adaptive regression given the observed weather, over the newest days.

    Attributes:
        days: number of known days.
        ratio: their root mean square over the expected one.
        above: `ratio` at least `WORSE_RATIO`, with a p-value below `SIGNIFICANT`.
    """

    days: int
    ratio: float
    above: bool


@dataclass(frozen=True)
class WeatherErrors:
    """The day-ahead temperature forecasts of the newest days, compared with those of the days before.

    Attributes:
        days: number of newest days.
        mae: mean absolute error of the newest days, °C.
        usual_mae: of the days before, °C.
        step: change of the mean of forecast minus observed, °C.
        worse: `mae` at least `WORSE_RATIO` × `usual_mae`, with a p-value below `SIGNIFICANT`.
        stepped: `step` at least `WORSE_RATIO` × `usual_mae`, with a p-value below `SIGNIFICANT`: one of both
            sources has other numbers than before.
    """

    days: int
    mae: float
    usual_mae: float
    step: float
    worse: bool
    stepped: bool


@dataclass(frozen=True)
class Circumstances:
    """What is known of sources, weather and residuals at a decision; everything unknown by default.

    Attributes:
        faults: by trigger, a phrase for each source that was at fault on the days it is based on.
        unsound: the faults, where they leave too few of the newest days to judge the champion by.
        sound_comparison: as `Evidence.comparison`, of the days without a fault.
        sound_alarm: as `Evidence.concept_alarm`, of the days without a fault.
        sound_share: as `Evidence.drift_share`, of the days without a fault.
        changed_columns: weather columns whose source changed.
        unchanged_share: the drift share if no column of `changed_columns`, and no temperature column after a
            step of `weather`, counts as drifted.
        residuals: given the observed weather; None where too few days are known.
        weather: errors of the weather forecast; None where too few runs were recorded.
        weather_drifts: whether weather makes up more of the drift share than demand.
    """

    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unsound: str | None = None
    sound_comparison: Comparison | None = None
    sound_alarm: date | None = None
    sound_share: float | None = None
    changed_columns: tuple[str, ...] = ()
    unchanged_share: float | None = None
    residuals: Residuals | None = None
    weather: WeatherErrors | None = None
    weather_drifts: bool = False


@dataclass(frozen=True)
class Symptoms:
    """A trigger, and which triggers apply under which conditions (`performance`, `concept`, `drift`, `age`).

    Attributes:
        trigger: to diagnose; None where none applies.
        present: every trigger that applies.
        on_sound_days: those that apply on the days without a fault of a source.
        unchanged: those that apply without the drift of columns whose provider changed.
        circumstances: see there.
    """

    trigger: str | None
    present: frozenset[str]
    on_sound_days: frozenset[str]
    unchanged: frozenset[str]
    circumstances: Circumstances


@dataclass(frozen=True)
class Diagnosis:
    """The cause of a trigger, and how it was recognised."""

    cause: Cause
    reason: str

    @property
    def may_retrain(self) -> bool:
        """Whether a retraining can help."""
        return self.cause.may_retrain


def diagnose(symptoms: Symptoms) -> Diagnosis | None:
    """The cause of a trigger; without one, of what makes a check unreliable, or None.

    What is not known excuses nothing: high errors that nothing explains are those of a broken model.
    """
    if symptoms.trigger is None:
        return _without_trigger(symptoms.circumstances)
    if symptoms.trigger not in EXPLAINED:
        return Diagnosis(Cause.ROUTINE, "nothing is wrong with the champion")
    for cause in (_source_fault, _provider_change, _changed_response, _unusual_weather):
        found = cause(symptoms)
        if found is not None:
            return found
    reason = f"neither sources nor weather explain the errors; {_as_expected(symptoms)}"
    return Diagnosis(Cause.BROKEN_MODEL, reason)


def _without_trigger(found: Circumstances) -> Diagnosis | None:
    if found.unsound is not None:
        return Diagnosis(Cause.SOURCE_FAULT, f"{found.unsound}; too few days are left to judge the champion")
    if found.weather is not None and found.weather.stepped:
        return Diagnosis(Cause.PROVIDER_CHANGE, _step(found.weather))
    return None


def _source_fault(symptoms: Symptoms) -> Diagnosis | None:
    """The trigger does not apply on the days without a fault."""
    faults = symptoms.circumstances.faults.get(str(symptoms.trigger))
    if not faults or symptoms.trigger in symptoms.on_sound_days:
        return None
    reason = f"{'; '.join(faults)}; the other days give no reason to retrain"
    return Diagnosis(Cause.SOURCE_FAULT, reason)


def _provider_change(symptoms: Symptoms) -> Diagnosis | None:
    """Observed and forecast temperature have parted, or only columns of a new source drift."""
    found = symptoms.circumstances
    explains_drift = symptoms.trigger == "drift" and "drift" not in symptoms.unchanged
    stepped = found.weather is not None and found.weather.stepped
    if found.weather is not None and stepped and (explains_drift or symptoms.trigger != "drift"):
        return Diagnosis(Cause.PROVIDER_CHANGE, _step(found.weather))
    if found.changed_columns and explains_drift:
        reason = f"the source of {', '.join(found.changed_columns)} changed; the other columns do not drift"
        return Diagnosis(Cause.PROVIDER_CHANGE, reason)
    return None


def _changed_response(symptoms: Symptoms) -> Diagnosis | None:
    """The charts alarm, or the residuals given the observed weather are far above the expected ones."""
    residuals = symptoms.circumstances.residuals
    if "concept" in symptoms.present:
        return Diagnosis(Cause.CHANGED_RESPONSE, "residuals given the observed weather have changed")
    if residuals is not None and residuals.above:
        reason = f"residuals given the observed weather are {residuals.ratio:.1f} × the expected ones"
        return Diagnosis(Cause.CHANGED_RESPONSE, reason)
    return None


def _unusual_weather(symptoms: Symptoms) -> Diagnosis | None:
    """Inputs drift, or the weather forecast failed; residuals given the observed weather are as expected."""
    found = symptoms.circumstances
    if symptoms.trigger == "drift":
        return Diagnosis(Cause.UNUSUAL_WEATHER, f"inputs are unusual; {_as_expected(symptoms)}")
    if found.residuals is None:
        return None
    if found.weather is not None and found.weather.worse:
        reason = (
            f"MAE of the temperature forecast is {found.weather.mae:.1f} °C, usually "
            f"{found.weather.usual_mae:.1f} °C; {_as_expected(symptoms)}"
        )
        return Diagnosis(Cause.UNUSUAL_WEATHER, reason)
    if "drift" in symptoms.unchanged and found.weather_drifts:
        reason = f"the weather is unlike the same season of the reference; {_as_expected(symptoms)}"
        return Diagnosis(Cause.UNUSUAL_WEATHER, reason)
    return None


def _as_expected(symptoms: Symptoms) -> str:
    residuals = symptoms.circumstances.residuals
    return "residuals given the observed weather are " + (
        "not known yet" if residuals is None else f"as expected ({residuals.ratio:.1f} ×)"
    )


def _step(weather: WeatherErrors) -> str:
    return (
        f"forecast minus observed temperature changed by {weather.step:+.1f} °C in the last "
        f"{weather.days} days (usual error {weather.usual_mae:.1f} °C)"
    )


def newest_residuals(residuals: pd.Series) -> Residuals | None:
    """The newest `JUDGED_DAYS` known days of `concept_drift.daily_residuals`; None with fewer than a week.

    A residual is in standard deviations, so the sum of squares is χ² where all is as expected.
    """
    known = residuals.dropna().tail(JUDGED_DAYS).to_numpy(dtype=float)
    if len(known) < FEWEST_DAYS:
        return None
    total = float(np.square(known).sum())
    ratio = float(np.sqrt(total / len(known)))
    p_value = float(stats.chi2.sf(total, len(known)))
    return Residuals(len(known), ratio, bool(ratio >= WORSE_RATIO and p_value < SIGNIFICANT))


# The newest days are compared with so many before them: the greatest age of a champion by default.
USUAL_DAYS = 90


def newest_weather_errors(daily: pd.DataFrame) -> WeatherErrors | None:
    """Compare the newest `JUDGED_DAYS` days with the `USUAL_DAYS` before; None with too few of either.

    Args:
        daily: columns `bias` and `mae` in °C, by local day, of `source_faults.daily_weather_errors`.
    """
    known = daily.dropna()
    if len(known) == 0:
        return None
    last = known.index[-1]
    age = (last - known.index).days
    newest = known[age < JUDGED_DAYS]
    usual = known[(age >= JUDGED_DAYS) & (age < JUDGED_DAYS + USUAL_DAYS)]
    if len(newest) < FEWEST_DAYS or len(usual) < JUDGED_DAYS:
        return None
    mae, usual_mae = float(newest["mae"].mean()), float(usual["mae"].mean())
    step = float(newest["bias"].mean() - usual["bias"].mean())
    worse = stats.ttest_ind(newest["mae"], usual["mae"], equal_var=False, alternative="greater")
    other = stats.ttest_ind(newest["bias"], usual["bias"], equal_var=False)
    least = WORSE_RATIO * usual_mae
    return WeatherErrors(
        days=len(newest),
        mae=mae,
        usual_mae=usual_mae,
        step=step,
        worse=bool(mae >= least and worse.pvalue < SIGNIFICANT),
        stepped=bool(abs(step) >= least and other.pvalue < SIGNIFICANT),
    )
