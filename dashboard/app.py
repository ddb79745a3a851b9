"""The entry of the dashboard, which Streamlit runs for each visit: navigation, and every page's frame."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
import streamlit as st

from dashboard import store, widgets
from energy_demand.database.tables import database_stamp
from energy_demand.errors import UserError

PAGES = Path(__file__).with_name("pages")
ICON = Path(__file__).with_name("icon.svg")


def kind(connection: sa.Connection) -> str | None:
    """`live`, `recorded` or `synthetic`, or None before the first write."""
    return connection.scalar(sa.select(database_stamp.c.kind))


def show() -> None:
    """The page that was chosen, or why it cannot be shown."""
    st.set_page_config(page_title="energy-demand", page_icon=str(ICON), layout="wide")
    page = st.navigation(
        [
            st.Page(PAGES / "overview.py", title="Overview", icon=":material/bolt:", default=True),
            st.Page(PAGES / "model_performance.py", title="Model Performance", icon=":material/monitoring:"),
            st.Page(PAGES / "drift_monitor.py", title="Drift Monitor", icon=":material/airwave:"),
            st.Page(PAGES / "training_history.py", title="Training History", icon=":material/history:"),
            st.Page(PAGES / "feature_importance.py", title="Feature Importance", icon=":material/bar_chart:"),
        ],
        position="top",
    )
    try:
        held = store.read(kind)
        if held == "synthetic":
            st.info("Synthetic data: formulas made it, not New York.", icon=":material/science:")
        fixed = store.settings().energy_demand_now
        if fixed is not None:
            st.caption(f"The present is fixed at {fixed:%Y-%m-%d %H:%M} UTC; nothing known later is shown.")
        page.run()
    except UserError as error:
        st.error(str(error), icon=":material/cloud_off:")
    widgets.footer()


show()
