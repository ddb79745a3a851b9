"""Overview: what is wrong, tomorrow with its intervals, how good last week was, what drives tomorrow."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from dashboard import drawing, figures, queries, store, widgets
from dashboard.health import (
    decision_sign,
    drift_sign,
    freshness_sign,
    model_sign,
    newest_decision,
    sources_sign,
)
from dashboard.operator_days import daily_mape, operator_days
from energy_demand.data.weather_path import MAIN
from energy_demand.database import decisions, state
from energy_demand.database.judged import Judged
from energy_demand.database.watched import champion_share
from energy_demand.errors import UserError
from energy_demand.evaluation.beside_operator import COMBINATION, OUR_WEIGHT, beside_operator
from energy_demand.jobs.operator_combination import read_known
from energy_demand.limits import mae_limit_mwh
from energy_demand.model.forecast import WHAT_ANSWERED
from energy_demand.model.forecaster import EXPLANATION, PREDICTED, ROOFTOP_MWH, TYPICAL
from energy_demand.timeaxis import HOUR, day_periods, local_day, local_midnight, utc_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from dashboard.health import Sign
    from energy_demand.evaluation.beside_operator import BesideOperator

BEFORE = timedelta(hours=48)  # of demand, drawn before the forecast
WEEK = timedelta(days=7)
LEAST_SHOWN_MW = 10.0  # a smaller part drives nothing
RETRAININGS = 10  # newest, of which one that was decided on or undone last is shown
COUNTS_HELP = {
    "Champion answered": "Share of the last 7 days' scheduled hours; a fallback answered the others, and "
    "their errors do not count as the model's.",
}


def show() -> None:
    """The page; what needs the model itself comes last, so that the rest is there at once."""
    region, now = store.settings().region, store.now()
    tomorrow = local_day(now, region.zone) + timedelta(days=1)
    signs = _signs(now)
    _problems(signs)
    left, right = st.columns([5, 3], gap="large")
    with left:
        st.header(f"Tomorrow, {tomorrow:%A %d %B %Y}: {region.respondent}", anchor=False)
        with widgets.warn_on_failure():
            _forecast(tomorrow, now)
        drivers = st.container()
    with right:
        st.header("Last 7 days", anchor=False)
        with widgets.warn_on_failure():
            _last_week(now)
        st.header("Health", anchor=False)
        for sign in signs:
            widgets.show_sign(sign)
        _links()
    _counts(now)
    with drivers, widgets.warn_on_failure():
        _drivers(tomorrow, now)


def _problems(signs: Sequence[Sign]) -> None:
    """One line on whether anything is wrong."""
    bad = [sign for sign in signs if sign.level == "bad"]
    if not bad:
        st.success(
            "No problem is known: model, data, sources and drift are within their limits.",
            icon=":material/check_circle:",
        )
        return
    lines = "  \n".join(f"**{sign.title}: {sign.headline}.** {sign.sentence}" for sign in bad)
    st.error(lines, icon=":material/error:")


def _last_week(now: datetime) -> None:
    """Our error, and the grid operator's on the same days."""
    zone = store.settings().region.zone
    today = local_day(now, zone)
    start, end = (local_midnight(day, zone) for day in (today - WEEK, today))
    which = Judged(store.respondent(), store.zone(), start, end, now, widgets.DAY_AHEAD_LEADS)
    days = store.read(queries.days, which)
    scored = queries.over_all(days)
    ours, theirs = st.columns(2)
    if not scored["known"]:
        st.caption(widgets.no_forecasts())
        return
    ours.metric(
        "Our error, by the hour",
        f"{scored['mape']:.2f} %",
        help=f"MAPE of {scored['known']} hours, each forecast at 09:00 on the day before.",
    )
    compared = operator_days(which, days)
    if compared.empty:
        theirs.metric("Same hour last week", _percent(scored["seasonal_naive_168_mape"]))
        st.caption("The grid operator's forecast of these days is not stored.")
        return
    errors = daily_mape(compared)
    theirs.metric(
        "Grid operator's, by the day",
        f"{errors['operator']:.2f} %",
        help=f"MAPE of the day's energy on {len(compared)} days, as published; without its usual bias "
        f"{errors['operator_corrected']:.2f} %.",
    )
    st.caption(f"By the day ours is {errors['model']:.2f} %, on the same {len(compared)} days.")


