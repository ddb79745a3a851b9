"""A forecast from stored data: what was known at `issued_at` → features → the champion → hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from energy_demand.columns import BASE_COLUMNS, LEAD, TARGET
from energy_demand.data.feature_engineering import build_features
from energy_demand.data.feature_store import WARM_UP
from energy_demand.data.history import load_issued
from energy_demand.errors import UserError
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
        rows: the feature rows it was made from.
    """

    issued_at: datetime
    model_version: str
    state_through: datetime
    quality: str
    in_sample: bool
    hours: pd.DataFrame
    rows: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """The body that `forecast --json` and `GET /forecast` give."""
        body = {
            "issued_at": utc_text(self.issued_at),
            "model_version": self.model_version,
            "state_through": utc_text(self.state_through),
            "quality": self.quality,
            "hours": [
                {
                    "period": utc_text(row["period"]),
                    "lead_hours": int(row[LEAD]),
                    **{name: round(float(row[name]), 1) for name in HOUR_COLUMNS},
                }
                for row in self.hours.to_dict("records")
            ],
        }
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
    end = periods[-1].to_pydatetime()
    history = load_issued(database, region, issued_at - WARM_UP, end, issued_at)
    known = history.demand[history.demand[TARGET].notna() & ~history.demand["imputed"]]
    if known.empty:
        raise ForecastError(
            f"no demand of {region.respondent} in the {WARM_UP / timedelta(days=1):.0f} days before "
            f"{utc_text(issued_at)} was known then; run `energy-demand ingest` or `backfill`"
        )
    targets = pd.DataFrame(
        {"period": periods, "issued_at": utc_index(pd.DatetimeIndex([issued_at] * len(periods)))}
    )
    rows = build_features(
        history.demand,
        history.weather,
        targets=targets,
        region=region,
        availability=settings.availability,
    )
    without_weather = bool(rows["temperature"].isna().any())
    hours = pd.concat(
        [rows[["timestamp", LEAD]].rename(columns={"timestamp": "period"}), model.predict(rows)], axis=1
    )
    return Forecast(
        issued_at=issued_at,
        model_version=champion.version,
        state_through=known["period"].iloc[-1].to_pydatetime(),
        quality=WITHOUT_WEATHER if without_weather else CHAMPION,
        in_sample=issued_at < model.trained_through,
        hours=hours,
        rows=rows,
    )


def utc_text(moment: datetime) -> str:
    """A UTC moment as JSON carries it: 2025-07-31T13:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
