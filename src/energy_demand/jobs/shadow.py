"""Models in the shadow: a challenger until it is decided on, and after a promotion the champion before.

Every morning they forecast beside the champion, from the same data at the same time; their forecasts are
logged as `shadow`, which no caller and no score of the served forecasts reads. Each day they are judged:
a challenger is promoted or refused, a promotion is undone if the champion before is proven better.

What is about to happen is written before the registry's alias moves, and that it happened afterwards, so that
a job that is killed between two steps is completed by the next one.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.code_identity import code_identity
from energy_demand.data.record_store import load_recent
from energy_demand.database import decisions, predictions
from energy_demand.errors import UserError
from energy_demand.evaluation.contest import compared, no_hours
from energy_demand.evaluation.promotion import Decision, Verdict, judge
from energy_demand.evaluation.rollback import gain_deviation, judge_promotion
from energy_demand.jobs.contest_state import contest_state, read_shadows
from energy_demand.jobs.drift_check import refresh_reference
from energy_demand.jobs.fallback_ladder import earliest_needed
from energy_demand.limits import SHADOW_DAYS
from energy_demand.model.predict import Question, by_forecaster
from energy_demand.timeaxis import local_days, utc_index, utc_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.evaluation.rollback import Probation
    from energy_demand.jobs.contest_state import Shadows
    from energy_demand.registry.registry import Registry

CONTEST_COLUMNS = ("challenger_mwh", "champion_mwh", "best_mwh", "actual_mwh", "temperature")

_log = logging.getLogger(__name__)


class NoChallengerError(UserError, LookupError):
    """No challenger is in the shadow; nothing was changed."""

    def __init__(self) -> None:
        super().__init__(
            "no challenger is in the shadow; nothing was changed. `energy-demand retrain` trains one"
        )


@dataclass(frozen=True)
class ShadowOutcome:
    """The result of judging the shadows.

    Attributes:
        promoted: the version that serves since.
        refused: the challenger that was refused, or superseded by a change of champion.
        rolled_back: the version whose promotion was undone.
        reasons: a line each.
        contest: the state afterwards, as in `status`.
    """

    promoted: str | None
    refused: str | None
    rolled_back: str | None
    reasons: tuple[str, ...]
    contest: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def stored_contest(hours: pd.DataFrame, champion: str | None, *, refit: bool) -> dict[str, Any]:
    """The hours of a contest as they are kept while its challenger is in the shadow."""
    columns = [name for name in CONTEST_COLUMNS if name in hours]
    return {
        "champion": champion,
        "refit": refit,
        "period": [utc_text(period) for period in hours["period"]],
        **{
            name: [None if pd.isna(value) else round(float(value), 3) for value in hours[name]]
            for name in columns
        },
    }


def contest_hours(stored: dict[str, Any], settings: Settings) -> pd.DataFrame:
    """The inverse of `stored_contest`: the hours in the columns of `judge`."""
    columns = [name for name in CONTEST_COLUMNS if name in stored]
    periods = utc_index(pd.to_datetime(stored["period"], utc=True))
    hours = pd.DataFrame({name: pd.Series(stored[name], dtype=float) for name in columns})
    return hours.assign(period=periods, day=local_days(periods, settings.region.zone).date)


def forecast_shadows(
    database: Database, registry: Registry, settings: Settings, now: datetime, periods: pd.DatetimeIndex
) -> list[str]:
    """Forecast `periods` at `now` by the models in the shadow, and log it.

    A shadow that fails stops nothing: it is left without this forecast.

    Returns:
        What went wrong, a line each.
    """
    respondent = settings.region.respondent
    problems: list[str] = []
    try:
        versions = read_shadows(database, registry, settings, now).versions
    except UserError as error:
        return [f"the models in the shadow are not known: {error}"]
    question = Question(now, periods, settings.availability)
    for version, role in versions.items():
        try:
            model = registry.load(version)
            record = load_recent(database, settings, earliest_needed(model, question), now)
            forecast = by_forecaster(record, model.forecaster, version, question)
            request_id = f"shadow {respondent} {utc_text(periods[0])} v{version} {utc_text(now)}"
            rows = forecast.log_rows(predictions.SHADOW, request_id, now, respondent, code_identity())
            with database.transaction() as connection:
                predictions.insert_predictions(connection, rows)
        except Exception as error:  # noqa: BLE001  (whatever breaks a shadow, the service goes on)
            problems.append(f"{role} (version {version}): {str(error) or type(error).__name__}")
            expected = isinstance(error, UserError)
            _log.warning("no shadow forecast by %s", problems[-1], exc_info=None if expected else error)
    return problems


def judge_live(live: pd.DataFrame, stored: dict[str, Any] | None, settings: Settings) -> Probation:
    """The judgement of a promotion by the hours since, of `stored_contest` before it.

    Args:
        live: in the columns of `compared`, the champion before as challenger.
        stored: the promoted version's contest; None without one.
        settings: for the local days.
    """
    contest = contest_hours(stored, settings) if stored else live.iloc[:0]
    hours = live.rename(columns={"challenger_mwh": "previous_mwh"})
    return judge_promotion(hours, gain_deviation(contest))


def judge_shadows(
    database: Database,
    registry: Registry,
    settings: Settings,
    now: datetime,
    *,
    check_lock: Callable[[], None] = lambda: None,
) -> ShadowOutcome:
    """Complete what a killed job began, undo a promotion that was wrong, decide on the challenger.

    Needs the lock of the retraining job, because it moves the champion's alias; `check_lock` makes sure of it
    before.

    Raises:
        RegistryUnavailableError: MLflow cannot be reached; the champion is unchanged.
    """
    reasons: list[str] = []
    check_lock()
    rolled_back = _complete_rollback(database, registry, settings, now)
    shadows = read_shadows(database, registry, settings, now)
    if rolled_back is None and shadows.promotion is not None:
        rolled_back = _judge_promotion(database, registry, settings, shadows, now, reasons)
    elif rolled_back is not None:
        reasons.append(f"the rollback of version {rolled_back} is completed")
    if rolled_back is not None:
        shadows = read_shadows(database, registry, settings, now)
    promoted, refused = None, None
    if shadows.challenger is not None:
        verdict = _verdict(database, settings, shadows, now)
        reasons.append(f"challenger {shadows.challenger['model_version']}: {verdict.reason}")
        if verdict.decision is Decision.UNDECIDED:
            _note(database, shadows.challenger, verdict)
        else:
            check_lock()
            version = _decide(database, registry, settings, shadows.challenger, verdict, now)
            promoted, refused = (version, None) if verdict.promoted else (None, version)
    contest = contest_state(read_shadows(database, registry, settings, now), now)
    return ShadowOutcome(promoted, refused, rolled_back, tuple(reasons), contest)


def decide_by_hand(
    database: Database, registry: Registry, settings: Settings, now: datetime, *, promote: bool
) -> str:
    """Promote the challenger in the shadow, or drop it; returns its version. Needs the retraining job's lock.

    Raises:
        NoChallengerError: there is none.
        ModelRefusedError: its files are damaged; the champion is what it was.
        RegistryUnavailableError: MLflow cannot be reached; the champion is unchanged.
    """
    shadows = read_shadows(database, registry, settings, now)
    if shadows.challenger is None:
        raise NoChallengerError
    version = str(shadows.challenger["model_version"])
    if promote:
        registry.load(version)  # a damaged one must not serve
    verdict = Verdict(
        Decision.PROMOTED if promote else Decision.REFUSED, f"{'promoted' if promote else 'dropped'} by hand"
    )
    return _decide(database, registry, settings, shadows.challenger, verdict, now)


def plain_verdict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON keeps it."""
    noted: dict[str, Any] = decisions.plain({**asdict(verdict), "promoted": verdict.promoted})
    return noted


