"""What became of messages, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from energy_demand.terminal.console import out

if TYPE_CHECKING:
    from collections.abc import Mapping


def print_trial(errors: Mapping[str, str | None]) -> None:
    """Print which URLs took the trial message, a line each."""
    for name, why in errors.items():
        out.print(f"{name}: {'arrived' if why is None else escape(why)}", soft_wrap=True)


def print_state(body: dict[str, Any]) -> None:
    """Print how the sending of messages does, a line each."""
    for line in state_lines(body):
        out.print(line, soft_wrap=True)


def state_lines(body: dict[str, Any]) -> list[str]:
    """Lines with markup: the messages that wait or are lost, then each notifier."""
    lines = [f"{body['waiting']:,} messages wait, {body['expired']:,} expired in the last week"]
    if body["problem"] is not None:
        lines.append(f"[red]{escape(body['problem'])}[/red]")
    return [*lines, *map(_line, body["notifiers"])]


def trouble_lines(body: dict[str, Any] | None) -> list[str]:
    """The lines of `state_lines` that say that something is wrong."""
    return [] if body is None else [line for line in state_lines(body) if "[red]" in line]


def _line(state: dict[str, Any]) -> str:
    name, done = state["notifier"], state["last_success_at"]
    if state["failed"]:
        why = f"failed {state['last_error_at']:%Y-%m-%dT%H:%MZ}: {state['last_error']}"
        return f"[red]{name}[/red] {escape(why)}"
    return f"{name} not used yet" if done is None else f"{name} took a message {done:%Y-%m-%dT%H:%MZ}"
