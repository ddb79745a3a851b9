"""The results of a drift check and of a retraining, as text."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from energy_demand.columns import ANSWERS
from energy_demand.terminal.console import out

OUTCOMES = {
    "promoted": "promoted",
    "refused": "not promoted",
    "undecided": "in the shadow until more days decide",
}
CHAMPION = ANSWERS[0]


def print_drift(body: dict[str, Any]) -> None:
    """Print the result of `drift`."""
    details = body["drift_details"]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("group", "column", "score", "shift", ""):
        table.add_column(name, justify="right" if name in ("score", "shift") else "left")
    for name, each in details["per_feature"].items():
        compared = each["score"] is not None
        table.add_row(
            each["group"].replace("_", " "),
            name,
            f"{each['score']:.2f}" if compared else "",
            f"{each['shift']:+,.1f}" if compared else "",
            "[red]drifted[/red]" if each["drifted"] else "" if compared else each["status"].replace("_", " "),
        )
    out.print(table)
    concept, comparison = details["concept"], details["comparison"]
    out.print(
        f"drift share {body['drift_share']:.2f} (threshold {details['share_threshold']:.2f}); concept drift "
        f"chart at {concept['height']:.0%} of its limit ({concept['chart']}, {concept['direction']} demand "
        f"than forecast, {concept['days']} days)",
        soft_wrap=True,
    )
    if details["source_changes"]:
        out.print(f"not compared, because the weather source changed: {', '.join(details['source_changes'])}")
    if comparison["mape"] is not None:
        expected = (
            "" if comparison["expected_mape"] is None else f", expected {comparison['expected_mape']:.2f} %"
        )
        out.print(
            f"scheduled forecasts of the last {comparison['days']} days: "
            f"MAPE {comparison['mape']:.2f} %{expected}"
        )
    if body["shadow"] is not None:
        for reason in body["shadow"]["reasons"]:
            out.print(f"shadow: {reason}", soft_wrap=True)
    week = details["performance"]["7d"]
    if week is not None and list(week["by_quality"]) not in ([], [CHAMPION]):
        by_quality = week["by_quality"].items()
        steps = (f"{quality} {each['mape']:.2f} % of {each['n']} hours" for quality, each in by_quality)
        out.print(f"MAPE of the last 7 days by what answered: {', '.join(steps)}", soft_wrap=True)
    if body["cause"] is not None:
        out.print(f"cause: {body['cause']}")
    decision = "retrain" if body["retrain"] else "keep the champion"
    out.print(f"decision: {decision}: {body['reason']}", soft_wrap=True)
    if body["report"]:
        out.print(f"report: {body['report']}", soft_wrap=True)


def print_retrained(body: dict[str, Any]) -> None:
    """Print the result of `retrain` and `train`."""
    metrics, verdict = body["metrics"], body["verdict"]
    out.print(
        f"version {body['version']['version']}: {body['rows']:,} rows, {body['first']:%Y-%m-%d} to "
        f"{body['trained_through']:%Y-%m-%dT%H:%MZ}, {body['seconds']:.1f} s"
    )
    if metrics["test_n"]:
        out.print(
            f"day-ahead on {metrics['test_n']:,.0f} holdout hours: MAPE {metrics['test_mape']:.2f} % "
            f"(base booster {metrics['test_base_mape']:.2f} %, same hour yesterday "
            f"{metrics['test_seasonal_naive_24_mape']:.2f} %, last week "
            f"{metrics['test_seasonal_naive_168_mape']:.2f} %)",
            soft_wrap=True,
        )
    out.print(f"{OUTCOMES[verdict['decision']]}: {verdict['reason']}", soft_wrap=True)
    if body["pruned"]:
        out.print(f"deleted old versions: {', '.join(body['pruned'])}")


def print_contest(body: dict[str, Any]) -> None:
    """Print the result of `contest`."""
    if body["decided"] is not None:
        out.print(f"version {body['decided']['version']} {body['decided']['outcome']}")
    for line in contest_lines(body):
        out.print(line, soft_wrap=True)


def contest_lines(contest: dict[str, Any]) -> list[str]:
    """The models in the shadow, a line each."""
    challenger, promotion = contest["challenger"], contest["promotion"]
    lines = []
    if challenger is not None:
        lines.append(
            f"challenger version {challenger['version']} in the shadow since {challenger['since']:%Y-%m-%d}, "
            f"decided by {challenger['until']:%Y-%m-%d}: {challenger['reason']}"
        )
    if promotion is not None:
        lines.append(
            f"version {promotion['version']} serves since {promotion['since']:%Y-%m-%d}; until "
            f"{promotion['until']:%Y-%m-%d} version {promotion['previous']} is compared with it, and serves "
            "again if it is proven better"
        )
    return lines or ["no model is in the shadow"]
