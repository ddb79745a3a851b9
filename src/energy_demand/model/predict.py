"""A forecast from stored data: what was known at `issued_at` → features → the champion → hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.columns import BASE_COLUMNS, LEAD, TARGET
from energy_demand.data.feature_engineering import build_features
from energy_demand.data.feature_store import WARM_UP
from energy_demand.data.record_store import load_recent
from energy_demand.data.weather_path import MAIN, PATH_COLUMNS
from energy_demand.errors import UserError
from energy_demand.model.forecaster import EXPLANATION
from energy_demand.timeaxis import HOUR, MAX_LEAD_HOURS, day_periods, horizon, utc_index

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database
    from energy_demand.model.registry import Champion

HOUR_COLUMNS = ("predicted_demand_mwh", "lower_80", "upper_80", "lower_95", "upper_95")


CHAMPION = "champion"
WITHOUT_WEATHER = "champion_without_weather"
# Later than this the newest demand is worth a word.
LATE_HOURS = 6


class ForecastError(UserError, ValueError):
    """A forecast that cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Forecast:
    """A forecast of consecutive hours.

    Attributes:
        issued_at: everything known by then was used, nothing later.
        model_version: the registered version that made it.
        state_through: the newest hour of demand that was known.
        quality: `champion`, or `champion_without_weather` where no weather forecast was known.
        in_sample: the model was trained on hours after `issued_at`: no honest forecast.
        hours: `period`, `lead_hours`, `predicted_demand_mwh` and the interval bounds (MWh).
        explanation: `period` and what each part adds to its forecast (MWh).
        rows: the base feature rows of the same hours.
    """

    issued_at: datetime
    model_version: str
    state_through: datetime
    quality: str
    in_sample: bool
    hours: pd.DataFrame
    explanation: pd.DataFrame
    rows: pd.DataFrame

    @property
    def peak(self) -> dict[str, Any]:
        """The hour with the highest demand: `period`, its MWh and its interval."""
        highest = int(self.hours["predicted_demand_mwh"].to_numpy().argmax())
        return _hour_json(self.hours.iloc[highest].to_dict())

    def to_json(self, *, explain: bool = False) -> dict[str, Any]:
        """The body that `forecast --json` and `GET /forecast` give.

        With `explain`, each hour says what calendar, temperature, sun and so on add to it (MWh).
        """
        body: dict[str, Any] = {
            "issued_at": utc_text(self.issued_at),
            "model_version": self.model_version,
            "state_through": utc_text(self.state_through),
            "quality": self.quality,
            "peak": self.peak,
            "hours": [_hour_json(row) for row in self.hours.to_dict("records")],
        }
        if explain:
            for hour, parts in zip(body["hours"], self.explanation.to_dict("records"), strict=True):
                hour["explanation"] = {name: round(float(parts[name]), 1) for name in EXPLANATION}
        return {**body, "in_sample": True} if self.in_sample else body

    def warnings(self) -> list[str]:
        """What a reader must know before trusting it, a sentence each."""
        said = []
        if self.in_sample:
            said.append(
                f"model version {self.model_version} was trained on hours after {utc_text(self.issued_at)}: "
                "this is no honest forecast"
            )
        if self.quality != CHAMPION:
            said.append("no weather forecast was known for some of the hours; they are less sure")
        late = (self.issued_at - self.state_through) / HOUR
        if late > LATE_HOURS:
            said.append(f"the newest demand known is {late:.0f} hours old")
        return said

    def log_rows(
        self, source: str, request_id: str, made_at: datetime, respondent: str
    ) -> list[dict[str, Any]]:
        """The rows of `prediction_log`; the features a hour was predicted from stand beside it."""
        features = self.rows[[*BASE_COLUMNS, LEAD]].astype(object)
        used = features.where(features.notna(), None).to_dict("records")
        return [
            {
                "respondent": respondent,
                "timestamp": hour["period"],
                "issued_at": self.issued_at,
                "lead_hours": int(hour[LEAD]),
                "predicted_demand": float(hour["predicted_demand_mwh"]),
                **{name: float(hour[name]) for name in HOUR_COLUMNS[1:]},
                "model_version": self.model_version,
                "quality": self.quality,
                "source": source,
                "request_id": request_id,
                "features_json": row,
                "prediction_made_at": made_at,
            }
            for hour, row in zip(self.hours.to_dict("records"), used, strict=True)
        ]


