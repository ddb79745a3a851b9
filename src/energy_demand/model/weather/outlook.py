"""The outlook: the weather that a forecast uses, with gaps filled and forecasts corrected. Pure.

Where a weather run has no temperature (a site without forecasts, or no run at all), it is estimated from
weather observed by the issue time. Where it has one, model output statistics (Glahn and Lowry 1972) remove
systematic errors. `training` fits both. Temperatures are anomalies from a climate of day of year and clock
hour. Weather observed after the issue time is never used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.arrays import mean_of_known
from energy_demand.data.weather_path import (
    CLOUD,
    COLUMN,
    HUMIDITY,
    MAIN,
    MAIN_CLOUD,
    RADIATION,
    REST,
    WIND,
    WeatherPath,
)
from energy_demand.model.weather.climate import naive
from energy_demand.model.weather.issues import (
    LEADS,
    OBSERVED_HOURS,
    RUN_HOURS_AFTER,
    RUN_HOURS_BEFORE,
    Issues,
    issues_at,
    no_runs,
    simulated_issues,
    windows,
)
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans, Floats
    from energy_demand.boosting import lgb
    from energy_demand.data.issued_weather import IssuedWeather
    from energy_demand.model.weather.climate import Climate
    from energy_demand.model.weather.radiation import RadiationGuess

_LIMITS = {HUMIDITY: (1.0, 100.0), CLOUD: (0.0, 100.0), WIND: (0.0, np.inf)}


@dataclass(frozen=True)
class Outlook:
    """Turns the weather known at an issue into a path without gaps in temperature.

    Attributes:
        climate: of `MAIN` and `REST`.
        guesses: boosters that fill gaps in `MAIN` and `REST`.
        corrections: boosters by path column; empty where too few weather runs were recorded.
        radiation: fills gaps in radiation.
        zone: of local clock hours and days of year.
    """

    climate: Climate
    guesses: Mapping[str, lgb.Booster]
    corrections: Mapping[str, lgb.Booster]
    radiation: RadiationGuess
    zone: ZoneInfo

    def horizon(
        self, observed: WeatherPath, issued: IssuedWeather, issued_at: pd.Timestamp
    ) -> tuple[WeatherPath, Booleans, Floats]:
        """The path of the `MAX_LEAD_HOURS` hours after the hour of issue.

        Also which of the hours a run covers, and by how much the runs differ in the temperature of the main
        site (standard deviation, °C; NaN with fewer than two runs).

        Args:
            observed: complete up to the hour of issue; later hours are not used.
            issued: recorded weather runs; the newest ones issued by `issued_at` are used.
            issued_at: UTC.
        """
        issues = issues_at(pd.DatetimeIndex([issued_at]), observed, issued, self.zone)
        has_run = ~np.isnan(issues.forecast_at_leads[0, :, COLUMN[MAIN]])
        periods = issued_at.floor("h") + pd.to_timedelta(LEADS, unit="h")
        spread = issues.spread[0, LEADS - 1, COLUMN[MAIN]]
        return WeatherPath(periods, self.expect(issues)[0]), has_run, spread

    def completed(self, observed: WeatherPath) -> WeatherPath:
        """Observed weather; temperatures that no site measured are estimated from the hours before.

        Radiation that was not measured is estimated from the weather of its hour and the hours before.
        """
        values = observed.values.copy()
        gaps = np.flatnonzero(np.isnan(values[:, [COLUMN[MAIN], COLUMN[REST]]]).any(axis=1))
        if len(gaps) == 0:
            return self.radiation.completed(observed)
        hours = observed.periods[gaps] - pd.Timedelta(HOUR)
        past = windows(observed, hours, OBSERVED_HOURS, 0)
        # The hour with the gap is the first one after an issue.
        issues = simulated_issues(hours, past, no_runs(len(gaps)), self.zone, LEADS[:1])
        main = values[gaps, COLUMN[MAIN]][:, None]
        main = np.where(np.isnan(main), self._guess(MAIN, issues, main), main)
        rest = values[gaps, COLUMN[REST]][:, None]
        rest = np.where(np.isnan(rest), self._guess(REST, issues, main), rest)
        values[gaps, COLUMN[MAIN]] = main[:, 0]
        values[gaps, COLUMN[REST]] = rest[:, 0]
        return self.radiation.completed(WeatherPath(observed.periods, values))

    def under_clouds(self, path: WeatherPath, cover: float) -> WeatherPath:
        """The path with that cloud cover (percent) everywhere, and the radiation to expect under it."""
        values = path.values.copy()
        values[:, [COLUMN[CLOUD], COLUMN[MAIN_CLOUD]]] = cover
        values[:, [COLUMN[name] for name in RADIATION]] = np.nan
        return self.radiation.completed(WeatherPath(path.periods, values))

    def with_radiation(self, issues: Issues) -> Issues:
        """The issues with gaps of radiation in their runs filled."""
        hours = np.arange(-RUN_HOURS_BEFORE, RUN_HOURS_AFTER + 1) * np.timedelta64(1, "h")
        periods = naive(issues.hours)[:, None] + hours
        return replace(issues, forecast=self.radiation.filled(issues.forecast, periods))

    def expect(self, issues: Issues) -> Floats:
        """The expected weather: issues × `LEADS` × `PATH_COLUMNS`."""
        issues = self.with_radiation(issues)
        expected = issues.forecast_at_leads.copy()
        features = issues.correction_features()
        main = self._corrected(MAIN, expected[..., COLUMN[MAIN]], features)
        missing = np.isnan(main)
        if missing.any():
            main = np.where(missing, self._guess(MAIN, issues, main), main)
        rest = self._corrected(REST, expected[..., COLUMN[REST]], features)
        if np.isnan(rest).any():
            rest = np.where(np.isnan(rest), self._guess(REST, issues, main), rest)
        expected[..., COLUMN[MAIN]] = main
        expected[..., COLUMN[REST]] = rest
        for name in (HUMIDITY, CLOUD, WIND):
            expected[..., COLUMN[name]] = self._corrected(name, expected[..., COLUMN[name]], features)
        for name in RADIATION:
            at = COLUMN[name]
            dark = expected[..., at] <= 0.0
            corrected = np.maximum(self._corrected(name, expected[..., at], features), 0.0)
            expected[..., at] = np.where(dark, 0.0, corrected)
        for name, (low, high) in _LIMITS.items():
            expected[..., COLUMN[name]] = np.clip(expected[..., COLUMN[name]], low, high)
        return self._as_on_the_last_day(issues, expected) if missing.any() else expected

    def _as_on_the_last_day(self, issues: Issues, expected: Floats) -> Floats:
        """The expected weather with the hours that no run has: the sky, humidity and wind of the last day.

        Radiation of these hours is guessed from them: without it the panels behind the meter would be taken
        to generate nothing.
        """
        without = np.isnan(issues.forecast_at_leads[..., COLUMN[MAIN]])
        weather = expected.copy()
        for name in (CLOUD, MAIN_CLOUD, HUMIDITY, WIND):
            recent = mean_of_known(issues.observed[:, -24:, COLUMN[name]])
            weather[..., COLUMN[name]] = recent[:, None]
        weather[..., [COLUMN[name] for name in RADIATION]] = np.nan
        periods = naive(issues.hours)[:, None] + issues.leads * np.timedelta64(1, "h")
        return np.where(without[..., None], self.radiation.filled(weather, periods), expected)

    def _corrected(self, name: str, forecast: Floats, features: Floats) -> Floats:
        booster = self.corrections.get(name)
        rows = ~np.isnan(forecast)
        if booster is None or not rows.any():
            return forecast
        corrected = forecast.copy()
        corrected[rows] += np.asarray(booster.predict(features[rows], num_threads=1))
        return corrected

    def _guess(self, name: str, issues: Issues, main: Floats) -> Floats:
        features, base = issues.guess_features(name, main, self.climate)
        flat = features.reshape(-1, features.shape[-1])
        guess = np.asarray(self.guesses[name].predict(flat, num_threads=1)).reshape(base.shape) + base
        return np.asarray(guess)
