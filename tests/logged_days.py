"""Some local days, two with a change of the clocks and what was forecast for them; for tests of the exports.

Every day has the morning's forecast, a poorer one of noon, one of `/predict` from a caller's own features,
and one of a model in the shadow.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from energy_demand.database import predictions
from energy_demand.database.tables import demand_flag, raw_demand, raw_demand_revision, truth_flag
from energy_demand.region import NEW_YORK
from energy_demand.timeaxis import HOUR, day_ahead_issue, day_periods
from logged import row
from support import PRESENT

if TYPE_CHECKING:
    from energy_demand.database.engine import Database

ZONE = NEW_YORK.zone
LONG_DAY, SHORT_DAY = date(2024, 11, 3), date(2025, 3, 9)  # of 25 and of 23 hours
USUAL_DAY, FALLBACK_DAY = date(2025, 3, 10), date(2025, 3, 11)
DAYS = (LONG_DAY, SHORT_DAY, USUAL_DAY, FALLBACK_DAY)
DELAY = timedelta(seconds=7, microseconds=250_000)  # from nine o'clock to the issue
MORNING, NOON, CALLER, SHADOW = 100.0, 500.0, 900.0, 1300.0  # what each forecast is above demand
# Hours of the usual day whose demand is special.
DOUBTED, REVISED, ZERO, WITHDRAWN = range(4)
REVISED_AT = PRESENT - 6 * HOUR
FLAGGED_AT = PRESENT - 30 * HOUR


def periods(day: date) -> list[datetime]:
    """The hours of a local day, by their ends."""
    return [each.to_pydatetime() for each in day_periods(day, ZONE)]


def demand_of(period: datetime) -> float:
    """The demand of an hour, MWh."""
    return 15_000.0 + 100.0 * period.hour + period.day


def issued(day: date, *, noon: bool = False) -> datetime:
    """When the morning's forecast of a day was issued, or that of noon."""
    return day_ahead_issue(day, ZONE) + DELAY + (3 * HOUR if noon else timedelta(0))


def fill(database: Database) -> None:
    """Store the days: demand with its flags and revisions, and the forecasts."""
    special = dict(enumerate(periods(USUAL_DAY)[:4]))
    with database.transaction() as connection:
        for day in DAYS:
            for period in periods(day):
                stored = {"respondent": "NY", "series": "D", "period": period, "origin": "NY"}
                times = {"known_at": period + HOUR, "ingested_at": period + HOUR}
                value = 0.0 if period == special[ZERO] else demand_of(period)
                if period == special[REVISED]:
                    earlier = {**stored, **times, "value": value - 40, "superseded_at": REVISED_AT}
                    connection.execute(sa.insert(raw_demand_revision).values(earlier))
                    times = {"known_at": REVISED_AT, "ingested_at": REVISED_AT}
                if period == special[WITHDRAWN]:
                    withdrawn = {**stored, **times, "value": value, "superseded_at": REVISED_AT}
                    connection.execute(sa.insert(raw_demand_revision).values(withdrawn))
                    continue
                connection.execute(sa.insert(raw_demand).values({**stored, **times, "value": value}))
        flagged = {"respondent": "NY", "period": special[DOUBTED], "flag": "SPIKE", "flagged_at": FLAGGED_AT}
        connection.execute(sa.insert(truth_flag).values(flagged))
        imputed = {"served_mwh": demand_of(special[DOUBTED]), "imputed_mwh": 15_555.0}
        connection.execute(sa.insert(demand_flag).values({**flagged, **imputed}))
        missing = {**flagged, "period": special[WITHDRAWN], "flag": "MISSING", "flagged_at": REVISED_AT}
        connection.execute(sa.insert(demand_flag).values({**missing, "imputed_mwh": 15_777.0}))
        connection.execute(sa.insert(truth_flag).values(missing))
        predictions.insert_predictions(connection, [each for day in DAYS for each in forecasts(day)])


def forecasts(day: date) -> list[dict[str, Any]]:
    """All rows of the log about a day."""
    quality = "last_week" if day == FALLBACK_DAY else "champion"
    morning, noon = issued(day), issued(day, noon=True)
    lags = {"demand_lag_24h": 15_000.0, "demand_lag_168h": 15_100.0}
    rows = []
    for period in periods(day):
        rows += [
            _row(period, morning, MORNING, f"scheduled NY {day}", "scheduled", quality, "7", lags),
            _row(period, noon, NOON, f"noon {day}", "request", "champion", "7", lags),
            _row(period, morning, SHADOW, f"shadow 8 {day}", "shadow", "champion", "8", lags),
        ]
    rows.append(_row(periods(day)[3], morning, CALLER, f"caller {day}", "request", "base_booster", "6", lags))
    # A batch of as many rows as the day has hours, each for an hour of it, is no forecast of the day.
    for number, period in enumerate(periods(day)):
        batch = _row(period, morning + HOUR / 4, CALLER, f"batch {day}", "request", "base_booster", "6", lags)
        rows.append({**batch, "row_number": number})
    return rows


def _row(
    period: datetime,
    issued_at: datetime,
    above: float,
    request_id: str,
    source: str,
    quality: str,
    version: str,
    features: dict[str, float],
) -> dict[str, Any]:
    predicted = demand_of(period) + above
    return row(
        timestamp=period.isoformat(),
        issued_at=issued_at.isoformat(),
        lead_hours=-int((issued_at - period) // HOUR),
        predicted_demand=predicted,
        lower_80=predicted - 150,
        upper_80=predicted + 150,
        lower_95=None if quality == "base_booster" else predicted - 300,
        upper_95=None if quality == "base_booster" else predicted + 300,
        request_id=request_id,
        source=source,
        quality=quality,
        model_version=version,
        features_json=features,
        prediction_made_at=(issued_at + timedelta(seconds=2)).isoformat(),
    )
