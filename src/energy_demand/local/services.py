"""The services of `energy-demand local`: one process each for API, dashboard, MLflow, Prefect and worker.

Only a plan: this module starts nothing and reads neither clock nor environment. All services listen on
127.0.0.1, whatever the settings say. No command line contains a secret, since any account can read it: each
process finds its secrets in its environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from energy_demand.config import HTTP_SCHEMES, TELEMETRY_OFF
from energy_demand.errors import UserError
from energy_demand.registry.home_store import ARTIFACTS_FOLDER, MLFLOW_FOLDER, sqlite_address

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from energy_demand.config import Settings

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Service:
    """A process that runs until it is stopped.

    Attributes:
        name: the prefix of its lines.
        argv: its command line.
        environment: variables that only this service gets.
        cwd: its working directory; None: the current one.
        ours: whether it gets the settings, with their key and passwords.
        ports: its ports, by the setting or option that changes them.
        pages: its addresses for a browser, by title.
        health: the address that answers 200 once it is healthy; None: it has no health check.
        after: the service that must be healthy before it starts, and that ends after it.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path | None = None
    ours: bool = True
    ports: Mapping[str, int] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    health: str | None = None
    after: str | None = None


class SamePortError(UserError, ValueError):
    """Two services have the same port."""


def local_services(
    settings: Settings,
    programs: Path,
    mlflow_store: str,
    *,
    mlflow_port: int,
    prefect_port: int,
) -> tuple[Service, ...]:
    """The services of one machine, in start order.

    MLflow is left out if `MLFLOW_TRACKING_URI` names a running server.

    Args:
        settings: ports, and the home folder.
        programs: the folder of the commands `energy-demand`, `mlflow` and `prefect`.
        mlflow_store: the address of MLflow's store.
        mlflow_port: MLflow's port.
        prefect_port: Prefect's port.

    Raises:
        SamePortError: two services have the same port.
    """
    own_mlflow = not mlflow_store.startswith(HTTP_SCHEMES)
    mlflow = _address(mlflow_port) if own_mlflow else mlflow_store
    # Two processes that create or migrate one store at the same time break each other.
    first = "mlflow" if own_mlflow else None
    command = str(programs / "energy-demand")
    services = [
        Service(
            "api",
            (command, "serve"),
            {"API_HOST": HOST},
            ports={"API_PORT": settings.api_port, "PROMETHEUS_PORT": settings.prometheus_port},
            pages={
                "API": f"{_address(settings.api_port)}/docs",
                "metrics": f"{_address(settings.prometheus_port)}/metrics",
            },
            health=f"{_address(settings.api_port)}/health",
            after=first,
        ),
        Service(
            "dashboard",
            (command, "dashboard"),
            {
                "DASHBOARD_HOST": HOST,
                "API_PUBLIC_URL": _address(settings.api_port),
                "MLFLOW_PUBLIC_URL": mlflow,
            },
            ports={"DASHBOARD_PORT": settings.dashboard_port},
            pages={"dashboard": _address(settings.dashboard_port)},
            health=f"{_address(settings.dashboard_port)}/_stcore/health",
            after=first,
        ),
        _prefect(settings, programs, prefect_port),
        Service(
            "worker",
            (command, "worker"),
            _prefect_environment(settings, prefect_port),
            after="prefect",
        ),
    ]
    if own_mlflow:
        services.insert(0, _mlflow(settings, programs, mlflow_store, mlflow_port))
    _refuse_shared_ports(services)
    return tuple(services)


def _mlflow(settings: Settings, programs: Path, store: str, port: int) -> Service:
    return Service(
        "mlflow",
        (str(programs / "mlflow"), "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        {
            **TELEMETRY_OFF,
            # In the environment, since the store's address may contain a password.
            "MLFLOW_BACKEND_STORE_URI": store,
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": (settings.home / MLFLOW_FOLDER / ARTIFACTS_FOLDER).as_uri(),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        cwd=settings.home,
        ours=False,
        ports={"--mlflow-port": port},
        pages={"MLflow": _address(port)},
        health=f"{_address(port)}/health",
    )


def _prefect(settings: Settings, programs: Path, port: int) -> Service:
    return Service(
        "prefect",
        (str(programs / "prefect"), "server", "start"),
        # The port is set in the environment: with an option, Prefect's pages would call the default port.
        {
            **_prefect_environment(settings, port),
            "PREFECT_SERVER_API_HOST": HOST,
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": sqlite_address(
                settings.home / "prefect" / "prefect.db", "sqlite+aiosqlite"
            ),
        },
        cwd=settings.home,  # Prefect reads a `.env` in its working directory
        ours=False,
        ports={"--prefect-port": port},
        pages={"Prefect": _address(port)},
        health=f"{_address(port)}/api/health",
    )


def _prefect_environment(settings: Settings, port: int) -> dict[str, str]:
    return {
        **TELEMETRY_OFF,
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_API_URL": f"{_address(port)}/api",
    }


def _refuse_shared_ports(services: list[Service]) -> None:
    given: dict[int, str] = {}
    for service in services:
        for name, port in service.ports.items():
            if port in given:
                raise SamePortError(f"{given[port]} and {name} are both {port}; change one of them")
            given[port] = name


def _address(port: int) -> str:
    return f"http://{HOST}:{port}"
