"""Recorded regions: a folder for each, named by its code, as EIA and a weather record had them.

A folder has `demand_hourly.parquet` and `weather_observed_hourly.parquet`. Nothing is repaired or filled. Two
things are derived. A daily total is the sum of a local day of which every hour is on record. And a site that
the record places nowhere, as the mean over a region, gets a place: the first one the region's centre, every
further one a degree north of the one before. Such a place is an address to ask for and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd

from energy_demand.sandbox.errors import SandboxDataError
from energy_demand.sandbox.worlds.recorded import (
    HOURLY_COLUMNS,
    RecordedSeries,
    WeatherTable,
    columns_of,
    hours_of,
    read_file,
)
from energy_demand.sandbox.worlds.world import (
    IFS,
    SECONDS_PER_HOUR,
    BoolArray,
    FloatArray,
    Grid,
    IntArray,
    Place,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from energy_demand.sandbox.worlds.world import OperatorFiles, Weather, World

DEMAND_FILE = "demand_hourly.parquet"
OBSERVED_FILE = "weather_observed_hourly.parquet"
REGIONS_FOLDER = "regions"
# EIA's names of the zones of its daily totals, by their offset from UTC in January and July.
_TIMEZONES = {
    (-5, -4): "Eastern",
    (-6, -5): "Central",
    (-7, -6): "Mountain",
    (-7, -7): "Arizona",
    (-8, -7): "Pacific",
}
_HOUR = timedelta(hours=1)
_NEAR_DEGREES = 0.5  # as of New York's sites
_SAME_DEGREES = 0.005  # closer than this, the recorded site itself is asked for


@dataclass(frozen=True)
class Authority:
    """What the record does not say of an authority.

    Attributes:
        name: in EIA's words.
        zone: of its days.
        region: EIA's region that it belongs to; None for a region, which has no rows in the six-month files.
        places: of its people, the largest first.
        centre: of these.
    """

    name: str
    zone: ZoneInfo
    region: str | None
    places: tuple[Place, ...]
    centre: Place


class RecordedSite(NamedTuple):
    """A site of a region's record, and where to ask for it."""

    region: str
    name: str
    place: Place
    is_placed: bool  # by the record


class DailySums:
    """The days of which every hour is on record, summed."""

    def __init__(self, hourly: RecordedSeries, zone: ZoneInfo) -> None:
        self.names = hourly.names
        hours = np.arange(hourly.first, hourly.last + 1)
        days, expected = _days_of(hours, zone)
        self.first, self.last = int(days[0]), int(days[-1])
        self._totals = {}
        for name in self.names:
            there = hourly.present(name, hours)
            position = days - self.first
            count = np.bincount(position, weights=there)
            total = np.bincount(position, weights=np.where(there, hourly.values(name, hours), 0.0))
            self._totals[name] = np.where(count == expected, total, np.nan)

    def present(self, name: str, steps: IntArray) -> BoolArray:
        """Which of `steps` have a total."""
        inside = (steps >= self.first) & (steps <= self.last)
        found: BoolArray = inside & ~np.isnan(self.values(name, steps))
        return found

    def values(self, name: str, steps: IntArray) -> FloatArray:
        """The totals of `steps`, MWh."""
        return self._totals[name][np.clip(steps, self.first, self.last) - self.first]