def _verdict(database: Database, settings: Settings, shadows: Shadows, now: datetime) -> Verdict:
    row = shadows.challenger
    if row is None:
        raise AssertionError("there is a challenger")
    noted = row["verdict"] or {}
    # Decided already: the job was killed before the rest was done.
    if noted.get("decision") in {Decision.PROMOTED, Decision.REFUSED}:
        return Verdict(Decision(noted["decision"]), noted["reason"], gain_percent=noted.get("gain_percent"))
    stored = row["contest"]
    if stored["champion"] != shadows.champion:
        reason = f"the champion changed from version {stored['champion']} to version {shadows.champion}"
        return Verdict(Decision.REFUSED, f"{reason} while this challenger was in the shadow")
    live = _live_hours(database, settings, str(row["model_version"]), row["started_at"], shadows, now)
    hours = pd.concat(
        [part for part in (contest_hours(stored, settings), live) if not part.empty] or [no_hours()],
        ignore_index=True,
    )
    over = now - row["finished_at"] >= timedelta(days=SHADOW_DAYS)
    return judge(hours, refit=stored["refit"], last_look=over)


def _judge_promotion(
    database: Database,
    registry: Registry,
    settings: Settings,
    shadows: Shadows,
    now: datetime,
    reasons: list[str],
) -> str | None:
    """Undo the promotion if the champion before is proven better; returns the version that served."""
    row, previous = shadows.promotion, shadows.previous
    if row is None or previous is None:
        return None
    live = _live_hours(database, settings, previous, row["decided_at"], shadows, now)
    if live.empty:
        return None
    probation = judge_live(live, row["contest"], settings)
    reasons.append(f"version {previous}: {probation.reason}")
    if not probation.roll_back:
        return None
    database.run(lambda connection: decisions.begin_rollback(connection, row["id"], probation.reason))
    return _complete_rollback(database, registry, settings, now)


