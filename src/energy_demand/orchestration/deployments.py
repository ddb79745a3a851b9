"""The schedules of the flows, and the process that serves them to a Prefect server.

Prefect's concurrency limits are not used, because a killed run would keep its slot. A job lock in the
database lets one job run at a time instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy_demand.errors import UserError
from energy_demand.orchestration.flows import (
    data_ingestion_flow,
    drift_check_flow,
    forecast_flow,
    retrain_flow,
)

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

SCHEDULES = {
    "data-ingestion": "20 */6 * * *",  # at 20 past: EIA publishes after the hour
    "drift-check": "0 0 * * *",
    "forecast": "0,20,40 9 * * *",  # the later ones replace a forecast that lacked weather or demand at nine
}
MOST_AT_ONCE = 4


class NoServerError(UserError, RuntimeError):
    """No Prefect server is set, so the flows cannot be served."""


def deployments(zone: str) -> list[RunnerDeployment]:
    """All flows with their schedules in local time; `retrain` has none and runs on request."""
    from prefect.schedules import Cron  # noqa: PLC0415

    scheduled: list[RunnerDeployment] = [
        each.to_deployment(name, schedule=Cron(SCHEDULES[name], timezone=zone))  # type: ignore[misc]
        for name, each in (
            ("data-ingestion", data_ingestion_flow),
            ("drift-check", drift_check_flow),
            ("forecast", forecast_flow),
        )
    ]
    on_request = retrain_flow.to_deployment("retrain")
    return [*scheduled, on_request]  # type: ignore[list-item]


def serve_deployments(zone: str) -> None:
    """Serve all flows until the process is stopped.

    Raises:
        NoServerError: no server is set.
    """
    from prefect import serve  # noqa: PLC0415
    from prefect.settings import get_current_settings  # noqa: PLC0415

    if get_current_settings().api.url is None:
        raise NoServerError(
            "PREFECT_API_URL is not set; run `prefect server start` and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api. Without Prefect, run `energy-demand ingest`, `drift` "
            "and `forecast --scheduled` by cron"
        )
    serve(*deployments(zone), limit=MOST_AT_ONCE, pause_on_shutdown=False)
