"""Which regions a command is about, and how the answers of several are printed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from energy_demand.errors import RegionError

if TYPE_CHECKING:
    from collections.abc import Callable

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
) -> None:
    """Run `work` for the region that `--region` names, or for all.

    Args:
        settings: of all regions.
        region: what `--region` names.
        work: does the job of one region and hands its body on, before it raises what failed.
        table: prints the bodies of several regions as one table; a failed region's has its `error` alone.
        as_json: print one JSON object instead; of several regions `{"regions": {code: body}}`.

    Raises:
        UserError: the job failed; of several regions with a line for each that failed.
    """
    if region is not None or len(settings.regions) == 1:
        work(of_region(settings, region), Emit(as_json=as_json))
        return
    from energy_demand.by_region import by_region  # noqa: PLC0415
    from energy_demand.terminal.console import print_json  # noqa: PLC0415

    bodies: dict[str, Body] = {}

    def one(of: Settings) -> None:
        code = of.eia_region
        kept = None if table is None and not as_json else partial(bodies.__setitem__, code)
        work(of, Emit(as_json=as_json, heading=f"{code}:", kept=kept))

    outcome = by_region(settings, settings.regions, one)
    failed: dict[str, Body] = {code: {"error": reason} for code, reason in outcome.failed.items()}
    answers = {code: body for code in settings.regions if (body := bodies.get(code, failed.get(code)))}
    if as_json:
        print_json({"regions": answers})
    elif table is not None:
        table(answers)
    outcome.raise_failures()
