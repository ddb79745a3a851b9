"""The catalogue of regions, `regions.toml`, and a file of one's own in the same form.

Nothing is read before a region is asked for, and the catalogue is read once. A region of one's own replaces
the catalogue's with the same code.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import re
import tomllib
from collections import Counter
from datetime import date  # noqa: TC003  (pydantic reads it)
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from energy_demand.errors import RegionError
from energy_demand.region import Region, Site, existing_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CODE = r"^[A-Z0-9]+$"
CATALOGUE = Path(__file__).with_name("regions.toml")
UNITED_STATES = "US"
# The contiguous United States, degrees: the Florida Keys to Minnesota's angle, Cape Flattery to Maine.
LATITUDES, LONGITUDES = (24.4, 49.4), (-124.8, -66.9)
# Weights are written with two digits.
ROUNDING = 0.005
NEAR_CODES = 3


def has_holidays(country: str) -> bool:
    """Whether there is a holiday calendar of the country, given as two letters."""
    if country == UNITED_STATES:
        return True
    import holidays  # noqa: PLC0415  (slow to import, and seldom needed)

    return country in holidays.list_supported_countries()


def _country(code: str) -> str:
    if not has_holidays(code):
        raise ValueError(f"no holiday calendar of {code!r}; write two letters, like US")
    return code


class Entry(BaseModel):
    """A region of the catalogue; `regions.toml` describes its fields.

    Invariants: the zone and the holiday calendar exist; the sites' names differ, their weights sum to one
    within rounding, and sites of the United States are in the contiguous states.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=CODE)
    name: str = Field(min_length=1)
    kind: Literal["authority", "region"] = "authority"
    zone: Annotated[str, AfterValidator(existing_zone)]
    country: Annotated[str, AfterValidator(_country)] = UNITED_STATES
    members: tuple[str, ...] = ()
    files_name: str | None = None
    retired: date | None = None
    note: str | None = None
    sites: tuple[Site, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sites_fit(self) -> Entry:
        twice = [name for name, count in Counter(site.name for site in self.sites).items() if count > 1]
        if twice:
            raise ValueError(f"sites: {twice[0]} is there twice; give each site a name of its own")
        total = math.fsum(site.weight for site in self.sites)
        if abs(total - 1) > ROUNDING * len(self.sites) + 1e-9:
            raise ValueError(f"sites: the weights sum to {total:.3f}, not to one")
        if self.country == UNITED_STATES:
            for number, site in enumerate(self.sites):
                self._check_place(number, site)
        return self

    def _check_place(self, number: int, site: Site) -> None:
        for what, value, (low, high) in (
            ("latitude", site.latitude, LATITUDES),
            ("longitude", site.longitude, LONGITUDES),
        ):
            if not low <= value <= high:
                raise ValueError(
                    f"sites[{number}].{what}: {site.name} at {value} is outside the contiguous United States "
                    f"({low} to {high}); set `country` if the region is elsewhere"
                )

    @property
    def region(self) -> Region:
        """What the features need to know of it."""
        return Region(self.code, ZoneInfo(self.zone), self.country, self.sites)


def entries(own: Path | None = None) -> dict[str, Entry]:
    """All regions by code, in alphabetical order; those of the file `own` replace the catalogue's.

    Raises:
        RegionError: the file cannot be used; the message names file, entry and field.
    """
    known = {**_catalogue(), **({} if own is None else read_regions(own))}
    return dict(sorted(known.items()))


def find(code: str, own: Path | None = None) -> Entry | None:
    """The region with this code, from the file `own` if it is there, or None.

    Raises:
        RegionError: the file cannot be read, or the region's entry in it has a fault.
    """
    mine = {} if own is None else _read(own)
    entry = mine.get(code) or _catalogue().get(code)
    if isinstance(entry, RegionError):
        raise entry
    return entry


def region_of(code: str, own: Path | None = None) -> Region:
    """The region with this code.

    Raises:
        RegionError: there is none, with the nearest codes, or the file `own` cannot be used.
    """
    entry = find(code, own)
    if entry is None:
        raise unknown_region(code, own)
    return entry.region


def further_region(code: str, own: Path | None = None) -> Region:
    """As `region_of`, for a region that is not the default one, so that settings cannot describe it.

    Raises:
        RegionError: likewise.
    """
    entry = find(code, own)
    if entry is None:
        raise _unknown("EIA_REGIONS", code, own, "describe another one in REGIONS_FILE")
    return entry.region


def active(own: Path | None = None) -> list[str]:
    """The codes of all regions that are not retired, also of those whose entry in `own` has a fault.

    Raises:
        RegionError: the file cannot be read.
    """
    known: dict[str, Entry | RegionError] = {**_catalogue(), **({} if own is None else _read(own))}
    return sorted(
        code for code, entry in known.items() if isinstance(entry, RegionError) or entry.retired is None
    )


def check_shared_sites(region: Region, default: Region, before: Iterable[str], own: Path | None) -> None:
    """Refuse a region with a site that another one has under the same name at another place.

    Weather is stored by the name of its site.

    Args:
        region: the one to check.
        default: the default region, whose sites may be set.
        before: codes of more regions; one that cannot be used has no sites.
        own: a file of one's own.

    Raises:
        RegionError: naming both regions.
    """
    taken = {site.name: (default.respondent, site) for site in default.sites}
    for code in before:
        with contextlib.suppress(RegionError):
            taken = {site.name: (code, site) for site in region_of(code, own).sites} | taken
    for site in region.sites:
        other, there = taken.get(site.name, ("", site))
        if (site.latitude, site.longitude) != (there.latitude, there.longitude):
            raise RegionError(
                f"{region.respondent} and {other} both have a site {site.name}, at {site.latitude}, "
                f"{site.longitude} and at {there.latitude}, {there.longitude}; weather is stored by the name "
                "of its site, so give one of them another name"
            )


def unknown_region(code: str, own: Path | None = None) -> RegionError:
    """The error for an EIA_REGION that is nowhere, with the nearest codes."""
    return _unknown(
        "EIA_REGION",
        code,
        own,
        "describe another one in REGIONS_FILE, or set WEATHER_TZ, WEATHER_SITE, WEATHER_LAT, WEATHER_LON and "
        "WEATHER_FURTHER_SITES",
    )


def _unknown(setting: str, code: str, own: Path | None, remedy: str) -> RegionError:
    known = _catalogue().keys() | (set() if own is None else _read(own).keys())
    near = difflib.get_close_matches(code, sorted(known), n=NEAR_CODES, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return RegionError(
        f"{setting}: {code} is not in the catalogue of regions{hint} `energy-demand regions` lists them; "
        f"{remedy}"
    )


@cache
def _catalogue() -> Mapping[str, Entry]:
    return read_regions(CATALOGUE)


def read_regions(file: Path) -> dict[str, Entry]:
    """The regions in a file, by code.

    Raises:
        RegionError: it cannot be read, or an entry has a fault.
    """
    found: dict[str, Entry] = {}
    for code, entry in _read(file).items():
        if isinstance(entry, RegionError):
            raise entry
        found[code] = entry
    return found


def _read(file: Path) -> dict[str, Entry | RegionError]:
    """The regions in a file by code, or the fault of one: it must not keep the others from being used.

    Raises:
        RegionError: the file cannot be read, or has an entry without a usable code.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RegionError(f"{file}: cannot be read: {error.strerror}; check REGIONS_FILE") from None
    except UnicodeDecodeError:
        raise RegionError(f"{file}: not UTF-8; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise RegionError(f"{file}: not TOML: {error}") from None
    listed = content.pop("region", None)
    if content:
        raise RegionError(f"{file}: {next(iter(content))}: unknown; each entry starts with [[region]]")
    if not isinstance(listed, list) or not listed:
        raise RegionError(f"{file}: no entry; each starts with [[region]]")
    found: dict[str, Entry | RegionError] = {}
    for number, fields in enumerate(listed, start=1):
        code = fields.get("code") if isinstance(fields, dict) else None
        try:
            entry: Entry | RegionError = _entry(file, number, fields)
        except RegionError as error:
            if not isinstance(code, str) or not re.match(CODE, code):
                raise
            entry = error
        if code in found:
            entry = RegionError(f"{file}, entry {code}: code: there are two entries with it; remove one")
        found[str(code)] = entry
    return found


def _entry(file: Path, number: int, fields: object) -> Entry:
    try:
        return Entry.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        code = fields.get("code") if isinstance(fields, dict) else None
        field = _field(problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        raise RegionError(
            f"{file}, entry {code or number}: {field + ': ' if field else ''}{message}"
        ) from None


def _field(location: tuple[int | str, ...]) -> str:
    """Like `sites[1].weight`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")
