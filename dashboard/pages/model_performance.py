"""Model Performance: errors of the scheduled forecasts by day, hour and lead, and against baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboard import figures, queries, store, widgets
from dashboard.operator_days import daily_mape, operator_days
from energy_demand.jobs.operator_combination import live_scores
from energy_demand.model.forecast import CHAMPION

if TYPE_CHECKING:
    from energy_demand.database.judged import Judged

HOURLY_DAYS = 62  # longer ranges are drawn by day
BINS_PER_MAE = 4
OPERATOR_ROWS = {
    "model": "ours alone",
    "published": "operator, as published",
    "corrected": "operator, corrected",
    "combination": "combination",
}


def show() -> None:
    """The page."""
    st.subheader("Model Performance")
    st.caption(f"Scores the forecasts scheduled at 09:00 {store.place()} time, one for each hour.")
    which = widgets.judged_filters()
    if which is None:
        st.info(widgets.no_forecasts())
        return
    days = store.read(queries.days, which)
    if days.empty:
        st.info("No forecast matches these filters. Choose other days, another version or other leads.")
        return
    summary = queries.over_all(days)
    _summary(summary)
    _by_quality(which)
    if not summary["known"]:
        _curve(which, days)
        st.info("Demand of these hours is not stored yet. Run `energy-demand ingest` once it is published.")
        return
    views = {
        "Over time": _over_time,
        "By hour and lead": _by_hour_and_lead,
        "Calibration": _calibration,
        "Against the grid operator": _operator,
    }
    names = list(views)
    view = st.segmented_control(
        "View", names, default=names[0], required=True, key="view", bind="query-params"
    )
    views[str(view)](which, days, float(summary["mae"] or 0.0))


def _over_time(which: Judged, days: pd.DataFrame, mae: float) -> None:
    st.markdown("**Demand against forecast**")
    _curve(which, days)
    left, right = st.columns(2)
    with left:
        st.markdown("**Error, rolling 7 days**")
        widgets.plot(figures.rolling_error(days), "rolling", "Mean absolute error by day, and its 7-day mean")
    with right:
        st.markdown("**Error distribution**")
        width = _bin_width(mae)
        bins = store.read(queries.error_histogram, which, width)
        widgets.plot(figures.error_histogram(bins, width), "histogram", "Distribution of hourly errors")


def _by_hour_and_lead(which: Judged, days: pd.DataFrame, mae: float) -> None:  # noqa: ARG001
    left, right = st.columns(2)
    with left:
        st.markdown("**MAPE by hour and weekday**")
        grid = store.read(queries.errors_by_hour_and_weekday, which)
        widgets.plot(figures.hour_and_weekday(grid), "heat", "Error by hour of the day and weekday")
        widgets.download(grid, "errors_by_hour_and_weekday", "These hours of the week")
    with right:
        st.markdown("**Error by lead**")
        leads = _leads(which)
        widgets.plot(figures.error_by_lead(leads), "by lead", "Error by lead, in hours ahead")
        widgets.download(leads, "errors_by_lead", "These leads")


def _calibration(which: Judged, days: pd.DataFrame, mae: float) -> None:  # noqa: ARG001
    st.caption("A calibrated 80 % interval contains the demand in 80 % of hours.")
    left, right = st.columns(2)
    with left:
        st.markdown("**Interval calibration by day**")
        known = days[days["known"] > 0]
        widgets.plot(
            figures.calibration(known, "day"), "calibration", "Share of hours within the interval, by day"
        )
    with right:
        st.markdown("**Interval calibration by lead**")
        widgets.plot(
            figures.calibration(_leads(which), "lead_hours"),
            "calibration by lead",
            "Share of hours within the interval, by lead",
        )


def _leads(which: Judged) -> pd.DataFrame:
    leads = store.read(queries.errors_by_lead, which)
    return leads[leads["known"] > 0]


def _summary(summary: dict[str, Any]) -> None:
    shown = {
        "MAPE": ("mape", "{:.2f} %"),
        "MAE": ("mae", "{:,.0f} MWh"),
        "RMSE": ("rmse", "{:,.0f} MWh"),
        "Bias": ("bias", "{:+.2f} %"),
        "In 80 % interval": ("coverage_80", "{:.1f} %"),
        "In 95 % interval": ("coverage_95", "{:.1f} %"),
    }
    for column, (label, (name, form)) in zip(st.columns(len(shown)), shown.items(), strict=True):
        value = summary[name]
        column.metric(label, "–" if value is None else form.format(value))
    sentences = [f"Scored on {summary['known']:,} hours with known demand."]
    if summary["naive_known"]:
        sentences.append(
            f"MAPE on the same {summary['naive_known']:,} hours: model {summary['naive_own_mape']:.2f} %, "
            f"same hour yesterday {summary['seasonal_naive_24_mape']:.2f} %, same hour last week "
            f"{summary['seasonal_naive_168_mape']:.2f} %."
        )
    if summary["operator_known"]:
        sentences.append(
            f"MAPE on the same {summary['operator_known']:,} hours: model "
            f"{summary['operator_own_mape']:.2f} %, grid operator's hourly forecast "
            f"{summary['operator_mape']:.2f} %."
        )
    st.caption(" ".join(sentences))


def _by_quality(which: Judged) -> None:
    """The errors of each step of the fallback ladder, where more than the champion answered."""
    steps = store.read(queries.errors_by_quality, which)
    if list(steps["quality"]) == [CHAMPION]:
        return
    st.markdown("**Error by what answered**")
    st.dataframe(
        steps[["quality", "hours", "known", "mape", "mae", "bias"]],
        hide_index=True,
        column_config={
            "known": st.column_config.NumberColumn("scored hours"),
            "mape": st.column_config.NumberColumn("MAPE %", format="%.2f"),
            "mae": st.column_config.NumberColumn("MAE MWh", format="%.0f"),
            "bias": st.column_config.NumberColumn("bias %", format="%+.2f"),
        },
    )


def _curve(which: Judged, days: pd.DataFrame) -> None:
    if len(days) <= HOURLY_DAYS:
        rows = store.read(queries.hours, which)
        name = "hours"
    else:
        rows = days
        name = "days"
        st.caption(f"More than {HOURLY_DAYS} days are drawn as daily means of demand, forecast and bounds.")
    widgets.plot(
        figures.actual_against_predicted(rows, which.zone), "curve", "Demand and forecast with its intervals"
    )
    widgets.download(rows, f"forecasts_by_{name}", f"These {name}")


def _operator(which: Judged, days: pd.DataFrame, mae: float) -> None:  # noqa: ARG001
    """Hours and daily totals against the grid operator's day-ahead forecast."""
    _operator_hours(which, days)
    st.markdown("**Daily energy: model against the grid operator's day-ahead forecast**")
    compared = operator_days(which, days)
    if compared.empty:
        st.caption("None of these days has both an operator forecast and a model forecast of all its hours.")
        return
    table = pd.DataFrame(
        {
            "forecast": ["model", "operator, as published", "operator, bias-corrected"],
            "MAPE %": daily_mape(compared).to_list(),
            "days": [len(compared)] * 3,
        }
    )
    st.dataframe(
        table, hide_index=True, column_config={"MAPE %": st.column_config.NumberColumn(format="%.2f")}
    )
    widgets.download(compared, "daily_against_operator", "These days")


