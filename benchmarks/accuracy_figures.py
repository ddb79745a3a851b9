"""Plots the errors of a backtest and lists its worst days, from the file of hours that it wrote.

    energy-demand backtest --protocol day-ahead --start D --end D --output as_issued.parquet
    energy-demand backtest --protocol rolling-24h --start D --end D --output observed.parquet
    .venv/bin/python benchmarks/accuracy_figures.py as_issued.parquet observed.parquet --out docs/figures

The second file has the same hours with observed weather. Temperatures are read from the
database of the settings.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from energy_demand.config import load_settings
from energy_demand.data.weather_path import MAIN, weather_path
from energy_demand.database import repository
from energy_demand.database.engine import opened
from energy_demand.outputs import check_output
from energy_demand.timeaxis import hourly

WORST_DAYS = 10
TEMPERATURE_STEP = 5  # °C


def read(path: Path) -> pd.DataFrame:
    """Scored hours with their absolute error in percent and local clock."""
    settings = load_settings()
    hours = pd.read_parquet(path).dropna(subset=["actual_mwh"])
    start = (hours["period"] - pd.Timedelta(hours=1)).dt.tz_convert(settings.region.zone)
    error = 100 * (hours["predicted_mwh"] / hours["actual_mwh"] - 1)
    return hours.assign(
        error=error, off=error.abs(), hour=start.dt.hour, month=start.dt.strftime("%Y-%m"), day=start.dt.date
    )


def temperatures(periods: pd.Series) -> pd.Series:
    """°C at the main site, by period."""
    settings = load_settings()
    first, last = periods.min().to_pydatetime(), periods.max().to_pydatetime()
    with opened(settings) as database, database.transaction() as connection:
        names = [site.name for site in settings.region.sites]
        rows = repository.read_weather(connection, names, first, last, last + timedelta(days=1))
    path = weather_path(rows, hourly(first, last), settings.region)
    return pd.Series(path.column(MAIN), index=path.periods)


def draw(sides: dict[str, pd.DataFrame], out: Path) -> None:
    """MAPE by clock hour, month, temperature and lead, one picture each."""
    for name, label in (
        ("hour", "local clock hour"),
        ("month", "month"),
        ("warmth", "temperature in New York City, °C"),
        ("lead_hours", "lead, hours"),
    ):
        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.subplots()
        for side, hours in sides.items():
            by = hours.groupby(name)["off"].mean()
            if len(by) > 1:
                axes.plot([str(each) for each in by.index], by.to_numpy(), marker="o", label=side)
        axes.set_xlabel(label)
        axes.set_ylabel("MAPE, %")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.tick_params(axis="x", rotation=45 if name == "month" else 0)
        figure.savefig(out / f"error_by_{name}.png", dpi=110)


def worst_days(issued: pd.DataFrame, observed: pd.DataFrame) -> str:
    """A Markdown table of the days with the largest MAPE."""
    by_day = issued.groupby("day").agg(
        off=("off", "mean"), bias=("error", "mean"), low=("celsius", "min"), high=("celsius", "max")
    )
    given = observed.groupby("day")["off"].mean()
    lines = [
        "| day | MAPE % | bias % | with observed weather % | °C, New York City |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for day, row in by_day.nlargest(WORST_DAYS, "off").iterrows():
        lines.append(
            f"| {day:%a} {day} | {row['off']:.1f} | {row['bias']:+.1f} | {given.get(day, np.nan):.1f} | "
            f"{row['low']:.0f} … {row['high']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("issued", type=Path)
    parser.add_argument("observed", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    check_output(arguments.out / "hour.png")
    sides = {
        "day-ahead, as issued": read(arguments.issued),
        "rolling-24h, observed": read(arguments.observed),
    }
    celsius = temperatures(pd.concat([hours["period"] for hours in sides.values()]))
    for name, hours in sides.items():
        warm = celsius.reindex(pd.DatetimeIndex(hours["period"])).to_numpy()
        step = TEMPERATURE_STEP * np.floor(warm / TEMPERATURE_STEP)
        sides[name] = hours.assign(celsius=warm, warmth=step)
    draw(sides, arguments.out)
    print(worst_days(*sides.values()))


if __name__ == "__main__":
    main()
