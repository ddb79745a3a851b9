"""Which regions a command is about, and how the answers of several are printed."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from energy_demand.errors import RegionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from energy_demand.config import Settings

    Body = dict[str, Any]

EachRegion = Annotated[
    str | None,
    typer.Option("--region", metavar="CODE", help="Only this region; default: all of EIA_REGIONS."),
]
OneRegion = Annotated[
    str | None,
    typer.Option("--region", metavar="CODE", help="The region; default: EIA_REGION, the default region."),
]
ChosenRegion = Annotated[
    str | None,
    typer.Option("--region", metavar="CODE", help="The region; needed where EIA_REGIONS has several."),
]


class Emit:
    """Takes a region's answer: prints it, or keeps it for one object or table of all regions.

    Args:
        as_json: whether the answer is JSON.
        heading: printed once before the first text.
        kept: where bodies go in place of being printed.
    """

    def __init__(
        self, *, as_json: bool, heading: str | None = None, kept: Callable[[Body], None] | None = None
    ) -> None:
        self._as_json, self._heading, self._kept = as_json, heading, kept

    def __call__(self, body: Body, text: Callable[[Body], None]) -> None:
        """Print the whole answer, as JSON or by `text`."""
        from energy_demand.terminal.console import print_json  # noqa: PLC0415

        if self._kept is not None:
            self._kept(body)
        elif self._as_json:
            print_json(body)
        else:
            self.early(body, text)

    def early(self, body: Body, text: Callable[[Body], None]) -> None:
        """Print the first part of the answer by `text` before the rest is known; nothing where it is JSON."""
        from energy_demand.terminal.console import out  # noqa: PLC0415

        if self._as_json or self._kept is not None:
            return
        if self._heading is not None:
            out.print(self._heading)
            self._heading = None
        text(body)


def of_region(settings: Settings, region: str | None) -> Settings:
    """The settings of the region that `--region` names, or of the default region.

    Raises:
        RegionError: it is not among EIA_REGIONS, or cannot be used.
    """
    return settings if region is None else settings.for_region(region)


def of_chosen(settings: Settings, region: str | None) -> Settings:
    """Likewise, where nothing may be changed for a region that was not named.

    Raises:
        RegionError: likewise, or there are several and none is named.
    """
    if region is None and len(settings.regions) > 1:
        raise RegionError(
            f"--region is missing; nothing was changed. EIA_REGIONS has {', '.join(settings.regions)}"
        )
    return of_region(settings, region)


def each_region(
    settings: Settings,
    region: str | None,
    work: Callable[[Settings, Emit], None],
    *,
    as_json: bool,
    table: Callable[[dict[str, Body]], None] | None = None,
    workers: int | None = None,
    dask: str | None = None,
) -> None:
    """Run `work` for the region that `--region` names, or for all.

    Args:
        settings: of all regions.
        region: what `--region` names.
        work: does the job of one region and hands its body on, before it raises what failed.
        table: prints the bodies of several regions as one table; a failed region's has its `error` alone.
        as_json: print one JSON object instead; of several regions `{"regions": {code: body}}`.
        workers: do the jobs of several regions in so many processes; `work` must be of a module then.
        dask: do them on the workers of the scheduler at this address; likewise.

    Raises:
        BadParameter: workers elsewhere are asked to use this machine's database.
        UserError: the job failed; of several regions with a line for each that failed.
    """
    codes = settings.regions if region is None else (region,)
    if dask is not None:
        _check_reachable(settings)
    elif len(codes) == 1:
        work(of_region(settings, region), Emit(as_json=as_json))
        return
    from energy_demand.by_region import ByRegion, by_region  # noqa: PLC0415
    from energy_demand.terminal.console import print_json  # noqa: PLC0415

    bodies: dict[str, Body] = {}

    def one(of: Settings) -> None:
        code = of.eia_region
        kept = None if table is None and not as_json else partial(bodies.__setitem__, code)
        work(of, Emit(as_json=as_json, heading=f"{code}:", kept=kept))

    if workers is None and dask is None:
        outcome = by_region(settings, codes, one)
    else:
        outcome = ByRegion()
        for code, answer in _answers(settings, codes, work, workers, dask, as_json=as_json):
            sys.stdout.write(answer.printed)
            sys.stderr.write(answer.errors)
            if answer.body is not None:
                bodies[code] = answer.body
            if answer.failure is not None:
                outcome.failed[code] = answer.failure
    failed: dict[str, Body] = {code: {"error": reason} for code, reason in outcome.failed.items()}
    answers = {code: body for code in codes if (body := bodies.get(code, failed.get(code)))}
    if as_json:
        print_json({"regions": answers} if len(codes) > 1 else answers[codes[0]])
    elif table is not None:
        table(answers)
    outcome.raise_failures()


@dataclass(frozen=True)
class Answer:
    """What a region's job gave in a process of its own.

    Attributes:
        body: of its answer, where it is JSON.
        printed: on standard output.
        errors: on standard error.
        failure: why it failed, without secrets; None if it did not.
    """

    body: Body | None
    printed: str
    errors: str
    failure: str | None


def _check_reachable(settings: Settings) -> None:
    """Workers of another machine can reach the database and the registry."""
    here = [
        name
        for name, address in (
            ("DATABASE_URL", settings.database_url),
            ("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri),
        )
        if address is None
    ]
    if here:
        raise typer.BadParameter(
            f"--dask needs {' and '.join(here)}, so that the workers reach the same database and registry; "
            "nothing was changed. On this machine alone use --workers"
        )


def _answers(
    settings: Settings,
    codes: Sequence[str],
    work: Callable[[Settings, Emit], None],
    workers: int | None,
    dask: str | None,
    *,
    as_json: bool,
) -> Iterator[tuple[str, Answer]]:
    """Code and answer of each region, as they are finished."""
    from energy_demand.jobs.fan_out.workers import silent, workers_of  # noqa: PLC0415

    tasks = dict(enumerate(codes))
    with workers_of(None if workers is None else min(workers, len(tasks)), dask) as several:
        for number, answer in several.each(answered, (settings, work, as_json), tasks, silent):
            yield tasks[number], answer


def answered(
    job: tuple[Settings, Callable[[Settings, Emit], None], bool], code: str, _tell: Callable[[object], None]
) -> Answer:
    """Do a region's job, and keep what it prints; for a worker."""
    from energy_demand.by_region import by_region  # noqa: PLC0415

    settings, work, as_json = job
    bodies: list[Body] = []
    emit = Emit(as_json=as_json, heading=f"{code}:", kept=bodies.append if as_json else None)
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()) as errors:
        outcome = by_region(settings, [code], lambda of: work(of, emit))
    return Answer(
        bodies[0] if bodies else None, printed.getvalue(), errors.getvalue(), outcome.failed.get(code)
    )
