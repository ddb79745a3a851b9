"""Runs a job for several regions, one after the other; one that fails stops no other."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from energy_demand.errors import UserError
from energy_demand.logs import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from energy_demand.config import Settings

T = TypeVar("T")

_log = logging.getLogger(__name__)


class RegionsFailedError(UserError, RuntimeError):
    """Regions whose job failed, a line each; the job of the other regions was done."""


@dataclass(frozen=True)
class ByRegion(Generic[T]):
    """What a job gave for each region, and why it failed for others, without secrets; both by code."""

    done: dict[str, T] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def raise_failures(self) -> None:
        """End as a failure where a region failed.

        Raises:
            RegionsFailedError: with a line for each region that failed.
        """
        if self.failed:
            raise RegionsFailedError("\n".join(f"{code}: {reason}" for code, reason in self.failed.items()))


def by_region(settings: Settings, codes: Iterable[str], work: Callable[[Settings], T]) -> ByRegion[T]:
    """Do `work` with the settings of each region.

    A region that is unknown or has a fault in the catalogue has failed, too.
    """
    outcome: ByRegion[T] = ByRegion()
    for code in codes:
        try:
            outcome.done[code] = work(settings.for_region(code))
        except UserError as error:
            outcome.failed[code] = redact(str(error))
        except Exception as error:  # noqa: BLE001
            # A fault of ours must not keep the other regions waiting either; its traceback is in the log.
            _log.exception("the job of %s failed", code)
            outcome.failed[code] = redact(f"{type(error).__name__}: {error}")
    return outcome
