"""The weather that a forecast goes by: fills what a run leaves out and corrects what it says. Pure.

Two kinds of loss are made good. Where a run says nothing (a site without forecasts, or no run at all) the
temperature is guessed from what was observed by the issue. Where it says something, model output statistics
(Glahn and Lowry 1972) remove its usual errors. `training` fits both.

Temperatures are handled as departures from a climate of day of year and clock hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.weather_path import CLOUD, HUMIDITY, MAIN, RADIATION, REST, WIND, WeatherPath
from energy_demand.model.weather.issues import (
    COLUMN,
    LEADS,
    SAID_AFTER,
    SAID_BEFORE,
    SEEN_HOURS,
    Issues,
    no_runs,
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

_LIMITS = {HUMIDITY: (1.0, 100.0), CLOUD: (0.0, 100.0), WIND: (0.0, np.inf), RADIATION: (0.0, np.inf)}


@dataclass(frozen=True)
class Outlook:
    """Turns what is known at an issue into a weather path without holes in temperature.

    Attributes:
        climate: of `MAIN` and `REST`.
        guesses: boosters for `MAIN` and `REST` where no run says anything.
        corrections: boosters by path column, empty where too few runs were recorded.
        zone: whose clock hours and days of year are meant.
    """

    climate: Climate
    guesses: Mapping[str, lgb.Booster]
    corrections: Mapping[str, lgb.Booster]
    zone: ZoneInfo

    def horizon(
        self, observed: WeatherPath, issued: IssuedWeather, issued_at: pd.Timestamp
    ) -> tuple[WeatherPath, Booleans]:
        """The path of the `MAX_LEAD_HOURS` hours after the hour of issue, and which of them a run covers.

        Args:
            observed: complete up to the hour of issue; what it holds later is not looked at.
            issued: recorded runs; the newest one issued by `issued_at` is used.
            issued_at: UTC.
        """
        hour = issued_at.floor("h")
        moments = pd.DatetimeIndex([hour])
        seen = windows(observed, moments, SEEN_HOURS, 0)
        said = issued.around(pd.DatetimeIndex([issued_at]), SAID_BEFORE, SAID_AFTER)
        issues = Issues(moments, seen, said, self.zone)
        has_run = ~np.isnan(issues.said_ahead[0, :, COLUMN[MAIN]])
        periods = hour + pd.to_timedelta(LEADS, unit="h")
        return WeatherPath(periods, self.expect(issues)[0]), has_run

    def completed(self, observed: WeatherPath) -> WeatherPath:
        """Observed weather with the temperatures that no site measured guessed from hours before."""
        values = observed.values.copy()
        lacking = np.flatnonzero(np.isnan(values[:, [COLUMN[MAIN], COLUMN[REST]]]).any(axis=1))
        if len(lacking) == 0:
            return observed
        moments = observed.periods[lacking] - pd.Timedelta(HOUR)
        seen = windows(observed, moments, SEEN_HOURS, 0)
        # The hour that lacks it is the first after an issue.
        issues = Issues(moments, seen, no_runs(len(lacking)), self.zone, LEADS[:1])
        main = values[lacking, COLUMN[MAIN]][:, None]
        main = np.where(np.isnan(main), self._guess(MAIN, issues, main), main)
        rest = values[lacking, COLUMN[REST]][:, None]
        rest = np.where(np.isnan(rest), self._guess(REST, issues, main), rest)
        values[lacking, COLUMN[MAIN]] = main[:, 0]
        values[lacking, COLUMN[REST]] = rest[:, 0]
        return WeatherPath(observed.periods, values)

    def expect(self, issues: Issues) -> Floats:
        """Issues × `LEADS` × `PATH_COLUMNS`."""
        expected = issues.said_ahead.copy()
        features = issues.correction_features()
        main = self._corrected(MAIN, expected[..., COLUMN[MAIN]], features)
        lacking = np.isnan(main)
        if lacking.any():
            main = np.where(lacking, self._guess(MAIN, issues, main), main)
        rest = self._corrected(REST, expected[..., COLUMN[REST]], features)
        if np.isnan(rest).any():
            rest = np.where(np.isnan(rest), self._guess(REST, issues, main), rest)
        expected[..., COLUMN[MAIN]] = main
        expected[..., COLUMN[REST]] = rest
        for name in (HUMIDITY, CLOUD, WIND):
            expected[..., COLUMN[name]] = self._corrected(name, expected[..., COLUMN[name]], features)
        for name, (low, high) in _LIMITS.items():
            expected[..., COLUMN[name]] = np.clip(expected[..., COLUMN[name]], low, high)
        return expected

    def _corrected(self, name: str, said: Floats, features: Floats) -> Floats:
        booster = self.corrections.get(name)
        rows = ~np.isnan(said)
        if booster is None or not rows.any():
            return said
        corrected = said.copy()
        corrected[rows] += np.asarray(booster.predict(features[rows], num_threads=1))
        return corrected

    def _guess(self, name: str, issues: Issues, main: Floats) -> Floats:
        features, base = issues.guess_features(name, main, self.climate)
        flat = features.reshape(-1, features.shape[-1])
        guess = np.asarray(self.guesses[name].predict(flat, num_threads=1)).reshape(base.shape) + base
        return np.asarray(guess)
