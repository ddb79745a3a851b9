"""Alerted peak days as an iCalendar feed (RFC 5545), one all-day event a day. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from icalendar import Calendar, Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from energy_demand.model.day_peak import DayPeak
    from energy_demand.region import Region

HOW_OFTEN = timedelta(hours=1)  # subscribers are asked to look again


def peak_calendar(days: Iterable[DayPeak], region: Region) -> bytes:
    """The feed.

    A day is the region's own, so that an event has dates and no times, which a calendar of another time zone
    would move. The identifier of a day never changes, and neither does anything else while its forecast does
    not.

    Args:
        days: alerted ones.
        region: whose days they are.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//energy-demand//peaks//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"Peak days of electricity demand, {region.respondent}")
    calendar.add("x-wr-timezone", region.zone.key)
    calendar.add("refresh-interval", HOW_OFTEN, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    for day in days:
        event = Event()
        event.add("uid", f"peak-{region.respondent}-{day.day}@energy-demand")
        event.add("dtstamp", day.made_at)
        event.add("dtstart", day.day)
        event.add("dtend", day.day + timedelta(days=1))
        event.add("summary", day.headline(region.respondent, region.zone))
        event.add("description", day.reason(region.zone))
        event.add("categories", ["peak demand"])
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    return bytes(calendar.to_ical())