def _operator_hours(which: Judged, days: pd.DataFrame) -> None:
    """Scores of ours, the operator's and the combination on the same hours, where postings are stored."""
    settings = store.settings()
    if settings.operator_forecast is None:
        return
    first, last = days["day"].iloc[0], days["day"].iloc[-1]
    scored = store.read(live_scores, settings.region, settings.availability, first, last, which.now)
    st.markdown("**By the hour: ours, the operator's forecast as posted, and the combination**")
    if scored is None:
        st.caption("No hour of these days has demand, our forecast and a posting of the operator.")
        return
    rows = [
        {
            "forecast": OPERATOR_ROWS[name],
            "mape": each["mape"],
            "mae": each["mae"],
            "bias": each["bias_percent"],
        }
        for name, each in scored["hourly"].items()
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "mape": st.column_config.NumberColumn("MAPE %", format="%.2f"),
            "mae": st.column_config.NumberColumn("MAE MWh", format="%.0f"),
            "bias": st.column_config.NumberColumn("bias %", format="%+.2f"),
        },
    )
    st.caption(f"{scored['n_hours']:,} hours that a champion answered; each forecast as known at its issue.")


def _bin_width(mae: float) -> float:
    """A round bin width, a fraction of the mean absolute error (MWh)."""
    wanted = max(mae / BINS_PER_MAE, 1.0)
    power = 10.0 ** (len(str(int(wanted))) - 1)
    return float(min((1, 2, 5, 10), key=lambda each: abs(each * power - wanted)) * power)


if __name__ == "__main__":  # as Streamlit runs it
    show()
