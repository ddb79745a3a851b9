"""Pictures as PNG files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.evaluation.beside_operator import COMBINATION
from energy_demand.model.forecaster import PREDICTED
from energy_demand.region import ATTRIBUTION
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from matplotlib.axes import Axes

    from energy_demand.evaluation.beside_operator import BesideOperator
    from energy_demand.jobs.replay import Replayed
    from energy_demand.model.forecast import Forecast
    from energy_demand.model.scenarios.answer import ScenarioForecast


def save_picture(
    forecast: Forecast, zone: ZoneInfo, path: Path, note: str = "", operator: BesideOperator | None = None
) -> Path:
    """Draw the forecast with both intervals as a PNG, with `note` under the title.

    With `operator`, also the combination with the grid operator's forecast.
    """
    from matplotlib.dates import date2num  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    hours = forecast.hours
    edges = date2num([hours["period"].iloc[0] - HOUR, *hours["period"]])  # type: ignore[no-untyped-call]
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for level, shade in ((95, 0.15), (80, 0.3)):
        axes.stairs(
            hours[f"upper_{level}"],
            edges,
            baseline=hours[f"lower_{level}"],
            fill=True,
            color="tab:blue",
            alpha=shade,
            linewidth=0,
            label=f"{level} % interval",
        )
    axes.stairs(hours[PREDICTED], edges, baseline=None, color="tab:blue", linewidth=1.8, label="forecast")
    if operator is not None and operator.posted_at is not None:
        axes.stairs(
            operator.hours[COMBINATION],
            edges,
            baseline=None,
            color="tab:orange",
            linewidth=1.4,
            label="combined with the operator's",
        )
    _hourly_axes(axes, zone)
    issued = forecast.issued_at.astimezone(zone)
    title = f"Hourly demand, issued {issued:%Y-%m-%d %H:%M} by model version {forecast.model_version}"
    axes.set_title(title + (f"\n{note}" if note else ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, format="png")
    return path


def save_scenario(scenario: ScenarioForecast, zone: ZoneInfo, path: Path) -> Path:
    """Draw the forecast and the scenario as a PNG."""
    from matplotlib.dates import date2num  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    periods = scenario.hours["period"]
    edges = date2num([periods.iloc[0] - HOUR, *periods])  # type: ignore[no-untyped-call]
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    curves = ((scenario.forecast, "tab:blue", "forecast"), (scenario.hours, "tab:orange", "scenario"))
    for hours, colour, label in curves:
        axes.stairs(hours[PREDICTED], edges, baseline=None, color=colour, linewidth=1.8, label=label)
    _hourly_axes(axes, zone)
    axes.set_title(f"Scenario, no forecast: {scenario.scenario.text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, format="png")
    return path


def _hourly_axes(axes: Axes, zone: ZoneInfo) -> None:
    """Axes of hours of demand."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415

    locator = AutoDateLocator(tz=zone)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator, tz=zone, show_offset=False)  # type: ignore[no-untyped-call]
    )
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("demand, MWh")
    axes.set_xlabel(f"local time, {zone.key}\n{ATTRIBUTION}", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", frameon=False)


def save_replay(replayed: Replayed, zone: ZoneInfo, path: Path) -> Path:
    """Draw a replay's daily error with alarms, retrainings and the injected change, as a PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    from energy_demand.evaluation.policy_replay import PROMOTED  # noqa: PLC0415  (a second that only this needs)

    hours = replayed.run.hours.dropna(subset=["actual_mwh"])
    local = (pd.DatetimeIndex(hours["period"]) - HOUR).tz_convert(zone).tz_localize(None)
    absolute_percent = 100 * (hours["predicted_mwh"] - hours["actual_mwh"]).abs() / hours["actual_mwh"]
    daily = absolute_percent.groupby(local.normalize()).mean()
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(daily.index, daily, color="tab:blue", alpha=0.25, linewidth=0.8, label="daily")
    axes.plot(daily.index, daily.rolling(7).mean(), color="tab:blue", linewidth=1.8, label="7-day mean")

    def at(time: pd.Timestamp) -> pd.Timestamp:
        return pd.Timestamp(time).tz_convert(zone).tz_localize(None)

    for kind, colour in (("drift", "tab:orange"), ("concept", "tab:red"), ("performance", "tab:purple")):
        times = [at(pd.Timestamp(each.at)) for each in replayed.run.alarms if each.kind == kind]
        axes.plot(
            pd.DatetimeIndex(times),
            [0.0] * len(times),
            "^",
            color=colour,
            markersize=8,
            label=f"alarm: {kind}",
        )
    outcomes = [
        (each.decided_at, "promoted", "tab:green", "-")
        if each.outcome == PROMOTED
        else (each.at, "trained, not promoted", "tab:gray", ":")
        for each in replayed.run.retrainings
    ]
    outcomes += [(each.at, "rolled back", "tab:red", "-.") for each in replayed.run.rollbacks]
    for number, (when, label, colour, style) in enumerate(outcomes):
        axes.axvline(
            at(pd.Timestamp(when)),  # type: ignore[arg-type]
            color=colour,
            linestyle=style,
            linewidth=1,
            label=label if label not in [each[1] for each in outcomes[:number]] else None,
        )
    if replayed.body["inject"] is not None:
        axes.axvline(
            pd.Timestamp(replayed.body["inject"]["at"]),  # type: ignore[arg-type]
            color="black",
            linestyle="--",
            label=f"injected: {replayed.body['inject']['kind']}",
        )
    axes.set_ylim(bottom=-0.2)
    axes.set_ylabel("MAPE, %")
    axes.set_xlabel(f"local day, {zone.key}\n{ATTRIBUTION}", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", frameon=False, ncols=3)
    axes.set_title(f"Replay, policy {replayed.body['policy']}: MAPE {replayed.body['mape']:.2f} %")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, format="png")
    return path
