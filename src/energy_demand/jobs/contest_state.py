"""Which models are in the shadow, since when, and how far their tests are. Only reads, and imports little."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from energy_demand.database import decisions
from energy_demand.limits import PROBATION_DAYS, SHADOW_DAYS

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.registry.registry import Registry

CHALLENGER, PREVIOUS = "challenger", "previous champion"
TESTED = ("days", "gain_percent", "statistic", "boundary", "reason")


@dataclass(frozen=True)
class Shadows:
    """The models in the shadow, each with the row of `retraining_log` that put it there.

    Attributes:
        champion: the version that serves.
        challenger: the retraining whose challenger is not decided on, or None.
        promotion: the retraining that made the champion, while it can be undone, or None.
        previous: the champion before it.
    """

    champion: str | None
    challenger: dict[str, Any] | None
    promotion: dict[str, Any] | None
    previous: str | None

    @property
    def versions(self) -> dict[str, str]:
        """Role by version."""
        found = {} if self.challenger is None else {str(self.challenger["model_version"]): CHALLENGER}
        return found if self.previous is None else {self.previous: PREVIOUS, **found}


def read_shadows(database: Database, registry: Registry, settings: Settings, now: datetime) -> Shadows:
    """The models in the shadow at `now`.

    Raises:
        RegistryUnavailableError: MLflow cannot be reached.
    """
    respondent = settings.region.respondent
    champion, previous = registry.champion_and_previous()
    return database.run(lambda connection: stored_shadows(connection, respondent, champion, previous, now))


def stored_shadows(
    connection: sa.Connection, respondent: str, champion: str | None, previous: str | None, now: datetime
) -> Shadows:
    """The models in the shadow at `now`, where the registry has this champion and this one before it."""
    challenger = decisions.challenger(connection, respondent)
    promotion = None if champion is None else decisions.promotion(connection, respondent, champion)
    if (
        promotion is None
        or previous is None
        or promotion["rolled_back_at"] is not None
        or now - promotion["decided_at"] >= timedelta(days=PROBATION_DAYS)
    ):
        promotion, previous = None, None
    return Shadows(champion, challenger, promotion, previous)


def contest_state(shadows: Shadows, now: datetime) -> dict[str, Any]:
    """The models in the shadow and how far their tests are, as in `status`."""
    challenger, promotion = None, None
    if shadows.challenger is not None:
        row, verdict = shadows.challenger, shadows.challenger["verdict"] or {}
        challenger = {
            "version": row["model_version"],
            "since": row["finished_at"],
            "until": row["finished_at"] + timedelta(days=SHADOW_DAYS),
            "trigger": row["trigger"],
            **{name: verdict.get(name) for name in TESTED},
        }
    if shadows.promotion is not None:
        promotion = {
            "version": shadows.champion,
            "previous": shadows.previous,
            "since": shadows.promotion["decided_at"],
            "until": shadows.promotion["decided_at"] + timedelta(days=PROBATION_DAYS),
        }
    return {"challenger": challenger, "promotion": promotion, "at": now}
