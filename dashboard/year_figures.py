"""The plots of a year: its highest days and hours, and demand in usual weather. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dashboard.drawing import ACTUAL, PREDICTED, local_starts, new_figure
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


def hour_probabilities(hours: pd.DataFrame, zone: str) -> go.Figure:
    """Bars of the probability that each hour (`period`, `probability`) is the day's highest."""
    figure = new_figure(legend=False, height=300)
    figure.add_bar(
        x=local_starts(hours["period"], zone),
        y=hours["probability"],
        marker={"color": PREDICTED},
        customdata=utc_index(hours["period"]).strftime("%Y-%m-%d %H:%M UTC"),
        hovertemplate="%{x|%H:%M}: %{y:.1%}<br>ends %{customdata}<extra></extra>",
    )
    figure.update_xaxes(tickformat="%H:%M")
    figure.update_yaxes(title="highest hour of the day", tickformat=".0%", rangemode="tozero")
    return figure


def highest_days(days: pd.DataFrame) -> go.Figure:
    """Bars of the highest days (`day`, `demand_mwh`), and what was forecast (`predicted_demand_mwh`)."""
    figure = new_figure(height=300)
    names = [f"{day:%d %b}" for day in days["day"]]
    figure.add_bar(x=names, y=days["demand_mwh"], name="demand", marker={"color": ACTUAL})
    figure.add_scatter(
        x=names,
        y=days["predicted_demand_mwh"],
        name="forecast the day before",
        mode="markers",
        marker={"color": PREDICTED, "size": 10},
    )
    values = days[["demand_mwh", "predicted_demand_mwh"]].astype(float).to_numpy()
    low, high = np.nanmin(values), np.nanmax(values)
    room = 0.2 * max(high - low, 1.0)
    figure.update_yaxes(title="MWh", tickformat=",.0f", range=[low - room, high + room])
    return figure


def normalised_energy(months: pd.DataFrame) -> go.Figure:
    """Monthly energy as observed and in usual weather.

    Args:
        months: `period` (such as 2025-07), `demand_mwh`, `normalised_mwh`.
    """
    figure = new_figure()
    for column, name, colour in (
        ("demand_mwh", "observed", ACTUAL),
        ("normalised_mwh", "in usual weather", PREDICTED),
    ):
        figure.add_scatter(
            x=months["period"],
            y=months[column] / 1000,
            name=name,
            mode="lines+markers",
            line={"color": colour},
            hovertemplate="%{x}: %{y:,.0f} GWh",
        )
    figure.update_yaxes(title="GWh", tickformat=",.0f")
    return figure


def normalised_changes(months: pd.DataFrame) -> go.Figure:
    """Bars of `demand_change` and `normalised_change` (percent against a year before) of each `period`."""
    figure = new_figure()
    for column, name, colour in (
        ("demand_change", "observed", ACTUAL),
        ("normalised_change", "in usual weather", PREDICTED),
    ):
        figure.add_bar(
            x=months["period"],
            y=months[column],
            name=name,
            marker={"color": colour},
            hovertemplate="%{x}: %{y:+.1f} %",
        )
    figure.update_yaxes(title="change in a year, %", tickformat="+.0f")
    return figure
