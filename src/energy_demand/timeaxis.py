"""The words of time: hour-ending UTC periods, local days, issue times, leads, availability.

Everything that could leak the future goes through these few functions. Nothing here reads the clock:
the present is always an argument.

Every command needs this file, so pandas is imported where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    import pandas as pd

    from energy_demand.arrays import Floats, Integers

HOUR = timedelta(hours=1)
MAX_LEAD_HOURS = 48
ISSUE_HOUR_LOCAL = 9  # of the scheduled day-ahead forecast; models are scored by forecasts of this hour
FEWEST_HOURS_OF_DAY = 12  # with fewer known hours a day is not scored


class TimeFormatError(UserError, ValueError):
    """A date or moment that cannot be read; the message names the input and the accepted form."""


@dataclass(frozen=True)
class Availability:
    """When an hour of demand can first be used.

    Invariant: a period is known at `issued_at` exactly when its end lies at least `delay_hours`
    before `issued_at` (the leak guard of every feature).
    """

    delay_hours: int = 1

    def __post_init__(self) -> None:
        if self.delay_hours < 0:
            raise ValueError(f"publication delay must not be negative, got {self.delay_hours}")

    def known_at(self, period: datetime) -> datetime:
        """The moment the hour ending at `period` can first be used."""
        return to_utc(period) + self.delay_hours * HOUR

    def newest_known(self, issued_at: datetime) -> datetime:
        """The newest period known at `issued_at`: the last full hour at least the delay before it."""
        return floor_hour(to_utc(issued_at) - self.delay_hours * HOUR)


def floor_hour(moment: datetime) -> datetime:
    """The last full hour at or before `moment`, which is in UTC."""
    return moment.replace(minute=0, second=0, microsecond=0)


def to_utc(moment: datetime) -> datetime:
    """`moment` in UTC; a naive one is read as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def utc_index(values: pd.Series | pd.DatetimeIndex) -> pd.DatetimeIndex:
    """`values` as a UTC index in microseconds; naive values are read as UTC.

    One resolution everywhere, so that keys from PostgreSQL, Parquet and JSON compare as integers.
    """
    import pandas as pd  # noqa: PLC0415

    # `to_datetime` looks at each value alone, which is slow, and has nothing to do where the zone is known.
    known = isinstance(values.dtype, pd.DatetimeTZDtype)
    moments = pd.DatetimeIndex(values).tz_convert("UTC") if known else pd.to_datetime(values, utc=True)
    return pd.DatetimeIndex(moments).as_unit("us")


def parse_moment(text: str) -> datetime:
    """An ISO moment such as `2025-07-31T13:00Z` or `2024-12-01T00`, in UTC; naive text is read as UTC.

    Raises:
        TimeFormatError: the text is no moment.
    """
    try:
        return to_utc(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise TimeFormatError(f"{text!r} is not a valid time; expected e.g. 2025-07-31T13:00Z") from None


def parse_day(text: str) -> date:
    """A calendar day such as `2025-07-31`.

    Raises:
        TimeFormatError: the text is no day.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise TimeFormatError(f"{text!r} is not a valid date; expected e.g. 2025-07-31") from None


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The start of a local day, in UTC."""
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The local calendar day that `moment` falls on."""
    return moment.astimezone(zone).date()


def local_days(periods: pd.DatetimeIndex, zone: ZoneInfo) -> pd.DatetimeIndex:
    """The local day of each hour-ending period, as a naive midnight."""
    return (periods - HOUR).tz_convert(zone).tz_localize(None).normalize()


def day_periods(day: date, zone: ZoneInfo) -> pd.DatetimeIndex:
    """The 23, 24 or 25 hour-ending UTC periods of one local day.

    >>> from zoneinfo import ZoneInfo
    >>> len(day_periods(date(2025, 3, 9), ZoneInfo("America/New_York")))
    23
    """
    return days_periods(day, day, zone)


def days_periods(first: date, last: date, zone: ZoneInfo) -> pd.DatetimeIndex:
    """The hour-ending UTC periods of the local days `first` to `last`, both included."""
    start = local_midnight(first, zone) + HOUR
    end = local_midnight(last + timedelta(days=1), zone)
    return hourly(start, end)


def hourly(start: datetime, end: datetime) -> pd.DatetimeIndex:
    """Every full hour from `start` to `end`, both included, in UTC."""
    import pandas as pd  # noqa: PLC0415

    return pd.date_range(to_utc(start), to_utc(end), freq="h", tz="UTC", unit="us")


def horizon_periods(issued_at: datetime, hours: int) -> pd.DatetimeIndex:
    """The periods with leads 1 to `hours` of a forecast issued at `issued_at`."""
    first = floor_hour(to_utc(issued_at)) + HOUR
    return hourly(first, first + (hours - 1) * HOUR)


def day_ahead_issue(day: date, zone: ZoneInfo) -> datetime:
    """When the `day-ahead` protocol issues the forecast of `day`: 09:00 local time on the day before."""
    before = day - timedelta(days=1)
    return datetime.combine(before, time(ISSUE_HOUR_LOCAL), tzinfo=zone).astimezone(UTC)


def lead_hours(periods: pd.DatetimeIndex, issued_at: datetime | pd.DatetimeIndex) -> Integers:
    """ceil((period − issued_at) / 1 h), for one issue time or one per period.

    >>> issued_at = datetime(2025, 7, 31, 13, 20, tzinfo=UTC)
    >>> lead_hours(horizon_periods(issued_at, 3), issued_at)
    array([1, 2, 3])
    """
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    issue = pd.Timestamp(issued_at) if isinstance(issued_at, datetime) else issued_at
    elapsed: Floats = np.asarray((periods - issue) / pd.Timedelta(HOUR), dtype=np.float64)
    leads: Integers = np.ceil(elapsed).astype(np.int64)
    return leads


def utc_text(moment: datetime) -> str:
    """A UTC moment as JSON carries it: 2025-07-31T13:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def spans_text(days: Sequence[date]) -> str:
    """Days in words, neighbours together, in order.

    >>> spans_text([date(2024, 1, 1), date(2024, 1, 3), date(2024, 1, 4), date(2024, 1, 5)])
    '2024-01-01, 2024-01-03 to 2024-01-05'
    """
    spans: list[list[date]] = []
    for day in sorted(days):
        if spans and day - spans[-1][-1] == timedelta(days=1):
            spans[-1] = [spans[-1][0], day]
        else:
            spans.append([day])
    return ", ".join(" to ".join(str(day) for day in span) for span in spans)