def _signed(value: float) -> str:
    return f"{value:+,.0f}".replace("-", "−")


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} %"


def _drivers(tomorrow: date, now: datetime) -> None:
    """What the model adds to a typical hour and takes off it, on average over tomorrow."""
    version = store.champion_version()
    if version is None:
        return
    forecast = store.forecast(now, tomorrow, version)
    if forecast.explanation is None:
        return
    st.header("What drives tomorrow", anchor=False)
    means = forecast.explanation[list(EXPLANATION)].mean()
    parts = means.drop(TYPICAL)
    parts = parts[parts.abs() >= LEAST_SHOWN_MW].sort_values(key=abs, ascending=False)
    named = " · ".join(
        f"{str(name).replace('_', ' ')} **{_signed(value)} MW**" for name, value in parts.items()
    )
    st.markdown(f"Against a typical hour of {means[TYPICAL]:,.0f} MW, on average over the day: {named}.")
    st.caption(f"{forecast.inputs[MAIN].max():.0f} °C at the warmest hour, at the main weather site.")


def _forecast(tomorrow: date, now: datetime) -> None:
    hours, issued = _newest_forecast(tomorrow, now)
    zone = store.zone()
    beside = _beside_operator(hours)
    if beside is not None and beside.posted_at is not None:
        hours = hours.assign(combination=beside.hours[COMBINATION].to_numpy())
        posted = beside.posted_at.astimezone(store.settings().region.zone)
        issued += (
            f" The combination is with the grid operator's forecast posted on {posted:%a %d %b %H:%M}; our "
            f"weight is {beside.hours[OUR_WEIGHT].mean():.2f} on average."
        )
    peak = hours.iloc[int(hours["predicted"].to_numpy().argmax())]
    starts = drawing.local_starts([peak["timestamp"]], zone)[0]
    first, second, third = st.columns(3)
    first.metric(
        f"Peak, {starts:%H:%M} to {starts + pd.Timedelta(HOUR):%H:%M}",
        f"{peak['predicted']:,.0f} MW",
        help=f"The hour ending {peak['timestamp']:%Y-%m-%d %H:%M} UTC.",
    )
    second.metric("Peak, 80 % interval", f"{peak['lower_80'] / 1000:.1f} – {peak['upper_80'] / 1000:.1f} GW")
    third.metric("Daily energy", f"{hours['predicted'].sum() / 1000:,.0f} GWh")
    begin = utc_index(hours["timestamp"])[0].to_pydatetime() - HOUR
    recent = store.read(queries.demand, store.respondent(), begin - BEFORE, now)
    before = Judged(store.respondent(), zone, begin - BEFORE, begin, now, widgets.DAY_AHEAD_LEADS)
    earlier = store.read(queries.hours, before)
    widgets.plot(
        figures.forecast_curve(hours, recent, earlier, zone),
        "forecast",
        "Tomorrow's hourly forecast with its intervals, and the demand of the last two days",
    )
    st.caption(" ".join([issued, *([] if beside is None else map(_sentence, beside.warnings()))]))
    widgets.download(hours, f"forecast_{tomorrow}", "Forecast")


def _beside_operator(hours: pd.DataFrame) -> BesideOperator | None:
    """The shown hours beside the grid operator's forecast; None where that is switched off."""
    settings = store.settings()
    if settings.operator_forecast is None:
        return None
    periods = utc_index(hours["timestamp"])
    issued_at, end = hours["issued_at"].max().to_pydatetime(), periods[-1].to_pydatetime()
    stored = store.read(read_known, settings.region, issued_at, end, str(hours["quality"].iloc[0]))
    forecast = pd.DataFrame({"period": periods, PREDICTED: hours["predicted"].to_numpy(dtype=float)})
    return beside_operator(forecast, issued_at, stored, settings.region.zone, settings.availability)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _newest_forecast(tomorrow: date, now: datetime) -> tuple[pd.DataFrame, str]:
    """Tomorrow's hours, and a sentence on their origin: from the log, else forecast now."""
    region = store.settings().region
    periods = day_periods(tomorrow, region.zone)
    begin, end = periods[0].to_pydatetime() - HOUR, periods[-1].to_pydatetime()
    logged = store.read(queries.newest_forecast, region.respondent, begin, end, len(periods), now)
    if len(logged):
        row = logged.iloc[0]
        quality = str(row["quality"])
        issued = (
            f"Issued {row['issued_at'].tz_convert(region.zone):%a %d %b %H:%M} {store.place()} time "
            f"({row['issued_at']:%H:%M} UTC) by version {row['model_version']}, {row['source']}."
        )
        hours = logged.drop(columns=["id"]).rename(columns={"predicted_demand": "predicted"})
    else:
        version = store.champion_version()
        if version is None:
            raise UserError("no model serves yet; run `energy-demand train`")
        forecast = store.forecast(now, tomorrow, version)
        quality = forecast.quality
        issued = (
            f"No forecast for tomorrow is logged yet; this one was made now by version "
            f"{forecast.model_version}. Run `energy-demand forecast --scheduled` to log it."
        )
        hours = forecast.hours.rename(columns={"period": "timestamp", PREDICTED: "predicted"})
        hours = hours.assign(issued_at=forecast.issued_at, quality=quality)
        if forecast.sun is not None:
            hours = hours.assign(rooftop=forecast.sun[ROOFTOP_MWH])
    if quality in WHAT_ANSWERED:
        issued += f" **{WHAT_ANSWERED[quality].capitalize()}.**"
    return hours, issued


