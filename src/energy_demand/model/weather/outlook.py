"""What weather to expect: completes what a forecast leaves out and corrects what it says. Pure.

Two kinds of loss are made good. Where a run says nothing (a site without forecasts, or no run at all) the
temperature is guessed from what was observed by the issue, by boosters that learnt from observed years with
a forecast's errors and such losses mixed in. Where it says something, model output statistics (Glahn and
Lowry 1972) remove what it usually gets wrong, learnt from recorded forecasts and what came of them.

Temperatures are handled as departures from a climate of day of year and clock hour.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from energy_demand.data.weather_path import (
    CLOUD,
    HUMIDITY,
    MAIN,
    PATH_COLUMNS,
    RADIATION,
    REST,
    WIND,
    WeatherPath,
)
from energy_demand.timeaxis import HOUR, MAX_LEAD_HOURS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    import numpy.typing as npt

    from energy_demand.data.issued_weather import IssuedWeather
    from energy_demand.data.record import Record

    Floats = npt.NDArray[np.float64]
    Positions = npt.NDArray[np.int64]

SEEN_HOURS = 48  # of observed weather before the issue
SAID_BEFORE, SAID_AFTER = 8, 72  # hours of a run around the issue
PATH_OFFSETS = (-24, -12, -6, -3, 0, 3, 6, 12, 24)  # hours from the target at which the main site is read
CORRECTED = (MAIN, REST, HUMIDITY, CLOUD, WIND)
_LIMITS = {HUMIDITY: (1.0, 100.0), CLOUD: (0.0, 100.0), WIND: (0.0, np.inf), RADIATION: (0.0, np.inf)}
_COLUMN = {name: position for position, name in enumerate(PATH_COLUMNS)}
LEADS = np.arange(1, MAX_LEAD_HOURS + 1)


@dataclass(frozen=True)
class OutlookRecipe:
    """How the boosters of an outlook are fitted; found on as-issued days of 2023-10 … 2024-07.

    Attributes:
        guess: LightGBM's parameters for what no run says.
        guess_trees: their number.
        correction: parameters for what runs get wrong.
        correction_trees: their number.
        issue_step: every how many hours an observed year gives a training issue.
        noise: standard deviation (°C) of the errors put on the observed path, a day ahead.
        fewest_runs: with fewer recorded runs nothing is corrected.
        loss_share: share of training issues each kind of loss is put on.
    """

    guess: Mapping[str, Any] = field(
        default_factory=lambda: {
            "objective": "l2",
            "num_leaves": 31,
            "learning_rate": 0.07,
            "min_data_in_leaf": 200,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.5,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "seed": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
    )
    guess_trees: int = 300
    correction: Mapping[str, Any] = field(
        default_factory=lambda: {
            "objective": "l2",
            "num_leaves": 15,
            "learning_rate": 0.05,
            "min_data_in_leaf": 150,
            "feature_fraction": 0.4,
            "bagging_fraction": 0.5,
            "bagging_freq": 1,
            "lambda_l2": 20.0,
            "seed": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
    )
    correction_trees: int = 150
    issue_step: int = 13
    noise: float = 1.5
    fewest_runs: int = 28
    loss_share: float = 0.15


@dataclass(frozen=True)
class Climate:
    """What temperatures usually are.

    Attributes:
        coefficients: of `MAIN` and `REST`, for the harmonics of day of year and clock hour.
        slope: °C by which `REST` departs from its climate for each that `MAIN` does.
    """

    coefficients: Mapping[str, Floats]
    slope: float


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

    def ahead(self, observed: WeatherPath, issued: IssuedWeather, issued_at: pd.Timestamp) -> WeatherPath:
        """The path of the `MAX_LEAD_HOURS` hours after the hour of issue.

        Args:
            observed: complete up to the hour of issue; what it holds later is not looked at.
            issued: recorded runs; the newest one issued by `issued_at` is used.
            issued_at: UTC.
        """
        hour = issued_at.floor("h")
        moments = pd.DatetimeIndex([hour])
        seen = _windows(observed, moments, SEEN_HOURS, 0)
        said = issued.around(pd.DatetimeIndex([issued_at]), SAID_BEFORE, SAID_AFTER)
        values = self.expect(_Issues(moments, seen, said, self.zone))[0]
        periods = hour + pd.to_timedelta(LEADS, unit="h")
        return WeatherPath(periods, values)

    def completed(self, observed: WeatherPath) -> WeatherPath:
        """Observed weather with the temperatures that no site measured guessed from hours before."""
        values = observed.values.copy()
        lacking = np.flatnonzero(np.isnan(values[:, [_COLUMN[MAIN], _COLUMN[REST]]]).any(axis=1))
        if len(lacking) == 0:
            return observed
        moments = observed.periods[lacking] - pd.Timedelta(HOUR)
        seen = _windows(observed, moments, SEEN_HOURS, 0)
        # The hour that lacks it is the first after an issue.
        issues = _Issues(moments, seen, _nothing(len(lacking)), self.zone, LEADS[:1])
        main = values[lacking, _COLUMN[MAIN]][:, None]
        main = np.where(np.isnan(main), self._guess(MAIN, issues, main), main)
        rest = values[lacking, _COLUMN[REST]][:, None]
        rest = np.where(np.isnan(rest), self._guess(REST, issues, main), rest)
        values[lacking, _COLUMN[MAIN]] = main[:, 0]
        values[lacking, _COLUMN[REST]] = rest[:, 0]
        return WeatherPath(observed.periods, values)

    def expect(self, issues: _Issues) -> Floats:
        """Issues × `LEADS` × `PATH_COLUMNS`."""
        expected = issues.said_ahead.copy()
        features = issues.correction_features()
        main = self._corrected(MAIN, expected[..., _COLUMN[MAIN]], features)
        lacking = np.isnan(main)
        if lacking.any():
            main = np.where(lacking, self._guess(MAIN, issues, main), main)
        rest = self._corrected(REST, expected[..., _COLUMN[REST]], features)
        if np.isnan(rest).any():
            rest = np.where(np.isnan(rest), self._guess(REST, issues, main), rest)
        expected[..., _COLUMN[MAIN]] = main
        expected[..., _COLUMN[REST]] = rest
        for name in (HUMIDITY, CLOUD, WIND):
            expected[..., _COLUMN[name]] = self._corrected(name, expected[..., _COLUMN[name]], features)
        for name, (low, high) in _LIMITS.items():
            expected[..., _COLUMN[name]] = np.clip(expected[..., _COLUMN[name]], low, high)
        return expected

    def _corrected(self, name: str, said: Floats, features: Floats) -> Floats:
        booster = self.corrections.get(name)
        rows = ~np.isnan(said)
        if booster is None or not rows.any():
            return said
        corrected = said.copy()
        corrected[rows] += np.asarray(booster.predict(features[rows], num_threads=1))
        return corrected

    def _guess(self, name: str, issues: _Issues, main: Floats) -> Floats:
        features, base = issues.guess_features(name, main, self.climate)
        flat = features.reshape(-1, features.shape[-1])
        guess = np.asarray(self.guesses[name].predict(flat, num_threads=1)).reshape(base.shape) + base
        return np.asarray(guess)


@dataclass(frozen=True)
class _Issues:
    """Many issues at once, as arrays.

    Attributes:
        moments: full hours of issue.
        seen: issues × (`SEEN_HOURS` + 1) × columns; the last hour is the issue's own.
        said: issues × hours −`SAID_BEFORE` … `SAID_AFTER` × columns, from the newest run.
        zone: of the clock.
        leads: that are asked for.
    """

    moments: pd.DatetimeIndex
    seen: Floats
    said: Floats
    zone: ZoneInfo
    leads: Positions = field(default_factory=lambda: LEADS)

    @property
    def said_ahead(self) -> Floats:
        """What the run says of the leads."""
        return self.said[:, SAID_BEFORE + self.leads]

    def clock(self) -> tuple[Floats, Floats]:
        """Issues × leads: clock hour (start of the hour) and day of year."""
        (hour, day), at = self._clock_at(self.leads)
        return hour[at], day[at]

    def guess_features(self, name: str, main: Floats, climate: Climate) -> tuple[Floats, Floats]:
        """Features of the guess, and the base that it is added to.

        `main` is what is expected of the main site: issues × leads.
        """
        departures = {each: self._departures(each, climate) for each in (MAIN, REST)}
        hour, day = self.clock()
        columns = [hour, day, np.broadcast_to(self.leads, hour.shape).astype(float)]
        for each in departures.values():
            columns += [np.broadcast_to(each[:, -1 - back][:, None], hour.shape) for back in (0, 6, 12)]
            columns.append(np.broadcast_to(_mean(each[:, -24:])[:, None], hour.shape))
            columns.append(np.broadcast_to(_mean(each[:, -48:-24])[:, None], hour.shape))
            columns.append(each[:, SEEN_HOURS + self.leads - 24 * -(-self.leads // 24)])
        for other in (HUMIDITY, CLOUD, WIND):
            columns.append(np.broadcast_to(self.seen[:, -1, _COLUMN[other]][:, None], hour.shape))
        base = self._climate_at(name, self.leads, climate)
        if name == REST:
            path = self._main_path(departures[MAIN], main, climate)
            columns += [path[:, SEEN_HOURS + self.leads + offset] for offset in PATH_OFFSETS]
            base = base + climate.slope * np.nan_to_num(path[:, SEEN_HOURS + self.leads])
        return np.stack(columns, axis=-1), base

    def _main_path(self, before: Floats, main: Floats, climate: Climate) -> Floats:
        """Departures of the main site from `SEEN_HOURS` before the issue to `SAID_AFTER` after it."""
        path = np.full((len(before), SEEN_HOURS + 1 + SAID_AFTER), np.nan)
        path[:, : SEEN_HOURS + 1] = before
        path[:, SEEN_HOURS + self.leads] = main - self._climate_at(MAIN, self.leads, climate)
        if len(self.leads) == len(LEADS):
            beyond = np.arange(LEADS[-1] + 1, SAID_AFTER + 1)
            said = self.said[:, SAID_BEFORE + beyond, _COLUMN[MAIN]]
            path[:, SEEN_HOURS + beyond] = said - self._climate_at(MAIN, beyond, climate)
        return path

    def correction_features(self) -> Floats:
        """Issues × `LEADS` × features of what a run says and how wrong it was by the issue."""
        ahead = SAID_BEFORE + self.leads
        hour, day = self.clock()
        columns = [hour, day, np.broadcast_to(self.leads, hour.shape).astype(float)]
        for name in CORRECTED:
            said = self.said[..., _COLUMN[name]]
            columns.append(said[:, ahead])
            columns.append(_around(said, 3)[:, ahead])
            wrong = self.seen[:, -6:, _COLUMN[name]] - said[:, SAID_BEFORE - 5 : SAID_BEFORE + 1]
            columns.append(np.broadcast_to(wrong[:, -1][:, None], hour.shape))
            columns.append(np.broadcast_to(_mean(wrong)[:, None], hour.shape))
        said = self.said[..., _COLUMN[MAIN]]
        columns.append(said[:, ahead] - _around(said, 6)[:, ahead])
        return np.stack(columns, axis=-1)

    def _departures(self, name: str, climate: Climate) -> Floats:
        hours = np.arange(-SEEN_HOURS, 1)
        return self.seen[..., _COLUMN[name]] - self._climate_at(name, hours, climate)

    def _climate_at(self, name: str, hours: Positions, climate: Climate) -> Floats:
        table, at = self._clock_at(hours)
        return np.asarray((_climate_basis(*table) @ climate.coefficients[name])[at])

    def _clock_at(self, hours: Positions) -> tuple[tuple[Floats, Floats], Positions]:
        """Clock hours and days of year of a span, and where in it the hours after each issue start.

        The hours of many issues overlap: each is converted once.
        """
        starts = _naive(self.moments)[:, None] + (hours - 1) * np.timedelta64(1, "h")
        span = np.arange(starts.min(), starts.max() + np.timedelta64(1, "h"), np.timedelta64(1, "h"))
        return _clock(span, self.zone), (starts - span[0]) // np.timedelta64(1, "h")


def fit_guesses(
    observed: WeatherPath, issued: IssuedWeather, zone: ZoneInfo, recipe: OutlookRecipe | None = None
) -> Outlook:
    """An outlook that guesses what is missing and corrects nothing yet.

    Args:
        observed: as measured, holes left in.
        issued: recorded runs; only when they begin matters.
        zone: of the clock.
        recipe: how.

    Raises:
        ValueError: no temperature of the main site was observed.
    """
    recipe = recipe or OutlookRecipe()
    climate = _fit_climate(observed, zone)
    issues = _simulated(observed, _training_moments(observed, issued, recipe), zone, recipe)
    guesses = {name: _fit_guess(name, issues, observed, climate, recipe) for name in (MAIN, REST)}
    return Outlook(climate, guesses, {}, zone)


def fit_corrections(
    guessing: Outlook,
    record: Record,
    recipe: OutlookRecipe,
    before: pd.Timestamp,
    runs: npt.NDArray[np.bool_] | None = None,
) -> Outlook:
    """The outlook with corrections learnt from recorded runs and what came of them.

    Args:
        guessing: what fills holes.
        record: with runs and observed weather.
        recipe: how.
        before: hours after it are not looked at.
        runs: which of the recorded runs may be learnt from; all by default.

    Returns:
        `guessing` itself, where there are too few runs.
    """
    observed = record.observed.until(before, len(record.periods))
    issued_at = record.issued.issued_at
    usable = np.ones(len(issued_at), dtype=bool) if runs is None else runs
    usable = usable & (issued_at + pd.Timedelta(HOUR) <= observed.periods[-1])
    usable &= issued_at >= observed.periods[0] + pd.Timedelta(SEEN_HOURS * HOUR)
    if usable.sum() < recipe.fewest_runs:
        return guessing
    moments = issued_at[usable]
    issues = _Issues(
        moments.floor("h"),
        _windows(observed, moments.floor("h"), SEEN_HOURS, 0),
        record.issued.around(moments, SAID_BEFORE, SAID_AFTER),
        guessing.zone,
    )
    came = _windows(observed, issues.moments, 0, len(LEADS))[:, 1:]
    features = issues.correction_features()
    corrections: dict[str, lgb.Booster] = {}

    for name in CORRECTED:
        missed = came[..., _COLUMN[name]] - issues.said_ahead[..., _COLUMN[name]]
        known = ~np.isnan(missed)
        if known.sum() > recipe.fewest_runs * len(LEADS) / 2:
            data = lgb.Dataset(features[known], label=missed[known])
            corrections[name] = lgb.train(dict(recipe.correction), data, recipe.correction_trees)
    return replace(guessing, corrections=corrections)


def _training_moments(
    observed: WeatherPath, issued: IssuedWeather, recipe: OutlookRecipe
) -> pd.DatetimeIndex:
    """Issues of observed years; those before the first recorded run, where two years are left.

    A guess that had seen the recorded days would look better on them than it is.
    """
    last = observed.periods[-1] - pd.Timedelta(SAID_AFTER * HOUR)
    first = observed.periods[0] + pd.Timedelta(SEEN_HOURS * HOUR)
    rest = ~np.isnan(observed.column(REST))
    if rest.any():
        first = max(first, observed.periods[int(np.argmax(rest))])
    if len(issued.issued_at):
        before = issued.issued_at[0] - pd.Timedelta(SAID_AFTER * HOUR)
        if before - first > pd.Timedelta(days=730):
            last = min(last, before)
    return pd.date_range(first.floor("h"), last.floor("h"), freq=f"{recipe.issue_step}h")


def _simulated(
    observed: WeatherPath, moments: pd.DatetimeIndex, zone: ZoneInfo, recipe: OutlookRecipe
) -> _Issues:
    """Issues whose run is the observed path with errors; some lose the run, or what was seen."""
    random = np.random.default_rng(1)
    seen = _windows(observed, moments, SEEN_HOURS, 0)
    ahead = _windows(observed, moments, 0, SAID_AFTER)[:, 1:]
    said = _nothing(len(moments))
    error, level = np.zeros(len(moments)), random.normal(0.0, 0.6, len(moments))
    for lead in range(1, SAID_AFTER + 1):
        error = 0.85 * error + random.normal(0.0, 0.53, len(moments)) * min(1.0, 0.5 + lead / 40)
        wrong = recipe.noise * (error + level * min(1.0, 0.4 + lead / 30))
        said[:, SAID_BEFORE + lead, _COLUMN[MAIN]] = ahead[:, lead - 1, _COLUMN[MAIN]] + wrong
    lost = random.random(len(moments))
    seen[lost < recipe.loss_share, :, _COLUMN[REST]] = np.nan
    seen[lost > 1.0 - recipe.loss_share] = np.nan
    blind = random.random(len(moments)) < recipe.loss_share
    # A run that ends early, down to one that only speaks of the next hour.
    length = random.integers(1, SAID_AFTER, len(moments))
    cut = blind[:, None] & (np.arange(said.shape[1])[None, :] > SAID_BEFORE + length[:, None])
    said[cut] = np.nan
    return _Issues(moments, seen, said, zone)


def _fit_guess(
    name: str, issues: _Issues, observed: WeatherPath, climate: Climate, recipe: OutlookRecipe
) -> lgb.Booster:
    main = issues.said_ahead[..., _COLUMN[MAIN]]
    features, base = issues.guess_features(name, main, climate)
    came = _windows(observed, issues.moments, 0, len(LEADS))[:, 1:, _COLUMN[name]]
    missed = came - base
    usable = ~np.isnan(missed)
    if name == REST:
        usable &= ~np.isnan(main)
    usable[:, ::2] = False  # every other lead tells enough
    usable[:, 0] = ~np.isnan(missed[:, 0])  # the first one also fills holes of the past
    if not usable.any():  # no other site was ever observed: the base alone will do
        usable = np.zeros_like(usable)
        usable[:, 0] = True
        missed = np.nan_to_num(missed)
    data = lgb.Dataset(features[usable], label=missed[usable])
    return lgb.train(dict(recipe.guess), data, recipe.guess_trees)


def _fit_climate(path: WeatherPath, zone: ZoneInfo) -> Climate:
    basis = _climate_basis(*_clock(_naive(path.periods - pd.Timedelta(HOUR)), zone))
    main, rest = path.column(MAIN), path.column(REST)
    if np.isnan(main).all():
        raise ValueError("no temperature of the main site was observed; the outlook needs some")
    if np.isnan(rest).all():
        rest = main
    coefficients = {MAIN: _regressed(basis, main), REST: _regressed(basis, rest)}
    both = ~np.isnan(main) & ~np.isnan(rest)
    of_main = main[both] - basis[both] @ coefficients[MAIN]
    of_rest = rest[both] - basis[both] @ coefficients[REST]
    return Climate(coefficients, float(np.dot(of_rest, of_main)) / max(float(np.dot(of_main, of_main)), 1e-9))


def _regressed(basis: Floats, values: Floats) -> Floats:
    known = ~np.isnan(values)
    penalty = 1e-3 * known.sum() * np.eye(basis.shape[1])
    penalty[0, 0] = 0.0
    rows = basis[known]
    return np.asarray(np.linalg.solve(rows.T @ rows + penalty, rows.T @ values[known]))


def _climate_basis(hour: Floats, day: Floats) -> Floats:
    """Two harmonics of the day of year times two of the clock hour."""
    year, clock = 2.0 * np.pi * day / 365.25, 2.0 * np.pi * hour / 24.0
    seasons = [np.ones_like(year), np.sin(year), np.cos(year), np.sin(2 * year), np.cos(2 * year)]
    hours = [np.ones_like(year), np.sin(clock), np.cos(clock), np.sin(2 * clock), np.cos(2 * clock)]
    return np.stack([season * of_day for season in seasons for of_day in hours], axis=-1)


def _naive(moments: pd.DatetimeIndex) -> npt.NDArray[np.datetime64]:
    return np.asarray(moments.tz_localize(None), dtype="datetime64[us]")


def _clock(starts: npt.NDArray[np.datetime64], zone: ZoneInfo) -> tuple[Floats, Floats]:
    """Local clock hour and day of year of UTC hours."""
    local = pd.DatetimeIndex(starts).tz_localize("UTC").tz_convert(zone)
    return local.hour.to_numpy(dtype=float), local.dayofyear.to_numpy(dtype=float)


def _windows(path: WeatherPath, moments: pd.DatetimeIndex, before: int, after: int) -> Floats:
    """Moments × hours around each × columns; NaN outside the path."""
    centre = np.asarray((moments - path.periods[0]) // pd.Timedelta(HOUR), dtype=np.int64)
    positions = centre[:, None] + np.arange(-before, after + 1)[None, :]
    inside = (positions >= 0) & (positions < len(path.periods))
    values = path.values[np.clip(positions, 0, len(path.periods) - 1)]
    return np.where(inside[:, :, None], values, np.nan)


def _nothing(count: int) -> Floats:
    return np.full((count, SAID_BEFORE + 1 + SAID_AFTER, len(PATH_COLUMNS)), np.nan)


def _around(values: Floats, reach: int) -> Floats:
    """Mean over the known hours up to `reach` before and after, along the second axis."""
    known = ~np.isnan(values)
    padded = ((0, 0), (reach, reach))
    windows = np.lib.stride_tricks.sliding_window_view
    total = windows(np.pad(np.where(known, values, 0.0), padded), 2 * reach + 1, axis=1).sum(axis=-1)
    count = windows(np.pad(known.astype(float), padded), 2 * reach + 1, axis=1).sum(axis=-1)
    mean = np.full(values.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _mean(values: Floats) -> Floats:
    """Mean of the known values along the last axis, NaN where there is none."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    mean = np.full(values.shape[:-1], np.nan)
    np.divide(np.where(known, values, 0.0).sum(axis=-1), count, out=mean, where=count > 0)
    return mean
