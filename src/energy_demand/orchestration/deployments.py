"""The schedules of the flows, and the process that serves them to a Prefect server.

Prefect's concurrency limits are not used, because a killed run would keep its slot. A job lock in the
database lets one job run at a time instead.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from energy_demand.by_region import by_region
from energy_demand.errors import UserError
from energy_demand.orchestration.flows import (
    ScheduledJob,
    data_ingestion_flow,
    drift_check_flow,
    forecast_flow,
    regions_flow,
    retrain_flow,
)

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.deployments.runner import RunnerDeployment

    from energy_demand.config import Settings

SCHEDULES = {
    ScheduledJob.INGESTION: "20 */6 * * *",  # at 20 past: EIA publishes after the hour
    ScheduledJob.DRIFT_CHECK: "0 0 * * *",
    ScheduledJob.FORECAST: "0,20,40 9 * * *",  # the later ones replace one that lacked inputs at nine
}
FLOWS: dict[ScheduledJob, Flow[..., Any]] = {
    ScheduledJob.INGESTION: data_ingestion_flow,
    ScheduledJob.DRIFT_CHECK: drift_check_flow,
    ScheduledJob.FORECAST: forecast_flow,
}
MOST_AT_ONCE = 4

_log = logging.getLogger(__name__)


class NoServerError(UserError, RuntimeError):
    """No Prefect server is set, so the flows cannot be served."""


def deployments(settings: Settings) -> list[RunnerDeployment]:
    """All flows of each region with schedules in its local time; `retrain` has none, it runs on request.

    The default region's have the names of the flows, the others' their code as well. A region that cannot be
    used has none, and is logged. With DASK_SCHEDULER the scheduled flows of all but the default region are
    one for each time zone, and its runs share their regions among the cluster's workers.
    """
    outcome = by_region(settings, settings.regions, lambda of: of.region.zone.key)
    for code, reason in outcome.failed.items():
        _log.error("no flows of %s are scheduled: %s", code, reason)
    on_dask: dict[str, list[str]] = {}
    found = []
    for code, zone in outcome.done.items():
        default = code == settings.eia_region
        named = None if default else code
        if settings.dask_scheduler is None or default:
            found += [
                _of_region(FLOWS[job], job.value, named, times=times, zone=zone)
                for job, times in SCHEDULES.items()
            ]
        else:
            on_dask.setdefault(zone, []).append(code)
        found.append(_of_region(retrain_flow, "retrain", named))
    for zone, codes in on_dask.items():
        for job, times in SCHEDULES.items():
            name = f"{job.value}-{zone.replace('/', '-')}"
            found.append(
                _deployment(regions_flow, name, {"job": job.value, "regions": codes}, times=times, zone=zone)
            )
    return found


def _of_region(flow: Flow[..., Any], name: str, code: str | None, **schedule: str) -> RunnerDeployment:
    """A flow of one region; None: of the default one."""
    ending, parameters = ("", {}) if code is None else (f"-{code}", {"region": code})
    return _deployment(flow, f"{name}{ending}", parameters, **schedule)


def _deployment(
    flow: Flow[..., Any],
    name: str,
    parameters: dict[str, Any],
    times: str | None = None,
    zone: str | None = None,
) -> RunnerDeployment:
    from prefect.schedules import Cron  # noqa: PLC0415

    schedule = None if times is None else Cron(times, timezone=zone)
    return flow.to_deployment(name, schedule=schedule, parameters=parameters)  # type: ignore[return-value]


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