def _signs(now: datetime) -> list[Sign]:
    respondent, region_zone = store.respondent(), store.settings().region.zone
    signs = []
    with widgets.warn_on_failure():
        signs.append(_model_sign(now))
    stored = store.read(queries.counts, respondent, store.sites(), now)
    check = store.read(decisions.last_check, respondent, now)
    retrained = store.read(decisions.retrainings, respondent, now, RETRAININGS)
    return [
        *signs,
        freshness_sign(stored["newest_demand"], now, region_zone),
        sources_sign(store.read(state.source_states, respondent), region_zone),
        drift_sign(check, region_zone),
        decision_sign(check, newest_decision(retrained), region_zone),
    ]


def _model_sign(now: datetime) -> Sign:
    version = store.champion_version()
    own = next((run.metrics.get("test_mae") for run in store.runs() if run.serves), None)
    week = Judged(store.respondent(), store.zone(), now - WEEK, now, now, widgets.DAY_AHEAD_LEADS, own=True)
    return model_sign(
        queries.over_all(store.read(queries.days, week)), version, own, mae_limit_mwh(store.respondent())
    )


def _links() -> None:
    settings = store.settings()
    api = settings.api_public_url or f"http://localhost:{settings.api_port}"
    mlflow = settings.mlflow_public_url or (
        settings.mlflow_tracking_uri if str(settings.mlflow_tracking_uri).startswith("http") else None
    )
    with st.container(horizontal=True, gap="small"):
        st.page_link(
            Path(__file__).with_name("drift_monitor.py"),
            label="Evidently report",
            icon=":material/description:",
            query_params={"report": "true"},
        )
        st.page_link(f"{api.rstrip('/')}/docs", label="API docs", icon=":material/api:")
        if mlflow is not None:
            st.page_link(mlflow, label="MLflow", icon=":material/science:")
        if settings.grafana_public_url is not None:
            st.page_link(settings.grafana_public_url, label="Grafana", icon=":material/dvr:")
    if mlflow is None:
        store_file = settings.home / "mlflow" / "mlflow.db"
        path = store_file.relative_to(Path.cwd()) if store_file.is_relative_to(Path.cwd()) else store_file
        st.caption(f"To open MLflow: `mlflow ui --backend-store-uri sqlite:///{path}`")


def _counts(now: datetime) -> None:
    stored = store.read(queries.counts, store.respondent(), store.sites(), now)
    check = store.read(decisions.last_check, store.respondent(), now)
    newest = stored["newest_demand"]
    answered = store.read(champion_share, store.respondent(), store.zone(), now)
    shown = {
        "Hours of demand": f"{stored['demand_rows']:,}",
        "Rows of weather": f"{stored['weather_rows']:,}",
        "Predictions logged": f"{stored['predictions']:,}",
        "Newest demand": "none"
        if newest is None
        else f"{newest.astimezone(store.settings().region.zone):%d %b %H:%M}",
        "Champion answered": "none" if answered is None else f"{answered:.0%}",
        "Drift share": "none" if check is None else f"{check['drift_share']:.2f}",
    }
    for column, (label, value) in zip(st.columns(len(shown)), shown.items(), strict=True):
        column.metric(label, value, help=COUNTS_HELP.get(label))


if __name__ == "__main__":  # as Streamlit runs it
    show()
