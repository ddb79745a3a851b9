"""What the sandbox serves of the catalogue: what recorded folders do not say, and areas for synthetic data.

The sandbox itself knows nothing of the project's catalogue of regions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from energy_demand.region import centre
from energy_demand.region_catalogue import entries
from energy_demand.sandbox.worlds.noise import share
from energy_demand.sandbox.worlds.recorded import DEMAND_FILE, RecordedWorld
from energy_demand.sandbox.worlds.recorded_regions import (
    Authority,
    JoinedWorlds,
    RecordedRegions,
    region_folders,
)
from energy_demand.sandbox.worlds.synthetic_demand import Area
from energy_demand.sandbox.worlds.world import Place

if TYPE_CHECKING:
    from pathlib import Path

    from energy_demand.sandbox.worlds.world import World


# Mean of a mild weekday, MWh, set by eye so that large areas are large; of all others a guess between 0.5 and
# 8 GW that is only always the same.
LEVELS_MWH = {
    "US48": 400_000.0,
    "PJM": 85_000.0,
    "MIDA": 85_000.0,
    "MISO": 70_000.0,
    "MIDW": 70_000.0,
    "ERCO": 45_000.0,
    "CENT": 30_000.0,
    "SWPP": 30_000.0,
    "SE": 28_000.0,
    "SOCO": 26_000.0,
    "CISO": 25_000.0,
    "CAL": 30_000.0,
    "NW": 40_000.0,
    "ISNE": 12_500.0,
}
SMALLEST_MWH, LARGEST_GUESS_MWH = 500.0, 8_000.0
NEW_YORK_CODES = frozenset({"NY", "NYIS"})  # these have a synthetic world of their own


def recorded_world(data: Path) -> World:
    """New York's record, the regions in the folder (or in its `regions`, or itself one), or both.

    Raises:
        SandboxDataError: a file is missing or cannot be read, or a region's code is unknown.
    """
    folders = region_folders(data)
    if not folders:
        return RecordedWorld(data)
    regions = RecordedRegions(folders, authorities())
    return JoinedWorlds(RecordedWorld(data), regions) if (data / DEMAND_FILE).is_file() else regions


def authorities() -> dict[str, Authority]:
    """Every region of the catalogue by code."""
    catalogue = entries()
    region_of = {
        member: code
        for code, entry in catalogue.items()
        if entry.kind == "region"
        for member in (*entry.members, *([entry.files_name] if entry.files_name else []))
    }
    return {
        code: Authority(
            name=entry.name,
            zone=ZoneInfo(entry.zone),
            region=region_of.get(code),
            places=tuple(Place(site.latitude, site.longitude) for site in entry.sites),
            centre=Place(*centre(entry.sites)),
        )
        for code, entry in catalogue.items()
    }


def synthetic_areas() -> dict[str, tuple[str, Area]]:
    """Every region of the catalogue but New York by code, with its name, for the synthetic world."""
    areas = {}
    for code, entry in entries().items():
        if code in NEW_YORK_CODES:
            continue
        grid = entry.files_name or code  # the same demand under both names
        guess = SMALLEST_MWH + (LARGEST_GUESS_MWH - SMALLEST_MWH) * share("size", grid)
        total = sum(site.weight for site in entry.sites)
        areas[code] = (
            entry.name,
            Area(
                sites=tuple(
                    (Place(site.latitude, site.longitude), site.weight / total) for site in entry.sites
                ),
                zone=ZoneInfo(entry.zone),
                country=entry.country,
                level_mwh=LEVELS_MWH.get(grid, guess),
                key=(grid,),
            ),
        )
    return areas
