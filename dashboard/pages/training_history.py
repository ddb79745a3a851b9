"""Training History: models in the shadow, runs over time and side by side, champions, retrainings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from dashboard import figures, queries, store, widgets
from energy_demand.database import decisions
from energy_demand.evaluation.promotion import daily_losses, newest_days
from energy_demand.jobs.contest_state import contest_state, stored_shadows
from energy_demand.jobs.shadow import contest_hours, judge_live

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from energy_demand.jobs.contest_state import Shadows
    from energy_demand.registry.run_history import RunSummary

METRICS = ("test_mape", "test_mae", "test_rmse", "test_bias_percent", "test_coverage_80", "test_coverage_95")
RETRAININGS = 50  # newest, that are shown


def show() -> None:
    """The page."""
    st.subheader("Training History")
    with widgets.warn_on_failure():
        _in_the_shadow()
    with widgets.warn_on_failure():
        runs = store.runs()
        if runs:
            _over_time(runs)
            _champions(runs)
            _side_by_side(runs)
        else:
            st.info("No model has been trained yet. Run `energy-demand train`.")
    _retrainings()


def _in_the_shadow() -> None:
    st.markdown("**In the shadow**")
    now = store.now()
    shadows = store.read(stored_shadows, store.respondent(), *store.champion_and_previous(), now)
    state = contest_state(shadows, now)
    if not shadows.versions:
        st.caption(
            "No model is in the shadow: no challenger waits for a decision, and no promotion can still be "
            "undone."
        )
    if shadows.challenger is not None:
        _challenger(shadows, shadows.challenger, state["challenger"])
    if shadows.promotion is not None:
        _promotion(shadows, shadows.promotion, state["promotion"])


def _challenger(shadows: Shadows, row: dict[str, Any], state: dict[str, Any]) -> None:
    """The challenger that is not decided on, beside the champion."""
    version = str(state["version"])
    st.markdown(
        f":blue-badge[challenger] **Version {version}** forecasts beside version {shadows.champion} since "
        f"{_day(state['since'])} and is decided on by {_day(state['until'])} (trigger {state['trigger']})."
    )
    _test(state)
    st.caption(f"{str(state['reason'])[:1].upper()}{str(state['reason'])[1:]}.")
    hours = _live(version, shadows.champion, state["since"])
    contest = row["contest"]
    if contest is not None and contest["champion"] == shadows.champion:
        hours = pd.concat([contest_hours(contest, store.settings()), hours], ignore_index=True)
    _race(hours, f"version {version}, challenger", shadows.champion, state["since"], "challenger")
    st.caption(
        "Before the dotted line: days of the contest before the shadow. To decide by hand: "
        "`energy-demand contest --promote` or `--drop`."
    )


def _promotion(shadows: Shadows, row: dict[str, Any], state: dict[str, Any]) -> None:
    """The champion whose promotion can be undone, beside the champion before it."""
    st.markdown(
        f":orange-badge[watched promotion] **Version {state['version']}** serves since "
        f"{_day(state['since'])}. Until {_day(state['until'])} version {state['previous']} forecasts beside "
        "it, and serves again if it is proven better."
    )
    hours = _live(str(state["previous"]), shadows.champion, state["since"])
    judged = judge_live(hours, row["contest"], store.settings())
    _test(
        {
            "days": judged.days,
            "gain_percent": judged.gain_percent if judged.days else None,
            "statistic": judged.statistic,
            "boundary": judged.boundary,
        }
    )
    st.caption(f"{judged.reason[:1].upper()}{judged.reason[1:]}.")
    _race(
        hours, f"version {state['previous']}, champion before", shadows.champion, state["since"], "promotion"
    )


def _live(version: str, champion: str | None, since: datetime) -> pd.DataFrame:
    """The hours that a model in the shadow and the champion forecast since."""
    return store.read(
        queries.shadow_hours, store.respondent(), store.zone(), version, champion, since, store.now()
    )


def _test(state: dict[str, Any]) -> None:
    """How far the model in the shadow is from being proven better."""
    days, gain, statistic, boundary = (
        state[name] for name in ("days", "gain_percent", "statistic", "boundary")
    )
    first, second, third = st.columns(3)
    first.metric("Days compared", "none" if days is None else f"{days}")
    second.metric(
        "Gain",
        "unknown" if gain is None else f"{gain:+.1f} %",
        help="By how much the model in the shadow is better than the champion, mean of the days.",
    )
    third.metric(
        "Statistic",
        "no test yet" if statistic is None else f"{statistic:.2f} of {boundary:.2f}",
        help="The standardised gain, and the boundary at which the model in the shadow is proven.",
    )
    if statistic is not None:
        share = min(max(statistic / boundary, 0.0), 1.0)
        st.progress(share, f"{share:.0%} of the way to the boundary")


def _race(hours: pd.DataFrame, name: str, champion: str | None, since: datetime, key: str) -> None:
    """The daily errors of both models."""
    hours = newest_days(hours.dropna(subset=["actual_mwh", "challenger_mwh", "champion_mwh"]))
    if hours.empty:
        st.caption("No day has been forecast by both models yet whose demand is known.")
        return
    sides = ("champion", "challenger")
    days = pd.DataFrame(
        {"day": sorted(hours["day"].unique()), **{side: daily_losses(hours, side) for side in sides}}
    )
    names = {"champion": f"version {champion}, serves", "challenger": name}
    widgets.plot(
        figures.daily_race(days, names, since, store.zone()),
        f"race {key}",
        "Daily MAPE of the champion and of the model in the shadow",
    )


def _day(at: datetime) -> str:
    return f"{at.astimezone(store.settings().region.zone):%a %d %b %Y}"


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
                "outcome": decisions.outcome_in_words(row),
                "version": row["model_version"],
                "reason": row["reason"],
                "verdict": None if row["outcome"] == "running" else decisions.outcome_reason(row),
                "rolled back": row["rolled_back_at"],
            }
            for row in found
        ]
    )
    table = widgets.in_local_time(table)
    st.dataframe(table, hide_index=True)
    widgets.download(table, "retrainings", "These retrainings")


if __name__ == "__main__":  # as Streamlit runs it
    show()
