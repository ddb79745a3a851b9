"""Asks Open-Meteo for observed weather, the present forecast, and past forecasts as issued.

Always in GMT (a local zone gets one fixed offset for the whole answer) and for all sites in one call.
Values are returned as served; a missing value is NaN. A call counts by its size, and this module paces by
that (`call_weight`).
"""

from __future__ import annotations

import math
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.call_limits import REAL_TIME, CallBudget, CallLimits, Timing, Window
from energy_demand.columns import WEATHER_UNITS, WEATHER_VARIABLES
from energy_demand.config import Settings, load_settings
from energy_demand.data.model_run import ModelRun, missing_values
from energy_demand.http import Fault, HttpClient, UpstreamClient, UpstreamError, describe
from energy_demand.timeaxis import parse_day, utc_index
from energy_demand.weather_models import BLEND, WeatherModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from energy_demand.region import Site

# Leads up to 48 h of runs that started up to three days before: forecasts average those. As a call, five days
# weigh no more than three.
RUN_DAYS = 5
TIME_FORMAT = "%Y-%m-%dT%H:%M"
# A response is for the nearest cell of the weather model's grid.
GRID_DEGREES = 0.5
# A year of four sites can end in `timeoutReached` after half the body.
DAYS_PER_CALL = 90
MAX_PAST_DAYS = 92
RUNS_AT_ONCE = 30
CALLS_AT_ONCE = 2  # one is read while the next is on its way
# So many runs in a row that cannot be fetched are an upstream that is away.
FAILURES_IN_A_ROW = 3
UNDEFINED = "undefined"  # the unit of a variable that a model does not have

_STREAMING = re.compile(r"Unexpected error while streaming data: (\w+)")
_ABSENT = re.compile(r"model run .*is not available|modelRunUnavailable", re.IGNORECASE)
_USED_UP = re.compile(r"(Minutely|Hourly|Daily) API request limit exceeded", re.IGNORECASE)
_WINDOWS = {"minutely": Window.MINUTE, "hourly": Window.HOUR, "daily": Window.DAY}


class OpenMeteoDialect:
    """How Open-Meteo reports faults: a `reason` under any status, or words amid or in place of a body.

    A run that is not on record is either; a 400 with any other reason is a fault of the request.
    """

    name = "Open-Meteo"

    def fault(self, status: int, body: Any) -> Fault | None:
        """The fault in a response, or None."""
        if isinstance(body, str):
            found = _STREAMING.search(body)
            if found is None:
                return None
            absent = _ABSENT.search(found[1]) is not None
            return Fault(found[0], retry=not absent, absent=absent, too_large=not absent)
        if not isinstance(body, dict) or not body.get("error"):
            return None
        reason = str(body.get("reason", "no reason given"))
        used_up = _USED_UP.search(reason)
        absent = _ABSENT.search(reason) is not None
        return Fault(
            reason,
            retry=status != 400 and not absent and used_up is None,
            absent=absent,
            used_up=None if used_up is None else _WINDOWS[used_up[1].lower()],
        )


def call_weight(sites: int, days: int, variables: int = len(WEATHER_VARIABLES)) -> float:
    """How many calls one request counts as: by site, by ten variables, by two weeks.

    Source: Open-Meteo's server, `ApiKeyManager`; its pricing page says the same.
    """
    share = variables / 10
    return sites * max(1.0, share, days / 14 * share)


@dataclass(frozen=True)
class Answer:
    """The hours of all sites, and the (site, variable) that the model does not have."""

    frame: pd.DataFrame
    undefined: frozenset[tuple[str, str]]


