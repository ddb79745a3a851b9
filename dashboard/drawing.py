"""What the plots share: colours, axes, hover texts, lines and bands. Pure.

Times are local, an hour at its start; hovering also shows the hour's end in UTC, as stored. The colours are
readable on light and dark backgrounds; the theme of the page sets the rest.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go

from energy_demand.timeaxis import HOUR, utc_index

if TYPE_CHECKING:
    from collections.abc import Iterable

SUN = "#E0A100"
PREDICTED, ACTUAL, OPERATOR = "#3B8EEA", "#E4572E", "#2CA58D"
GOOD, BAD, MUTED = "#2CA58D", "#E4572E", "#8A8F98"
BAND_95, BAND_80 = "rgba(59, 142, 234, 0.15)", "rgba(59, 142, 234, 0.30)"


def local_starts(timestamps: Iterable[Any], zone: str) -> pd.DatetimeIndex:
    """Wall-clock starts of the hours that end at `timestamps`, without a zone."""
    ends = utc_index(pd.DatetimeIndex(list(timestamps)))
    return (ends - pd.Timedelta(HOUR)).tz_convert(zone).tz_localize(None)


def new_figure(*, legend: bool = True, height: int = 380) -> go.Figure:
    """An empty figure; the theme of the page sets the rest."""
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        showlegend=legend,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        separators=".,",
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure


def hours_figure() -> go.Figure:
    """An empty figure of hours on the x axis, MWh on the other."""
    figure = new_figure()
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(hoverformat="%a %d %b %Y %H:%M")
    figure.update_yaxes(title="MWh", tickformat=",.0f")
    return figure


def without_bridges(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with empty ones for hours that lie between them, so that no line bridges a gap."""
    at = utc_index(rows["timestamp"])
    every = pd.date_range(at.min(), at.max(), freq="h", unit="us")
    return rows.set_index(at).reindex(every).drop(columns="timestamp").rename_axis("timestamp").reset_index()


def add_line(
    figure: go.Figure, rows: pd.DataFrame, column: str, name: str, colour: str, zone: str, width: int = 2
) -> None:
    """Draw a column of hourly rows (`timestamp`, an hour's end) as a line."""
    ends = utc_index(rows["timestamp"])
    figure.add_scatter(
        x=local_starts(ends, zone),
        y=rows[column],
        name=name,
        mode="lines",
        line={"color": colour, "width": width, "dash": "dot" if column == "operator" else "solid"},
        customdata=ends.strftime("%d %b %H:%M"),
        hovertemplate="%{y:,.0f} MWh (hour to %{customdata} UTC)",
    )


def add_bands(figure: go.Figure, rows: pd.DataFrame, x: pd.DatetimeIndex) -> None:
    """Draw the 95 % and 80 % intervals of rows at `x`; bounds that are all unknown are left out."""
    for level, colour in ((95, BAND_95), (80, BAND_80)):
        lower, upper = rows[f"lower_{level}"], rows[f"upper_{level}"]
        if lower.isna().all():
            continue
        figure.add_scatter(x=x, y=lower, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip")
        figure.add_scatter(
            x=x,
            y=upper,
            name=f"{level} % interval",
            mode="lines",
            line={"width": 0},
            fill="tonexty",
            fillcolor=colour,
            customdata=lower,
            hovertemplate="%{customdata:,.0f} to %{y:,.0f} MWh",
        )


def wrapped(text: str) -> str:
    """Text in lines, as hover boxes do not break them."""
    return "<br>".join(textwrap.wrap(text, 70))
