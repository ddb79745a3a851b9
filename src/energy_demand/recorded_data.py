"""Folders of recorded data as the sandbox serves them: what the folders do not say is from the catalogue.

The sandbox itself knows nothing of the project's catalogue of regions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from energy_demand.region import centre
from energy_demand.region_catalogue import entries
from energy_demand.sandbox.worlds.recorded import DEMAND_FILE, RecordedWorld
from energy_demand.sandbox.worlds.recorded_regions import (
    Authority,
    JoinedWorlds,
    RecordedRegions,
    region_folders,
)
from energy_demand.sandbox.worlds.world import Place

if TYPE_CHECKING:
    from pathlib import Path

    from energy_demand.sandbox.worlds.world import World


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