def hours_ahead(issued_at: datetime, hours: int) -> pd.DatetimeIndex:
    """The periods of a forecast for the next `hours` hours.

    Raises:
        ForecastError: not between 1 and 48.
    """
    if not 1 <= hours <= MAX_LEAD_HOURS:
        raise ForecastError(f"--hours must be between 1 and {MAX_LEAD_HOURS}, got {hours}")
    return horizon(issued_at, hours)


def hours_of_day(day: date, issued_at: datetime, zone: ZoneInfo) -> pd.DatetimeIndex:
    """All 23, 24 or 25 periods of a local day.

    Raises:
        ForecastError: the day has begun at `issued_at`, or ends more than 48 hours later.
    """
    periods = day_periods(day, zone)
    if periods[0] <= issued_at:
        raise ForecastError(
            f"{day} has begun at {utc_text(issued_at)}; give an earlier --as-of, or a later day"
        )
    furthest = issued_at + MAX_LEAD_HOURS * HOUR
    if periods[-1] > furthest:
        raise ForecastError(
            f"{day} ends more than {MAX_LEAD_HOURS} hours after {utc_text(issued_at)}; "
            "forecasts reach no further"
        )
    return periods


def make_forecast(
    database: Database,
    settings: Settings,
    champion: Champion,
    issued_at: datetime,
    periods: pd.DatetimeIndex,
) -> Forecast:
    """The champion's forecast of `periods`, from what was known at `issued_at`.

    Raises:
        ForecastError: no demand of the last four weeks was known, or the champion is another region's.
    """
    region = settings.region
    model = champion.forecaster
    if model.respondent != region.respondent:
        raise ForecastError(
            f"the champion was trained for {model.respondent}, not {region.respondent}; train for it first"
        )
    start = min(issued_at - WARM_UP, model.needs_from.to_pydatetime())
    record = load_recent(database, settings, start, issued_at)
    known = record.demand[record.demand[TARGET].notna()]
    if known.empty or known["period"].iloc[-1] < issued_at - WARM_UP:
        raise ForecastError(
            f"no demand of {region.respondent} in the {WARM_UP / timedelta(days=1):.0f} days before "
            f"{utc_text(issued_at)} was known then; run `energy-demand ingest` or `backfill`"
        )
    through = model.linear.through
    if record.periods[0] > through + pd.Timedelta(HOUR):
        raise ForecastError(
            f"the champion's state ends at {utc_text(through)}, and no demand is stored between that and "
            f"{utc_text(record.periods[0])}; run `energy-demand backfill --start {through:%Y-%m-%d} --end …`"
        )
    refreshed = model.advance(record)
    ahead = refreshed.foresee(record, issued_at)
    first = int((periods[0] - ahead.responses.periods[0]) // pd.Timedelta(HOUR))
    ahead = ahead.rows(slice(first, first + len(periods)))
    issues = utc_index(pd.DatetimeIndex([issued_at]))
    said = record.issued.around(issues, 0, MAX_LEAD_HOURS)[0, first + 1 : first + 1 + len(periods)]
    without_weather = bool(np.isnan(said[:, PATH_COLUMNS.index(MAIN)]).any())
    rows = build_features(
        record.demand,
        record.forecasts,
        targets=pd.DataFrame({"period": periods, "issued_at": issues.repeat(len(periods))}),
        region=region,
        availability=settings.availability,
    )
    return Forecast(
        issued_at=issued_at,
        model_version=champion.version,
        state_through=known["period"].iloc[-1].to_pydatetime(),
        quality=WITHOUT_WEATHER if without_weather else CHAMPION,
        in_sample=issued_at < model.trained_through,
        hours=refreshed.forecast(ahead, issued_at),
        explanation=refreshed.explain(ahead, issued_at),
        rows=rows,
    )


def _hour_json(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "period": utc_text(row["period"]),
        "lead_hours": int(row[LEAD]),
        **{name: round(float(row[name]), 1) for name in HOUR_COLUMNS},
    }


def utc_text(moment: datetime) -> str:
    """A UTC moment as JSON carries it: 2025-07-31T13:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
