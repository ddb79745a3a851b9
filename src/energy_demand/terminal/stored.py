"""The stored data, the serving model and the quarantine, as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from rich.markup import escape
from rich.table import Table

from energy_demand.database.decisions import outcome_in_words
from energy_demand.database.state import is_failing
from energy_demand.terminal.console import out
from energy_demand.terminal.monitoring import contest_lines
from energy_demand.terminal.notifications import state_lines, trouble_lines

if TYPE_CHECKING:
    from datetime import datetime

REGION_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("region", "left"),
    ("hours", "right"),
    ("missing", "right"),
    ("demand", "right"),
    ("weather", "right"),
    ("champion", "right"),
    ("MAPE", "right"),
    ("drift", "right"),
    ("retraining", "left"),
)
UNKNOWN = {
    "database": "unknown; the database cannot be read",
    "mlflow": "unknown; MLflow cannot be read",
}


def print_status(body: dict[str, Any]) -> None:
    """Print the result of `status`; what could not be read is unknown, not missing."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("database", escape(body["database"] or UNKNOWN["database"]))
    table.add_row("mlflow", escape(body["mlflow"] or UNKNOWN["mlflow"]))
    if "database" not in body["problems"]:
        _add_data(table, body)
    _add_champion(table, body)
    if "database" not in body["problems"]:
        _add_monitoring(table, body)
        _add_peak(table, body["peak"])
        if body["notifications"] is not None:
            for line in state_lines(body["notifications"]):
                table.add_row("messages", line)
    out.print(table)


