"""Weather-normalised: whether demand grew, or its weather was another."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import streamlit as st

from dashboard import store, widgets, year_figures
from energy_demand.jobs.weather_normalisation import UnknownDaysError
from energy_demand.model.weather_normalisation import TooFewYearsError
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from energy_demand.model.weather_normalisation import NormalisedDemand

YEARS = 4  # shown; of all but the first the change is known
SHOWN = {
    "period": st.column_config.TextColumn("Month"),
    "days": st.column_config.NumberColumn("Days"),
    "temperature": st.column_config.NumberColumn("°C", format="%.1f"),
    "demand_mwh": st.column_config.NumberColumn("Observed, MWh", format="localized"),
    "normalised_mwh": st.column_config.NumberColumn("In usual weather, MWh", format="localized"),
    "demand_change": st.column_config.NumberColumn("Change, %", format="%+.1f"),
    "normalised_change": st.column_config.NumberColumn("Change in usual weather, %", format="%+.1f"),
}


def show() -> None:
    """The page."""
    with widgets.warn_on_failure():
        version = store.champion_version()
        if version is None:
            st.info("No model serves yet. Run `energy-demand train`.")
            return
        end = local_day(store.now(), store.settings().region.zone) - timedelta(days=1)
        start = date(end.year - YEARS, end.month, 1)
        st.subheader(f"Weather-normalised demand: {store.respondent()}")
        try:
            _shown(store.normalised(start, end, version), start, end)
        except (TooFewYearsError, UnknownDaysError) as error:
            st.info(str(error))


def _shown(found: NormalisedDemand, start: date, end: date) -> None:
    st.caption(
        "Each day as it came, and as it would have been in usual weather: the mean demand under the weather "
        f"of the same time of the year in {found.years} years ({found.weather_from} to {found.weather_to}). "
        "A change compares the mean of a day with the same month a year before."
    )
    months = found.by("M")
    year = found.by("Y").dropna()
    if len(year):
        last = year.iloc[-1]
        for column, (label, name) in zip(
            st.columns(2), (("observed", "demand"), ("in usual weather", "normalised")), strict=True
        ):
            column.metric(
                f"Energy of {last['period']}, {label}",
                f"{last[f'{name}_mwh'] / 1000:,.0f} GWh",
                f"{last[f'{name}_change']:+.1f} % in a year",
                delta_color="off",
            )
    widgets.plot(year_figures.normalised_energy(months), "normalised energy", "Monthly energy, both ways")
    widgets.plot(
        year_figures.normalised_changes(months.dropna()),
        "normalised changes",
        "The change of each month's energy against a year before, both ways",
    )
    st.dataframe(months[list(SHOWN)], column_config=SHOWN, hide_index=True)
    if found.without_demand or found.without_weather:
        st.caption(
            f"Left out: {found.without_demand} days without demand of every hour, {found.without_weather} "
            "without observed weather, then or in enough other years."
        )
    st.caption(f"Days and other years: `energy-demand weather-normalised --start {start} --end {end}`.")
    widgets.download(months, "weather_normalised", "Months")


if __name__ == "__main__":  # as Streamlit runs it
    show()
