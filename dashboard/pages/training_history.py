"""Training History: runs over time, a comparison of two runs, and the champions with their verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboard import figures, store, widgets
from energy_demand.database import decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_demand.registry.run_history import RunSummary

METRICS = ("test_mape", "test_mae", "test_rmse", "test_bias_percent", "test_coverage_80", "test_coverage_95")
RETRAININGS = 50  # newest, that are shown


def show() -> None:
    """The page."""
    st.subheader("Training History")
    with widgets.warn_on_failure():
        runs = store.runs()
        if runs:
            _over_time(runs)
            _champions(runs)
            _side_by_side(runs)
        else:
            st.info("No model has been trained yet. Run `energy-demand train`.")
    _retrainings()


def _over_time(runs: Sequence[RunSummary]) -> None:
    st.markdown("**Runs over time**")
    metric = st.selectbox("Metric", METRICS, key="metric")
    widgets.plot(
        figures.runs_over_time(runs[::-1], metric, store.zone()), "runs", f"{metric} of each run over time"
    )
    st.caption(
        "Each run is scored on its own holdout days. A star marks the serving model, a filled dot a "
        "promoted one."
    )
    table = widgets.in_local_time(pd.DataFrame([_row(run) for run in runs]))
    st.dataframe(
        table,
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="%.2f") for name in METRICS},
    )
    widgets.download(table, "runs", "These runs")


def _row(run: RunSummary) -> dict[str, Any]:
    return {
        "run": run.name,
        "version": run.version,
        "serves": run.serves,
        "promoted": run.promoted,
        "trained through": run.trained_through,
        **{name: run.metrics.get(name) for name in METRICS},
        "rows": run.params.get("rows"),
        "ran": run.started_at,
        "verdict": run.verdict,
    }


def _champions(runs: Sequence[RunSummary]) -> None:
    st.markdown("**Champions**")
    promoted = [run for run in runs if run.promoted]
    if not promoted:
        st.caption("No model has been promoted yet.")
    for run in promoted:
        sentences = f"**Version {run.version}** (trained {run.started_at:%Y-%m-%d %H:%M} UTC): {run.verdict}."
        if run.previous:
            sentences += f" It replaced version {run.previous}."
        if run.rolled_back:
            sentences += f" Later rolled back {run.rolled_back}."
        st.markdown((":green-badge[serves] " if run.serves else "") + sentences)


def _side_by_side(runs: Sequence[RunSummary]) -> None:
    st.markdown("**Two runs side by side**")
    if len(runs) < 2:
        st.caption("Only one run exists so far.")
        return
    names = {run.run_id: f"{run.name}" + (f" (v{run.version})" if run.version else "") for run in runs}
    left, right = st.columns(2)
    of = {run.run_id: run for run in runs}
    first = of[left.selectbox("First", list(names), 1, format_func=names.__getitem__, key="first run")]
    second = of[right.selectbox("Second", list(names), 0, format_func=names.__getitem__, key="second run")]
    metrics = sorted({*first.metrics, *second.metrics})
    table = pd.DataFrame(
        {
            "metric": metrics,
            names[first.run_id]: [first.metrics.get(name) for name in metrics],
            names[second.run_id] + " ": [second.metrics.get(name) for name in metrics],
        }
    )
    table["change"] = table.iloc[:, 2] - table.iloc[:, 1]
    numbers = {name: st.column_config.NumberColumn(format="%.3f") for name in table.columns[1:]}
    st.dataframe(table, hide_index=True, column_config=numbers)
    different = [
        {"parameter": name, "first": first.params.get(name), "second": second.params.get(name)}
        for name in sorted({*first.params, *second.params})
        if first.params.get(name) != second.params.get(name)
    ]
    st.caption(f"{len(different)} parameters differ.")
    if different:
        st.dataframe(pd.DataFrame(different), hide_index=True)


def _retrainings() -> None:
    """The trigger and outcome of each retraining, from the database."""
    st.markdown("**Retrainings**")
    found = store.read(decisions.retrainings, store.respondent(), store.now(), RETRAININGS)
    if not found:
        st.caption("No retraining has run yet.")
        return
    table = pd.DataFrame(
        [
            {
                "began": row["started_at"],
                "trigger": row["trigger"],
                "outcome": row["outcome"].replace("_", " "),
                "version": row["model_version"],
                "reason": row["reason"],
                "verdict": row["error"] or (row["verdict"] or {}).get("reason"),
            }
            for row in found
        ]
    )
    table = widgets.in_local_time(table)
    st.dataframe(table, hide_index=True)
    widgets.download(table, "retrainings", "These retrainings")


if __name__ == "__main__":  # as Streamlit runs it
    show()
