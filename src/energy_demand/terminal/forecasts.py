"""A forecast as a table, a text plot and a picture file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from energy_demand.evaluation.beside_operator import COMBINATION, ISSUED, ISSUED_CORRECTED, OUR_WEIGHT
from energy_demand.model.distribution import PROBABILITIES
from energy_demand.model.forecaster import GROSS_MWH, ROOFTOP_MWH, SKIES
from energy_demand.outputs import write_output
from energy_demand.terminal.console import out
from energy_demand.terminal.pictures import save_picture
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

    import pandas as pd

    from energy_demand.evaluation.beside_operator import BesideOperator
    from energy_demand.model.distribution import JointDistribution
    from energy_demand.model.forecast import Forecast

PLOT_WIDTH, PLOT_HEIGHT = 78, 16
SHOWN_PROBABILITIES = (0.025, 0.1, 0.5, 0.9, 0.975)
LIKELIEST = 3  # hours of the peak that are named


def print_forecast(
    forecast: Forecast,
    zone: ZoneInfo,
    picture: Path,
    *,
    note: str = "",
    explain: bool = False,
    quantiles: bool = False,
    operator: BesideOperator | None = None,
) -> None:
    """Print table, plot and peak on standard output; write the picture to the file `picture`.

    With `operator`, also the operator's forecast of these hours and the combination with it.
    """
    out.print(forecast_table(forecast, zone))
    if operator is not None and operator.posted_at is not None:
        out.print(operator_table(operator, zone))
        out.print(operator_sentence(operator, zone), soft_wrap=True)
    if explain and forecast.explanation is not None:
        out.print(explanation_table(forecast.explanation, zone))
        if forecast.sun is not None:
            out.print(sun_sentence(forecast.sun), soft_wrap=True)
        if forecast.filter_weights is not None:
            out.print(weights_sentence(forecast.filter_weights), soft_wrap=True)
    if quantiles and forecast.distribution is not None:
        out.print(distribution_table(forecast.distribution))
        out.print(peak_hour_sentence(forecast, zone), soft_wrap=True)
    out.print(terminal_plot(forecast, zone), markup=False)
    out.print(peak_sentence(forecast, zone))
    write_output(picture, lambda path: save_picture(forecast, zone, path, note, operator))
    out.print(f"picture: {picture}", soft_wrap=True)


def forecast_table(forecast: Forecast, zone: ZoneInfo) -> Table:
    """Each hour with its forecast and intervals in local time, with the peak marked."""
    peak = int(forecast.hours["predicted_demand_mwh"].to_numpy().argmax())
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("hour (local)", "lead, h", "MWh", "80 % interval", "95 % interval", ""):
        table.add_column(name, justify="right")
    for index, hour in enumerate(forecast.hours.to_dict("records")):
        ends = hour["period"].tz_convert(zone)
        starts = (hour["period"] - HOUR).tz_convert(zone)
        table.add_row(
            f"{starts:%a %d %b %H:%M}–{ends:%H:%M}",
            str(int(hour["lead_hours"])),
            f"{hour['predicted_demand_mwh']:,.0f}",
            f"{hour['lower_80']:,.0f} – {hour['upper_80']:,.0f}",
            f"{hour['lower_95']:,.0f} – {hour['upper_95']:,.0f}",
            "← peak" if index == peak else "",
            style="bold" if index == peak else None,
        )
    return table


def weights_sentence(weights: pd.DataFrame) -> str:
    """Which share of the adaptive regression's forecast comes from each filter."""
    shares = weights.drop(columns="period")
    each = (
        f"{str(name).removeprefix('pace_')} has {low:.0%} to {high:.0%}"
        for name, low, high in zip(shares, shares.min(), shares.max(), strict=True)
    )
    return f"Weights of the filters, by the pace of their coefficients: {', '.join(each)}"


def distribution_table(joint: JointDistribution) -> Table:
    """Quantiles of the energy and the peak of all hours, MWh."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    chosen = [int(np.argmin(np.abs(PROBABILITIES - each))) for each in SHOWN_PROBABILITIES]
    for name in ("MWh with probability", *(f"{each:.1%}" for each in SHOWN_PROBABILITIES)):
        table.add_column(name, justify="right")
    for name, values in (("energy below", joint.energy), ("peak below", joint.peak)):
        table.add_row(name, *(f"{values[at]:,.0f}" for at in chosen))
    return table


def peak_hour_sentence(forecast: Forecast, zone: ZoneInfo) -> str:
    """The likeliest hours of the peak."""
    if forecast.distribution is None:
        return ""
    probability = forecast.distribution.peak_hour
    words = []
    for at in np.argsort(-probability, kind="stable")[:LIKELIEST]:
        start = (forecast.hours["period"].iloc[at] - HOUR).tz_convert(zone)
        words.append(f"{start:%H:%M} ({probability[at]:.0%})")
    return f"Most likely beginnings of the peak hour: {', '.join(words)}"


def operator_table(operator: BesideOperator, zone: ZoneInfo) -> Table:
    """The grid operator's forecast of each hour and the combination with ours, MWh."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("local", "operator, MWh", "corrected", "our weight", "combination"):
        table.add_column(name, justify="right")
    numbers = (ISSUED, ISSUED_CORRECTED, OUR_WEIGHT, COMBINATION)
    for hour in operator.hours.to_dict("records"):
        starts = (hour["period"] - HOUR).tz_convert(zone)
        known = not np.isnan(hour[ISSUED])
        shown = [f"{hour[name]:.2f}" if name == OUR_WEIGHT else f"{hour[name]:,.0f}" for name in numbers]
        table.add_row(f"{starts:%a %d %b %H:%M}", *(shown if known else ["–"] * len(numbers)))
    return table


