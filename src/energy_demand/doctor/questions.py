"""The small questions to the upstreams: the clients' own requests, for a few hours or days. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.eia_client import daily_timezone
from energy_demand.data.weather_client import RUN_DAYS
from energy_demand.timeaxis import floor_hour, local_day
from energy_demand.weather_models import BLEND

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    from energy_demand.config import Settings

EIA, OPEN_METEO, NYISO = "EIA", "Open-Meteo", "NYISO"
# Enough for the header and a hundred rows of a file of 40 MB or more.
FILE_BYTES = 1 << 16
EIA_HOURS, EIA_DAYS = 12, 5
ARCHIVE_DAYS, FORECAST_DAYS = 10, 2
# In the first days of a half-year its file may not be there yet.
NEW_FILE_DAYS = 4
KEY_HEADER = "X-Api-Key"


class Topic(StrEnum):
    """What is asked; also the name of its line and of its recorded file."""

    EIA_HOURLY = "EIA hourly"
    EIA_DAILY = "EIA daily"
    EIA_FILE = "EIA six-month file"
    ARCHIVE = "Open-Meteo archive"
    FORECAST = "Open-Meteo forecast"
    RUN = "Open-Meteo single run"
    OPERATOR = "NYISO forecast"

    @property
    def source(self) -> str:
        """The upstream."""
        return next(name for name in (EIA, OPEN_METEO, NYISO) if self.value.startswith(name))

    @property
    def is_table(self) -> bool:
        """Whether the answer is a text table, not JSON."""
        return self in {Topic.EIA_FILE, Topic.OPERATOR}

    @property
    def file_name(self) -> str:
        """Where the body is recorded."""
        suffix = "csv" if self.is_table else "json"
        return f"{self.value.lower().replace(' ', '-')}.{suffix}"


@dataclass(frozen=True)
class Question:
    """One GET request.

    Attributes:
        topic: what is asked.
        url: the address, without a query.
        params: the query, without secrets.
        secret_headers: headers that hold a key; never shown, never recorded.
        most_bytes: how much of the body is read; None: all.
        run: of a single run, when it started.
    """

    topic: Topic
    url: str
    params: tuple[tuple[str, str], ...] = ()
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    most_bytes: int | None = None
    run: datetime | None = None


def eia_hourly(settings: Settings, now: datetime) -> Question:
    """The last hours of demand and the operator's forecast."""
    end = floor_hour(now)
    asking = [
        ("frequency", "hourly"),
        ("start", f"{end - timedelta(hours=EIA_HOURS):%Y-%m-%dT%H}"),
        ("end", f"{end:%Y-%m-%dT%H}"),
    ]
    return _eia(settings, Topic.EIA_HOURLY, "electricity/rto/region-data/data/", asking)


def eia_daily(settings: Settings, now: datetime) -> Question:
    """Totals of the last days."""
    today = local_day(now, settings.region.zone)
    asking = [
        ("frequency", "daily"),
        ("facets[timezone][]", daily_timezone(settings.region.zone) or "Eastern"),
        ("start", (today - timedelta(days=EIA_DAYS)).isoformat()),
        ("end", today.isoformat()),
    ]
    return _eia(settings, Topic.EIA_DAILY, "electricity/rto/daily-region-data/data/", asking)


def _eia(settings: Settings, topic: Topic, route: str, asking: list[tuple[str, str]]) -> Question:
    params = [
        *asking,
        ("data[0]", "value"),
        ("facets[respondent][]", settings.eia_region),
        ("facets[type][]", "D"),
        ("facets[type][]", "DF"),
        ("sort[0][column]", "period"),
        ("sort[0][direction]", "asc"),
        # Pages are stable only when sorted by the whole key.
        ("sort[1][column]", "type"),
        ("sort[1][direction]", "asc"),
        ("length", "5000"),
        ("offset", "0"),
    ]
    key = settings.eia_api_key
    headers = {} if key is None else {KEY_HEADER: key.get_secret_value().strip()}
    return Question(topic, settings.eia_base_url.rstrip("/") + "/" + route, tuple(params), headers)


def half_year_of(now: datetime, zone: ZoneInfo) -> tuple[str, bool]:
    """The name of the six-month file to ask for, and whether it is the current one, which still grows."""
    day = local_day(now, zone)
    current = _file_name(day)
    settled = _file_name(day - timedelta(days=NEW_FILE_DAYS))
    return settled, settled == current


def _file_name(day: date) -> str:
    return f"EIA930_BALANCE_{day.year}_{'Jul_Dec' if day.month > 6 else 'Jan_Jun'}.csv"


def eia_file(settings: Settings, now: datetime) -> Question:
    """The beginning of the newest six-month file."""
    name, _ = half_year_of(now, settings.region.zone)
    url = settings.eia_bulk_url.rstrip("/") + "/" + name
    return Question(Topic.EIA_FILE, url, most_bytes=FILE_BYTES)


def archive(settings: Settings, now: datetime) -> Question:
    """Observed weather of the days before today."""
    params = [
        ("start_date", (now.date() - timedelta(days=ARCHIVE_DAYS)).isoformat()),
        ("end_date", (now.date() - timedelta(days=1)).isoformat()),
    ]
    return _open_meteo(settings, Topic.ARCHIVE, settings.open_meteo_historical_url, params)


def forecast(settings: Settings) -> Question:
    """The present forecast."""
    params = [("forecast_days", str(FORECAST_DAYS)), ("past_days", "0")]
    return _open_meteo(settings, Topic.FORECAST, settings.open_meteo_forecast_url, params)


def single_run(settings: Settings, run: datetime) -> Question:
    """The forecast of one run of the first model of `OPEN_METEO_MODELS`."""
    name = settings.weather_models[0].name
    models = [] if name == BLEND else [("models", name)]
    params = [*models, ("run", f"{run:%Y-%m-%dT%H:%M}"), ("forecast_days", str(RUN_DAYS))]
    return _open_meteo(settings, Topic.RUN, settings.open_meteo_single_runs_url, params, run)


def operator(settings: Settings, day: date) -> Question:
    """The grid operator's forecast file of a day."""
    url = settings.nyiso_forecast_url.rstrip("/") + f"/{day:%Y%m%d}isolf.csv"
    return Question(Topic.OPERATOR, url)


def _open_meteo(
    settings: Settings, topic: Topic, url: str, asking: list[tuple[str, str]], run: datetime | None = None
) -> Question:
    sites = settings.region.sites
    params = [
        ("latitude", ",".join(str(site.latitude) for site in sites)),
        ("longitude", ",".join(str(site.longitude) for site in sites)),
        ("hourly", ",".join(WEATHER_VARIABLES)),
        ("timezone", "GMT"),
        *asking,
    ]
    key = settings.open_meteo_api_key
    headers = {} if key is None else {KEY_HEADER: key.get_secret_value().strip()}
    return Question(topic, url, tuple(params), headers, run=run)
