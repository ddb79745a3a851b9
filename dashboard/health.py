"""The health signs of the first screen: facts in, a colour and a sentence out. Pure.

The limits are those of the alerts; a test keeps the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from energy_demand.database.decisions import outcome_in_words, outcome_reason
from energy_demand.database.state import is_failing
from energy_demand.limits import DRIFT_SHARE_THRESHOLD, PERFORMANCE_MAE_THRESHOLD
from energy_demand.monitoring.performance_monitor import WORSE_RATIO
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    Level = Literal["good", "bad", "unknown"]

STALE_HOURS = 48
# When something was decided about a retraining: at its end, after the shadow, by a rollback.
DECIDED_AT = ("started_at", "decided_at", "rolled_back_at")
BAD_OUTCOMES = ("failed", "rolled back")


@dataclass(frozen=True)
class Sign:
    """One health sign of the first screen."""

    title: str
    level: Level
    headline: str
    sentence: str


def peak_sign(peak: Mapping[str, Any] | None) -> Sign:
    """Whether a day is alerted as a peak day; None: its scheduled forecast is not stored yet."""
    if peak is None:
        return Sign("Peak day", "unknown", "not forecast yet", "The scheduled forecast, at 09:00, decides.")
    headline = "alerted" if peak["alert"] else "not alerted"
    return Sign("Peak day", "bad" if peak["alert"] else "good", headline, f"{peak['reason']}.")


def model_sign(
    recent: Mapping[str, Any] | None,
    champion: str | None,
    test_mae: float | None,
    limit_mwh: float = PERFORMANCE_MAE_THRESHOLD,
) -> Sign:
    """The model's current error.

    Args:
        recent: `known`, `mae`, `mape` of the last week's scheduled forecasts that a champion itself
            answered, of any version; None: no database.
        champion: the champion's version; None: none serves.
        test_mae: the champion's holdout MAE (MWh), if known.
        limit_mwh: the region's MAE limit.
    """
    title = "Model"
    if champion is None:
        return Sign(title, "bad", "no model serves", "Run `energy-demand train`.")
    if recent is None or not recent["known"]:
        holdout = "" if test_mae is None else f" Its holdout MAE is {test_mae:,.0f} MWh."
        return Sign(
            title,
            "unknown",
            f"version {champion}",
            "No scheduled forecast of the last 7 days can be scored yet. Run `energy-demand worker`, or "
            f"`energy-demand forecast --scheduled` at 09:00 each day.{holdout}",
        )
    mae, mape = float(recent["mae"]), float(recent["mape"])
    limits = [limit_mwh] + ([] if test_mae is None else [WORSE_RATIO * test_mae])
    bad = mae > min(limits)
    ratio = "" if test_mae is None else f", {mae / test_mae:.2f} × its holdout MAE"
    return Sign(
        title,
        "bad" if bad else "good",
        f"version {champion}, MAPE {mape:.2f} %",
        f"MAE {mae:,.0f} MWh over {recent['known']} hours of the last 7 days{ratio}.",
    )


def freshness_sign(newest: datetime | None, now: datetime, zone: ZoneInfo) -> Sign:
    """The age of the newest valid hour of demand."""
    title = "Data"
    if newest is None:
        return Sign(title, "bad", "no demand stored", "Run `energy-demand backfill`.")
    age = (now - newest) / HOUR
    stale = age > STALE_HOURS
    sentence = f"The newest valid hour of demand ended {newest.astimezone(zone):%a %d %b %H:%M}."
    if stale:
        sentence += " Run `energy-demand ingest`."
    return Sign(title, "bad" if stale else "good", f"{age:.0f} h old", sentence)


def drift_sign(check: Mapping[str, Any] | None, zone: ZoneInfo) -> Sign:
    """The result of the last drift check."""
    title = "Drift"
    if check is None:
        return Sign(title, "unknown", "not checked yet", "Run `energy-demand drift`.")
    share, drifted = float(check["drift_share"]), bool(check["dataset_drift_detected"])
    return Sign(
        title,
        "bad" if drifted else "good",
        f"share {share:.2f}",
        f"{check['n_drifted_features']} of {check['n_total_features']} features drifted (threshold for the "
        f"share: {DRIFT_SHARE_THRESHOLD:.2f}); checked "
        f"{check['check_timestamp'].astimezone(zone):%a %d %b %H:%M}.",
    )


def newest_decision(retrainings: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The retraining that was decided on last; of two at once, the one that was rolled back."""

    def order(row: Mapping[str, Any]) -> tuple[datetime, bool]:
        return _decided_at(row), row["rolled_back_at"] is not None

    return max(retrainings, key=order, default=None)


def _decided_at(row: Mapping[str, Any]) -> datetime:
    at: datetime = max(row[name] or row["started_at"] for name in DECIDED_AT)
    return at


def sources_sign(states: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> Sign:
    """Whether the last attempt at every source succeeded.

    Args:
        states: `source`, `last_success_at`, `last_error_at`, `last_error` of each.
        zone: of the times.
    """
    title = "Sources"
    failing = [row for row in states if is_failing(row)]
    if failing:
        names = ", ".join(sorted({str(row["source"]) for row in failing}))
        newest = max(failing, key=lambda row: row["last_error_at"])
        return Sign(
            title,
            "bad",
            f"no new data from {names}",
            f"{newest['last_error_at'].astimezone(zone):%a %d %b %H:%M}: {newest['last_error']}",
        )
    asked = [row["last_success_at"] for row in states if row["last_success_at"] is not None]
    if not asked:
        return Sign(
            title, "unknown", "never asked", "Run `energy-demand backfill` or `energy-demand ingest`."
        )
    return Sign(title, "good", "all answer", f"Asked last {max(asked).astimezone(zone):%a %d %b %H:%M}.")


def decision_sign(
    check: Mapping[str, Any] | None, retraining: Mapping[str, Any] | None, zone: ZoneInfo
) -> Sign:
    """The last decision: the outcome of a retraining, its rollback, or the decision of the newest check."""
    title = "Last decision"
    newest = None if check is None else check["check_timestamp"]
    if retraining is not None:
        at = _decided_at(retraining)
        if newest is None or at >= newest:  # a contest is decided and undone at the time of a check
            outcome = outcome_in_words(retraining)
            version = f"version {retraining['model_version']} " if retraining["model_version"] else ""
            return Sign(
                title,
                "bad" if outcome in BAD_OUTCOMES else "good",
                f"{version}{outcome}",
                f"{at.astimezone(zone):%a %d %b %H:%M}, trigger {retraining['trigger']}: "
                f"{outcome_reason(retraining)}.",
            )
    if check is None:
        return Sign(title, "unknown", "none yet", "No drift check or retraining has run yet.")
    return Sign(
        title,
        "good",
        "retrain" if check["triggered_retrain"] else "keep the model",
        f"{check['check_timestamp'].astimezone(zone):%a %d %b %H:%M}: {check['reason']}.",
    )
