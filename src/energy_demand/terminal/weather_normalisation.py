"""Observed and weather-normalised energy by year and month, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from energy_demand.terminal.console import out

if TYPE_CHECKING:
    from energy_demand.model.weather_normalisation import NormalisedDemand

COLUMNS = ("", "days", "°C", "observed GWh", "change", "normalised GWh", "change")


def print_normalised(found: NormalisedDemand) -> None:
    """Print the result of `weather-normalised`."""
    for title, unit in (("year", "Y"), ("month", "M")):
        table = Table(box=None, pad_edge=False, title=f"energy by {title}", title_justify="left")
        for column in COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        for row in found.by(unit).to_dict("records"):
            table.add_row(
                row["period"],
                str(row["days"]),
                f"{row['temperature']:.1f}",
                f"{row['demand_mwh'] / 1000:,.1f}",
                _change(row["demand_change"]),
                f"{row['normalised_mwh'] / 1000:,.1f}",
                _change(row["normalised_change"]),
            )
        out.print(table)
    out.print(
        f"usual weather: {found.years} years, {found.weather_from} to {found.weather_to}; changes are those "
        "of a mean day against a year before",
        soft_wrap=True,
    )
    if found.without_demand or found.without_weather:
        out.print(
            f"left out: {found.without_demand} days without demand of every hour, {found.without_weather} "
            "without observed weather, then or in enough other years",
            soft_wrap=True,
        )


def _change(percent: Any) -> str:
    return "" if percent != percent else f"{percent:+.1f}%"  # noqa: PLR0124  (NaN)
