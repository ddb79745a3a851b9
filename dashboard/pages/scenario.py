"""Scenario: tomorrow's forecast under other weather or on another kind of day, chosen by sliders."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import streamlit as st

from dashboard import figures, store, widgets
from energy_demand.model.forecaster import PREDICTED
from energy_demand.model.scenarios.changes import HOLIDAY, SATURDAY, SUNDAY, WORKDAY
from energy_demand.model.stages.special_days import public_holidays
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from energy_demand.model.scenarios.answer import ScenarioForecast

AS_IT_IS = "as it is"
DEGREES, PERCENT, SPEED = 10.0, 50, 50  # reach of the sliders; a scenario may go further


def show() -> None:
    """The page."""
    version = store.champion_version()
    if version is None:
        st.info("No model serves yet. Run `energy-demand train`.")
        return
    region, now = store.settings().region, store.now()
    tomorrow = local_day(now, region.zone) + timedelta(days=1)
    st.subheader(f"Scenario: tomorrow, {tomorrow:%A %d %B %Y}: {region.respondent}")
    st.caption(
        "The forecast as of now, and the same hours with tomorrow's weather or kind of day changed. A warmer "
        "day keeps its dew point; fewer clouds let more sun through. Nothing of it is logged."
    )
    text = _chosen(region.country)
    with widgets.warn_on_failure():
        _shown(store.scenario(now, tomorrow, version, text), text)


def _chosen(country: str) -> str:
    """The scenario of the sliders, as text."""
    columns = st.columns(5)
    with columns[0]:
        degrees = st.slider("Temperature, °C", -DEGREES, DEGREES, 0.0, 0.5, format="%+.1f", key="temperature")
    with columns[1]:
        cover = st.select_slider(
            "Cloud cover, %", [AS_IT_IS, *range(0, 101, 10)], AS_IT_IS, key="cloud", help="Of all hours."
        )
    with columns[2]:
        humidity = st.slider("Humidity, %", -PERCENT, PERCENT, 0, 5, format="%+d", key="humidity")
    with columns[3]:
        wind = st.slider("Wind, km/h", -SPEED, SPEED, 0, 5, format="%+d", key="wind")
    with columns[4]:
        holidays = public_holidays(country)
        kinds = [AS_IT_IS, WORKDAY, SATURDAY, SUNDAY, *([HOLIDAY] if holidays else []), *holidays]
        day = st.selectbox(
            "Kind of day", kinds, format_func=lambda kind: kind.replace("_", " "), key="kind_of_day"
        )
    # Temperature is always named: without any change the scenario is the forecast.
    changes = [f"temperature{degrees:+g}"]
    changes += [] if cover == AS_IT_IS else [f"cloud={cover}"]
    changes += [f"{name}{value:+d}" for name, value in (("humidity", humidity), ("wind", wind)) if value]
    changes += [] if day == AS_IT_IS else [f"day={day}"]
    return ",".join(changes)


def _shown(scenario: ScenarioForecast, text: str) -> None:
    parts = scenario.parts.drop(columns="period")
    energy = scenario.forecast[PREDICTED].sum()
    difference, peaks = (
        scenario.difference.sum(),
        [each[PREDICTED].max() for each in (scenario.forecast, scenario.hours)],
    )
    shown = {
        "Daily energy": (f"{(energy + difference) / 1000:,.1f} GWh", f"{difference / 1000:+,.1f} GWh"),
        "Peak": (f"{peaks[1]:,.0f} MW", f"{peaks[1] - peaks[0]:+,.0f} MW"),
        **{
            f"by {name}": (f"{parts[name].sum() / 1000:+,.1f} GWh", f"{parts[name].sum() / energy:+.1%}")
            for name in parts
        },
    }
    for column, (label, (value, change)) in zip(st.columns(len(shown)), shown.items(), strict=True):
        column.metric(label, value, change, delta_color="off")
    hours = scenario.forecast.rename(columns={"period": "timestamp", PREDICTED: "predicted"})
    hours = hours.assign(scenario=scenario.hours[PREDICTED], **{f"by_{name}": parts[name] for name in parts})
    widgets.plot(
        figures.scenario_curves(hours, store.zone()),
        "scenario_curves",
        "Tomorrow's hourly forecast with its intervals, and the same hours under the scenario",
    )
    st.caption(
        f"`energy-demand forecast --day tomorrow --scenario {text}` gives the same. The parts are Shapley's "
        "values: they do not depend on the order of the changes, and add up to the difference."
    )
    widgets.download(hours, "scenario", "Scenario")


if __name__ == "__main__":  # as Streamlit runs it
    show()