class WeatherClient(UpstreamClient):
    """Hourly weather of the region's sites.

    Frames have `timestamp` (UTC), `site` and the twelve variables (°C, %, mm, cm, km/h, hPa, W/m²),
    sorted by site and time.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        timing: Timing = REAL_TIME,
    ) -> None:
        settings = settings or load_settings()
        self._settings = settings
        self._sites = settings.region.sites
        key = settings.open_meteo_api_key
        limits = CallLimits(
            settings.open_meteo_calls_per_minute,
            settings.open_meteo_calls_per_hour,
            settings.open_meteo_calls_per_day,
        )
        dialect = OpenMeteoDialect()
        self._http = HttpClient(
            dialect,
            settings,
            interval_seconds=settings.open_meteo_request_interval_seconds,
            sleep=timing.sleep,
            budget=CallBudget(dialect.name, limits, timing),
            headers={} if key is None else {"X-Api-Key": key.get_secret_value()},
        )

    def fetch_historical(self, start_date: date | str, end_date: date | str) -> pd.DataFrame:
        """Observed weather of the UTC days `start_date` to `end_date`, both included.

        The archive is about five days late; hours it does not have yet are NaN.

        Raises:
            UpstreamError: Open-Meteo did not give what was asked.
            TimeFormatError: a date cannot be read.
        """
        frames = [
            frame
            for first, last in _calls(_day(start_date), _day(end_date))
            for frame in self._archive(first, last)
        ]
        return _sorted(frames)

    def _archive(self, first: date, last: date) -> list[pd.DataFrame]:
        """The days in one call, or in two of half the size where the server takes too long for them."""
        params = [("start_date", first.isoformat()), ("end_date", last.isoformat())]
        days = (last - first).days + 1
        try:
            return [self._ask(self._settings.open_meteo_historical_url, params, days).frame]
        except UpstreamError as error:
            if not error.too_large or days == 1:
                raise
        middle = first + timedelta(days=days // 2)
        return [*self._archive(first, middle - timedelta(days=1)), *self._archive(middle, last)]

    def fetch_forecast(self, forecast_days: int = 2, *, past_days: int = 0) -> pd.DataFrame:
        """The newest forecast from today 00:00 GMT on, after `past_days` days of the recent past."""
        params = [("forecast_days", str(forecast_days)), ("past_days", str(past_days))]
        days = forecast_days + past_days
        return self._ask(self._settings.open_meteo_forecast_url, params, days).frame

    def fetch_run(self, run: datetime, model: WeatherModel | None = None) -> ModelRun:
        """The forecast as it was issued by the model run that started at `run` (00, 06, 12 or 18 UTC).

        `issued_at` is when the run was published. `model` defaults to the first of `OPEN_METEO_MODELS`.

        Raises:
            UpstreamError: Open-Meteo failed otherwise than by not having the run.
        """
        model = model or self._settings.weather_models[0]
        params = [("run", run.strftime(TIME_FORMAT)), ("forecast_days", str(RUN_DAYS))]
        if model.name != BLEND:
            params.insert(0, ("models", model.name))
        try:
            answer = self._ask(self._settings.open_meteo_single_runs_url, params, RUN_DAYS)
        except UpstreamError as error:
            if error.absent:
                return ModelRun(model.name, run)
            raise
        issued_at = pd.DatetimeIndex([model.published(run)] * len(answer.frame))
        answer.frame.insert(0, "issued_at", utc_index(issued_at))
        everywhere = [
            name
            for name in WEATHER_VARIABLES
            if all((site.name, name) in answer.undefined for site in self._sites)
        ]
        return ModelRun(
            model.name,
            run,
            frame=with_values(answer.frame),
            lacking=tuple(everywhere),
            missing=missing_values(answer.frame, run, answer.undefined),
        )

    def fetch_runs(
        self, wanted: Sequence[datetime], model: WeatherModel | None = None
    ) -> tuple[list[ModelRun], UpstreamError | None]:
        """Several runs, each of which can fail alone.

        Returns:
            What was served of each run that was asked for, in the order of `wanted`; and the error that
            ended it early: the request is refused as such, the calls of the day are used up, or so many
            runs failed in a row that Open-Meteo is away.
        """
        calls = _Calls()

        def fetch(run: datetime) -> ModelRun | None:
            if calls.ended_by is not None:
                return None
            try:
                found = self.fetch_run(run, model)
            except UpstreamError as error:
                calls.note(error)
                return ModelRun((model or self._settings.weather_models[0]).name, run, error=error)
            calls.note(None)
            return found

        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            return [found for found in pool.map(fetch, wanted) if found is not None], calls.ended_by

    def _ask(self, url: str, params: list[tuple[str, str]], days: int) -> Answer:
        asking = [
            ("latitude", ",".join(str(site.latitude) for site in self._sites)),
            ("longitude", ",".join(str(site.longitude) for site in self._sites)),
            ("hourly", ",".join(WEATHER_VARIABLES)),
            ("timezone", "GMT"),
            *params,
        ]
        body = self._http.get_json(url, asking, weight=call_weight(len(self._sites), days))
        asked = describe(url, asking)
        answers = body if isinstance(body, list) else [body]
        if len(answers) != len(self._sites):
            reason = f"the response has {len(answers)} places for {len(self._sites)} sites"
            raise UpstreamError("Open-Meteo", asked, reason)
        ordered = _in_order(answers, self._sites, asked)
        by_name = dict(zip((site.name for site in self._sites), ordered, strict=True))
        by_name = {name: by_name[name] for name in sorted(by_name)}
        return Answer(_frame(by_name, asked), _undefined(by_name, asked))


class _Calls:
    """How the calls of several threads go: `ended_by` is why no more are made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self.ended_by: UpstreamError | None = None

    def note(self, error: UpstreamError | None) -> None:
        with self._lock:
            self._failures = 0 if error is None else self._failures + 1
            refused = error is not None and error.fault is not None and not error.retry
            if refused or self._failures >= FAILURES_IN_A_ROW:
                self.ended_by = error


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


def _undefined(answers: dict[str, Any], asked: str) -> frozenset[tuple[str, str]]:
    """The (site, variable) without a unit; a unit that is not ours is refused."""
    undefined = set()
    for site, answer in answers.items():
        units = answer.get("hourly_units")
        if not isinstance(units, dict):
            continue
        for name, expected in WEATHER_UNITS.items():
            if (unit := units.get(name, expected)) == UNDEFINED:
                undefined.add((site, name))
            elif unit != expected:
                raise UpstreamError("Open-Meteo", asked, f"{name} comes in {unit}, not in {expected}")
    return frozenset(undefined)


def _numbers(values: Any, length: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if values is None:
        return np.full(length, np.nan)
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        # One value that is none costs its row, which the contract refuses, and not the page.
        numbers = np.array([_number(value) for value in values])
    if numbers.shape != (length,):
        raise ValueError(f"{numbers.size} values for {length} times")
    return numbers


def _number(value: Any) -> float:
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.inf


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
