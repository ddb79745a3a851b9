"""Whether model, data and world are as they should be: facts in, a colour and a sentence out. Pure.

The limits are those of the alerts; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from energy_demand.limits import DRIFT_SHARE_THRESHOLD, PERFORMANCE_MAE_THRESHOLD
from energy_demand.monitoring.performance_monitor import WORSE_RATIO
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    Level = Literal["good", "bad", "unknown"]

STALE_HOURS = 48


@dataclass(frozen=True)
class Sign:
    """One answer of the first screen."""

    title: str
    level: Level
    headline: str
    sentence: str


def model_sign(recent: Mapping[str, Any] | None, champion: str | None, test_mae: float | None) -> Sign:
    """How the model does.

    Args:
        recent: `known`, `mae`, `mape` of the last week's scheduled forecasts, by whichever version; None: no
            database to ask.
        champion: its version; None: none serves.
        test_mae: its own test error (MWh), where it is known.
    """
    title = "Model"
    if champion is None:
        return Sign(title, "bad", "none serves", "Run `energy-demand train`.")
    if recent is None or not recent["known"]:
        told = "" if test_mae is None else f" Its own test came to {test_mae:,.0f} MWh."
        return Sign(
            title,
            "unknown",
            f"version {champion}",
            "No scheduled forecast of the last week can be judged yet; `energy-demand worker`, or "
            f"`energy-demand forecast --scheduled` at 09:00, makes them.{told}",
        )
    mae, mape = float(recent["mae"]), float(recent["mape"])
    limits = [PERFORMANCE_MAE_THRESHOLD] + ([] if test_mae is None else [WORSE_RATIO * test_mae])
    bad = mae > min(limits)
    beside = "" if test_mae is None else f", {mae / test_mae:.2f} × its own test"
    return Sign(
        title,
        "bad" if bad else "good",
        f"version {champion}, {mape:.2f} % off",
        f"MAE {mae:,.0f} MWh over {recent['known']} hours of the last 7 days{beside}.",
    )


def freshness_sign(newest: datetime | None, now: datetime, zone: ZoneInfo) -> Sign:
    """How old the newest valid hour of demand is."""
    title = "Data"
    if newest is None:
        return Sign(title, "bad", "none stored", "Run `energy-demand backfill`.")
    age = (now - newest) / HOUR
    stale = age > STALE_HOURS
    sentence = f"Newest valid hour of demand ends {newest.astimezone(zone):%a %d %b %H:%M}."
    if stale:
        sentence += " Run `energy-demand ingest`."
    return Sign(title, "bad" if stale else "good", f"{age:.0f} h old", sentence)


def drift_sign(check: Mapping[str, Any] | None, zone: ZoneInfo) -> Sign:
    """What the last check found."""
    title = "Drift"
    if check is None:
        return Sign(title, "unknown", "never looked for", "Run `energy-demand drift`.")
    share, drifted = float(check["drift_share"]), bool(check["dataset_drift_detected"])
    return Sign(
        title,
        "bad" if drifted else "good",
        f"share {share:.2f}",
        f"{check['n_drifted_features']} of {check['n_total_features']} features drifted (over "
        f"{DRIFT_SHARE_THRESHOLD:.2f} is drift); looked "
        f"{check['check_timestamp'].astimezone(zone):%a %d %b %H:%M}.",
    )


def decision_sign(
    check: Mapping[str, Any] | None, retraining: Mapping[str, Any] | None, zone: ZoneInfo
) -> Sign:
    """What was decided last: a retraining's outcome, or what the newest check asked for."""
    title = "Last decision"
    newest = None if check is None else check["check_timestamp"]
    if retraining is not None and (newest is None or retraining["started_at"] >= newest):
        outcome = str(retraining["outcome"])
        verdict = (retraining["verdict"] or {}).get("reason")
        version = f"version {retraining['model_version']} " if retraining["model_version"] else ""
        return Sign(
            title,
            "bad" if outcome == "failed" else "good",
            f"{version}{outcome.replace('_', ' ')}",
            f"{retraining['started_at'].astimezone(zone):%a %d %b %H:%M}, because of "
            f"{retraining['trigger']}: {retraining['error'] or verdict or retraining['reason']}.",
        )
    if check is None:
        return Sign(title, "unknown", "none yet", "Nothing was checked or retrained so far.")
    return Sign(
        title,
        "good",
        "retrain" if check["triggered_retrain"] else "leave it",
        f"{check['check_timestamp'].astimezone(zone):%a %d %b %H:%M}: {check['reason']}.",
    )