class RegionWeather:
    """Observations at the sites of several regions; nobody recorded forecasts.

    A recorded site has its own hours. Any other place has those of the recorded sites within half a degree,
    the nearest first; and one of a region's people (as `Authority` has them) has, in hours that none of these
    has, those of the first site that the record places nowhere: the mean over the region.
    """

    def __init__(
        self, sites: Mapping[RecordedSite, WeatherTable], authorities: Mapping[str, Authority]
    ) -> None:
        self._sites = dict(sites)
        self._means: list[tuple[Place, WeatherTable]] = []
        for code, authority in authorities.items():
            mean = next(
                (table for site, table in sites.items() if site.region == code and not site.is_placed), None
            )
            if mean is not None:
                self._means += [(place, mean) for place in authority.places]

    def variables_observed(self, place: Place) -> frozenset[str]:
        """The variables that the place has in some hour."""
        return frozenset().union(*(table.variables_known for table in self._tables(place)))

    def variables_forecast(self, place: Place, model: str = IFS) -> frozenset[str]:  # noqa: ARG002
        """None."""
        return frozenset()

    def observed(self, place: Place, variables: Sequence[str], hours: IntArray) -> FloatArray:
        """What was measured; NaN where nothing was."""
        found = np.full((len(variables), hours.size), np.nan)
        for table in self._tables(place):
            nothing = np.isnan(found).all(axis=0)
            if not nothing.any():
                break
            found[:, nothing] = table.take(slice(None), variables, hours)[:, nothing]
        return found

    def has_run(self, model: str, run: int) -> bool:  # noqa: ARG002
        """No."""
        return False

    def newest_issue(self, *, after: float, by: float, model: str = IFS) -> int | None:  # noqa: ARG002
        """None."""
        return None

    def forecast(
        self,
        issue: int,  # noqa: ARG002
        place: Place,  # noqa: ARG002
        variables: Sequence[str],
        hours: IntArray,
        model: str = IFS,  # noqa: ARG002
    ) -> FloatArray:
        """Nothing."""
        return np.full((len(variables), hours.size), np.nan)

    def _tables(self, place: Place) -> list[WeatherTable]:
        """The records that may have hours of a place, the best one first."""
        distances = {site: _degrees(place, site.place) for site in self._sites}
        nearest = min(distances, key=distances.__getitem__)
        if distances[nearest] <= _SAME_DEGREES:
            return [self._sites[nearest]]
        near = [site for site in distances if site.is_placed and distances[site] <= _NEAR_DEGREES]
        near.sort(key=distances.__getitem__)
        known = [(where, mean) for where, mean in self._means if _degrees(place, where) <= _NEAR_DEGREES]
        mean = min(known, key=lambda each: _degrees(place, each[0]), default=None)
        return [*(self._sites[site] for site in near), *([] if mean is None else [mean[1]])]


class RecordedRegions:
    """The recorded regions of a folder, served as both upstreams.

    Args:
        folders: of the regions, each named by its code.
        authorities: by code.

    Raises:
        SandboxDataError: A file is missing or cannot be read, or a code is unknown.
    """

    kind: Literal["recorded"] = "recorded"
    operator: OperatorFiles | None = None

    def __init__(self, folders: Iterable[Path], authorities: Mapping[str, Authority]) -> None:
        self.grids: dict[str, Grid] = {}
        tables: dict[RecordedSite, WeatherTable] = {}
        for folder in folders:
            authority = authorities.get(folder.name)
            if authority is None:
                raise SandboxDataError(folder, "no region has this code; name the folder by EIA's code")
            self.grids[folder.name] = _grid(folder, authority)
            rows = read_file(folder / OBSERVED_FILE, {"site", "time", "latitude", "longitude"})
            by_name = {str(name): part for name, part in rows.groupby("site", observed=True)}
            for site in recorded_sites(folder, authority):
                tables[site] = WeatherTable(by_name[site.name])
        self.sites = tuple(tables)
        self.weather: Weather = RegionWeather(
            tables, {code: authority for code, authority in authorities.items() if code in self.grids}
        )


class JoinedWorlds:
    """Several recorded worlds as one: the first that knows a place has its weather."""

    kind: Literal["recorded"] = "recorded"

    def __init__(self, first: World, further: World) -> None:
        self.grids = {
            **first.grids,
            **{who: grid for who, grid in further.grids.items() if who not in first.grids},
        }
        self.weather: Weather = _JoinedWeather(first.weather, further.weather)
        self.operator = first.operator


