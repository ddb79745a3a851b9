"""Commands that run a server, or the whole loop."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from energy_demand.commands import options
from energy_demand.commands.options import Now, load_settings
from energy_demand.errors import UserError


def sandbox(
    data: Annotated[
        Path | None, typer.Option(help="Folder of recorded files; without it the data is synthetic.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; it asks nobody for a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8090,
    now: Annotated[
        datetime | None,
        typer.Option(parser=options.moment, metavar="TIME", help="Its present; serves nothing later."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the synthetic data.")] = 1,
    disturb: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND@START", help="heat-wave or level-step in the synthetic data."),
    ] = None,
    require_key: Annotated[
        str | None, typer.Option(help="The only API key that EIA's routes accept.")
    ] = None,
    archive_delay_days: Annotated[int, typer.Option(min=0, help="How late the weather archive is.")] = 5,
) -> None:
    """Stand in for EIA and Open-Meteo on this machine.

    Example: energy-demand sandbox --data ../shared/data

    Then, in another shell: export SANDBOX_URL=http://127.0.0.1:8090
    """
    from energy_demand.sandbox import errors, recorded, server, synthetic  # noqa: PLC0415

    if data is not None and disturb:
        raise typer.BadParameter("recorded data cannot be disturbed; leave --data or --disturb out")
    try:
        if data is not None:
            world: Any = recorded.RecordedWorld(data)
        else:
            disturbances = [synthetic.Disturbance.parse(text) for text in disturb or ()]
            world = synthetic.SyntheticWorld(seed, disturbances)
        server.run(
            world,
            host=host,
            port=port,
            now=now,
            require_key=require_key,
            archive_delay_days=archive_delay_days,
        )
    except errors.SandboxError as error:
        raise UserError(str(error)) from error


def serve(
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes; as API_WORKERS.")] = None,
    now: Now = None,
) -> None:
    """Serve predictions and forecasts over HTTP until it is told to stop.

    Example: energy-demand serve --workers 2

    Then: curl http://127.0.0.1:8000/forecast?day=tomorrow, or open http://127.0.0.1:8000/docs
    """
    from energy_demand.serving.server import run  # noqa: PLC0415

    given = {"energy_demand_now": now, "api_workers": workers}
    run(load_settings(**{name: value for name, value in given.items() if value is not None}))


def dashboard(now: Now = None) -> None:
    """Show forecasts, model quality, drift, and decisions in a browser until it is told to stop.

    Example: energy-demand dashboard

    Then open http://127.0.0.1:8501
    """
    from dashboard.server import run  # noqa: PLC0415

    run(load_settings(**({} if now is None else {"energy_demand_now": now})))


def demo() -> None:
    """Run the whole loop on synthetic data, with no key, no Docker and no network.

    Example: energy-demand demo
    """
    from energy_demand.demo import run_demo  # noqa: PLC0415

    run_demo()
