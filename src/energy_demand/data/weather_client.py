"""Asks Open-Meteo for observed weather, the present forecast, and past forecasts as issued.

Always in GMT (a local zone gets one fixed offset for the whole answer) and for all sites in one call.
Values come back as they were served; a missing one is NaN.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.config import Settings, load_settings
from energy_demand.http import Fault, HttpClient, UpstreamError, describe
from energy_demand.timeaxis import parse_day, utc_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ATTRIBUTION = "Weather data by Open-Meteo.com"
RUN_EVERY_HOURS = 6
# Leads up to 48 h, from a run that may be 12 h old, within whole days.
RUN_DAYS = 4
TIME_FORMAT = "%Y-%m-%dT%H:%M"
DAYS_PER_CALL = 366
MAX_PAST_DAYS = 92

WEATHER_FRAME = ("timestamp", "site", *WEATHER_VARIABLES)


class OpenMeteoDialect:
    """How Open-Meteo says that something went wrong: a `reason`, under any status, also under 200."""

    name = "Open-Meteo"

    def fault(self, status: int, body: Any) -> Fault | None:
        """The fault in an answer, or None."""
        if not isinstance(body, dict) or not body.get("error"):
            return None
        reason = str(body.get("reason", "no reason given"))
        daily_limit = "limit exceeded" in reason and "Minutely" not in reason
        return Fault(reason, retry=status != 400 and not daily_limit)


class WeatherClient:
    """Hourly weather of the region's sites.

    Frames have `timestamp` (UTC), `site` and the twelve variables (°C, %, mm, cm, km/h, hPa, W/m²),
    sorted by site and time.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or load_settings()
        self._settings = settings
        self._sites = settings.region.sites
        self._http = HttpClient(OpenMeteoDialect(), settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    @property
    def data_kind(self) -> str:
        """Live, recorded or synthetic; known after an answer."""
        return self._http.data_kind

    def fetch_historical(self, start_date: date | str, end_date: date | str) -> pd.DataFrame:
        """Observed weather of the UTC days `start_date` to `end_date`, both included.

        The archive is about five days late; hours it does not have yet are NaN.

        Raises:
            UpstreamError: Open-Meteo did not give what was asked.
            TimeFormatError: a date cannot be read.
        """
        frames = []
        for first, last in _calls(_day(start_date), _day(end_date)):
            params = [("start_date", first.isoformat()), ("end_date", last.isoformat())]
            frames.append(self._ask(self._settings.open_meteo_historical_url, params))
        return _sorted(frames)

    def fetch_forecast(self, forecast_days: int = 2, *, past_days: int = 0) -> pd.DataFrame:
        """The newest forecast from today 00:00 GMT on, after `past_days` days of the recent past."""
        params = [("forecast_days", str(forecast_days)), ("past_days", str(past_days))]
        return _sorted([self._ask(self._settings.open_meteo_forecast_url, params)])

    def fetch_run(self, run: datetime) -> pd.DataFrame | None:
        """The forecast as it was issued by the model run that started at `run` (00, 06, 12 or 18 UTC).

        Returns:
            The weather frame with `issued_at`: when the run was published, `run` + the publication delay;
            None where that run is not on record.

        Raises:
            UpstreamError: Open-Meteo failed otherwise.
        """
        params = [("run", run.strftime(TIME_FORMAT)), ("forecast_days", str(RUN_DAYS))]
        try:
            frame = self._ask(self._settings.open_meteo_single_runs_url, params)
        except UpstreamError as error:
            if error.status in {400, 404}:
                return None
            raise
        issued_at = run + timedelta(hours=self._settings.weather_publication_delay_hours)
        frame.insert(0, "issued_at", utc_index(pd.DatetimeIndex([issued_at] * len(frame))))
        return _sorted([frame])

    def _ask(self, url: str, params: list[tuple[str, str]]) -> pd.DataFrame:
        asking = [
            ("latitude", ",".join(str(site.latitude) for site in self._sites)),
            ("longitude", ",".join(str(site.longitude) for site in self._sites)),
            ("hourly", ",".join(WEATHER_VARIABLES)),
            ("timezone", "GMT"),
            *params,
        ]
        body = self._http.get_json(url, asking)
        asked = describe(url, asking)
        answers = body if isinstance(body, list) else [body]
        if len(answers) != len(self._sites):
            raise UpstreamError("Open-Meteo", asked, f"{len(answers)} places for {len(self._sites)} sites")
        frames = [_frame(answer, site.name, asked) for site, answer in zip(self._sites, answers, strict=True)]
        return pd.concat(frames, ignore_index=True)


def _frame(answer: Any, site: str, asked: str) -> pd.DataFrame:
    hourly = answer.get("hourly") if isinstance(answer, dict) else None
    if not isinstance(hourly, dict) or "time" not in hourly or answer.get("utc_offset_seconds") != 0:
        raise UpstreamError("Open-Meteo", asked, "an answer without hourly values in GMT")
    try:
        time = utc_index(pd.to_datetime(pd.Series(hourly["time"], dtype=object), format=TIME_FORMAT))
        values = {name: _numbers(hourly.get(name), len(time)) for name in WEATHER_VARIABLES}
        return pd.DataFrame({"timestamp": time, "site": site, **values})
    except (TypeError, ValueError) as error:
        raise UpstreamError("Open-Meteo", asked, f"hourly values that are none: {error}") from None


def _numbers(values: Any, length: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if values is None:
        return np.full(length, np.nan)
    return np.array(values, dtype=np.float64)


def _sorted(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames).sort_values(["site", "timestamp"], ignore_index=True)


def _calls(first: date, last: date) -> Iterator[tuple[date, date]]:
    step = timedelta(days=DAYS_PER_CALL - 1)
    while first <= last:
        end = min(first + step, last)
        yield first, end
        first = end + timedelta(days=1)


def _day(value: date | str) -> date:
    return parse_day(value) if isinstance(value, str) else value
