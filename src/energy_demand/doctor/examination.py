"""Puts the checks together: what is looked at, side by side, and what comes of it."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_demand.doctor import machine
from energy_demand.doctor.checks import (
    Area,
    Check,
    Finding,
    Result,
    State,
    failure,
    not_checked,
    run_checks,
    unexpected,
)
from energy_demand.doctor.privacy import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from energy_demand.config import Settings
    from energy_demand.doctor.asking import Answer


@dataclass(frozen=True)
class Examination:
    """All results in the order of the table, and what the upstreams answered.

    Attributes:
        results: the lines.
        answers: by topic.
        secrets: what was kept out of the lines.
        now: the present that was asked about; None without settings.
        seconds: how long it took.
    """

    results: tuple[Result, ...]
    answers: Mapping[str, Answer]
    secrets: Secrets
    now: datetime | None
    seconds: float

    @property
    def healthy(self) -> bool:
        """Whether nothing failed."""
        return all(each.finding.state is not State.FAILURE for each in self.results)

    def to_json(self) -> dict[str, Any]:
        """As `doctor --json` prints it."""
        counts = Counter(each.finding.state.value for each in self.results)
        return {
            "ok": self.healthy,
            "checks": [each.to_json() for each in self.results],
            "counts": {state.value: counts[state.value] for state in State},
            "seconds": round(self.seconds, 3),
        }


def examine(load: Callable[[], Settings], areas: Collection[Area]) -> Examination:
    """Look at these areas.

    Args:
        load: reads the settings; where it raises, that is a line too, and what needs settings is not checked.
        areas: what to look at.
    """
    began = time.monotonic()
    settings, refused = _loaded(load)
    secrets = Secrets(settings, urllib.request.getproxies())
    checks: list[Check] = []
    answers: Mapping[str, Answer] = {}
    results: list[Result] = []
    if Area.MACHINE in areas:
        checks += machine.checks(settings, refused)
    if settings is None:
        results = run_checks(checks, secrets.clean)
        blind = [area for area in Area if area in areas and area is not Area.MACHINE]
        remedy = "Correct the settings first"
        lines = [Result(area, not_checked(area.value, "no settings", remedy), 0.0) for area in blind]
        if Area.MACHINE not in areas and refused is not None:
            lines.insert(0, Result(Area.MACHINE, _clean(refused, secrets), 0.0))
        return Examination((*results, *lines), {}, secrets, None, time.monotonic() - began)
    now = settings.present()
    if Area.UPSTREAMS in areas:
        from energy_demand.doctor import upstreams  # noqa: PLC0415

        asker = upstreams.asker_of(settings)
        checks += upstreams.checks(settings, now, asker)
        answers = asker.answers
    if Area.STORES in areas:
        from energy_demand.doctor import stores  # noqa: PLC0415

        checks += stores.checks(settings, now)
    if Area.SERVICES in areas:
        from energy_demand.config import prefect_api_url  # noqa: PLC0415
        from energy_demand.doctor import services  # noqa: PLC0415

        checks += services.checks(settings, prefect_api_url())
    results = run_checks(checks, secrets.clean)
    if Area.UPSTREAMS in areas:
        answers = dict(answers)  # a question that is late no longer counts
        last = max(place for place, each in enumerate(results) if each.area is Area.UPSTREAMS)
        results.insert(last + 1, Result(Area.UPSTREAMS, upstreams.clock(answers), 0.0))
    return Examination(tuple(results), answers, secrets, now, time.monotonic() - began)


def _loaded(load: Callable[[], Settings]) -> tuple[Settings | None, Finding | None]:
    from energy_demand.errors import UserError  # noqa: PLC0415

    expected = "settings that can be read"
    try:
        return load(), None
    except UserError as error:
        remedy = "Correct what the message names, in the environment or in .env; .env.example explains each"
        return None, failure("settings", str(error), expected, remedy)
    except Exception as error:  # noqa: BLE001  (time zone data that is missing, among others)
        return None, unexpected("settings", error)


def _clean(finding: Finding, secrets: Secrets) -> Finding:
    return Finding(
        finding.name, finding.state, secrets.clean(finding.found), finding.expected, finding.remedy
    )
