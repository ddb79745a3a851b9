"""Open-Meteo's faults: lists of sites that are not what was asked, and values that are not all there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_demand.sandbox.faults.answers import rewritten
from energy_demand.sandbox.open_meteo.archive import RAIN
from energy_demand.sandbox.open_meteo.runs import HALF_HOURS

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.sandbox.faults.fault import Behaviour, Fault

Site = dict[str, Any]
_FAR_DEGREES = 20.0


def _sites(change: Callable[[list[Any]], list[Any]]) -> Behaviour:
    """A list of sites of Open-Meteo's becomes another one."""
    return rewritten(lambda _fault, body: change(body) if isinstance(body, list) else body)


def _last_elsewhere(sites: list[Any]) -> list[Any]:
    *others, last = sites
    return [*others, last | {"latitude": last["latitude"] + _FAR_DEGREES}]


def _values(change: Callable[[Fault, Site], None]) -> Behaviour:
    """The hourly values of every site are changed in place."""

    def rewrite(fault: Fault, body: Any) -> Any:
        for site in body if isinstance(body, list) else [body]:
            if isinstance(site, dict) and "hourly" in site:
                change(fault, site)
        return body

    return rewritten(rewrite)


def _columns(site: Site) -> list[str]:
    return [name for name in site["hourly"] if name != "time"]


def _is_of(column: str, variable: str) -> bool:
    """Whether a column is of a variable; of several models each column bears its model's name."""
    return column == variable or column.startswith(f"{variable}_")


def _nulled(fault: Fault, site: Site, columns: list[str]) -> None:
    times = site["hourly"]["time"]
    for name in columns:
        site["hourly"][name] = [
            None if fault.covers(time) else value
            for time, value in zip(times, site["hourly"][name], strict=True)
        ]


def _half_run(fault: Fault, site: Site) -> None:
    if fault.has_window:
        _nulled(fault, site, _columns(site))
        return
    for name in _columns(site):
        values = site["hourly"][name]
        site["hourly"][name] = [*values[:HALF_HOURS], *[None] * len(values[HALF_HOURS:])]


def _only(*variables: str) -> Behaviour:
    """All variables but these are null."""

    def change(fault: Fault, site: Site) -> None:
        others = [name for name in _columns(site) if not any(_is_of(name, kept) for kept in variables)]
        _nulled(fault, site, others)

    return _values(change)


def _undefined_variable(fault: Fault, site: Site) -> None:
    for name in _columns(site):
        if _is_of(name, fault.variable):
            site["hourly"][name] = [None] * len(site["hourly"][name])
            site["hourly_units"][name] = "undefined"


def _wrong_units(_fault: Fault, site: Site) -> None:
    for name in _columns(site):
        if site["hourly_units"][name] == "°C":
            site["hourly_units"][name] = "°F"
            site["hourly"][name] = [
                None if value is None else round(value * 9 / 5 + 32, 1) for value in site["hourly"][name]
            ]


KINDS: dict[str, Behaviour] = {
    "sites_reordered": _sites(lambda sites: sites[::-1]),
    "site_missing": _sites(lambda sites: sites[:-1]),
    "site_elsewhere": _sites(_last_elsewhere),
    "half_run": _values(_half_run),
    "temperature_only": _only("temperature_2m"),
    "rain_alone": _only(*RAIN),
    "undefined_variable": _values(_undefined_variable),
    "wrong_units": _values(_wrong_units),
}
