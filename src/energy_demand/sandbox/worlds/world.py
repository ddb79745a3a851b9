"""What the sandbox's routes need from a world, recorded or synthetic: three small protocols.

Inside the sandbox an hour is a number, whole hours since 1970-01-01T00 UTC, and a day is a number of
days since 1970-01-01; so ranges are slices, and pages of any size agree. A world never reads the clock.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NEW_YORK = ZoneInfo("America/New_York")
SECONDS_PER_HOUR = 3600
_EPOCH_DAY = date(1970, 1, 1)

VARIABLE_UNITS = {
    "temperature_2m": "°C",
    "relative_humidity_2m": "%",
    "dew_point_2m": "°C",
    "apparent_temperature": "°C",
    "precipitation": "mm",
    "rain": "mm",
    "snowfall": "cm",
    "cloud_cover": "%",
    "wind_speed_10m": "km/h",
    "wind_gusts_10m": "km/h",
    "surface_pressure": "hPa",
    "shortwave_radiation": "W/m²",
}
VARIABLES = tuple(VARIABLE_UNITS)

BLEND = "best_match"  # what answers where no weather model is named
IFS = "ecmwf_ifs"

# The columns of the grid operator's forecast files, in their order: eleven zones and the system.
OPERATOR_ZONES = (
    "Capitl",
    "Centrl",
    "Dunwod",
    "Genese",
    "Hud Vl",
    "Longil",
    "Mhk Vl",
    "Millwd",
    "N.Y.C.",
    "North",
    "West",
    "NYISO",
)


class Place(NamedTuple):
    """A point on the map, in degrees north and east."""

    latitude: float
    longitude: float


SITES = {
    "new_york_city": Place(40.7128, -74.0060),
    "albany": Place(42.6526, -73.7562),
    "buffalo": Place(42.8864, -78.8784),
    "syracuse": Place(43.0481, -76.1474),
}
ELEVATION_M = {"new_york_city": 7.0, "albany": 45.0, "buffalo": 183.0, "syracuse": 120.0}
_SITE_RADIUS_DEGREES = 0.5


def nearest_site(place: Place) -> str | None:
    """The known site within half a degree of `place`, or None."""
    distances = {name: float(np.hypot(*np.subtract(place, site))) for name, site in SITES.items()}
    name = min(distances, key=distances.__getitem__)
    return name if distances[name] <= _SITE_RADIUS_DEGREES else None


class Series(Protocol):
    """Demand series on a regular axis of steps (hour or day numbers), in MWh."""

    @property
    def names(self) -> tuple[str, ...]:
        """The series there are, of `D`, `DF`, `NG`, `TI`, in this order."""

    @property
    def first(self) -> int:
        """The first step."""

    @property
    def last(self) -> int | None:
        """The last step; None where time goes on."""

    def present(self, name: str, steps: IntArray) -> BoolArray:
        """Which of `steps` have a value; cheap even for all of history."""

    def values(self, name: str, steps: IntArray) -> FloatArray:
        """The values at `steps`, all of them present."""


class Weather(Protocol):
    """Weather at any place. Arrays are (variables × hours), NaN where there is nothing."""

    def variables_observed(self, place: Place) -> frozenset[str]:
        """The variables that observations have here."""

    def variables_forecast(self, place: Place, model: str = IFS) -> frozenset[str]:
        """The variables that a model's forecasts have here."""

    def observed(self, place: Place, variables: Sequence[str], hours: IntArray) -> FloatArray:
        """What was measured."""

    def has_run(self, model: str, run: int) -> bool:
        """Whether a model has a run that was initialised at this hour number."""

    def newest_issue(self, *, after: float, by: float, model: str = IFS) -> int | None:
        """A model's newest forecast with after < issue time ≤ by (seconds since 1970), by its key."""

    def forecast(
        self, issue: int, place: Place, variables: Sequence[str], hours: IntArray, model: str = IFS
    ) -> FloatArray:
        """The values of a model's forecast with the key `issue`."""


class OperatorFiles(Protocol):
    """The grid operator's forecast files, each named after the first day that it forecasts."""

    @property
    def last(self) -> int | None:
        """The last file's day; None where time goes on."""

    def posted_at(self, day: int) -> float | None:
        """When the file of `day` was posted, in seconds since 1970; None where there is none."""

    def file(self, day: int, *, final: bool) -> tuple[IntArray, FloatArray]:
        """The hour-ending periods of a file and its MWh (`OPERATOR_ZONES` × hours).

        `final` is False for a posting that a later one corrects.
        """


class Grid(NamedTuple):
    """One of EIA's respondents and its series.

    Attributes:
        name: in EIA's words.
        zone: of its days.
        timezone: EIA's name of the zone of its daily totals.
        files_region: the region of its rows in the six-month files; None: it has no rows there.
        hourly: a step is the hour's end.
        daily: totals; a step is a calendar day of `zone`.
    """

    name: str
    zone: ZoneInfo
    timezone: str
    files_region: str | None
    hourly: Series
    daily: Series


def new_york(hourly: Series, daily: Series) -> dict[str, Grid]:
    """New York's two respondents, which are one grid: the region, and the authority of the files."""
    return {
        "NY": Grid("New York", NEW_YORK, "Eastern", None, hourly, daily),
        "NYIS": Grid("New York Independent System Operator", NEW_YORK, "Eastern", "NY", hourly, daily),
    }


class World(Protocol):
    """All data of the upstreams; the routes decide which part is served at a given time."""

    @property
    def kind(self) -> Literal["recorded", "synthetic"]:
        """Stamped on every answer."""

    @property
    def grids(self) -> Mapping[str, Grid]:
        """EIA's respondents by code, in the order in which rows of one hour come."""

    @property
    def weather(self) -> Weather:
        """Observations and forecasts."""

    @property
    def operator(self) -> OperatorFiles | None:
        """The grid operator's forecast files; None where the record has none."""


def first_hour(world: World) -> int:
    """The first hour of any respondent."""
    return min(grid.hourly.first for grid in world.grids.values())


def last_hour(world: World) -> int | None:
    """The last hour of any respondent; None where time goes on."""
    ends = [grid.hourly.last for grid in world.grids.values()]
    known = [end for end in ends if end is not None]
    return max(known) if len(known) == len(ends) else None


def hour_number(moment: datetime) -> int:
    """The number of the last full hour at or before `moment`."""
    return int(moment.timestamp() // SECONDS_PER_HOUR)


def day_number(day: date) -> int:
    """The number of a calendar day."""
    return (day - _EPOCH_DAY).days


def moment_of_hour(hour: int) -> datetime:
    """The time of an hour number."""
    return datetime.fromtimestamp(hour * SECONDS_PER_HOUR, tz=UTC)


def date_of(day: int) -> date:
    """The calendar day with this number."""
    return _EPOCH_DAY + timedelta(days=day)


def local_midnight(day: int, zone: ZoneInfo = NEW_YORK) -> int:
    """The hour number at which a day begins in `zone`."""
    return hour_number(datetime.combine(date_of(day), time(0), tzinfo=zone))
