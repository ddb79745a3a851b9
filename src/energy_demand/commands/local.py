"""The command that runs all services on this machine, without Docker."""

from __future__ import annotations

import contextlib
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from energy_demand.commands.options import current_settings
from energy_demand.limits import MLFLOW_PORT, PREFECT_PORT
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_demand.config import Settings
    from energy_demand.local.services import Service


def local(
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow.")] = MLFLOW_PORT,
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect.")] = PREFECT_PORT,
) -> None:
    """Run the API, dashboard, MLflow, Prefect and its worker on this machine until Ctrl-C.

    Example: API_PORT=8080 energy-demand local --mlflow-port 5050

    The settings API_PORT, PROMETHEUS_PORT and DASHBOARD_PORT change the other ports.
    """
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.local.services import local_services  # noqa: PLC0415
    from energy_demand.local.supervision import Supervisor, check_ports  # noqa: PLC0415
    from energy_demand.registry.mlflow_store import MlflowStore  # noqa: PLC0415
    from energy_demand.terminal.console import err  # noqa: PLC0415

    settings = current_settings()
    store = MlflowStore(settings)
    store.prepare()
    services = local_services(
        settings,
        Path(sys.executable).parent,
        store.uri,
        mlflow_port=mlflow_port,
        prefect_port=prefect_port,
    )
    check_ports(services)
    (settings.home / "prefect").mkdir(parents=True, exist_ok=True)
    with Supervisor(services) as supervisor:
        with opened(settings) as database:
            label = database.label
        err.print(f"database: {label}\nmlflow:   {store.label}", soft_wrap=True)
        supervisor.run(lambda: _announce(services, label, settings))
    if settings.database_url is None:
        err.print(
            "stopped; the embedded database still runs (`energy-demand db stop` stops it)", soft_wrap=True
        )


def _announce(services: Sequence[Service], database: str, settings: Settings) -> None:
    import httpx  # noqa: PLC0415

    from energy_demand.local.services import HOST  # noqa: PLC0415
    from energy_demand.terminal.console import out  # noqa: PLC0415

    out.print("\nall services are running; press Ctrl-C to stop them")
    for service in services:
        for what, address in service.pages.items():
            out.print(f"  {what:<10} {address}", soft_wrap=True)
    out.print(
        "  worker     scheduled ingestion, forecast and drift check; retraining on demand", soft_wrap=True
    )
    out.print(f"  database   {database}", soft_wrap=True)
    ready = True
    with contextlib.suppress(httpx.HTTPError):
        answer = httpx.get(f"http://{HOST}:{settings.api_port}/ready", trust_env=False, timeout=10.0)
        ready = answer.is_success
    if not ready:
        out.print("\n".join(_next(settings)), soft_wrap=True)
    out.print()


def _next(settings: Settings) -> Iterator[str]:
    """The next steps while no model serves."""
    yield "no model serves yet; if none was trained, run in another shell:"
    if settings.eia_api_key is None and settings.sandbox_url is None:
        yield "  export EIA_API_KEY=…    free at eia.gov/opendata; `backfill --source bulk` needs no key"
    yesterday = local_day(settings.present(), settings.region.zone) - timedelta(days=1)
    yield f"  energy-demand backfill --start {yesterday.year - 4}-01-01 --end {yesterday}"
    yield "  energy-demand train     the API loads the model within seconds"
