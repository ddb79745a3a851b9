"""A day's peak and its year's highest days and hours, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from energy_demand.terminal.console import out
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

COLUMNS = ("", "hour", "demand MWh", "forecast MWh", "peak probability", "alerted")


def print_peaks(body: dict[str, Any], zone: ZoneInfo) -> None:
    """Print the result of `peaks`."""
    peak = body["peak"]
    if peak is None:
        out.print(f"no scheduled forecast of {body['day']} is stored", soft_wrap=True)
    else:
        out.print(escape(f"{peak['reason']}."), soft_wrap=True)
        chances = {
            "among the ten highest days so far": peak["so_far_probability"],
            "among the ten highest days of the year": peak["day_probability"],
            "with one of the ten highest hours of the year": peak["hour_probability"],
        }
        for name, probability in chances.items():
            out.print(f"  {_share(probability):>7}  {name}")
    days = ", ".join(map(str, body["alerted_days"])) or "none"
    out.print(f"alerted in {body['year']} (about {body['alert_days']} a year): {days}", soft_wrap=True)
    for name, rows in (("day", body["highest_days"]), ("hour", body["highest_hours"])):
        table = Table(
            box=None, pad_edge=False, title=f"highest {name}s of {body['year']}", title_justify="left"
        )
        for column in COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        for rank, row in enumerate(rows, start=1):
            starts = (row["period"] - HOUR).astimezone(zone)
            forecast = row["predicted_demand_mwh"]
            table.add_row(
                str(rank),
                f"{starts:%a %d %b %H:%M}",
                f"{row['demand_mwh']:,.0f}",
                "none" if forecast is None else f"{forecast:,.0f}",
                _share(row["hour_probability"]),
                {None: "unknown", True: "yes", False: "no"}[row["alert"]],
            )
        out.print(table)


def _share(probability: float | None) -> str:
    return "unknown" if probability is None else f"{probability:.1%}"
