"""What a check knows about the cause of its triggers. Pure; daily operation and replays use the same code.

Each finding is made again on the days without a source's fault: a trigger that these days do not confirm has
the fault as its cause. So no limit is needed for how many days of a fault are too many.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.monitoring.concept_drift import run_charts
from energy_demand.monitoring.diagnosis import Circumstances, newest_residuals, newest_weather_errors
from energy_demand.monitoring.drift_detection import GROUPS, run_drift_check, wasserstein_scores
from energy_demand.monitoring.performance_monitor import FEWEST_DAYS, JUDGED_DAYS, compare
from energy_demand.monitoring.source_faults import OBSERVED, fault_lines, inputs_at_fault
from energy_demand.monitoring.watched_rows import WINDOW_DAYS
from energy_demand.timeaxis import local_days, utc_index

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from zoneinfo import ZoneInfo

    from energy_demand.model.expected_errors import ExpectedErrors


def find_circumstances(
    *,
    today: date,
    faults: pd.DataFrame,
    weather_errors: pd.DataFrame,
    residuals: pd.Series,
    forecasts: pd.DataFrame,
    metrics: Mapping[str, float],
    expected_errors: ExpectedErrors,
    reference: pd.DataFrame,
    window: pd.DataFrame,
    drift_share: float | None,
    drift_details: Mapping[str, Any],
    zone: ZoneInfo,
) -> Circumstances:
    """The circumstances of a check; only days before `today` count.

    Args:
        today: local day of the check.
        faults: of `source_faults`, by local day.
        weather_errors: of `source_faults.daily_weather_errors`.
        residuals: of `concept_drift.daily_residuals`, without `today`.
        forecasts: of the champion, as for `performance_monitor.compare`.
        metrics: of the champion's holdout.
        expected_errors: of the champion.
        reference: of the drift check.
        window: of the drift check, with `timestamp`.
        drift_share: of the drift check.
        drift_details: of the drift check.
        zone: of the days.
    """
    faults = faults[faults.index < pd.Timestamp(today)]
    lacking = inputs_at_fault(faults)
    newest = faults[faults.index >= pd.Timestamp(today - timedelta(days=JUDGED_DAYS))]
    in_window = faults[faults.index >= pd.Timestamp(today - timedelta(days=WINDOW_DAYS))]
    charted = faults.reindex(residuals.index, fill_value=False)
    unsound = int(lacking.reindex(newest.index).sum()) > JUDGED_DAYS - FEWEST_DAYS
    sound_window = _without(window, faults[list(OBSERVED)].any(axis=1), zone)
    weather = newest_weather_errors(weather_errors[weather_errors.index < pd.Timestamp(today)])
    sound_charts = run_charts(residuals[~charted[list(OBSERVED)].any(axis=1)])
    sound_forecasts = _without(forecasts, lacking, zone)
    groups = {name: share or 0.0 for name, share in drift_details["groups"].items()}
    return Circumstances(
        faults={
            "performance": fault_lines(in_window),
            "concept": fault_lines(charted, OBSERVED),
            "drift": fault_lines(in_window, OBSERVED),
        },
        unsound="; ".join(fault_lines(newest)) if unsound else None,
        sound_comparison=compare(sound_forecasts, metrics, expected_errors, zone),
        sound_alarm=sound_charts.alarms[-1] if sound_charts.alarms else None,
        sound_share=(drift_share if len(sound_window) == len(window) else _share(reference, sound_window)),
        changed_columns=tuple(drift_details["source_changes"]),
        unchanged_share=unchanged_share(drift_details, stepped=weather is not None and weather.stepped),
        residuals=newest_residuals(residuals),
        weather=weather,
        weather_drifts=groups["temperature"] + groups["other_weather"] > groups["demand"],
    )


def unchanged_share(details: Mapping[str, Any], *, stepped: bool) -> float | None:
    """The drift share where columns of a changed source count as not drifted, and not as absent.

    Args:
        details: of `run_drift_check`.
        stepped: whether forecast and observed temperature have parted, so that no temperature column counts.
    """
    changed = {*details["source_changes"], *(GROUPS["temperature"] if stepped else ())}
    shares = []
    for columns in GROUPS.values():
        found = [(name, details["per_feature"][name]) for name in columns]
        counted = [each for each in found if each[1]["status"] in {"compared", "source_changed"}]
        if counted:
            shares.append(float(np.mean([each["drifted"] and name not in changed for name, each in counted])))
    return float(np.mean(shares)) if shares else None


def _share(reference: pd.DataFrame, window: pd.DataFrame) -> float | None:
    """The drift share of a window; None where nothing can be compared."""
    if window.empty:
        return None
    _, share, details = run_drift_check(reference, window, scorer=wasserstein_scores)
    return share if details["n_total_features"] else None


def _without(rows: pd.DataFrame, faults: pd.Series, zone: ZoneInfo) -> pd.DataFrame:
    """The rows of local days without a fault."""
    if rows.empty:
        return rows
    days = local_days(utc_index(rows["timestamp"]), zone)
    return rows[~np.asarray(faults.reindex(days, fill_value=False), dtype=bool)]
