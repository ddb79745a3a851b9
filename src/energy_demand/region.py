"""A region and its weather sites as plain values, so that no other module assumes a place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

# Open-Meteo asks for it wherever its data is shown.
ATTRIBUTION = "Weather data by Open-Meteo.com"


def existing_zone(name: str) -> str:
    """The name of a time zone, as it is.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone; write it like America/New_York") from None
    return name


class Site(BaseModel):
    """A place whose weather is fetched; `weight` is its share of the region's population."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    weight: float = Field(gt=0)


@dataclass(frozen=True)
class RooftopSolar:
    """Solar panels behind the meter, whose output is missing in demand.

    Attributes:
        capacity_mw: what is installed on a day, in the order of the days.
        published_after_days: until a figure is known.
        main_share: of the panels, near the main site.
    """

    capacity_mw: tuple[tuple[date, float], ...]
    published_after_days: int
    main_share: float


@dataclass(frozen=True)
class Region:
    """The facts about a region that the features need.

    `zone` is the time zone of its days, `country` names its holiday calendar, `sites` are its weather
    sites, the first one being the main site.
    """

    respondent: str
    zone: ZoneInfo
    country: str
    sites: tuple[Site, ...]

    @property
    def rooftop_solar(self) -> RooftopSolar | None:
        """The panels behind its meters; None where their capacity is not known."""
        return ROOFTOP_SOLAR.get(self.respondent)


def centre(sites: Sequence[Site]) -> tuple[float, float]:
    """Latitude and longitude of sites, weighted by population."""
    total = sum(site.weight for site in sites)
    return (
        sum(site.weight * site.latitude for site in sites) / total,
        sum(site.weight * site.longitude for site in sites) / total,
    )


# Shares of the state's 20.2 million (census of 2020), each region counted to its nearest site: New York
# City with Long Island and the lower Hudson valley 0.65, the capital and north 0.12, the west 0.13, the
# centre and southern tier 0.10.
NEW_YORK_CITY = Site(name="new_york_city", latitude=40.7128, longitude=-74.0060, weight=0.65)
UPSTATE_SITES = (
    Site(name="albany", latitude=42.6526, longitude=-73.7562, weight=0.12),
    Site(name="buffalo", latitude=42.8864, longitude=-78.8784, weight=0.13),
    Site(name="syracuse", latitude=43.0481, longitude=-76.1474, weight=0.10),
)
# Net-metered and community solar of the state, EIA form 861M, MW, published about two months later. How much
# of it is near the city, on Long Island and in the lower Hudson valley is an estimate.
NEW_YORK_SOLAR = RooftopSolar(
    capacity_mw=(
        (date(2013, 1, 1), 120.0),
        (date(2014, 1, 1), 180.0),
        (date(2015, 1, 1), 330.0),
        (date(2016, 1, 1), 450.0),
        (date(2017, 1, 1), 640.0),
        (date(2018, 1, 1), 1090.0),
        (date(2019, 1, 1), 1370.0),
        (date(2020, 1, 1), 1710.0),
        (date(2021, 1, 1), 2150.0),
        (date(2022, 1, 1), 3010.0),
        (date(2023, 1, 1), 3700.0),
        (date(2024, 1, 1), 4410.0),
    ),
    published_after_days=75,
    main_share=0.4,
)
ROOFTOP_SOLAR = {"NY": NEW_YORK_SOLAR}
NEW_YORK = Region("NY", ZoneInfo("America/New_York"), "US", (NEW_YORK_CITY, *UPSTATE_SITES))
