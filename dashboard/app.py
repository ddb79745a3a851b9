"""The entry point of the dashboard, which Streamlit runs for each visit: navigation and page frame."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import queries, store, widgets
from dashboard.menu import TITLES
from energy_demand.errors import UserError

PAGES = Path(__file__).with_name("pages")
# CSS instead of a theme: a custom theme is either light or dark. Streamlit's captions are too pale for the
# contrast that WCAG AA asks for.
STYLE = """<style>
[data-testid=stMetricValue] {font-size: 1.6rem}
.stMainBlockContainer {padding-top: 4rem}
[data-testid=stHeading] h2 {font-size: 1.5rem; padding: 0.5rem 0}
[data-testid=stCaptionContainer] {color: inherit; opacity: 0.8}
</style>"""
ICON = Path(__file__).with_name("icon.svg")


def show(first: str = "overview") -> None:
    """The chosen page, or the reason why it cannot be shown; the page `first` is at the root address."""
    st.set_page_config(page_title="energy-demand", page_icon=str(ICON), layout="wide")
    st.html(STYLE)
    page = st.navigation(
        [
            st.Page(PAGES / f"{name}.py", title=title, icon=f":material/{icon}:", default=name == first)
            for name, (title, icon) in TITLES.items()
        ],
        position="top",
    )
    widgets.choose_region()
    try:
        kind = store.read(queries.kind)
        if kind == "synthetic":
            whose = {"NY": "New York"}.get(store.respondent(), store.respondent())
            st.info(f"Synthetic data. These are not real {whose} figures.", icon=":material/science:")
        fixed = store.settings().energy_demand_now
        if fixed is not None:
            st.caption(f"The present is fixed at {fixed:%Y-%m-%d %H:%M} UTC; later data is not shown.")
        page.run()
    except UserError as error:
        st.error(str(error), icon=":material/cloud_off:")
    widgets.footer()


if __name__ == "__main__":  # as Streamlit runs it
    show()