def print_status_of_regions(bodies: dict[str, dict[str, Any]]) -> None:
    """Print the result of `status` for several regions, a line each."""
    found = [body for body in bodies.values() if "error" not in body]
    for name in ("database", "mlflow"):
        label = next((body[name] for body in found if body[name]), None)
        out.print(f"{name:<8}  {escape(label or UNKNOWN[name])}", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name, justify in REGION_COLUMNS:
        table.add_column(name, no_wrap=True, justify=justify)
    for code, body in bodies.items():
        table.add_row(code, *map(escape, _cells(body)))
    out.print(table)
    for code, body in bodies.items():
        for line in trouble_lines(body.get("notifications")):
            out.print(f"{code} messages: {line}", soft_wrap=True)
    if found:
        out.print("demand, weather: age of the newest hour and of the newest forecast as issued")


def _cells(body: dict[str, Any]) -> list[str]:
    """What the table of regions says of one, but for its code."""
    if "error" in body:
        return [*["-"] * (len(REGION_COLUMNS) - 2), "unusable"]
    stored, champion, drift, retraining = ["unknown"] * 4, ["unknown"] * 2, "unknown", "unknown"
    if "database" not in body["problems"]:
        now, demand = body["now"], body["demand"]
        newest = [weather["newest_forecast"] for weather in body["weather"].values()]
        weather = min(newest) if newest and None not in newest else None
        stored = [
            f"{demand['rows']:,}",
            f"{demand['missing_hours']:,}",
            _age(demand["last"], now),
            _age(weather, now),
        ]
        check, last = body["last_drift_check"], body["last_retraining"]
        drift = "none" if check is None else f"{check['drift_share']:.2f}"
        retraining = "none" if last is None else last["outcome"]
    if "mlflow" not in body["problems"]:
        serves = body["champion"]
        champion = ["none", ""] if serves is None else [serves["version"], _percent(serves["mape"])]
    return [*stored, *champion, drift, retraining]


def _age(moment: datetime | None, now: datetime) -> str:
    return "none" if moment is None else f"{(now - moment).total_seconds() / 3600:.0f} h"


def _add_data(table: Table, body: dict[str, Any]) -> None:
    demand = body["demand"]
    table.add_row("data", body["data"] or "none yet; run `energy-demand backfill`")
    table.add_row(
        f"demand {body['respondent']}",
        f"{demand['rows']:,} hours {_span(demand)}, {demand['missing_hours']:,} missing, "
        f"{demand['revised']:,} revised, {demand['quarantined']:,} quarantined",
    )
    for site, weather in body["weather"].items():
        forecasts = f"{weather['forecasts'] or 0:,} forecasts as issued"
        newest = weather["newest_forecast"]
        until = f", newest {newest:%Y-%m-%dT%H:%MZ}" if newest else ""
        lacks = f"; never observed: {', '.join(weather['lacking'])}" if weather["lacking"] else ""
        table.add_row(
            f"weather {site}", f"{weather['rows'] or 0:,} hours {_span(weather)}, {forecasts}{until}{lacks}"
        )
    operator = body["operator"]
    if operator is not None:
        table.add_row(
            "operator",
            f"{operator['postings']:,} forecasts as issued, {_span(operator)}, "
            f"newest {operator['newest_issue']:%Y-%m-%dT%H:%MZ}",
        )


def _add_champion(table: Table, body: dict[str, Any]) -> None:
    champion = body["champion"]
    if "mlflow" in body["problems"]:
        table.add_row("champion", UNKNOWN["mlflow"])
    elif champion is None:
        table.add_row("champion", "none yet; run `energy-demand train`")
    else:
        table.add_row(
            "champion",
            f"version {champion['version']}, trained through {champion['trained_through']:%Y-%m-%dT%H:%MZ}, "
            f"holdout MAPE {_percent(champion['mape'])}",
        )


def _add_peak(table: Table, peak: dict[str, Any]) -> None:
    if peak["reason"] is not None:
        reason = escape(peak["reason"])
        table.add_row("peak", f"[yellow]{reason}[/yellow]" if peak["alert"] else reason)
    if peak["alerted_days"]:
        table.add_row("peak days", f"{len(peak['alerted_days'])} alerted of {peak['day'].year}")


def _add_monitoring(table: Table, body: dict[str, Any]) -> None:
    check, retraining = body["last_drift_check"], body["last_retraining"]
    table.add_row(
        "drift check",
        "none yet; run `energy-demand drift`"
        if check is None
        else escape(
            f"{check['at']:%Y-%m-%dT%H:%MZ}, drift share {check['drift_share']:.2f}: {check['reason']}"
        ),
    )
    if retraining is not None:
        table.add_row(
            "retraining",
            escape(
                f"{retraining['at']:%Y-%m-%dT%H:%MZ}, {retraining['trigger']}, "
                f"{outcome_in_words(retraining)}: {retraining['reason']}"
            ),
        )
    if body["contest"] is not None and any(body["contest"][name] for name in ("challenger", "promotion")):
        for line in contest_lines(body["contest"]):
            table.add_row("shadow", escape(line))
    for source in body["sources"]:
        if is_failing(source):
            table.add_row(
                f"[red]{source['source']}[/red]",
                escape(f"failed {source['last_error_at']:%Y-%m-%dT%H:%MZ}: {source['last_error']}"),
            )
        elif source["missing_hours"]:
            days = ", ".join(map(str, source.get("missing_days", ())))
            named = f": {days}" if days else ""
            table.add_row(source["source"], f"{source['missing_hours']:,} hours missing{named}")
    models = body["weather_models"]
    for model in models:
        if len(models) > 1 or model["state"] in {"stopped", "changed"}:
            words = escape(model["words"])
            colour = {"stopped": "red", "changed": "yellow"}.get(model["state"])
            error = "" if model["mean_error"] is None else f", {model['mean_error']:+.1f} °C last week"
            table.add_row(
                f"model {escape(model['model'])}",
                (f"[{colour}]{words}[/{colour}]" if colour else words) + error,
            )
    runs = {status: count for status, count in body["weather_runs"].items() if status != "complete"}
    if runs:
        counts = ", ".join(f"{count:,} {status}" for status, count in sorted(runs.items()))
        table.add_row("weather runs", f"of the last two weeks: {counts}; those that come later are stored")


def print_quarantine(rows: list[dict[str, Any]]) -> None:
    """Print the rows in quarantine, one a line."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("id", "seen", "source", "subject", "reason", "row as received"):
        table.add_column(name, overflow="fold")
    for row in rows:
        seen = f"{row['seen_at']:%Y-%m-%dT%H:%MZ}"
        payload = escape(json.dumps(row["payload"]))
        table.add_row(str(row["id"]), seen, row["source"], row["subject"], row["reason"], payload)
    out.print(table if rows else "the quarantine is empty")


def _span(stored: dict[str, Any]) -> str:
    if stored["first"] is None:
        return ""
    return f"from {stored['first']:%Y-%m-%dT%H:%MZ} to {stored['last']:%Y-%m-%dT%H:%MZ}"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} %"
