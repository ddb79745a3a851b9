"""The plots of forecasts, their errors, drift and training: frames in, Plotly figures out. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dashboard.drawing import (
    ACTUAL,
    BAD,
    BAND_80,
    GOOD,
    MUTED,
    OPERATOR,
    PREDICTED,
    SUN,
    add_bands,
    add_line,
    hours_figure,
    local_starts,
    new_figure,
    without_bridges,
    wrapped,
)
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import plotly.graph_objects as go

    from energy_demand.registry.run_history import RunSummary

HEAT = [[0.0, "#e8f1fb"], [0.5, "#f2b56b"], [1.0, "#b3261e"]]
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEK_DAYS = 7


def forecast_curve(
    forecast: pd.DataFrame, recent: pd.DataFrame, earlier: pd.DataFrame, zone: str
) -> go.Figure:
    """A forecast with its intervals, after the demand of the hours before it.

    Args:
        forecast: timestamp, predicted, the bounds and, if known, `rooftop`: generation behind the meter, and
            `combination`: of the forecast and the grid operator's.
        recent: timestamp, actual.
        earlier: timestamp, predicted, of the days before.
        zone: of the clock.
    """
    figure = hours_figure()
    add_bands(figure, forecast, local_starts(forecast["timestamp"], zone))
    if len(recent):
        add_line(figure, recent, "actual", "demand", ACTUAL, zone)
    if len(earlier):
        add_line(figure, earlier, "predicted", "earlier forecasts", MUTED, zone, width=1)
    if "rooftop" in forecast and forecast["rooftop"].notna().all():
        gross = forecast.assign(gross=forecast["predicted"] + forecast["rooftop"])
        add_line(figure, gross, "gross", "gross load (with rooftop solar)", SUN, zone, width=1)
    if "combination" in forecast:
        add_line(figure, forecast, "combination", "combined with the grid operator's", OPERATOR, zone)
    add_line(figure, forecast, "predicted", "forecast", PREDICTED, zone, width=3)
    return figure


def scenario_curves(hours: pd.DataFrame, zone: str) -> go.Figure:
    """A forecast and the same hours under a scenario.

    Args:
        hours: timestamp, predicted and its bounds, scenario.
        zone: of the clock.
    """
    figure = hours_figure()
    add_bands(figure, hours, local_starts(hours["timestamp"], zone))
    add_line(figure, hours, "predicted", "forecast", PREDICTED, zone, width=3)
    add_line(figure, hours, "scenario", "scenario", ACTUAL, zone, width=3)
    return figure


def actual_against_predicted(rows: pd.DataFrame, zone: str) -> go.Figure:
    """Hours, or days if `rows` has `day`: forecast, intervals, actual demand and operator forecast."""
    figure = hours_figure()
    by_day = "day" in rows
    rows = rows if by_day else without_bridges(rows)
    x = pd.DatetimeIndex(rows["day"]) if by_day else local_starts(rows["timestamp"], zone)
    add_bands(figure, rows, x)
    for column, name, colour in (
        ("operator", "operator forecast", OPERATOR),
        ("actual", "demand", ACTUAL),
        ("predicted", "forecast", PREDICTED),
    ):
        if column not in rows or rows[column].notna().sum() == 0:
            continue
        if by_day:
            figure.add_scatter(
                x=x,
                y=rows[column],
                name=name,
                mode="lines",
                line={"color": colour, "width": 2},
                hovertemplate="%{y:,.0f} MWh",
            )
        else:
            add_line(figure, rows, column, name, colour, zone)
    if by_day:
        figure.update_xaxes(hoverformat="%a %d %b %Y")
        figure.update_yaxes(title="daily mean, MWh per hour")
    return figure


def error_histogram(bins: pd.DataFrame, width: float) -> go.Figure:
    """The distribution of hourly errors.

    Args:
        bins: low (MWh), n.
        width: of a bin.
    """
    figure = new_figure(legend=False)
    figure.add_bar(
        x=bins["low"] + width / 2,
        y=bins["n"],
        width=width * 0.95,
        marker={"color": np.where(bins["low"] >= 0, PREDICTED, ACTUAL)},
        customdata=np.column_stack([bins["low"], bins["low"] + width]),
        hovertemplate="%{customdata[0]:,.0f} to %{customdata[1]:,.0f} MWh: %{y:,} hours<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": MUTED, "dash": "dot"})
    figure.update_xaxes(title="forecast − demand, MWh")
    figure.update_yaxes(title="hours")
    return figure


def rolling_error(days: pd.DataFrame) -> go.Figure:
    """Mean absolute error of each day and of the seven days to it.

    Args:
        days: day, known, mae.
    """
    table = days.set_index(pd.DatetimeIndex(days["day"]))
    known = table["known"].where(table["known"] > 0)
    total = (table["mae"] * known).rolling(timedelta(days=WEEK_DAYS)).sum()
    week = total / known.rolling(timedelta(days=WEEK_DAYS)).sum()
    figure = new_figure()
    figure.add_bar(
        x=table.index, y=table["mae"], name="day", marker={"color": BAND_80}, hovertemplate="%{y:,.0f} MWh"
    )
    figure.add_scatter(
        x=week.index,
        y=week,
        name="7 days",
        mode="lines",
        line={"color": PREDICTED, "width": 3},
        hovertemplate="%{y:,.0f} MWh",
    )
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(hoverformat="%a %d %b %Y")
    figure.update_yaxes(title="MAE, MWh", rangemode="tozero")
    return figure


def hour_and_weekday(errors: pd.DataFrame) -> go.Figure:
    """Heat map of the mean absolute percentage error.

    Args:
        errors: weekday (1 … 7), hour, mape, known.
    """
    grid = errors.pivot_table(index="weekday", columns="hour", values="mape").reindex(
        index=range(1, 8), columns=range(24)
    )
    figure = new_figure(legend=False)
    figure.add_heatmap(
        z=grid.to_numpy(),
        x=[f"{hour:02d}" for hour in grid.columns],
        y=list(WEEKDAYS),
        colorscale=HEAT,
        colorbar={"title": "MAPE %"},
        hovertemplate="%{y} %{x}:00: %{z:.2f} %<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="hour of the day, local, at its start", type="category")
    return figure


def error_by_lead(errors: pd.DataFrame) -> go.Figure:
    """Mean absolute percentage error by how far ahead.

    Args:
        errors: lead_hours, mape, known.
    """
    figure = new_figure(legend=False)
    figure.add_scatter(
        x=errors["lead_hours"],
        y=errors["mape"],
        mode="lines+markers",
        line={"color": PREDICTED},
        customdata=errors["known"],
        hovertemplate="lead %{x} h: %{y:.2f} % of %{customdata:,} hours<extra></extra>",
    )
    figure.update_xaxes(title="hours ahead")
    figure.update_yaxes(title="MAPE, %", rangemode="tozero")
    return figure


def calibration(errors: pd.DataFrame, label: str) -> go.Figure:
    """How many hours lay in the 80 % and the 95 % interval.

    Args:
        errors: the column `label`, coverage_80, coverage_95 (percent), known.
        label: what the hours are grouped by.
    """
    figure = new_figure()
    for level, colour in ((95, OPERATOR), (80, PREDICTED)):
        figure.add_scatter(
            x=errors[label],
            y=errors[f"coverage_{level}"],
            name=f"{level} % interval",
            mode="lines+markers",
            line={"color": colour},
            customdata=errors["known"],
            hovertemplate="%{y:.1f} % of %{customdata:,} hours",
        )
        figure.add_hline(y=level, line={"color": colour, "dash": "dot"})
    figure.update_layout(hovermode="x unified")
    figure.update_yaxes(
        title="hours within the interval, %", range=[min(60, float(errors["coverage_80"].min()) - 5), 101]
    )
    return figure


def drift_share(
    checks: pd.DataFrame, threshold: float, zone: str, span: tuple[datetime, datetime]
) -> go.Figure:
    """The drift share of each check beside the share that is drift.

    Args:
        checks: check_timestamp, drift_share, n_drifted_features, triggered_retrain, reason.
        threshold: over which it is drift.
        zone: of the clock.
        span: from when to when it is drawn.
    """
    at = utc_index(checks["check_timestamp"])
    figure = new_figure(legend=False)
    over = checks["drift_share"] > threshold
    figure.add_scatter(
        x=at.tz_convert(zone).tz_localize(None),
        y=checks["drift_share"],
        mode="lines+markers",
        line={"color": MUTED},
        marker={
            "color": np.where(over, BAD, GOOD),
            "size": np.where(checks["triggered_retrain"], 12, 7),
            "symbol": np.where(checks["triggered_retrain"], "star", "circle"),
        },
        customdata=np.column_stack(
            [at.strftime("%Y-%m-%d %H:%M UTC"), checks["n_drifted_features"], checks["reason"].map(wrapped)]
        ),
        hovertemplate="%{x|%a %d %b %Y %H:%M} (%{customdata[0]})<br>share %{y:.2f}, %{customdata[1]} features"
        "<br>%{customdata[2]}<extra></extra>",
    )
    figure.add_hline(y=threshold, line={"color": BAD, "dash": "dash"}, annotation_text=f"{threshold:g}")
    ends = pd.DatetimeIndex(span).tz_convert(zone).tz_localize(None)
    room = 0.02 * (ends[1] - ends[0])
    figure.update_xaxes(range=[ends[0] - room, ends[1] + room])
    figure.update_yaxes(title="drift share", range=[0, max(1.0, float(checks["drift_share"].max())) * 1.02])
    return figure


def features_over_time(scores: pd.DataFrame, order: Sequence[str], threshold: float) -> go.Figure:
    """Heat map of each feature's distance on each day, in thresholds: 1 and more has drifted.

    Args:
        scores: day, feature, score (NaN: not compared).
        order: of the features, from above.
        threshold: of a score.
    """
    grid = scores.pivot_table(index="feature", columns="day", values="score").reindex(index=list(order))
    figure = new_figure(legend=False, height=max(320, 26 * len(grid)))
    figure.add_heatmap(
        z=(grid / threshold).to_numpy(),
        x=[f"{day:%d %b %Y}" for day in grid.columns],
        y=[name.replace("_", " ") for name in grid.index],
        colorscale=HEAT,
        zmin=0,
        zmax=2,
        xgap=1,
        ygap=1,
        colorbar={"title": "score ÷<br>threshold"},
        hovertemplate="%{y}, %{x}: %{z:.2f} thresholds<extra></extra>",
        hoverongaps=False,
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(type="category", nticks=8, tickangle=0)
    return figure


def runs_over_time(runs: Sequence[RunSummary], metric: str, zone: str) -> go.Figure:
    """A metric of each run that has it, by the hour that it was trained through; promoted versions filled."""
    scored_runs = [run for run in runs if metric in run.metrics]
    at = utc_index(pd.DatetimeIndex([run.trained_through or run.started_at for run in scored_runs]))
    figure = new_figure(legend=False)
    figure.add_scatter(
        x=at.tz_convert(zone).tz_localize(None),
        y=[run.metrics[metric] for run in scored_runs],
        mode="lines+markers+text",
        text=["" if run.version is None else f"v{run.version}" for run in scored_runs],
        textposition="top center",
        line={"color": MUTED, "width": 1},
        marker={
            "size": 12,
            "color": [GOOD if run.promoted else MUTED for run in scored_runs],
            "symbol": [
                "star" if run.serves else "circle" if run.promoted else "circle-open" for run in scored_runs
            ],
        },
        customdata=[[run.name, wrapped(run.verdict or "no verdict")] for run in scored_runs],
        hovertemplate="%{customdata[0]}: %{y:,.2f}<br>%{customdata[1]}<extra></extra>",
    )
    figure.update_xaxes(title="trained through")
    figure.update_yaxes(title=metric.replace("_", " "))
    return figure


def daily_race(days: pd.DataFrame, names: Mapping[str, str], since: datetime, zone: str) -> go.Figure:
    """Mean absolute percentage error of two models on each day.

    Args:
        days: day, in order, and a column for each model, percent.
        names: the models' names by column; the first one serves.
        since: when the other one went into the shadow.
        zone: of the clock.
    """
    figure = new_figure()
    every = days.set_index(pd.DatetimeIndex(days["day"])).asfreq("D")  # no line bridges missing days
    for (column, name), colour in zip(names.items(), (PREDICTED, ACTUAL), strict=True):
        figure.add_scatter(
            x=every.index,
            y=every[column],
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            hovertemplate="%{y:.2f} %",
        )
    began = pd.Timestamp(since).tz_convert(zone).tz_localize(None)
    if len(days) and pd.Timestamp(days["day"].iloc[0]) < began:
        figure.add_vline(x=began, line={"color": MUTED, "dash": "dot"})
    figure.update_layout(hovermode="x unified", height=300)
    figure.update_xaxes(hoverformat="%a %d %b %Y")
    figure.update_yaxes(title="MAPE, %", rangemode="tozero")
    return figure


def importance(values: Mapping[str, float], title: str, most: int = 21) -> go.Figure:
    """Bars of the features that matter most, the first one above."""
    chosen = sorted(values.items(), key=lambda item: item[1])[-most:]
    figure = new_figure(legend=False, height=max(320, 24 * len(chosen)))
    figure.add_bar(
        y=[name.replace("_", " ") for name, _ in chosen],
        x=[value for _, value in chosen],
        orientation="h",
        marker={"color": PREDICTED},
        hovertemplate="%{y}: %{x:,.1f}<extra></extra>",
    )
    figure.update_xaxes(title=title)
    return figure


def explained(parts: Mapping[str, float], start: str) -> go.Figure:
    """A forecast as a sum: from `start` through each part to the whole (MWh).

    Args:
        parts: by name; they add up to the forecast.
        start: the part that the others are counted from.
    """
    others = sorted((each for each in parts.items() if each[0] != start), key=_size, reverse=True)
    names = [start, *(name for name, _ in others), "forecast"]
    figure = new_figure(legend=False, height=max(320, 26 * len(names)))
    figure.add_waterfall(
        orientation="h",
        y=[name.replace("_", " ") for name in names],
        x=[parts[start], *(value for _, value in others), 0],
        measure=["absolute", *(["relative"] * len(others)), "total"],
        increasing={"marker": {"color": ACTUAL}},
        decreasing={"marker": {"color": OPERATOR}},
        totals={"marker": {"color": PREDICTED}},
        hovertemplate="%{y}: %{x:,.0f} MWh<extra></extra>",
    )
    low, high = _reach(parts[start], [value for _, value in others])
    figure.update_xaxes(title="MWh", range=[low, high])
    figure.update_yaxes(autorange="reversed")
    return figure


def _reach(start: float, steps: Sequence[float]) -> tuple[float, float]:
    """From where to where a sum goes, with room: bars from zero would hide the steps."""
    sums = np.cumsum([start, *steps])
    room = 0.08 * max(float(np.ptp(sums)), 1.0)
    return float(sums.min()) - room, float(sums.max()) + room


def _size(item: tuple[str, float]) -> float:
    return abs(item[1])
