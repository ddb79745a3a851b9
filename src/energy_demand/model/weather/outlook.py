"""The outlook: the weather that a forecast uses, with gaps filled and forecasts corrected. Pure.

Where a weather run has no temperature (a site without forecasts, or no run at all), it is estimated from
weather observed by the issue time. Where it has one, model output statistics (Glahn and Lowry 1972) remove
systematic errors. `training` fits both. Temperatures are anomalies from a climate of day of year and clock
hour. Weather observed after the issue time is never used.

Of several weather models each is corrected by itself; `past_errors` says how they are mixed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.arrays import mean_of_known
from energy_demand.data.issued_weather import WEIGHED_DAYS
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
    CORRECTED,
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
from energy_demand.model.weather.past_errors import (
    FIRST,
    PAST_LEADS,
    ModelErrors,
    PastErrors,
    daily_errors,
    nothing_known,
    past_hours,
)
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from energy_demand.arrays import Booleans, Floats
    from energy_demand.boosting import lgb
    from energy_demand.data.issued_weather import IssuedWeather
    from energy_demand.model.weather.climate import Climate
    from energy_demand.model.weather.past_errors import Learnt
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
        others: corrections of the other weather models, by name and path column.
    """

    climate: Climate
    guesses: Mapping[str, lgb.Booster]
    corrections: Mapping[str, lgb.Booster]
    radiation: RadiationGuess
    zone: ZoneInfo
    others: Mapping[str, Mapping[str, lgb.Booster]] = field(default_factory=dict)

    def horizon(
        self,
        observed: WeatherPath,
        issued: IssuedWeather,
        issued_at: pd.Timestamp,
        others: Mapping[str, IssuedWeather] | None = None,
        past: PastErrors | None = None,
    ) -> tuple[WeatherPath, Booleans, Floats]:
        """The path of the `MAX_LEAD_HOURS` hours after the hour of issue.

        Also which of the hours a run covers, and by how much the runs differ in the temperature of the main
        site (standard deviation, °C; NaN with fewer than two runs).

        Args:
            observed: complete up to the hour of issue; later hours are not used.
            issued: recorded runs of the first weather model; the newest ones issued by `issued_at` are used.
            issued_at: UTC.
            others: runs of the other models. A model without a run of the last day sleeps; the rest is mixed.
            past: errors of all models before the issue; computed from the same runs without it.
        """
        moments = pd.DatetimeIndex([issued_at])
        issues = issues_at(moments, observed, issued, self.zone)
        awake = {FIRST: issues} if issued.fresh(moments)[0] and _has_run(issues) else {}
        for name, runs in (others or {}).items():
            if runs.fresh(moments)[0]:
                of_model = issues_at(moments, observed, runs, self.zone)
                awake |= {name: of_model} if _has_run(of_model) else {}
        periods = issued_at.floor("h") + pd.to_timedelta(LEADS, unit="h")
        if set(awake) <= {FIRST}:
            expected, has_run, spread = (each[0] for each in self.of_one_model(issues))
            return WeatherPath(periods, expected), has_run, spread
        if past is None:
            hours = past_hours(issued_at - pd.Timedelta(days=WEIGHED_DAYS), issued_at, self.zone)
            past = self.past_errors(observed, {FIRST: issued, **(others or {})}, hours)
        expected, has_run, spread = self._mixed(awake, past.at(issued_at))
        return WeatherPath(periods, expected), has_run, spread

    def of_one_model(self, issues: Issues) -> tuple[Floats, Booleans, Floats]:
        """What `horizon` returns of each issue, all at once, from the first weather model alone.

        Returns:
            Issues × `LEADS` × `PATH_COLUMNS`, and twice issues × `LEADS`.
        """
        main = COLUMN[MAIN]
        has_run = ~np.isnan(issues.forecast_at_leads[..., main])
        return self.expect(issues), has_run, issues.spread[:, LEADS - 1, main]

    def past_errors(
        self, observed: WeatherPath, runs: Mapping[str, IssuedWeather], hours: pd.DatetimeIndex
    ) -> PastErrors:
        """The errors of each model's corrected forecasts issued at some full hours.

        Args:
            observed: with gaps in radiation filled.
            runs: by model, the first one by `FIRST`.
            hours: of the issues.
        """
        actual = windows(observed, hours, 0, len(LEADS))[:, PAST_LEADS]
        models = {}
        for name, each in runs.items():
            errors = nothing_known(len(hours))
            rows = np.flatnonzero(each.fresh(hours)) if len(each.issued_at) else np.zeros(0, dtype=np.int64)
            if len(rows):
                issues = self.with_radiation(issues_at(hours[rows], observed, each, self.zone))
                expected = self._each_corrected(replace(issues, leads=PAST_LEADS), self._corrections_of(name))
                errors[rows] = actual[rows] - expected
            models[name] = ModelErrors(errors, daily_errors(hours, observed, each))
        return PastErrors(hours, models)

    def _corrections_of(self, model: str) -> Mapping[str, lgb.Booster]:
        return self.corrections if model == FIRST else self.others.get(model, {})

    def _mixed(
        self, awake: Mapping[str, Issues], learnt: Mapping[str, Learnt]
    ) -> tuple[Floats, Booleans, Floats]:
        """The expected weather of one issue from the models that have a run, as `horizon` gives it."""
        heard = {name: each for name, each in awake.items() if learnt[name].weights.any()}
        if heard:
            awake = heard
        else:  # only those that would sleep have a run
            learnt = {
                name: each._replace(weights=np.ones_like(each.weights)) for name, each in learnt.items()
            }
        forecasts, weights = [], []
        measured = [
            not np.isnan(each.forecast_at_leads[0][:, [COLUMN[name] for name in RADIATION]]).all()
            for each in awake.values()
        ]
        for (name, issues), sun in zip(awake.items(), measured, strict=True):
            of_model, corrections = learnt[name], self._corrections_of(name)
            values = self._each_corrected(self.with_radiation(issues), corrections)[0]
            for column in CORRECTED:
                at = COLUMN[column]
                bias = of_model.bias if column in corrections else of_model.uncorrected_bias
                if column not in RADIATION:
                    values[:, at] += bias[:, at]
            weight = np.where(np.isnan(values), 0.0, of_model.weights)
            if any(measured) and not sun:  # what a model says of the sun goes before a guess from its clouds
                weight[:, [COLUMN[column] for column in RADIATION]] = 0.0
            forecasts.append(values)
            weights.append(weight)
        mean, between = _weighted(np.stack(forecasts), np.stack(weights))
        raw = np.stack([each.forecast[0] for each in awake.values()])
        whole, _ = _weighted(raw, (~np.isnan(raw)).astype(float))
        first = next(iter(awake.values()))
        expected = self._filled(replace(first, forecast=whole[None]), mean[None])[0]
        main = COLUMN[MAIN]
        share = np.stack(weights)[:, :, main]
        within = np.stack([each.spread[0, LEADS - 1, main] for each in awake.values()]) ** 2
        within, _ = _weighted(within, np.where(np.isnan(within), 0.0, share))
        variance = np.where(np.isnan(within), 0.0, within) + between[:, main]
        alone = (share > 0.0).sum(axis=0) < 2
        spread = np.where(alone & np.isnan(within), np.nan, np.sqrt(variance))
        return expected, ~np.isnan(mean[:, main]), spread

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
        return self._filled(issues, self._each_corrected(issues, self.corrections))

    def _each_corrected(self, issues: Issues, corrections: Mapping[str, lgb.Booster]) -> Floats:
        """What a model's runs say, corrected: issues × leads × `PATH_COLUMNS`, with the gaps of the runs."""
        expected = issues.forecast_at_leads.copy()
        features = issues.correction_features()
        for name in (MAIN, REST, HUMIDITY, CLOUD, WIND):
            corrected = _corrected(corrections, name, expected[..., COLUMN[name]], features)
            expected[..., COLUMN[name]] = corrected
        for name in RADIATION:
            at = COLUMN[name]
            dark = expected[..., at] <= 0.0
            corrected = np.maximum(_corrected(corrections, name, expected[..., at], features), 0.0)
            expected[..., at] = np.where(dark, 0.0, corrected)
        return expected

    def _filled(self, issues: Issues, expected: Floats) -> Floats:
        """Corrected weather with its gaps in temperature filled, within physical limits."""
        main, rest = expected[..., COLUMN[MAIN]], expected[..., COLUMN[REST]]
        missing = np.isnan(main)
        if missing.any():
            main = np.where(missing, self._guess(MAIN, issues, main), main)
        if np.isnan(rest).any():
            rest = np.where(np.isnan(rest), self._guess(REST, issues, main), rest)
        expected[..., COLUMN[MAIN]] = main
        expected[..., COLUMN[REST]] = rest
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

    def _guess(self, name: str, issues: Issues, main: Floats) -> Floats:
        features, base = issues.guess_features(name, main, self.climate)
        flat = features.reshape(-1, features.shape[-1])
        guess = np.asarray(self.guesses[name].predict(flat, num_threads=1)).reshape(base.shape) + base
        return np.asarray(guess)


def _corrected(
    corrections: Mapping[str, lgb.Booster], name: str, forecast: Floats, features: Floats
) -> Floats:
    booster = corrections.get(name)
    rows = ~np.isnan(forecast)
    if booster is None or not rows.any():
        return forecast
    corrected = forecast.copy()
    corrected[rows] += np.asarray(booster.predict(features[rows], num_threads=1))
    return corrected


def _has_run(issues: Issues) -> bool:
    """Whether a run has a temperature for any hour after the first of the issues."""
    return not np.isnan(issues.forecast_at_leads[0, :, COLUMN[MAIN]]).all()


def _weighted(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Mean and variance along the first axis; NaN and 0 where no value has a weight."""
    total = weights.sum(axis=0)
    known = np.where(weights > 0.0, values, 0.0)
    mean = np.full(total.shape, np.nan)
    np.divide((weights * known).sum(axis=0), total, out=mean, where=total > 0.0)
    off = np.where(weights > 0.0, values - mean, 0.0)
    variance = np.zeros(total.shape)
    np.divide((weights * off**2).sum(axis=0), total, out=variance, where=total > 0.0)
    return mean, variance
