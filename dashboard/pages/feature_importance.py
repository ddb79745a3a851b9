"""Feature Importance: the importance of each feature, and the contributions to one hour's forecast."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from dashboard import figures, queries, store, widgets
from energy_demand.model.base.booster import BOOSTER_COLUMNS, EXPECTED
from energy_demand.model.forecaster import EXPLANATION, GROSS_MWH, ROOFTOP_MWH, TYPICAL
from energy_demand.timeaxis import HOUR, day_periods, local_day

if TYPE_CHECKING:
    from energy_demand.model.forecast import Forecast

SAMPLE = 7 * 24  # newest hours that SHAP values are taken over


def show() -> None:
    """The page."""
    st.subheader("Feature Importance")
    version = store.champion_version()
    if version is None:
        st.info("No model serves yet. Run `energy-demand train`.")
        return
    st.caption(
        f"Version {version}. The charts here explain the base booster, which uses the twenty base features "
        "and the lead. The full forecaster is explained by its parts below."
    )
    left, right = st.columns(2)
    with left:
        st.markdown("**LightGBM**: feature importance")
        kind = st.segmented_control("Importance", ["gain", "split"], default="gain", required=True)
        _bars(store.importance(version, str(kind)), str(kind), "importance")
    with right:
        st.markdown("**SHAP**: mean effect of each feature on a forecast")
        rows = store.read(queries.newest_features, store.respondent(), SAMPLE)
        if rows.empty:
            st.info("No features are stored yet. Run `energy-demand ingest`.")
        else:
            each = store.contributions(version, rows).drop(columns=EXPECTED)
            st.caption(f"Mean absolute SHAP value over the newest {len(rows):,} hours, 24 h ahead.")
            _bars(
                {str(name): float(value) for name, value in each.abs().mean().items()},
                "mean |SHAP|, MWh",
                "shap",
            )
    _one_hour(version)


def _bars(values: dict[str, float], title: str, key: str) -> None:
    widgets.plot(figures.importance(values, title), key, f"Features by {title}")
    ranked = sorted(values, key=lambda name: values[name], reverse=True)
    table = pd.DataFrame({"feature": ranked, key: [values[name] for name in ranked]})
    widgets.download(table, f"{key}_{title.split(maxsplit=1)[0]}", "These values")


def _one_hour(version: str) -> None:
    st.markdown("**One hour of tomorrow's forecast, explained**")
    st.caption("The forecast as of now. The axes do not start at zero.")
    region, now = store.settings().region, store.now()
    tomorrow = local_day(now, region.zone) + timedelta(days=1)
    periods = day_periods(tomorrow, region.zone)
    with widgets.warn_on_failure():
        forecast = store.forecast(now, tomorrow, version)
        starts = [(period - HOUR).tz_convert(region.zone) for period in periods]
        highest = int(forecast.hours["predicted_demand_mwh"].to_numpy().argmax())
        chosen = st.selectbox(
            "Hour",
            range(len(periods)),
            highest,
            format_func=lambda index: f"{starts[index]:%a %d %b %H:%M} (to {periods[index]:%H:%M} UTC)",
            key="hour",
        )
        _forecaster(forecast, int(chosen))
        _booster(forecast, version, int(chosen))


def _forecaster(forecast: Forecast, chosen: int) -> None:
    if forecast.explanation is None:
        st.caption(
            f"The full forecaster failed, so there are no parts to show (quality: {forecast.quality})."
        )
        return
    row = forecast.explanation.iloc[chosen]
    predicted = forecast.hours["predicted_demand_mwh"].iloc[chosen]
    st.markdown(f"Full forecaster: **{predicted:,.0f} MWh**")
    parts = {name: float(row[name]) for name in EXPLANATION}
    widgets.plot(figures.explained(parts, TYPICAL), "parts", "Contribution of each part to the forecast")
    if forecast.sun is not None:
        of_sun = forecast.sun.iloc[chosen]
        st.caption(
            f"Gross load {of_sun[GROSS_MWH]:,.0f} MWh, of which rooftop solar generates "
            f"{of_sun[ROOFTOP_MWH]:,.0f} MWh. Under a cloudless sky the forecast would be "
            f"{of_sun['cloudless_mwh']:,.0f} MWh, under an overcast one {of_sun['overcast_mwh']:,.0f} MWh."
        )
    if forecast.filter_weights is not None:
        weights = forecast.filter_weights.drop(columns="period").iloc[chosen]
        shares = (f"{weight:.0%} pace {str(name).removeprefix('pace_')}" for name, weight in weights.items())
        st.caption(f"Filters of the adaptive regression at this clock hour: {', '.join(shares)}.")


def _booster(forecast: Forecast, version: str, chosen: int) -> None:
    rows = forecast.rows.iloc[[chosen]].reset_index(drop=True)
    values = store.contributions(version, rows).iloc[0]
    st.markdown(f"Base booster on the same hour, by SHAP values: **{values.sum():,.0f} MWh**")
    named = {
        EXPECTED: float(values[EXPECTED]),
        **{f"{name} = {_short(rows[name].iloc[0])}": float(values[name]) for name in BOOSTER_COLUMNS},
    }
    widgets.plot(
        figures.explained(named, EXPECTED),
        "booster parts",
        "Contribution of each feature",
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


if __name__ == "__main__":  # as Streamlit runs it
    show()
