"""Parts that several pages share: filters, health signs, downloads, the footer."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboard import queries, store
from energy_demand.database.judged import Judged
from energy_demand.errors import UserError
from energy_demand.timeaxis import HOUR, MAX_LEAD_HOURS, local_day, local_midnight, utc_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    import plotly.graph_objects as go

    from dashboard.health import Sign

DAY_AHEAD_LEADS = (16, 40)
DEFAULT_DAYS = 30
COLOURS: dict[str, Any] = {"good": "green", "bad": "red", "unknown": "gray"}
ICONS = {"good": ":material/check_circle:", "bad": ":material/error:", "unknown": ":material/help:"}


def choose_region() -> None:
    """The choice of the shown region, where there are several; also in the address, as `?region=`."""
    if len(store.every_region().regions) == 1:
        return
    found = store.usable_regions()
    with st.container(width=220):
        st.selectbox("Region", list(found.done), key=store.REGION, bind="query-params")
    for code, reason in found.failed.items():
        st.warning(f"{code} cannot be shown: {reason}", icon=":material/cloud_off:")


def no_forecasts() -> str:
    """What a page says that has nothing to score."""
    return (
        "There is no scheduled forecast to score yet. Run `energy-demand forecast --scheduled` at 09:00 "
        f"{store.place()} time each day, or keep `energy-demand worker` running."
    )


@contextmanager
def warn_on_failure() -> Iterator[None]:
    """A part of a page that may fail: shows the reason as a warning and keeps the rest of the page."""
    try:
        yield
    except UserError as error:
        st.warning(str(error), icon=":material/cloud_off:")


def show_sign(sign: Sign) -> None:
    """Show a health sign of the first screen."""
    with st.container(border=True, gap=None):
        st.badge(f"{sign.title}: {sign.headline}", icon=ICONS[sign.level], color=COLOURS[sign.level])
        st.caption(sign.sentence)


def plot(figure: go.Figure, key: str, alt: str) -> None:
    """Show a figure at full width, in the theme of the page."""
    st.plotly_chart(figure, key=f"plot {key}", config={"displaylogo": False}, alt=alt)


def judged_filters() -> Judged | None:
    """The chosen date range, model version and leads; None if there is no scheduled forecast yet."""
    respondent, zone, now = store.respondent(), store.zone(), store.now()
    span = store.read(queries.judged_span, respondent, zone, now)
    if span is None:
        return None
    region_zone = store.settings().region.zone
    first, last = (local_day(each - HOUR, region_zone) for each in span)
    today = local_day(now, region_zone)
    left, middle, right = st.columns([2, 1, 2])
    with left:
        chosen = st.date_input(
            f"Days ({store.place()})",
            value=(max(first, min(last, today) - timedelta(days=DEFAULT_DAYS - 1)), last),
            min_value=first,
            max_value=last,
            key="days",
            bind="query-params",
            format="YYYY-MM-DD",
        )
    with right:
        leads = st.slider(
            "Lead, hours ahead",
            1,
            MAX_LEAD_HOURS,
            DAY_AHEAD_LEADS,
            key="leads",
            bind="query-params",
            help="Leads 16 to 40 cover all hours of tomorrow, issued at 09:00 today.",
        )
    begin, end = _both(chosen)
    which = Judged(
        respondent=respondent,
        zone=zone,
        start=local_midnight(begin, region_zone),
        end=local_midnight(end + timedelta(days=1), region_zone),
        now=now,
        leads=(int(leads[0]), int(leads[1])),
    )
    with middle:
        version = st.selectbox(
            "Model version",
            [None, *store.read(queries.versions, which)],
            format_func=lambda value: "all" if value is None else f"version {value}",
            key="version",
            bind="query-params",
        )
    return replace(which, version=version)


def download(rows: pd.DataFrame, name: str, what: str) -> None:
    """A button that downloads exactly these rows as CSV; hours in UTC and in the region's time."""
    st.download_button(
        f"{what} as CSV ({len(rows):,} rows)",
        data=as_csv(rows, store.zone()),
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"download {name}",
    )


def as_csv(rows: pd.DataFrame, zone: str) -> str:
    """CSV text; `timestamp` (an hour's end) becomes `period_utc` and `start_local`, other times are UTC."""
    table = rows.copy()
    for name in table.columns:
        if isinstance(table[name].dtype, pd.DatetimeTZDtype):
            table[name] = table[name].dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    if "timestamp" in rows:
        starts = (utc_index(rows["timestamp"]) - pd.Timedelta(HOUR)).tz_convert(zone)
        table = table.rename(columns={"timestamp": "period_utc"})
        table.insert(1, "start_local", [start.isoformat() for start in starts])
    return table.to_csv(index=False, float_format="%.6g")


def in_local_time(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its times in the region's time zone."""
    times = table.select_dtypes("datetimetz").columns
    return table.assign(**{name: table[name].dt.tz_convert(store.zone()) for name in times})


def footer() -> None:
    """The data's attribution, which every page must show."""
    settings = store.settings()
    st.divider()
    st.caption(
        "Weather data by [Open-Meteo.com](https://open-meteo.com/). Demand data by the U.S. Energy "
        f"Information Administration ({settings.eia_region}). Hours are shown by their start in "
        f"{settings.weather_tz} time; hovering shows their end in UTC."
    )


def _both(chosen: Any) -> tuple[date, date]:
    """First and last day, also while the second one is still being chosen."""
    days = chosen if isinstance(chosen, tuple) else (chosen,)
    return days[0], days[-1]
