"""How events read: a title, a few lines, a link to the dashboard and the runbook. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import singledispatch
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

from energy_demand.columns import OWN_ANSWERS
from energy_demand.notification_settings import Kind
from energy_demand.notifications.events import (
    DriftFound,
    Event,
    ForecastReady,
    JobFailed,
    PeakExpected,
    Promoted,
    RolledBack,
    SourceAway,
)
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from datetime import date, datetime

# After so long a message that could not be delivered is of no use any more.
AGE_LIMITS = dict.fromkeys(Kind, timedelta(days=7)) | dict.fromkeys(
    (Kind.FORECAST, Kind.PEAK), timedelta(days=1)
)
LONGEST_REASON = 300
_REQUESTED = re.compile(r" \(requested \S+\)")
JOB_RUNBOOKS = {"FORECAST": "alerts.md#noforecastfortomorrow", "RETRAIN": "alerts.md#retrainingfailed"}
NOT_LIVE = {
    "recorded": "Recorded data. This is a replay of the past.",
    "synthetic": "Synthetic data. These are not real figures.",
}
PAGES = {Kind.DRIFT: "drift_monitor", Kind.MODEL: "training_history"}


@dataclass(frozen=True)
class Place:
    """Where messages come from.

    Attributes:
        region: its code, which every title begins with.
        zone: of the times in messages.
        dashboard: the dashboard's address, or None.
        several: whether the dashboard shows several regions.
        data: `live`, `recorded` or `synthetic`; None: not known.
    """

    region: str
    zone: ZoneInfo
    dashboard: str | None = None
    several: bool = False
    data: str | None = "live"


@dataclass(frozen=True)
class Message:
    """What is sent."""

    title: str
    body: str


@dataclass(frozen=True)
class _Text:
    title: str
    lines: tuple[str, ...]
    runbook: str


def message(event: Event, place: Place) -> Message:
    """What is sent about an event."""
    text = _text(event, place.zone)
    return _framed(text.title, text.lines, event.kind, place, text.runbook)


def recovery(title: str, kind: Kind, began: datetime, now: datetime, place: Place) -> Message:
    """What is sent when something that was reported at `began` is over."""
    line = f"It was reported on {_moment(began, place.zone)} and was over by {_moment(now, place.zone)}."
    return _framed(title, (line,), kind, place, None)


def trial(place: Place, notifiers: int) -> Message:
    """What `notify test` sends."""
    line = f"This message was asked for by `energy-demand notify test`, which sent it to {notifiers} URLs."
    return _framed("trial message", (line,), Kind.FORECAST, place, "notifications.md")


def _framed(title: str, lines: tuple[str, ...], kind: Kind, place: Place, runbook: str | None) -> Message:
    body = [*lines]
    if place.data in NOT_LIVE:
        body.append(NOT_LIVE[place.data])
    if place.dashboard is not None:
        query = f"?region={quote(place.region)}" if place.several else ""
        body.append(f"Dashboard: {place.dashboard.rstrip('/')}/{PAGES.get(kind, '')}{query}")
    if runbook is not None:
        body.append(f"Runbook: docs/{runbook}")
    return Message(f"{place.region}: {title}", "\n".join(body))


@singledispatch
def _text(event: object, zone: ZoneInfo) -> _Text:
    raise TypeError(f"{event!r} in {zone} is no event")


@_text.register
def _forecast(event: ForecastReady, zone: ZoneInfo) -> _Text:
    lines = [
        f"Peak {_peak(event, zone)}.",
        f"Energy of the day {event.energy_mwh / 1000:,.1f} GWh.",
    ]
    if event.quality not in OWN_ANSWERS:
        lines.append(f"The champion did not answer; a fallback did ({event.quality}).")
    return _Text(f"forecast for {_day(event.day)}", tuple(lines), "notifications.md#forecast")


@_text.register
def _expected_peak(event: PeakExpected, zone: ZoneInfo) -> _Text:
    likely = "" if event.probability is None else f" Probability {event.probability:.0%}."
    lines = (f"Expected peak {_peak(event, zone)}.", f"{_sentence(event.reason)}{likely}")
    return _Text(f"peak day expected on {_day(event.day)}", lines, "notifications.md#peak")


@_text.register
def _drift(event: DriftFound, zone: ZoneInfo) -> _Text:
    lines = (
        f"The check of {_moment(event.checked_at, zone)} found a drift share of {event.drift_share:.2f}.",
        _sentence(event.reason),
    )
    return _Text("drift found", lines, "alerts.md#driftsharehigh")


@_text.register
def _promoted(event: Promoted, zone: ZoneInfo) -> _Text:
    lines = (f"Promoted on {_moment(event.at, zone)}.", _sentence(event.reason))
    return _Text(f"model version {event.version} serves", lines, "notifications.md#model")


@_text.register
def _rolled_back(event: RolledBack, zone: ZoneInfo) -> _Text:
    lines = (
        f"The champion before it serves again since {_moment(event.at, zone)}.",
        _sentence(event.reason),
    )
    return _Text(f"model version {event.version} was rolled back", lines, "alerts.md#promotionrolledback")


@_text.register
def _away(event: SourceAway, zone: ZoneInfo) -> _Text:
    last = "never" if event.last_success is None else _moment(event.last_success, zone)
    lines = (
        *(f"{source}: {_sentence(reason)}" for source, reason in sorted(event.reasons.items())),
        f"Last read to its end: {last}. Forecasts are made from stored data meanwhile.",
    )
    return _Text(f"{event.upstream} cannot be read", lines, "alerts.md#sourcefailed")


@_text.register
def _failed(event: JobFailed, zone: ZoneInfo) -> _Text:
    lines = (f"The run of {_moment(event.started_at, zone)} failed: {_sentence(event.error)}",)
    return _Text(
        f"the {event.title} job failed", lines, JOB_RUNBOOKS.get(event.job, "notifications.md#failure")
    )


def _peak(event: ForecastReady | PeakExpected, zone: ZoneInfo) -> str:
    starts, ends = (event.peak_period - HOUR).astimezone(zone), event.peak_period.astimezone(zone)
    return (
        f"{event.peak_mwh:,.0f} MW between {starts:%H:%M} and {ends:%H:%M} "
        f"(80 % interval {event.lower_mwh:,.0f} to {event.upper_mwh:,.0f} MW)"
    )


def _day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return f"{_day(local.date())} {local:%H:%M %Z}"


def _sentence(text: str) -> str:
    """A stored reason as one sentence of bounded length, without the address that was asked."""
    flat = " ".join(_REQUESTED.sub("", text).split()).rstrip(".")
    flat = flat if len(flat) <= LONGEST_REASON else f"{flat[:LONGEST_REASON].rstrip()} …"
    return f"{flat[:1].upper()}{flat[1:]}."
