"""A registered version that serves or served, with its files as they are in the registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from energy_demand.model.forecaster import Forecaster


class NoChampionError(UserError, LookupError):
    """No model has been promoted yet."""


@dataclass(frozen=True)
class Champion:
    """A version loaded whole.

    Attributes:
        version: the registered version.
        run_id: of the training run.
        forecaster: parsed and verified.
        metrics: of the run.
        previous: the champion before it.
        texts: file name → text, byte for byte what the registry holds; empty for a model that was never
            registered.
    """

    version: str
    run_id: str
    forecaster: Forecaster
    metrics: Mapping[str, float]
    previous: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
