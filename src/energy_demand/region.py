"""A region and its weather sites as plain values, so that no other module assumes a place."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

# Open-Meteo asks for it wherever its data is shown.
ATTRIBUTION = "Weather data by Open-Meteo.com"


class Site(BaseModel):
    """A place whose weather is fetched; `weight` is its share of the region's population."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    weight: float = Field(gt=0)


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


# Shares of the state's 20.2 million (census of 2020), each region counted to its nearest site: New York
# City with Long Island and the lower Hudson valley 0.65, the capital and north 0.12, the west 0.13, the
# centre and southern tier 0.10.
NEW_YORK_CITY = Site(name="new_york_city", latitude=40.7128, longitude=-74.0060, weight=0.65)
UPSTATE_SITES = (
    Site(name="albany", latitude=42.6526, longitude=-73.7562, weight=0.12),
    Site(name="buffalo", latitude=42.8864, longitude=-78.8784, weight=0.13),
    Site(name="syracuse", latitude=43.0481, longitude=-76.1474, weight=0.10),
)
NEW_YORK = Region("NY", ZoneInfo("America/New_York"), "US", (NEW_YORK_CITY, *UPSTATE_SITES))
