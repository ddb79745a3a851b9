"""Peaks: whether tomorrow is alerted, how likely it is among the year's highest, and the highest so far."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboard import drawing, store, widgets, year_figures
from dashboard.health import peak_sign
from energy_demand.jobs.peaks import peaks_body
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANCES = {
    "Among the ten highest days so far": "so_far_probability",
    "Among the ten highest of the year": "day_probability",
    "With one of its ten highest hours": "hour_probability",
}
SHOWN = {
    "hour": st.column_config.DatetimeColumn("Hour from", format="ddd DD MMM HH:mm"),
    "demand_mwh": st.column_config.NumberColumn("Demand, MWh", format="localized"),
    "predicted_demand_mwh": st.column_config.NumberColumn("Forecast, MWh", format="localized"),
    "hour_probability": st.column_config.NumberColumn("Probability", format="percent"),
    "alert": st.column_config.CheckboxColumn("Alerted"),
}


def show() -> None:
    """The page."""
    region, now = store.settings().region, store.now()
    tomorrow = local_day(now, region.zone) + timedelta(days=1)
    body = store.read(peaks_body, region, now, tomorrow)
    st.subheader(f"Peaks: tomorrow, {tomorrow:%A %d %B %Y}, {region.respondent}")
    widgets.show_sign(peak_sign(body["peak"]))
    if body["peak"] is not None:
        _chances(body["peak"])
    alerted = ", ".join(f"{day:%d %b}" for day in body["alerted_days"]) or "none"
    st.caption(f"Alerted in {body['year']}, of about {body['alert_days']} a year: {alerted}.")
    if not body["highest_days"]:
        st.info(f"No demand of {body['year']} is stored yet. Run `energy-demand backfill`.")
        return
    days, hours = (_rows(body[name]) for name in ("highest_days", "highest_hours"))
    widgets.plot(
        year_figures.highest_days(days),
        "highest days",
        "The ten highest days and their forecast of the day before",
    )
    for column, name, rows in zip(st.columns(2), ("days", "hours"), (days, hours), strict=True):
        with column:
            st.markdown(f"**The ten highest {name} of {body['year']} so far**")
            st.dataframe(rows[list(SHOWN)], column_config=SHOWN, hide_index=True)
            widgets.download(rows.drop(columns="hour"), f"highest_{name}_{body['year']}", f"Highest {name}")


def _chances(peak: dict[str, Any]) -> None:
    for column, (label, name) in zip(st.columns(len(CHANCES)), CHANCES.items(), strict=True):
        column.metric(label, "unknown" if peak[name] is None else f"{peak[name]:.0%}")
    hours = pd.DataFrame(peak["hours"])
    if hours["probability"].notna().any():
        widgets.plot(
            year_figures.hour_probabilities(hours, store.zone()),
            "hour probabilities",
            "The probability of each hour of tomorrow to be the highest of the day",
        )


def _rows(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows).rename(columns={"period": "timestamp"})
    return frame.assign(hour=drawing.local_starts(frame["timestamp"], store.zone()))


if __name__ == "__main__":  # as Streamlit runs it
    show()
