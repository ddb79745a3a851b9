"""Drift Monitor: the drift share over time, drift by feature, and the Evidently report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import figures, queries, store, widgets
from energy_demand.database import decisions
from energy_demand.limits import DRIFT_SHARE_THRESHOLD
from energy_demand.monitoring.drift_detection import THRESHOLD, WATCHED

SPANS = {"30 days": 30, "90 days": 90, "1 year": 365}
REPORT_HEIGHT = 900


def show() -> None:
    """The page."""
    st.subheader("Drift Monitor")
    respondent, now = store.respondent(), store.now()
    check = store.read(decisions.last_check, respondent, now)
    if check is None:
        st.info(
            "No drift check has run yet. Run `energy-demand drift`, or keep `energy-demand worker` running."
        )
        return
    chosen = st.segmented_control(
        "Period", list(SPANS), default="90 days", required=True, key="span", bind="query-params"
    )
    since = now - timedelta(days=SPANS[str(chosen)])
    checks = store.read(queries.checks, respondent, since, now)
    st.markdown("**Drift share of each check**")
    if checks.empty:
        st.caption("No check in this period.")
    else:
        widgets.plot(
            figures.drift_share(checks, DRIFT_SHARE_THRESHOLD, store.zone(), (since, now)),
            "share",
            "Drift share over time with its threshold",
        )
        st.caption(
            "A star marks a check that asked for a retraining. Above the dashed line, the check found drift."
        )
        widgets.download(checks, "drift_checks", "These checks")
        scores = store.read(queries.feature_scores, respondent, store.zone(), since, now)
        st.markdown("**Features over time**")
        widgets.plot(
            figures.features_over_time(scores, WATCHED, THRESHOLD), "features", "Each feature's drift by day"
        )
    _table(check)
    _report()


def _table(check: dict[str, Any]) -> None:
    """The result of the newest check for each feature."""
    details = check["drift_details"]
    zone = store.settings().region.zone
    at = check["check_timestamp"]
    st.markdown(f"**Newest check, {at.astimezone(zone):%a %d %b %Y %H:%M}**: {check['reason']}")
    if details.get("cause"):
        st.caption(f"Cause: {details['cause'].replace('_', ' ')}.")
    for change in details.get("source_changes", []):
        st.warning(f"The weather source changed: {change}")
    per_feature = {name: found for name, found in details["per_feature"].items() if name in WATCHED}
    rows = pd.DataFrame(
        [
            {
                "feature": name,
                "group": found["group"].replace("_", " "),
                "drifted": found["drifted"],
                "score": found["score"],
                "shift": found["shift"],
                "status": found["status"].replace("_", " "),
            }
            for name, found in sorted(per_feature.items(), key=lambda each: WATCHED.index(each[0]))
        ]
    )
    st.dataframe(
        rows,
        hide_index=True,
        height="content",
        column_config={
            "score": st.column_config.ProgressColumn(
                "score (standard deviations)",
                min_value=0.0,
                max_value=2 * THRESHOLD,
                format="%.2f",
                help=f"Wasserstein distance from the same season of the reference; threshold {THRESHOLD}.",
            ),
            "shift": st.column_config.NumberColumn(
                "shift of the mean",
                format="%.2f",
                help="Difference from the reference, in the feature's unit.",
            ),
        },
    )
    widgets.download(rows, "drift_features", "These features")


def _report() -> None:
    """The Evidently report, shown only on request: it has several megabytes."""
    path = store.settings().drift_report_path
    st.markdown("**Evidently report**")
    if not path.is_file():
        st.caption(f"There is no report at {path} yet. Run `energy-demand drift` to write it.")
        return
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    st.caption(f"Written {written:%Y-%m-%d %H:%M} UTC, {path.stat().st_size / 2**20:.1f} MB.")
    st.download_button(
        "Evidently report",
        path.read_bytes,
        path.name,
        "text/html",
        icon=":material/download:",
        on_click="ignore",
    )
    if st.toggle("Show the report here", key="report", bind="query-params"):
        st.iframe(path.read_text(), height=REPORT_HEIGHT)


if __name__ == "__main__":  # as Streamlit runs it
    show()
