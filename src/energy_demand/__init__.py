"""energy-demand: day-ahead forecasts of hourly electricity demand.

    import energy_demand
    frame = energy_demand.forecast(day="tomorrow")
    print(frame.attrs["quality"], frame)

A running service is asked by `energy_demand.Client(url)`, or `AsyncClient`.

Importing the package touches nothing: no file, no network, no database, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date, datetime

    import pandas as pd

    from energy_demand.client import AsyncClient, Client
    from energy_demand.config import Settings

__all__ = ["AsyncClient", "Client", "__version__", "forecast"]
__version__ = "0.1.0"


def forecast(
    *,
    hours: int | None = None,
    day: date | str | None = None,
    region: str | None = None,
    as_of: datetime | str | None = None,
    now: datetime | str | None = None,
    explain: bool = False,
    quantiles: bool = False,
    settings: Settings | None = None,
) -> pd.DataFrame:
    """The forecast by the model that serves, from what is stored: the answer of `energy-demand forecast`.

    It is not logged.

    Args:
        hours: the next N hours, up to 48; 24 where neither is given.
        day: all hours of a local day: a date, its text, or `tomorrow`.
        region: one of `EIA_REGIONS`; the default region where it is left out.
        as_of: issue the forecast as of this past time; without an offset it is UTC. Default: the present.
        now: use this time as the present, likewise; same as `ENERGY_DEMAND_NOW`.
        explain: also what calendar, temperature, sun and the other parts add to each hour (MWh).
        quantiles: also 23 quantiles of each hour.
        settings: where database and registry are; from the environment and `.env` by default.

    Returns:
        A row for each hour: `period` (UTC, hour ending), `lead_hours`, `predicted_demand_mwh` and the bounds
        of the 80 % and 95 % intervals (MWh, one decimal). `attrs` has `issued_at`, `quality`,
        `model_version`, `warnings`, `state_through`, `expected_error_percent` and `peak`, as the command's
        JSON has them.

    Raises:
        NoChampionError: no model serves yet.
        ForecastError: the hours cannot be forecast, or nothing is stored to forecast them from.
        TimeFormatError: a day or a time cannot be read.
        RegionError: the region is not among them, or cannot be used.
        DatabaseUnavailableError, RegistryUnavailableError: one of them cannot be reached.
    """
    # Imported now: a program that only wants the version or a client does not wait for pandas.
    from energy_demand.client.frames import forecast_frame  # noqa: PLC0415
    from energy_demand.config import load_settings  # noqa: PLC0415
    from energy_demand.jobs.forecast_answer import forecast_answer  # noqa: PLC0415

    settings = settings or load_settings()
    if now is not None:
        settings = settings.model_copy(update={"energy_demand_now": _moment(now)})
    if region is not None:
        settings = settings.for_region(region)
    answer = forecast_answer(settings, hours=hours, day=day, as_of=None if as_of is None else _moment(as_of))
    return forecast_frame(answer.to_json(explain=explain, quantiles=quantiles))


def _moment(given: datetime | str) -> datetime:
    from energy_demand.timeaxis import parse_moment, to_utc  # noqa: PLC0415

    return parse_moment(given) if isinstance(given, str) else to_utc(given)


def __getattr__(name: str) -> Any:
    if name in {"AsyncClient", "Client"}:
        from energy_demand import client  # noqa: PLC0415

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
