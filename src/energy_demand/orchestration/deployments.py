"""The schedules of the flows, and the process that serves them to a Prefect server.

Prefect's concurrency limits are not used, because a killed run would keep its slot. A job lock in the
database lets one job run at a time instead.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from energy_demand.by_region import by_region
from energy_demand.errors import UserError
from energy_demand.orchestration.flows import (
    data_ingestion_flow,
    drift_check_flow,
    forecast_flow,
    retrain_flow,
)

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

    from energy_demand.config import Settings

SCHEDULES = {
    "data-ingestion": "20 */6 * * *",  # at 20 past: EIA publishes after the hour
    "drift-check": "0 0 * * *",
    "forecast": "0,20,40 9 * * *",  # the later ones replace a forecast that lacked weather or demand at nine
}
MOST_AT_ONCE = 4

_log = logging.getLogger(__name__)


class NoServerError(UserError, RuntimeError):
    """No Prefect server is set, so the flows cannot be served."""


def deployments(settings: Settings) -> list[RunnerDeployment]:
    """All flows of each region with schedules in its local time; `retrain` has none, it runs on request.

    The default region's have the names of the flows, the others' their code as well. A region that cannot be
    used has none, and is logged.
    """
    outcome = by_region(settings, settings.regions, lambda of: _of_region(of, settings.eia_region))
    for code, reason in outcome.failed.items():
        _log.error("no flows of %s are scheduled: %s", code, reason)
    return [each for found in outcome.done.values() for each in found]


def _of_region(settings: Settings, default: str) -> list[RunnerDeployment]:
    from prefect.schedules import Cron  # noqa: PLC0415

    zone, code = settings.region.zone.key, settings.eia_region
    ending, parameters = ("", {}) if code == default else (f"-{code}", {"region": code})
    scheduled: list[RunnerDeployment] = [
        each.to_deployment(  # type: ignore[misc]
            f"{name}{ending}", schedule=Cron(SCHEDULES[name], timezone=zone), parameters=parameters
        )
        for name, each in (
            ("data-ingestion", data_ingestion_flow),
            ("drift-check", drift_check_flow),
            ("forecast", forecast_flow),
        )
    ]
    on_request = retrain_flow.to_deployment(f"retrain{ending}", parameters=parameters)
    return [*scheduled, on_request]  # type: ignore[list-item]


def serve_deployments(settings: Settings) -> None:
    """Serve all flows of all regions until the process is stopped.

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
    serve(*deployments(settings), limit=MOST_AT_ONCE, pause_on_shutdown=False)
