"""When the flows run: the schedules, and the process that serves them all to a Prefect server.

No concurrency limits of Prefect's: a run that is killed would keep its slot. Jobs take turns by a lock of
the database instead.
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
    "data-ingestion": "20 */6 * * *",  # twenty past: EIA publishes after the hour
    "drift-check": "0 0 * * *",
    "forecast": "0 9 * * *",
}
MOST_AT_ONCE = 4


class NoServerError(UserError, RuntimeError):
    """No Prefect server is set, so there is nobody to serve flows to."""


def deployments(zone: str) -> list[RunnerDeployment]:
    """All flows with their schedules in local time; `retrain` runs when asked."""
    from prefect.schedules import Cron  # noqa: PLC0415

    made: list[RunnerDeployment] = [
        each.to_deployment(name, schedule=Cron(SCHEDULES[name], timezone=zone))  # type: ignore[misc]
        for name, each in (
            ("data-ingestion", data_ingestion_flow),
            ("drift-check", drift_check_flow),
            ("forecast", forecast_flow),
        )
    ]
    made.append(retrain_flow.to_deployment("retrain"))  # type: ignore[arg-type]
    return made


def serve_deployments(zone: str) -> None:
    """Serve all flows until the process is told to stop.

    Raises:
        NoServerError: no server is set.
    """
    from prefect import serve  # noqa: PLC0415
    from prefect.settings import get_current_settings  # noqa: PLC0415

    if get_current_settings().api.url is None:
        raise NoServerError(
            "no Prefect server is set; run `prefect server start` and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api. Without one, run `energy-demand ingest`, `drift` and "
            "`forecast --scheduled` by cron"
        )
    serve(*deployments(zone), limit=MOST_AT_ONCE, pause_on_shutdown=False)