def _complete_rollback(
    database: Database, registry: Registry, settings: Settings, now: datetime
) -> str | None:
    """Finish the rollback that was begun; returns the version that was rolled back, None without one."""
    respondent = settings.region.respondent
    row = database.run(lambda connection: decisions.unfinished_rollback(connection, respondent))
    if row is None:
        return None
    version = str(row["model_version"])
    if registry.champion_version() == version:
        serves, _ = registry.rollback()
        _log.error(
            "the promotion of version %s was undone, version %s serves again: %s",
            version,
            serves,
            row["rollback_reason"],
        )
        refresh_reference(database, registry, settings)
    database.run(lambda connection: decisions.end_rollback(connection, row["id"], now))
    return version


def _decide(
    database: Database,
    registry: Registry,
    settings: Settings,
    row: dict[str, Any],
    verdict: Verdict,
    now: datetime,
) -> str:
    if (row["verdict"] or {}).get("decision") != verdict.decision:
        _note(database, row, verdict)
    registry.apply_verdict(row["run_id"], verdict)
    outcome = "promoted" if verdict.promoted else "not_promoted"
    database.run(lambda connection: decisions.decide_challenger(connection, row["id"], outcome, now))
    if verdict.promoted:
        refresh_reference(database, registry, settings)
    version = str(row["model_version"])
    _log.info("challenger %s %s: %s", version, outcome.replace("_", " "), verdict.reason)
    return version


def _note(database: Database, row: dict[str, Any], verdict: Verdict) -> None:
    database.run(lambda connection: decisions.note_verdict(connection, row["id"], plain_verdict(verdict)))


def _live_hours(
    database: Database,
    settings: Settings,
    version: str,
    since: datetime,
    shadows: Shadows,
    now: datetime,
) -> pd.DataFrame:
    """The hours since `since` that the champion itself and a shadow forecast at the same time.

    In the columns of `compared`, the shadow as challenger.
    """
    respondent, zone = settings.region.respondent, settings.region.zone
    rows = database.run(
        lambda connection: predictions.read_shadow(
            connection, respondent, zone.key, version, shadows.champion, since, now
        )
    )
    if rows.empty:
        return no_hours()
    shadow, served = (
        rows[["timestamp", name, "actual"]].rename(
            columns={"timestamp": "period", name: "predicted_mwh", "actual": "actual_mwh"}
        )
        for name in ("shadow", "served")
    )
    record: Record = load_recent(database, settings, since, now)
    return compared(shadow, served, record)
