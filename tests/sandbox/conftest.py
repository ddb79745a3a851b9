"""Sandboxes to ask over real HTTP: synthetic, a small record made here, and the shared record."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pandas as pd
import pytest

from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.recorded import RecordedWorld
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

SHARED_DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SYNTHETIC_NOW = datetime(2025, 3, 20, 14, 30, tzinfo=UTC)


class _InProcess(httpx.BaseTransport):
    """Hands a request to an application without a socket; the address of the caller is 127.0.0.1."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            answer = await self._app.handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(ask())


@pytest.fixture(scope="session")
def in_process() -> Callable[[ASGIApp], httpx.Client]:
    """Makes a client of an application that needs no server."""
    return lambda app: httpx.Client(transport=_InProcess(app), base_url="http://sandbox")


@pytest.fixture(scope="session")
def synthetic_world() -> SyntheticWorld:
    return SyntheticWorld(seed=1)


@pytest.fixture(scope="session")
def synthetic(synthetic_world: SyntheticWorld, processes) -> Iterator[httpx.Client]:
    with (
        serving(create_app(synthetic_world, now=SYNTHETIC_NOW)) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def small_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten days of March 2024 with a zero, a missing hour, and forecasts of New York City only."""
    folder = tmp_path_factory.mktemp("record")
    hours = pd.date_range("2024-03-01T00:00", periods=241, freq="h", tz="UTC")
    demand = 15_000.0 + np.arange(len(hours))
    demand[5], demand[7] = 0.0, np.nan
    forecast = np.where(np.arange(len(hours)) < 100, demand - 300.0, np.nan)
    hourly = pd.DataFrame({"period": hours, "demand_mwh": demand, "day_ahead_forecast_mwh": forecast})
    hourly.drop(index=9).to_parquet(folder / "ny_demand_hourly.parquet")

    days = pd.date_range("2024-03-01", periods=9).strftime("%Y-%m-%d")
    daily = pd.DataFrame({"date_eastern": days, "demand_mwh": 360_000.0, "day_ahead_forecast_mwh": 350_000.0})
    daily = daily.assign(net_generation_mwh=300_000.0, total_interchange_mwh=-60_000.0)
    daily.to_csv(folder / "ny_demand_daily_eastern.csv", index=False)

    count = np.arange(len(hours), dtype=np.float32)
    sites = [
        pd.DataFrame(
            {"site": site, "time": hours, "temperature_2m": base + count / 10, "cloud_cover": np.nan}
        )
        for site, base in (("new_york_city", 0.0), ("albany", -50.0))
    ]
    pd.concat(sites).to_parquet(folder / "ny_weather_observed_hourly.parquet")

    issues = pd.to_datetime(["2024-03-05T05:00Z", "2024-03-05T11:00Z", "2024-03-05T23:00Z"])
    runs = []
    for number, issued_at in enumerate(issues):
        times = pd.date_range(issued_at.normalize(), periods=48, freq="h")
        run = pd.DataFrame({"issued_at": issued_at, "time": times, "temperature_2m": 100.0 * (number + 1)})
        runs.append(run.assign(rain=0.5, showers=0.25, snowfall=0.7))
    pd.concat(runs).to_parquet(folder / "nyc_weather_forecasts_as_issued.parquet")
    return folder


@pytest.fixture(scope="session")
def recorded(small_record: Path, processes) -> Iterator[httpx.Client]:
    """The small record, seen on 2024-03-06 at 04:30 UTC."""
    app = create_app(
        RecordedWorld(small_record), now=datetime(2024, 3, 6, 4, 30, tzinfo=UTC), archive_delay_days=2
    )
    with serving(app) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="session")
def shared(processes) -> Iterator[httpx.Client]:
    """The shared record at its end."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the recorded data in ../shared/data is absent")
    with (
        serving(create_app(RecordedWorld(SHARED_DATA), now=None)) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client
