"""How the listed weather models do: which of them runs, has stopped, has begun or has changed.

A model is compared with itself: its newest runs' errors of the main site's temperature, day by day. Nothing
here changes a forecast; the mixture finds the same changes by itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from energy_demand.database import state
from energy_demand.timeaxis import HOUR, floor_hour, hourly

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sa

    from energy_demand.arrays import Floats
    from energy_demand.config import Settings
    from energy_demand.data.issued_weather import IssuedWeather
    from energy_demand.data.weather_path import WeatherPath
    from energy_demand.model.weather.changes import Change

# A model that has had no run for so long has stopped; its runs are six to twelve hours apart.
STOPPED_AFTER = timedelta(hours=36)
STARTED_WITHIN = timedelta(days=14)
RECENT_DAYS = 7

State = Literal["waiting", "stopped", "started", "changed", "steady"]


@dataclass(frozen=True)
class ModelState:
    """How a weather model does.

    Attributes:
        model: its name.
        state: `waiting`: no run is stored; `stopped`, `started` or `changed`; else `steady`.
        since: when its newest run was issued (`stopped`), its first one (`started`), or the first day of the
            change.
        first_run: when its oldest stored run was issued; None: there is none.
        newest_run: when its newest stored run was issued.
        mean_error: °C, forecast minus observed temperature of the last week; None: not known.
        spread: °C, standard deviation of the daily errors of the last six weeks.
        words: the state in words.
    """

    model: str
    state: State
    since: datetime | None
    first_run: datetime | None
    newest_run: datetime | None
    mean_error: float | None
    spread: float | None
    words: str

    def to_json(self) -> dict[str, Any]:
        """The entry of `status --json`."""
        return asdict(self)


def model_states(connection: sa.Connection, settings: Settings, now: datetime) -> list[ModelState]:
    """The state of every listed weather model at `now`, the first one first."""
    # Here, as `status` of a single model does without numpy and pandas.
    import pandas as pd  # noqa: PLC0415

    from energy_demand.data.issued_weather import WEIGHED_DAYS, issued_weather  # noqa: PLC0415
    from energy_demand.data.weather_path import weather_path  # noqa: PLC0415
    from energy_demand.database import weather  # noqa: PLC0415
    from energy_demand.model.weather.past_errors import past_hours  # noqa: PLC0415

    main = replace(settings.region, sites=settings.region.sites[:1])
    site = main.sites[0].name
    start = floor_hour(now) - timedelta(days=WEIGHED_DAYS + 2)
    observed = weather_path(
        weather.read_weather(connection, [site], start, now, now), hourly(start, now), main
    )
    found = []
    for model in settings.weather_models:
        first, newest = state.run_span(connection, model.name, site, now)
        rows = weather.read_first_hours(connection, model.name, site, start, now)
        runs = issued_weather(rows, main)
        hours = past_hours(pd.Timestamp(start + timedelta(days=1)), pd.Timestamp(now), main.zone)
        errors = errors_known_at(hours, observed, runs, now)
        found.append(state_of(model.name, first, newest, now, hours, errors))
    return found


def running_states(connection: sa.Connection, settings: Settings, now: datetime) -> list[ModelState]:
    """The same from the runs alone, without their errors: no change of a model is seen."""
    site = settings.region.sites[0].name
    spans = [
        (each.name, *state.run_span(connection, each.name, site, now)) for each in settings.weather_models
    ]
    return [state_of(name, first, newest, now) for name, first, newest in spans]


def errors_known_at(
    hours: pd.DatetimeIndex, observed: WeatherPath, runs: IssuedWeather, now: datetime
) -> Floats:
    """`daily_errors` of the days that are over at `now`; NaN for the others."""
    import numpy as np  # noqa: PLC0415  (likewise)

    from energy_demand.model.weather.past_errors import daily_errors  # noqa: PLC0415

    over = (now - hours) / (24 * HOUR) >= 1.0
    return np.where(over, daily_errors(hours, observed, runs), np.nan)


def state_of(
    model: str,
    first: datetime | None,
    newest: datetime | None,
    now: datetime,
    hours: pd.DatetimeIndex | None = None,
    errors: Floats | None = None,
) -> ModelState:
    """The state of a model from when it ran and its errors by day.

    Args:
        model: its name.
        first: when its oldest run was issued, or None.
        newest: when its newest run was issued, or None.
        now: when it is asked.
        hours: the start of each day, if its errors are given.
        errors: of each day, °C; NaN where unknown.
    """
    mean = spread = change = None
    if errors is not None:
        mean, spread, change = _of_errors(errors)

    def found(state: State, since: datetime | None, words: str) -> ModelState:
        return ModelState(model, state, since, first, newest, mean, spread, words)

    if first is None or newest is None:
        return found("waiting", None, "no run is stored yet")
    if now - newest > STOPPED_AFTER:
        return found("stopped", newest, f"stopped: no run since {newest:%Y-%m-%dT%H:%MZ}")
    if change is not None and hours is not None:
        day = hours[change.day].to_pydatetime()
        if change.kind == "level":
            words = f"changed: temperatures {change.size:+.1f} °C since {day:%Y-%m-%d}"
        else:
            words = f"changed: errors {change.size:.1f} times as large since {day:%Y-%m-%d}"
        return found("changed", day, words)
    if now - first <= STARTED_WITHIN:
        return found("started", first, f"started: its first run is of {first:%Y-%m-%dT%H:%MZ}")
    return found("steady", None, "steady")


def _of_errors(errors: Floats) -> tuple[float | None, float | None, Change | None]:
    """The mean error of the last week, the spread of all days, and a change in them."""
    import numpy as np  # noqa: PLC0415  (likewise)

    from energy_demand.model.weather.changes import change_in  # noqa: PLC0415

    known = errors[~np.isnan(errors)]
    recent = errors[-RECENT_DAYS:][~np.isnan(errors[-RECENT_DAYS:])]
    return (
        float(recent.mean()) if len(recent) else None,
        float(known.std(ddof=1)) if len(known) > 1 else None,
        change_in(errors),
    )
