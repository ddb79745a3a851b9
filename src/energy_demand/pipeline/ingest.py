"""Stage `ingest`: what both upstreams serve → Parquet files in `data/raw`, checked by the data contract.

With `data.source: sandbox` a synthetic one is started for the stage, over real HTTP. Neither clock nor
environment gets into a file: of history it is asked what was published, and of weather forecasts when they
were issued.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.config import Settings, load_settings, settings_of
from energy_demand.data.eia_client import DEMAND, SERIES, EIAClient, names_on_record
from energy_demand.data.quality import check_daily, check_demand, check_weather
from energy_demand.data.weather_client import WeatherClient, with_values
from energy_demand.errors import UserError
from energy_demand.pipeline import files
from energy_demand.region import NEW_YORK
from energy_demand.region_catalogue import find
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.timeaxis import day_ahead_issue, days_periods, local_midnight

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from energy_demand.pipeline.params import Data

# The present of the sandbox that is started: its archive of weather, five days late, has all of the data.
SANDBOX_LATER = timedelta(days=7)


class IngestError(UserError, RuntimeError):
    """The upstreams do not have what the parameters ask for; nothing was written."""


def run(data: Data) -> str:
    """Ingest what the parameters say; returns what was done, in a line.

    Raises:
        UserError: an upstream failed, lacks some of the days, or needs a key.
    """
    with _upstreams(data) as settings:
        region = settings.region
        periods = days_periods(data.start, data.end, region.zone)
        first, last = periods[0].to_pydatetime(), periods[-1].to_pydatetime()
        with EIAClient(settings) as eia:
            demand, broken = _demand(eia, data, first, last)
            daily, broken_days = _daily(eia, data)
            kind = eia.data_kind
        with WeatherClient(settings) as client:
            weather, broken_weather = _observed(client, settings, first, last)
            forecasts, broken_runs = _issued(client, settings, data, last)
            if client.data_kind != kind:
                raise IngestError(
                    f"EIA's data is {kind} but Open-Meteo's is {client.data_kind}; use one sandbox for both"
                )
    files.write_frame(files.SERVED_DEMAND, demand)
    files.write_frame(files.DAILY, daily)
    files.write_frame(files.WEATHER, weather)
    files.write_frame(files.WEATHER_FORECASTS, forecasts)
    set_apart = {
        "demand": broken,
        "daily": broken_days,
        "weather": broken_weather,
        "weather_forecasts": broken_runs,
    }
    files.write_about(files.About(kind, region, set_apart))
    hours = int((demand["series"] == DEMAND).sum())
    return (
        f"{kind} data: {hours} hours of demand, {len(weather)} rows of weather, "
        f"{forecasts['issued_at'].nunique()} forecasts as issued; "
        f"{sum(set_apart.values())} rows broke the data contract"
    )


@contextmanager
def _upstreams(data: Data) -> Iterator[Settings]:
    """Settings that point at what the parameters name; nothing else decides but the key of live data."""
    if find(data.respondent) is None:
        raise IngestError(
            f"data.respondent: {data.respondent} is not in the catalogue of regions; `energy-demand regions` "
            "lists them"
        )
    region = {"eia_region": data.respondent}
    if data.source == "live":
        yield settings_of(eia_api_key=load_settings().eia_api_key, **region)
    elif data.source != "sandbox":
        yield settings_of(sandbox_url=data.source, **region)
    else:
        later = local_midnight(data.end + timedelta(days=1), NEW_YORK.zone) + SANDBOX_LATER
        with serving(create_app(SyntheticWorld(data.seed), now=later)) as address:
            yield settings_of(sandbox_url=address, **region)


def _demand(eia: EIAClient, data: Data, first: datetime, last: datetime) -> tuple[pd.DataFrame, int]:
    """`period`, `series`, `value` (MWh) as served, and how many rows broke the contract."""
    rows = eia.fetch_rows(first, last, SERIES)
    good, broken = check_demand(
        rows, respondents=names_on_record(data.respondent), series=SERIES, start=first, end=last
    )
    periods = good.loc[good["series"] == DEMAND, "period"]
    if periods.empty:
        raise IngestError(
            f"no demand of {data.respondent} is served from {data.start} to {data.end}; check "
            "data.respondent, data.start and data.end"
        )
    if periods.min() > pd.Timestamp(first) or periods.max() < pd.Timestamp(last):
        raise IngestError(
            f"demand of {data.respondent} is served from {periods.min():%Y-%m-%dT%H} to "
            f"{periods.max():%Y-%m-%dT%H} UTC, not from {first:%Y-%m-%dT%H} to {last:%Y-%m-%dT%H}; change "
            "data.start or data.end"
        )
    return good[["period", "series", "value"]], len(broken)


def _daily(eia: EIAClient, data: Data) -> tuple[pd.DataFrame, int]:
    """`day`, `series`, `value` (MWh) as served, and how many rows broke the contract."""
    rows = eia.fetch_daily_rows(data.start, data.end, SERIES)
    good, broken = check_daily(
        rows, respondents=names_on_record(data.respondent), series=SERIES, start=data.start, end=data.end
    )
    return good, len(broken)


def _observed(
    client: WeatherClient, settings: Settings, first: datetime, last: datetime
) -> tuple[pd.DataFrame, int]:
    """Observed weather of the hours, and how many rows broke the contract."""
    frame = client.fetch_historical(first.date(), last.date())
    at = frame["timestamp"]
    good, broken = check_weather(with_values(frame[(at >= first) & (at <= last)]))
    main = good.loc[(good["site"] == settings.region.sites[0].name) & good["temperature_2m"].notna()]
    newest = main["timestamp"].max()
    if main.empty or newest < pd.Timestamp(last):
        until = "has no hours" if main.empty else f"ends at {newest:%Y-%m-%dT%H} UTC"
        raise IngestError(
            f"the archive of observed weather {until}, but {last:%Y-%m-%dT%H} is needed: the archive lags by "
            "about five days; set data.end to an earlier day"
        )
    return good, len(broken)


def _issued(
    client: WeatherClient, settings: Settings, data: Data, last: datetime
) -> tuple[pd.DataFrame, int]:
    """Of each day the newest run that was out at 09:00, with when it was; newest to oldest while any is."""
    model = settings.weather_models[0]
    days = (data.end - data.start).days + 1
    issues = [
        day_ahead_issue(data.start + timedelta(days=number), settings.region.zone)
        for number in range(days + 1)
    ]
    wanted = sorted({next(model.runs_before(issue)) for issue in issues if issue <= last}, reverse=True)
    runs, ended_by = client.fetch_runs(wanted, model)
    failed = ended_by or next((run.error for run in runs if run.error is not None), None)
    if failed is not None:
        raise failed
    found = [run.frame for run in runs if run.frame is not None]
    if not found:
        columns = {name: pd.Series(dtype=float) for name in WEATHER_VARIABLES}
        moments = {name: pd.Series(dtype="datetime64[us, UTC]") for name in ("issued_at", "timestamp")}
        empty = pd.DataFrame({**moments, "site": pd.Series(dtype=str), **columns})
        return empty[list(files.FORECAST_COLUMNS)], 0
    good, broken = check_weather(pd.concat(found, ignore_index=True))
    ordered = good.sort_values(["issued_at", "site", "timestamp"], ignore_index=True)
    return ordered[list(files.FORECAST_COLUMNS)], len(broken)
