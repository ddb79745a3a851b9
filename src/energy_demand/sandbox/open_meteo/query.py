"""Reading a query to Open-Meteo: places, variables and days, or a refusal in Open-Meteo's own words.

Whatever the caller's zone, the whole answer has one fixed offset from UTC, as upstream: the offset that
holds there now. Asking for GMT is the only way to read a year without a shift at the clock changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from energy_demand.sandbox.errors import Refusal
from energy_demand.sandbox.worlds.world import BLEND, VARIABLE_UNITS, IntArray, Place, day_number

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

OLDEST_DAY = date(1940, 1, 1)  # where ERA5 begins
MAX_PAST_DAYS = 92
MAX_FORECAST_DAYS = 16
INVALID_KEY = "The supplied API key is invalid."
# Names that Open-Meteo's documentation lists for the forecast, single runs and the archive.
# fmt: off
MODELS = frozenset({
    "best_match", "ecmwf_ifs", "ecmwf_ifs025", "ecmwf_aifs025_single", "ecmwf_ifs_analysis_long_window",
    "era5", "era5_seamless", "era5_land", "cerra", "gfs_seamless", "gfs_global", "gfs_hrrr",
    "ncep_gfs013", "ncep_gfs025", "ncep_hrrr_conus", "ncep_nbm_conus", "gfs_graphcast025",
    "icon_seamless", "icon_global", "icon_eu", "icon_d2", "gem_seamless", "gem_global", "gem_regional",
    "gem_hrdps_continental", "meteofrance_seamless", "meteofrance_arpege_world",
    "meteofrance_arpege_europe", "jma_seamless", "jma_msm", "jma_gsm", "ukmo_seamless",
    "ukmo_global_deterministic_10km", "metno_seamless", "metno_nordic", "knmi_seamless", "dmi_seamless",
    "cma_grapes_global", "bom_access_global", "kma_seamless", "meteoswiss_icon_seamless",
})
# fmt: on
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_RUN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_PLAIN = frozenset({"latitude", "longitude", "hourly", "timezone", "models", "apikey", "cell_selection"})
# Parameters of one of the three services; another one refuses them.
_SOMEWHERE = frozenset({"run", "start_date", "end_date", "past_days", "forecast_days"})
_ONLY_UNITS = {
    "temperature_unit": "celsius",
    "wind_speed_unit": "kmh",
    "precipitation_unit": "mm",
    "timeformat": "iso8601",
}


@dataclass(frozen=True)
class Zone:
    """A time zone as Open-Meteo answers in it: its name and one offset in seconds."""

    name: str
    offset_seconds: int

    @property
    def abbreviation(self) -> str:
        """`GMT`, `GMT-4`, `GMT+5:30`."""
        minutes = abs(self.offset_seconds) // 60
        sign = "-" if self.offset_seconds < 0 else "+"
        tail = f":{minutes % 60:02d}" if minutes % 60 else ""
        return "GMT" if minutes == 0 else f"GMT{sign}{minutes // 60}{tail}"

    def today(self, now: datetime) -> date:
        """The calendar day in this zone."""
        return (now + timedelta(seconds=self.offset_seconds)).date()

    def hours_of_days(self, first: date, days: int) -> IntArray:
        """Hour numbers (UTC) of `days` days in this zone, from midnight of `first`."""
        start = day_number(first) * 24 - self.offset_seconds // 3600
        return np.arange(start, start + 24 * days)

    def local_times(self, hours: IntArray) -> list[str]:
        """`YYYY-MM-DDTHH:MM` of hour numbers on this zone's clock."""
        local = (hours + self.offset_seconds // 3600).astype("datetime64[h]")
        times: list[str] = np.datetime_as_string(local, unit="m").tolist()
        return times


@dataclass(frozen=True)
class MeteoQuery:
    """What every weather route is asked: where, what, by which models, and on which clock."""

    places: list[Place]
    variables: list[str]
    models: list[str]
    zone: Zone

    def columns(self) -> list[str]:
        """Names of the columns, model by model; where several are asked for, each bears its model's."""
        if len(self.models) == 1:
            return self.variables
        return [f"{variable}_{model}" for model in self.models for variable in self.variables]


def refuse(reason: str) -> Refusal:
    """Open-Meteo's answer to a query it does not understand."""
    return Refusal(400, {"error": True, "reason": reason})


def read_query(params: QueryParams, now: datetime, own: frozenset[str]) -> MeteoQuery:
    """Read what all routes have in common; `own` names the parameters of this route.

    Raises:
        Refusal: HTTP 400 with Open-Meteo's error body; also for a parameter that the real one has and
            the sandbox has not, which would otherwise change the answer unseen.
    """
    for name in params:
        if name in _SOMEWHERE - own:
            raise refuse(_not_here(name, own))
        if name in _ONLY_UNITS and params[name] != _ONLY_UNITS[name]:
            raise refuse(f"The sandbox answers with {name}={_ONLY_UNITS[name]} only.")
        if name not in _PLAIN | own | _ONLY_UNITS.keys():
            raise refuse(f"The sandbox does not know the parameter '{name}' here.")
    variables = _list(params, "hourly")
    for variable in variables:
        if variable not in VARIABLE_UNITS:
            raise refuse(
                "Data corrupted at path ''. Cannot initialize ForecastVariable from invalid String value "
                f"{variable}."
            )
    models = _list(params, "models") or [BLEND]
    for model in models:
        if model not in MODELS:
            raise refuse(
                "Data corrupted at path ''. "
                f"Cannot initialize MultiDomains from invalid String value {model}."
            )
    return MeteoQuery(_places(params), variables, models, _zone(params.get("timezone", "GMT"), now))


def _not_here(name: str, own: frozenset[str]) -> str:
    if name in {"past_days", "forecast_days"} and "start_date" in own:
        return f"Parameter '{name}' is mutually exclusive with 'start_date' and 'end_date'"
    if name in {"start_date", "end_date"} and "past_days" in own:  # the real forecast takes them
        return f"The sandbox does not know the parameter '{name}' here."
    return f"Parameter '{name}' must not be set"


def read_run(params: QueryParams) -> datetime:
    """The start of the model run that is asked for, UTC.

    Raises:
        Refusal: HTTP 400; no time, or not written like one.
    """
    text = params.get("run")
    if text is None:
        raise refuse("Parameter 'run' is required")
    try:
        return datetime.fromisoformat(text if _RUN.fullmatch(text) else "").replace(tzinfo=UTC)
    except ValueError:
        raise refuse(f"Invalid date format. Make sure to use 'YYYY-MM-DDTHH:MM' (run: {text})") from None


def read_day_range(params: QueryParams, today: date) -> tuple[date, int]:
    """`start_date` and `end_date` (both included) as the first day and the number of days."""
    if not {"start_date", "end_date"} <= params.keys():
        raise refuse("Both 'start_date' and 'end_date' must be set in the url")
    first, last = (_day(params, name, today) for name in ("start_date", "end_date"))
    if last < first:
        raise refuse("End-date must be larger or equals than start-date")
    return first, (last - first).days + 1


def read_count(params: QueryParams, name: str, default: int, lowest: int, highest: int) -> int:
    """A whole number of days within its allowed range."""
    text = params.get(name, str(default))
    label = name.replace("_", " ").capitalize()
    if not re.fullmatch(r"-?\d{1,6}", text) or not lowest <= int(text) <= highest:
        raise refuse(f"{label} is invalid. Allowed range {lowest} to {highest}. Given {text}.")
    return int(text)


def _list(params: QueryParams, name: str) -> list[str]:
    return [item.strip() for text in params.getlist(name) for item in text.split(",") if item.strip()]


def _places(params: QueryParams) -> list[Place]:
    latitudes = _degrees(params, "latitude", 90)
    longitudes = _degrees(params, "longitude", 180)
    if not latitudes or len(latitudes) != len(longitudes):
        raise refuse("Parameter 'latitude' and 'longitude' must have the same number of elements")
    return [Place(*pair) for pair in zip(latitudes, longitudes, strict=True)]


def _degrees(params: QueryParams, name: str, limit: int) -> list[float]:
    degrees = []
    for text in _list(params, name):
        try:
            value = float(text)
        except ValueError:
            raise refuse(f"Cannot initialize Float from invalid String value {text} ({name}).") from None
        if not -limit <= value <= limit:
            raise refuse(f"{name.capitalize()} must be in range of -{limit} to {limit}°. Given: {value}.")
        degrees.append(value)
    return degrees


def _zone(name: str, now: datetime) -> Zone:
    try:
        offset = now.astimezone(ZoneInfo(name)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise refuse("Invalid timezone") from None
    return Zone(name, int(offset.total_seconds()) if offset else 0)


def _day(params: QueryParams, name: str, newest: date) -> date:
    text = params[name]
    try:
        day = date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        raise refuse(f"Invalid date format. Make sure to use 'YYYY-MM-DD' ({name}: {text})") from None
    if not OLDEST_DAY <= day <= newest:
        raise refuse(f"Parameter '{name}' is out of allowed range from {OLDEST_DAY} to {newest}")
    return day
