"""Looks at this machine: Python, libraries, time zones, disk, memory, ports, proxies, settings. Only reads.

Imports nothing of the project that could fail where something of this machine is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from energy_demand.doctor.checks import Area, Check, Finding, failure, not_checked, ok, warning
from energy_demand.errors import RegionError, UserError
from energy_demand.limits import MLFLOW_PORT, PREFECT_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.config import Settings

PYTHONS = ((3, 11), (3, 13))
GB = 1e9
# A training on five years of hours, and MLflow's files of some versions.
DISK_FAILURE, DISK_WARNING = 0.2 * GB, 2 * GB
MEMORY_FAILURE, MEMORY_WARNING = 0.5 * GB, 2 * GB
PORT_SECONDS = 2.0
LIBRARY_SECONDS = 60.0
HOST = "127.0.0.1"
SOCKS_REMEDY = "Install it: `.venv/bin/uv pip install 'httpx[socks]'`, or use an http:// proxy"
LIBGOMP = "Install it: `sudo apt-get install libgomp1` (Debian, Ubuntu), `sudo dnf install libgomp` (Fedora)"
LIBOMP = "Install it: `brew install libomp`"


def checks(settings: Settings | None, refused: Finding | None) -> list[Check]:
    """The checks of this machine; without settings, those that need none."""
    proxies = urllib.request.getproxies()
    found: dict[str, Callable[[], list[Finding]]] = {
        "python": _python,
        "LightGBM": _lightgbm,
        "time zones": partial(_zones, settings),
        "memory": _memory,
        "proxies": partial(_proxies, proxies),
        "temporary folder": _temporary,
        "settings": partial(_settings, settings, refused),
    }
    if settings is not None:
        found[".env"] = _env_file
        found["home"] = partial(_home, settings)
        found["present"] = partial(_present, settings)
        for port in ports(settings):
            found[f"port {port.number}"] = partial(_port, port)
    return [
        Check(Area.MACHINE, name, run, LIBRARY_SECONDS if name == "LightGBM" else 20.0)
        for name, run in found.items()
    ]


def _python() -> list[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    expected = "Python 3.11 to 3.13"
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return [ok("python", found, expected)]
    return [
        failure("python", found, expected, "Set up again with another one: `make setup PYTHON=python3.11`")
    ]


def _lightgbm() -> list[Finding]:
    expected = "LightGBM can be loaded, with libgomp (macOS: libomp)"
    try:
        from energy_demand.boosting import lgb  # noqa: PLC0415  (this import is the check)
    except (OSError, UserError) as error:
        remedy = LIBOMP if sys.platform == "darwin" else LIBGOMP
        return [failure("LightGBM", str(error), expected, remedy)]
    except ImportError as error:
        return [failure("LightGBM", str(error), expected, "Install the package again: `make setup`")]
    return [ok("LightGBM", f"{lgb.__version__}, its libraries are there", expected)]


def _zones(settings: Settings | None) -> list[Finding]:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415

    name = "America/New_York" if settings is None else settings.weather_tz
    try:
        offset = datetime(2025, 7, 1, tzinfo=ZoneInfo(name)).utcoffset()
    except ZoneInfoNotFoundError:
        remedy = "Install it: `sudo apt-get install tzdata`, or `.venv/bin/uv pip install tzdata`"
        return [failure("time zones", f"{name} is unknown", "time zone data", remedy)]
    hours = 0.0 if offset is None else offset.total_seconds() / 3600
    return [ok("time zones", f"{name} is there ({hours:+g} h in July)")]


def _memory() -> list[Finding]:
    name, available = "memory", available_memory()
    if available is None:
        return [not_checked(name, "this system does not say how much is free")]
    found = f"{available / GB:.1f} GB free"
    expected = f"{MEMORY_WARNING / GB:g} GB for a training"
    remedy = "End other programs, or give the machine or container more memory"
    if available >= MEMORY_WARNING:
        return [ok(name, found, expected)]
    return [(failure if available < MEMORY_FAILURE else warning)(name, found, expected, remedy)]


def available_memory() -> float | None:
    """Bytes that this process may still use: the machine's, or a container's limit where that is less."""
    free: list[float] = []
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        if "MemAvailable" in lines:
            free.append(1024 * float(lines["MemAvailable"].split()[0]))
    control = Path("/sys/fs/cgroup")
    limit, used = control / "memory.max", control / "memory.current"
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        free.append(float(text) - float(used.read_text()))
    if not free and "SC_PHYS_PAGES" in os.sysconf_names:  # macOS tells only what is built in
        free.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    return min(free, default=None)


def _temporary() -> list[Finding]:
    name = "temporary folder"
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        return [
            failure(name, str(error), "a folder to write to", "Set TMPDIR to a folder that you may write")
        ]
    return [room(name, Path(folder), "Free some room there, or set TMPDIR to another folder")]


def _home(settings: Settings) -> list[Finding]:
    name, home = "home", settings.home
    there = existing(home)
    remedy = "Set ENERGY_DEMAND_HOME to a folder of yours, or run as the account that owns this one"
    if not os.access(there, os.W_OK | os.X_OK):
        return [failure(name, f"{there} cannot be written", "a folder that can be written", remedy)]
    if not there.is_dir():
        return [
            failure(
                name, f"{there} is not a folder", "a folder", "Move the file away, or set ENERGY_DEMAND_HOME"
            )
        ]
    new = "" if home.exists() else " (not there yet; the first command makes it)"
    return [
        room(name, there, "Free some disk room, or set ENERGY_DEMAND_HOME to another disk", str(home) + new)
    ]


def existing(path: Path) -> Path:
    """The nearest folder above (or at) a path that is there."""
    return next(each for each in (path, *path.parents) if each.exists())


def room(name: str, folder: Path, remedy: str, shown: str | None = None) -> Finding:
    """The room on the disk of a folder that is there."""
    free = shutil.disk_usage(folder).free
    found = f"{shown or folder}, {free / GB:.1f} GB free"
    expected = f"{DISK_WARNING / GB:g} GB"
    if free >= DISK_WARNING:
        return ok(name, found, expected)
    return (failure if free < DISK_FAILURE else warning)(name, found, expected, remedy)


def _proxies(proxies: dict[str, str]) -> list[Finding]:
    name = "proxies"
    ways = {scheme: address for scheme, address in proxies.items() if scheme != "no"}
    if not ways:
        return [ok(name, "none is set")]
    found = ", ".join(f"{scheme}: {address}" for scheme, address in sorted(ways.items()))
    exempt = urllib.request.proxy_bypass(HOST) and urllib.request.proxy_bypass("localhost")
    lines = []
    if exempt:
        lines.append(ok(name, f"{found}; this machine itself is exempt"))
    else:
        remedy = "Exempt it: `export NO_PROXY=127.0.0.1,localhost,::1`"
        lines.append(
            warning(name, f"{found}; this machine itself is not exempt", "loopback is exempt", remedy)
        )
    socks = any(address.lower().startswith("socks") for address in ways.values())
    if socks and not _installed("socksio"):
        lines.append(failure("SOCKS proxy", "the package socksio is not there", "socksio", SOCKS_REMEDY))
    return lines


def _installed(package: str) -> bool:
    import importlib.util  # noqa: PLC0415

    return importlib.util.find_spec(package) is not None


def _settings(settings: Settings | None, refused: Finding | None) -> list[Finding]:
    if settings is None:
        return [refused or not_checked("settings", "could not be read")]
    given = sorted(name.upper() for name in given_settings(settings))
    return [ok("settings", f"set: {', '.join(given)}" if given else "none is set; the defaults hold")]


def _env_file() -> list[Finding]:
    from dotenv import dotenv_values  # noqa: PLC0415

    from energy_demand.config import project_root  # noqa: PLC0415

    name, file = ".env", (project_root() or Path.cwd()) / ".env"
    if not file.is_file():
        return [ok(name, f"{file} is not there; it is not needed")]
    given = {key for key, value in dotenv_values(file).items() if value}
    found = f"{file} sets {len(given)} names"
    secret = sorted(key for key in given if key.upper().endswith(("KEY", "PASSWORD", "DATABASE_URL")))
    if secret and file.stat().st_mode & 0o077:
        remedy = f"Close it: `chmod 600 {file}`"
        return [
            warning(name, f"{found}, and other accounts may read {', '.join(secret)}", "mode 600", remedy)
        ]
    return [ok(name, found)]


def given_settings(settings: Settings) -> set[str]:
    """Names of settings that the environment or `.env` sets; not those that follow from others.

    SANDBOX_URL implies the upstreams' addresses, EIA_REGION and REGIONS_FILE the region's zone and sites.
    """
    from energy_demand.config import PUBLIC_URLS, Settings, settings_of  # noqa: PLC0415

    names = set(settings.model_fields_set)
    origins = {
        name: getattr(settings, name) for name in names & {"sandbox_url", "eia_region", "regions_file"}
    }
    try:
        implied = settings_of(**origins)
    except RegionError:  # it is in no catalogue, and its zone and sites are set
        implied = settings_of(sandbox_url=settings.sandbox_url)
    same = {
        name
        for name in implied.model_fields_set & names
        if name not in origins and getattr(settings, name) == getattr(implied, name)
    }
    if settings.sandbox_url is None:
        return names - same
    # With a key of a paid plan the sandbox's addresses are others, and follow from it too.
    derived = {name for name in PUBLIC_URLS if str(getattr(settings, name)).startswith(settings.sandbox_url)}
    return (names - same - derived) & set(Settings.model_fields)


def _present(settings: Settings) -> list[Finding]:
    name, fixed = "present", settings.energy_demand_now
    if fixed is None:
        return [ok(name, f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}, from this machine's clock")]
    found = f"fixed to {fixed:%Y-%m-%dT%H:%MZ} by ENERGY_DEMAND_NOW"
    if settings.sandbox_url is not None:
        return [ok(name, found)]
    remedy = "Take ENERGY_DEMAND_NOW out of the environment and .env; it is for records and sandboxes"
    return [warning(name, found, "the clock, for live data", remedy)]


@dataclass(frozen=True)
class Port:
    """A port that a service of ours uses, and how to know the service."""

    number: int
    service: str
    setting: str
    path: str
    mark: Callable[[str], bool]


def ports(settings: Settings) -> tuple[Port, ...]:
    """The ports of `energy-demand local`."""
    return (
        Port(
            settings.api_port, "API", "API_PORT", "/health", lambda text: _json(text, "status") == "healthy"
        ),
        Port(
            settings.prometheus_port,
            "metrics",
            "PROMETHEUS_PORT",
            "/metrics",
            lambda text: "# HELP" in text and "prediction" in text,
        ),
        Port(
            settings.dashboard_port,
            "dashboard",
            "DASHBOARD_PORT",
            "/_stcore/health",
            lambda text: text.strip() == "ok",
        ),
        Port(MLFLOW_PORT, "MLflow", "local --mlflow-port", "/health", lambda text: text.strip() == "OK"),
        Port(
            PREFECT_PORT,
            "Prefect",
            "local --prefect-port",
            "/api/health",
            lambda text: text.strip() == "true",
        ),
    )


def _port(port: Port) -> list[Finding]:
    name = f"port {port.number}"
    try:
        with socket.create_connection((HOST, port.number), timeout=PORT_SECONDS):
            pass
    except ConnectionRefusedError:
        return [ok(name, f"free for {port.service}")]
    except OSError as error:
        return [
            warning(
                name, f"{error}", "free, or ours", f"Look at what holds it: `ss -ltnp | grep {port.number}`"
            )
        ]
    text = fetched(port.number, port.path)
    if text is not None and port.mark(text):
        return [ok(name, f"{port.service} listens there")]
    remedy = f"Free the port, or choose another with {port.setting}"
    return [warning(name, f"something else than {port.service} listens there", "free, or ours", remedy)]


def fetched(port: int, path: str, seconds: float = PORT_SECONDS) -> str | None:
    """The text of a page on this machine, whatever its status; None without an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}{path}", timeout=seconds) as answer:
            return str(answer.read(1 << 20).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        with error:
            return error.read(1 << 20).decode("utf-8", "replace")
    except (OSError, ValueError):  # nothing, or nothing that speaks HTTP
        return None


def _json(text: str, name: str) -> object:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found.get(name) if isinstance(found, dict) else None
