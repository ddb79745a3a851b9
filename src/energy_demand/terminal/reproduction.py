"""A reproduced forecast, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from energy_demand.terminal.console import out
from energy_demand.timeaxis import utc_text

if TYPE_CHECKING:
    from energy_demand.jobs.reproduction import Reproduction


def print_reproduction(result: Reproduction) -> None:
    """Print what was compared, and the verdict."""
    table = Table(title=f"Forecast {result.request_id}", title_justify="left")
    table.add_column("compared with its digest in the log")
    table.add_column("today")
    for part, verdict in result.parts.items():
        table.add_row(part.replace("_", " "), verdict)
    out.print(table)
    made = (
        f"{result.rows} rows, issued {utc_text(result.issued_at)}, version {result.model_version}, "
        f"{result.quality}"
    )
    if result.agrees:
        out.print(f"Reproduced bit for bit: {made}.", soft_wrap=True)
    elif result.largest_difference_mwh is None:
        out.print(f"Could not be made again: {made}.", soft_wrap=True)
    else:
        out.print(f"Differs by up to {result.largest_difference_mwh:.6g} MWh: {made}.", soft_wrap=True)
