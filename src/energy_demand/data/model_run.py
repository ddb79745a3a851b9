"""What was served of one run of a weather model, and whether that is all of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from energy_demand.columns import WEATHER_VARIABLES

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from energy_demand.http import UpstreamError


@dataclass(frozen=True)
class ModelRun:
    """What was served of one run.

    Attributes:
        model: its model's name.
        run: when it starts (UTC).
        frame: `issued_at`, `timestamp`, `site` and the twelve variables; None where it is not on record.
        lacking: variables that the model does not have at any site.
        missing: values that are null within the run and will be there once it is whole.
        error: why it could not be fetched, or None.
    """

    model: str
    run: datetime
    frame: pd.DataFrame | None = None
    lacking: tuple[str, ...] = ()
    missing: int = 0
    error: UpstreamError | None = None

    @property
    def status(self) -> str:
        """`complete`, `incomplete`, `missing` or `failed`."""
        if self.error is not None:
            return "failed"
        if self.frame is None or self.frame.empty:
            return "missing"
        return "incomplete" if self.missing else "complete"


def missing_values(frame: pd.DataFrame, run: datetime, undefined: frozenset[tuple[str, str]]) -> int:
    """How many values of a run are null that a whole run has.

    At a run's own hour and before it, sums and gusts are null in every run; a variable that is undefined at
    a site is null in all of them.

    Args:
        frame: `timestamp`, `site` and the variables.
        run: when the run starts.
        undefined: (site, variable) without values in this model.
    """
    later = frame[frame["timestamp"] > run]
    absent = later[list(WEATHER_VARIABLES)].isna().to_numpy(copy=True)
    site = later["site"].to_numpy()
    for position, name in enumerate(WEATHER_VARIABLES):
        without = [place for place, variable in undefined if variable == name]
        absent[np.isin(site, without), position] = False
    return int(absent.sum())
