"""The table of the doctor: a line for each check, with a remedy where something is to be done."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from energy_demand.terminal.console import out

STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red", "not checked": "dim"}


def print_examination(body: dict[str, Any]) -> None:
    """Print the result of `doctor`."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column("state", no_wrap=True)
    table.add_column("check", overflow="fold", max_width=26)
    table.add_column("found", overflow="fold")
    area = None
    for check in body["checks"]:
        if check["area"] != area:
            if area is not None:
                table.add_row()
            area = check["area"]
            table.add_row(f"[bold]{area}[/bold]")
        table.add_row(_state(check), escape(check["name"]), _found(check))
        if check["remedy"]:
            table.add_row("", "", f"[bold]→[/bold] {escape(check['remedy'])}")
    out.print(table)
    out.print(_summary(body), soft_wrap=True)


def _state(check: dict[str, Any]) -> str:
    style = STYLES[check["state"]]
    return f"[{style}]{check['state']}[/{style}]"


def _found(check: dict[str, Any]) -> str:
    wanted = check["expected"] if check["state"] in ("warning", "failure") else ""
    return escape(check["found"] + (f" (expected: {wanted})" if wanted else ""))


def _summary(body: dict[str, Any]) -> str:
    counts = body["counts"]
    slowest = max(body["checks"], key=lambda check: check["seconds"])
    counted = ", ".join(
        f"{count} {state}" + ("s" if count > 1 and state in ("failure", "warning") else "")
        for state, count in counts.items()
        if count
    )
    lines = [
        f"\n{counted}; {body['seconds']:.1f} s, the slowest {slowest['name']} ({slowest['seconds']:.1f} s)"
    ]
    failed = [check for check in body["checks"] if check["state"] == "failure"]
    if failed:
        lines.append("[bold]to do first[/bold]")
        steps: dict[str, list[str]] = {}
        for check in failed:
            steps.setdefault(check["remedy"], []).append(check["name"])
        lines += [
            f"  {number}. {escape(', '.join(names))}: {escape(remedy)}"
            for number, (remedy, names) in enumerate(steps.items(), start=1)
        ]
    else:
        lines.append("nothing failed")
    return "\n".join(lines)
