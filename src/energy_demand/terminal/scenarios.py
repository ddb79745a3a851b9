"""A scenario beside the forecast: as a table, a text plot and a picture file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from energy_demand.model.forecaster import PREDICTED
from energy_demand.outputs import write_output
from energy_demand.terminal.console import out
from energy_demand.terminal.forecasts import PLOT_HEIGHT, PLOT_WIDTH
from energy_demand.terminal.pictures import save_scenario
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from energy_demand.model.scenarios.answer import ScenarioForecast


def print_scenario(scenario: ScenarioForecast, zone: ZoneInfo, picture: Path) -> None:
    """Print table, plot and energy on standard output; write the picture to the file `picture`."""
    out.print(scenario_table(scenario, zone))
    out.print(scenario_plot(scenario, zone), markup=False)
    out.print(energy_sentence(scenario), soft_wrap=True)
    write_output(picture, lambda path: save_scenario(scenario, zone, path))
    out.print(f"picture: {picture}", soft_wrap=True)


def scenario_table(scenario: ScenarioForecast, zone: ZoneInfo) -> Table:
    """Each hour in local time: the forecast, the scenario, their difference and its parts, MWh."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("local", justify="right", no_wrap=True)
    parts = scenario.scenario.quantities
    for name in ("forecast", "scenario", "difference", *(f"by {part}" for part in parts)):
        table.add_column(name, justify="right")
    rows = zip(
        scenario.forecast["period"],
        scenario.forecast[PREDICTED],
        scenario.hours[PREDICTED],
        scenario.parts[list(parts)].to_numpy(),
        strict=True,
    )
    for period, before, after, of_hour in rows:
        changes = (f"{value:+,.0f}" for value in (after - before, *of_hour))
        starts = (period - HOUR).tz_convert(zone)
        table.add_row(f"{starts:%a %d %b %H:%M}", f"{before:,.0f}", f"{after:,.0f}", *changes)
    return table


def energy_sentence(scenario: ScenarioForecast) -> str:
    """What the scenario does to the energy of all hours, and by which parts."""
    before, difference = scenario.forecast[PREDICTED].sum(), scenario.difference.sum()
    sums = ((name, scenario.parts[name].sum()) for name in scenario.scenario.quantities)
    parts = ", ".join(f"{name} {value:+,.0f}" for name, value in sums)
    return (
        f"Energy of these hours: {before:,.0f} MWh, under {scenario.scenario.text} "
        f"{before + difference:,.0f} MWh ({difference:+,.0f} MWh, {difference / before:+.1%}: {parts}). "
        "A scenario is not logged"
    )


def scenario_plot(scenario: ScenarioForecast, zone: ZoneInfo) -> str:
    """A text plot of both curves."""
    import plotext  # noqa: PLC0415  (of the `local` extra)

    before, after = (each[PREDICTED].to_numpy() for each in (scenario.forecast, scenario.hours))
    x = list(range(len(before)))
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(PLOT_WIDTH, PLOT_HEIGHT)
    plotext.plot(x, before.tolist(), marker="braille", label="forecast, MWh")
    plotext.scatter(x, after.tolist(), marker="o", label="scenario")
    ticks = x[:: max(1, len(x) // 8)]
    starts = (scenario.forecast["period"] - HOUR).dt.tz_convert(zone)
    both = np.concatenate([before, after])
    levels = np.linspace(both.min(), both.max(), 6)
    plotext.yticks(levels.tolist(), [f"{level:,.0f}" for level in levels])
    plotext.xticks(ticks, [f"{starts.iloc[tick]:%H:%M}" for tick in ticks])
    return str(plotext.uncolorize(plotext.build()))