class _JoinedWeather:
    """The weather of `JoinedWorlds`; runs are those of the first."""

    def __init__(self, first: Weather, further: Weather) -> None:
        self._first, self._further = first, further

    def variables_observed(self, place: Place) -> frozenset[str]:
        return self._of(place).variables_observed(place)

    def variables_forecast(self, place: Place, model: str = IFS) -> frozenset[str]:
        return self._first.variables_forecast(place, model)

    def observed(self, place: Place, variables: Sequence[str], hours: IntArray) -> FloatArray:
        return self._of(place).observed(place, variables, hours)

    def has_run(self, model: str, run: int) -> bool:
        return self._first.has_run(model, run)

    def newest_issue(self, *, after: float, by: float, model: str = IFS) -> int | None:
        return self._first.newest_issue(after=after, by=by, model=model)

    def forecast(
        self, issue: int, place: Place, variables: Sequence[str], hours: IntArray, model: str = IFS
    ) -> FloatArray:
        return self._first.forecast(issue, place, variables, hours, model)

    def _of(self, place: Place) -> Weather:
        return self._first if self._first.variables_observed(place) else self._further


def region_folders(data: Path) -> list[Path]:
    """The regions' folders in a folder of data: in its `regions`, in itself, or itself; by name."""
    places = (data / REGIONS_FOLDER, data)
    for place in places:
        found = sorted(file.parent for file in place.glob(f"*/{DEMAND_FILE}"))
        if found:
            return found
    return [data.resolve()] if (data / DEMAND_FILE).is_file() else []


def recorded_sites(folder: Path, authority: Authority) -> list[RecordedSite]:
    """The sites of a region's record, those that it places nowhere first, the mean by population leading.

    Raises:
        SandboxDataError: The file is missing or cannot be read.
    """
    rows = read_file(folder / OBSERVED_FILE, {"site", "time", "latitude", "longitude"})
    places = rows.groupby("site", observed=True)[["latitude", "longitude"]].first()
    placed, nowhere = [], []
    for name, (latitude, longitude) in zip(map(str, places.index), places.to_numpy(), strict=True):
        if np.isnan(latitude) or np.isnan(longitude):
            nowhere.append(name)
        else:
            place = Place(round(float(latitude), 4), round(float(longitude), 4))
            placed.append(RecordedSite(folder.name, name, place, is_placed=True))
    nowhere.sort(key=lambda name: ("population" not in name, name))
    centre = authority.centre
    return [
        *(
            RecordedSite(
                folder.name,
                name,
                Place(round(centre.latitude + up, 4), round(centre.longitude, 4)),
                is_placed=False,
            )
            for up, name in enumerate(nowhere)
        ),
        *placed,
    ]


def _grid(folder: Path, authority: Authority) -> Grid:
    rows = read_file(folder / DEMAND_FILE, {"period", *HOURLY_COLUMNS.values()})
    hourly = RecordedSeries(hours_of(rows["period"]), columns_of(rows, HOURLY_COLUMNS))
    zone = authority.zone
    return Grid(authority.name, zone, eia_timezone(zone), authority.region, hourly, DailySums(hourly, zone))


def eia_timezone(zone: ZoneInfo) -> str:
    """EIA's name of a zone; the zone's own where EIA has no totals in it."""
    days = (datetime(2019, month, 15, tzinfo=zone) for month in (1, 7))
    january, july = (day.utcoffset() or timedelta() for day in days)
    return _TIMEZONES.get((january // _HOUR, july // _HOUR), zone.key)


def _days_of(hours: IntArray, zone: ZoneInfo) -> tuple[IntArray, IntArray]:
    """The local day of each hour-ending hour, and how many hours each day from the first to the last has."""
    starts = pd.DatetimeIndex((hours - 1).astype("datetime64[h]").astype("datetime64[s]")).tz_localize("UTC")
    local = starts.tz_convert(zone).tz_localize(None)
    days = local.to_numpy().astype("datetime64[D]").astype(np.int64)
    midnights = pd.DatetimeIndex(
        np.arange(days[0], days[-1] + 2).astype("datetime64[D]").astype("datetime64[s]")
    ).tz_localize(zone)
    seconds = midnights.as_unit("s").asi8
    return days, np.diff(seconds) // SECONDS_PER_HOUR


def _degrees(one: Place, other: Place) -> float:
    return float(np.hypot(one.latitude - other.latitude, one.longitude - other.longitude))