def operator_sentence(operator: BesideOperator, zone: ZoneInfo) -> str:
    """When the operator's forecast was posted, and what the weight comes from."""
    if operator.posted_at is None:
        return "The grid operator has posted no forecast of these hours"
    posted = operator.posted_at.astimezone(zone)
    learnt = (
        f"weights from the errors of {operator.learnt_hours:,} logged hours"
        if operator.learnt_hours
        else "equal weights, as no forecast is logged and scored yet"
    )
    return (
        f"The grid operator's forecast was posted on {posted:%a %d %b} at {posted:%H:%M} local time; {learnt}"
    )


def explanation_table(explanation: pd.DataFrame, zone: ZoneInfo) -> Table:
    """The contribution of each part to each hour's forecast, MWh."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    parts = [name for name in explanation.columns if name != "period"]
    # The columns fit into 80 characters.
    labels = [part.replace("_", " ").replace("temperature", "temp.") for part in parts]
    table.add_column("local", justify="right", no_wrap=True)
    for name in (*labels, "= MWh"):
        table.add_column(name, justify="right")
    for hour in explanation.to_dict("records"):
        starts = (hour["period"] - HOUR).tz_convert(zone)
        shares = [f"{hour[part]:,.0f}" if part == "typical" else f"{hour[part]:+,.0f}" for part in parts]
        table.add_row(f"{starts:%a %H:%M}", *shares, f"{sum(hour[part] for part in parts):,.0f}")
    return table


def sun_sentence(sun: pd.DataFrame) -> str:
    """What rooftop solar takes off the load of these hours, and what another sky would change."""
    forecast = sun[GROSS_MWH] - sun[ROOFTOP_MWH]
    cloudless, overcast = (float((sun[name] - forecast).sum()) for name in SKIES)
    return (
        f"Rooftop solar is expected to generate {sun[ROOFTOP_MWH].sum():,.0f} MWh, which demand does not "
        f"include. A cloudless sky would change the energy of these hours by {cloudless:+,.0f} MWh, an "
        f"overcast one by {overcast:+,.0f} MWh"
    )


def peak_sentence(forecast: Forecast, zone: ZoneInfo) -> str:
    """The peak hour, its MW and its interval, and the error to expect, in two sentences."""
    hour = forecast.hours.iloc[int(forecast.hours["predicted_demand_mwh"].to_numpy().argmax())]
    starts, ends = (hour["period"] - HOUR).tz_convert(zone), hour["period"].tz_convert(zone)
    return (
        f"Peak {hour['predicted_demand_mwh']:,.0f} MW on {starts:%a %d %b} between {starts:%H:%M} and "
        f"{ends:%H:%M} local time (80 % interval {hour['lower_80']:,.0f} to {hour['upper_80']:,.0f} MW). "
        f"Expected error of these hours: {forecast.expected_error_percent:.1f} %"
    )


def terminal_plot(forecast: Forecast, zone: ZoneInfo) -> str:
    """A text plot of the hours with their 80 % interval."""
    import plotext  # noqa: PLC0415  (of the `local` extra)

    hours = forecast.hours
    x = list(range(len(hours)))
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(PLOT_WIDTH, PLOT_HEIGHT)
    plotext.scatter(x, hours["lower_80"].tolist(), marker="·")
    plotext.scatter(x, hours["upper_80"].tolist(), marker="·", label="80 % interval")
    plotext.plot(x, hours["predicted_demand_mwh"].tolist(), marker="braille", label="forecast, MWh")
    ticks = x[:: max(1, len(x) // 8)]
    starts = (hours["period"] - HOUR).dt.tz_convert(zone)
    levels = np.linspace(hours["lower_80"].min(), hours["upper_80"].max(), 6)
    plotext.yticks(levels.tolist(), [f"{level:,.0f}" for level in levels])
    plotext.xticks(ticks, [f"{starts.iloc[tick]:%H:%M}" for tick in ticks])
    return str(plotext.uncolorize(plotext.build()))
