"""The weather models that the sandbox plays: how each errs, and which of its runs there are."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

from energy_demand.sandbox.worlds.world import BLEND, IFS, SECONDS_PER_HOUR, hour_number, moment_of_hour

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_HOURS = 6
PUBLICATION_HOURS = 6  # from a run's initialisation to its publication
COLD_BIAS = -0.3  # °C, as recorded
# Error grows with lead^0.37: temperature 1.8 °C at 30 h (mean absolute 1.4, as recorded), 3.3 at 7 days.
ERROR_GROWTH = 0.37


class Model(NamedTuple):
    """How a weather model differs from `ecmwf_ifs`, and which of its runs there are.

    Attributes:
        error: the standard deviation of its errors, in that of `ecmwf_ifs`.
        common: the correlation of its errors with those of `ecmwf_ifs`.
        bias: mean error of temperature 30 hours ahead, °C.
        begins: the hour number of its first run; None: it has always run.
        ends: the hour number from which on it has no run; None: it goes on.
        every: the hours between two runs.
        stands: the first and last (month, day) of the days of every year without any run.
        lacks: variables that it does not have.
        changes: the hour number of the first run of another version, whose temperature is `by` °C higher.
        by: °C.
    """

    error: float = 1.0
    common: float = 1.0
    bias: float = COLD_BIAS
    begins: int | None = None
    ends: int | None = None
    every: int = RUN_HOURS
    stands: tuple[tuple[int, int], tuple[int, int]] | None = None
    lacks: frozenset[str] = frozenset()
    changes: int | None = None
    by: float = 0.0

    def has_run(self, run: int) -> bool:
        """Whether the model ran at this hour number."""
        if run % self.every or (self.begins is not None and run < self.begins):
            return False
        if self.ends is not None and run >= self.ends:
            return False
        if self.stands is None:
            return True
        day = moment_of_hour(run).date()
        first, last = (date(day.year, *of_year) for of_year in self.stands)
        return not first <= day <= last

    def newest_run(self, *, after: float, by: float) -> int | None:
        """The newest run published in (after, by] (seconds since 1970), as the hour number of its start."""
        run = int((by / SECONDS_PER_HOUR - PUBLICATION_HOURS) // RUN_HOURS) * RUN_HOURS
        while (run + PUBLICATION_HOURS) * SECONDS_PER_HOUR > after and run >= (self.begins or 0):
            if self.has_run(run):
                return run
            run -= RUN_HOURS
        return None

    def shift(self, run: int) -> float:
        """°C by which all temperatures of a run are higher since the model changed."""
        return self.by if self.changes is not None and run >= self.changes else 0.0


def _from(*start: int) -> int:
    return hour_number(datetime(*start, tzinfo=UTC))  # type: ignore[arg-type, misc]


MODELS: Mapping[str, Model] = {
    IFS: Model(),
    BLEND: Model(error=0.95, common=0.7, bias=0.1),
    "gfs_seamless": Model(
        error=1.2, common=0.5, bias=0.5, begins=_from(2022, 1, 1), stands=((11, 3), (11, 16))
    ),
    "icon_seamless": Model(
        error=1.05,
        common=0.6,
        begins=_from(2023, 9, 1),
        every=12,
        stands=((6, 10), (6, 13)),
        lacks=frozenset({"shortwave_radiation"}),
    ),
}
_ANY_OTHER = Model(error=1.1, common=0.5, bias=0.0, begins=_from(2024, 1, 1))


def model_of(name: str, models: Mapping[str, Model] = MODELS) -> Model:
    """The model with that name; one that is not in the table has a record since 2024."""
    return models.get(name, _ANY_OTHER)
