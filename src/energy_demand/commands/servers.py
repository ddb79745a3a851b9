"""Commands that run a server, or the whole loop as a demo."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from energy_demand.commands import options
from energy_demand.commands.options import Now, current_settings
from energy_demand.errors import UserError


def sandbox(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of recorded files: New York's, or of regions; default: synthetic data."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; anyone who reaches it may call.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8090,
    now: Annotated[
        datetime | None,
        typer.Option(
            parser=options.moment, metavar="TIME", help="The sandbox's present; it serves no later data."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic data.")] = 1,
    disturb: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND@START", help="Add a heat-wave or level-step to the synthetic data."),
    ] = None,
    require_key: Annotated[
        str | None, typer.Option(help="Make EIA's routes accept only this API key.")
    ] = None,
    archive_delay_days: Annotated[
        int, typer.Option(min=0, help="Days by which the weather archive lags.")
    ] = 5,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Do what the real ones do on bad days too: limits, gaps, revisions."),
    ] = False,
) -> None:
    """Simulate the EIA and Open-Meteo APIs on this machine.

    Example: energy-demand sandbox --data ../shared/data

    Then, in another shell: export SANDBOX_URL=http://127.0.0.1:8090
    """
    from energy_demand.recorded_data import recorded_world, synthetic_areas  # noqa: PLC0415
    from energy_demand.sandbox import errors, server, strictness  # noqa: PLC0415
    from energy_demand.sandbox.worlds import synthetic  # noqa: PLC0415

    if data is not None and disturb:
        raise typer.BadParameter("--disturb changes synthetic data only; leave out --data or --disturb")
    try:
        if data is not None:
            world: Any = recorded_world(data)
        else:
            disturbances = [synthetic.Disturbance.parse(text) for text in disturb or ()]
            world = synthetic.SyntheticWorld(seed, disturbances, areas=synthetic_areas())
        server.run(
            world,
            host=host,
            port=port,
            now=now,
            require_key=require_key,
            archive_delay_days=archive_delay_days,
            strict=strictness.Strictness() if strict else None,
        )
    except errors.SandboxError as error:
        raise UserError(str(error)) from error


def serve(
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Number of processes; same as API_WORKERS.")
    ] = None,
    now: Now = None,
) -> None:
    """Serve predictions and forecasts over HTTP until Ctrl-C.

    Example: energy-demand serve --workers 2

    Then: curl http://127.0.0.1:8000/forecast?day=tomorrow, or open http://127.0.0.1:8000/docs
    """
    from energy_demand.serving.server import run  # noqa: PLC0415

    given = {"energy_demand_now": now, "api_workers": workers}
    run(current_settings(**{name: value for name, value in given.items() if value is not None}))


def dashboard(now: Now = None) -> None:
    """Serve the dashboard (forecasts, model quality, drift, decisions) until Ctrl-C.

    Example: energy-demand dashboard

    Then open http://127.0.0.1:8501
    """
    from dashboard.server import run  # noqa: PLC0415

    run(current_settings(**({} if now is None else {"energy_demand_now": now})))


def mcp(now: Now = None) -> None:
    """Serve forecasts, scores and status to an assistant, by the Model Context Protocol on stdin and stdout.

    Example: claude mcp add energy-demand -- energy-demand mcp
    """
    try:
        from energy_demand.mcp_server import run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"mcp", "mcp_types"}:
            raise
        raise UserError(
            "the Model Context Protocol is not installed; nothing was started. Install the extra `mcp`: "
            "pip install 'energy-demand[mcp]'"
        ) from None
    run(current_settings(**({} if now is None else {"energy_demand_now": now})))


def demo() -> None:
    """Run the whole loop on synthetic data: no key, no Docker, no network.

    Example: energy-demand demo
    """
    from energy_demand.demo import run_demo  # noqa: PLC0415

    run_demo()
