"""Asks Open-Meteo for observed weather, the present forecast, and past forecasts as issued.

Always in GMT (a local zone gets one fixed offset for the whole answer) and for all sites in one call.
Values are returned as served; a missing value is NaN.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.config import Settings, load_settings
from energy_demand.http import Fault, HttpClient, UpstreamClient, UpstreamError, describe
from energy_demand.timeaxis import floor_hour, parse_day, utc_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_demand.region import Site

RUN_EVERY_HOURS = 6
# Leads up to 48 h, of a run that may have started 18 h before.
RUN_DAYS = 3
TIME_FORMAT = "%Y-%m-%dT%H:%M"
# A response is for the nearest cell of the weather model's grid.
GRID_DEGREES = 0.5
DAYS_PER_CALL = 366
MAX_PAST_DAYS = 92
# The record of issued forecasts begins somewhere; so many missing runs in a row are its beginning.
RUNS_MISSING_AT_THE_BEGINNING = 7
RUNS_AT_ONCE = 30
CALLS_AT_ONCE = 2  # one is read while the next is on its way


class OpenMeteoDialect:
    """How Open-Meteo reports faults: a `reason`, under any status, also under 200."""

    name = "Open-Meteo"

    def fault(self, status: int, body: Any) -> Fault | None:
        """The fault in a response, or None."""
        if not isinstance(body, dict) or not body.get("error"):
            return None
        reason = str(body.get("reason", "no reason given"))
        daily_limit = "limit exceeded" in reason and "Minutely" not in reason
        return Fault(reason, retry=status != 400 and not daily_limit)


class WeatherClient(UpstreamClient):
    """Hourly weather of the region's sites.

    Frames have `timestamp` (UTC), `site` and the twelve variables (°C, %, mm, cm, km/h, hPa, W/m²),
    sorted by site and time.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or load_settings()
        self._settings = settings
        self._sites = settings.region.sites
        self._http = HttpClient(
            OpenMeteoDialect(), settings, interval_seconds=settings.open_meteo_request_interval_seconds
        )

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
        return self._ask(self._settings.open_meteo_forecast_url, params)

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
        return frame

    def fetch_runs(self, wanted: Sequence[datetime]) -> Iterator[list[pd.DataFrame]]:
        """The runs of `wanted`, given newest first, until their record begins: some at a time.

        Yields:
            Of the next `RUNS_AT_ONCE` runs those on record, as by `fetch_run`, rows with values alone.

        Raises:
            UpstreamError: Open-Meteo failed; what was yielded before is good.
        """
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            for first in range(0, len(wanted), RUNS_AT_ONCE):
                frames = list(pool.map(self.fetch_run, wanted[first : first + RUNS_AT_ONCE]))
                yield [with_values(frame) for frame in frames if frame is not None]
                there = [number for number, frame in enumerate(frames) if frame is not None]
                if len(frames) - 1 - max(there, default=-1) >= RUNS_MISSING_AT_THE_BEGINNING:
                    return

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
            reason = f"the response has {len(answers)} places for {len(self._sites)} sites"
            raise UpstreamError("Open-Meteo", asked, reason)
        ordered = _in_order(answers, self._sites, asked)
        by_name = dict(zip((site.name for site in self._sites), ordered, strict=True))
        return _frame({name: by_name[name] for name in sorted(by_name)}, asked)


def newest_run(moment: datetime, delay: timedelta) -> datetime:
    """The start of the newest run that was published by `moment`, `delay` after its start."""
    full = floor_hour(moment - delay)
    return full - timedelta(hours=full.hour % RUN_EVERY_HOURS)


def with_values(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that say anything."""
    return frame[frame[list(WEATHER_VARIABLES)].notna().any(axis=1)]


def _in_order(answers: list[Any], sites: Sequence[Site], asked: str) -> list[Any]:
    """The answers in the order of the sites; each is for a grid cell near the requested site."""
    if len(sites) == 1:
        return answers
    left = list(answers)
    ordered = []
    for site in sites:
        nearest = min(left, key=lambda answer: _degrees(answer, site))
        if _degrees(nearest, site) > GRID_DEGREES:
            raise UpstreamError("Open-Meteo", asked, f"the response has no place near site {site.name}")
        ordered.append(nearest)
        left.remove(nearest)
    return ordered


def _degrees(answer: Any, site: Site) -> float:
    try:
        return math.hypot(answer["latitude"] - site.latitude, answer["longitude"] - site.longitude)
    except (KeyError, TypeError):
        return math.inf


def _frame(answers: dict[str, Any], asked: str) -> pd.DataFrame:
    """The answers of all sites below one another, in their order."""
    hourly = {}
    for site, answer in answers.items():
        found = answer.get("hourly") if isinstance(answer, dict) else None
        if not isinstance(found, dict) or "time" not in found or answer.get("utc_offset_seconds") != 0:
            raise UpstreamError("Open-Meteo", asked, "the response has no hourly values in GMT")
        hourly[site] = found
    try:
        time = [text for found in hourly.values() for text in found["time"]]
        lengths = [len(found["time"]) for found in hourly.values()]
        values = {
            name: np.concatenate(
                [
                    _numbers(found.get(name), size)
                    for found, size in zip(hourly.values(), lengths, strict=True)
                ]
            )
            for name in WEATHER_VARIABLES
        }
        return pd.DataFrame(
            {
                "timestamp": utc_index(pd.to_datetime(pd.Series(time, dtype=object), format=TIME_FORMAT)),
                "site": np.repeat(list(hourly), lengths),
                **values,
            }
        )
    except (TypeError, ValueError) as error:
        raise UpstreamError("Open-Meteo", asked, f"invalid hourly values in the response: {error}") from None


def _numbers(values: Any, length: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if values is None:
        return np.full(length, np.nan)
    numbers = np.array(values, dtype=np.float64)
    if numbers.shape != (length,):
        raise ValueError(f"{numbers.size} values for {length} times")
    return numbers


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
