"""Which limits, gaps and revisions of the real upstreams the sandbox has; each part is a switch of its own.

Everything is a pure function of the seed, of what is asked and of the present: the same question at the same
time has the same answer, also after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from energy_demand.sandbox.open_meteo.limits import Limits


@dataclass(frozen=True)
class Strictness:
    """What the real upstreams do to a client; all of it by default.

    Attributes:
        seed: Another seed has other missing runs, other revisions, other publication times.
        limits: Open-Meteo's weighted call limits for each client address; None refuses no call.
        missing_runs: About 3 % of the model runs are not there, in three shapes.
        half_runs: About 5 % of the model runs end after 12 hours during the first hour they are served.
        models: A model's runs begin, stop and are complete when the real model's do.
        first_hours: Precipitation, gusts and radiation are null at a run's own hour.
        partial_archive: The archive's newest two days have precipitation alone; young values still change.
        publication: EIA's hours appear 1 to 2 h late, are revised, and a few are taken back for some hours.
        unstable_pages: EIA's pages overlap and have holes unless they are sorted by the whole key.
        six_month_files: EIA's files are those of the last rebuilding, daily about 14:40 UTC.
        operator_postings: NYISO's files are posted between 07:05 and 07:45, a few late, never, or twice.
    """

    seed: int = 1
    limits: Limits | None = field(default_factory=Limits)
    missing_runs: bool = True
    half_runs: bool = True
    models: bool = True
    first_hours: bool = True
    partial_archive: bool = True
    publication: bool = True
    unstable_pages: bool = True
    six_month_files: bool = True
    operator_postings: bool = True

    @classmethod
    def none(cls, **parts: bool | Limits) -> Strictness:
        """Nothing but the parts that are named."""
        switches = [name for name in cls.__dataclass_fields__ if name not in {"seed", "limits"}]
        return cls(**({"limits": None} | dict.fromkeys(switches, False) | parts))  # type: ignore[arg-type]
