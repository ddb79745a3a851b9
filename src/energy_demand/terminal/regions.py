"""The catalogue of regions, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from energy_demand.terminal.console import out

if TYPE_CHECKING:
    from collections.abc import Iterable

    from energy_demand.region_catalogue import Entry


def print_regions(entries: Iterable[Entry]) -> None:
    """Print code, name, time zone, and sites with their weights in percent."""
    table = Table(box=None, pad_edge=False)
    for title in ("code", "name", "time zone", "sites (weight, %)"):
        table.add_column(title, overflow="fold", no_wrap=title == "code")
    for entry in entries:
        retired = f" (until {entry.retired})" if entry.retired else ""
        sites = ", ".join(f"{site.name} {100 * site.weight:.0f}" for site in entry.sites)
        table.add_row(entry.code, escape(entry.name) + retired, entry.zone, sites)
    out.print(table)
