"""The columns of each export: their names, units and meaning, in order. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

FORECASTS, DEMAND, SCORES = "forecasts", "demand", "scores"
EXPORTS = (FORECASTS, DEMAND, SCORES)
# What scores are grouped by: the words of `by`, and the column of each.
GROUPS = {"day": "day", "version": "model_version", "quality": "quality"}

TIME, TEXT, NUMBER, INTEGER, DAY = "time", "text", "number", "integer", "day"
ARROW_TYPES = {
    TIME: pa.timestamp("us", tz="UTC"),
    TEXT: pa.string(),
    NUMBER: pa.float64(),
    INTEGER: pa.int32(),
    DAY: pa.date32(),
}
Example = str | float


class Column(NamedTuple):
    """A column; `optional` where a row may have no value."""

    name: str
    kind: str
    text: str
    example: Example
    optional: bool = False


REGION = Column("region", TEXT, "Code of the region.", "NY")
PERIOD = Column("period", TIME, "End of the hour, UTC.", "2025-07-31T20:00:00Z")
ACTUAL = Column(
    "actual_mwh",
    NUMBER,
    "Demand, MWh; missing while it is unknown and where it is not truth.",
    24310.0,
    optional=True,
)
QUALITY = Column(
    "quality", TEXT, "The step of the fallback ladder that answered, `champion` being the best.", "champion"
)
VERSION = Column("model_version", TEXT, "The model's registered version.", "7")

_FORECASTS = (
    REGION,
    PERIOD,
    Column("issued_at", TIME, "When the forecast was issued, UTC.", "2025-07-30T13:00:04.512873Z"),
    Column("lead_hours", INTEGER, "Hours from the issue to the end of the hour, rounded up.", 31),
    Column("predicted_demand_mwh", NUMBER, "The forecast, MWh.", 24055.3),
    *(
        Column(
            f"{side}_{level}",
            NUMBER,
            f"{side.title()} bound of the {level} % interval, MWh.",
            value,
            optional=True,
        )
        for side, level, value in (
            ("lower", 80, 23310.8),
            ("upper", 80, 24790.1),
            ("lower", 95, 22871.0),
            ("upper", 95, 25213.9),
        )
    ),
    ACTUAL,
    Column("error_mwh", NUMBER, "predicted_demand_mwh − actual_mwh.", -254.7, optional=True),
    Column(
        "error_percent",
        NUMBER,
        "The error in percent of actual_mwh; missing where that is 0.",
        -1.05,
        optional=True,
    ),
    VERSION,
    QUALITY,
    Column(
        "source", TEXT, "`scheduled` (the morning job), `request` (a caller's) or `backfill`.", "scheduled"
    ),
    Column("made_at", TIME, "When the forecast was logged, UTC.", "2025-07-30T13:00:06.201447Z"),
)
_DEMAND = (
    REGION,
    PERIOD,
    Column("demand_mwh", NUMBER, "Demand as the upstream serves it, MWh.", 24310.0, optional=True),
    ACTUAL,
    Column("known_at", TIME, "When this value was first known, UTC.", "2025-07-31T22:00:00Z", optional=True),
    Column(
        "screening_flag",
        TEXT,
        "Why forecasts must not use the value, by earlier hours alone.",
        "SPIKE",
        optional=True,
    ),
    Column("imputed_mwh", NUMBER, "What forecasts use in its place, MWh.", 24180.0, optional=True),
    Column(
        "truth_flag",
        TEXT,
        "Why the value is not truth to score against, by hours on both sides.",
        "SPIKE",
        optional=True,
    ),
)
_KEYS = {
    "day": Column("day", DAY, "The day, in the region's time zone.", "2025-07-31"),
    "version": VERSION,
    "quality": QUALITY,
}
_SCORES = (
    Column("hours", INTEGER, "Hours with a forecast.", 24),
    Column("known", INTEGER, "Hours whose demand is known; every error is over these.", 24),
    Column("mae_mwh", NUMBER, "Mean absolute error, MWh.", 391.2, optional=True),
    Column("rmse_mwh", NUMBER, "Root mean square error, MWh.", 477.0, optional=True),
    Column("mape", NUMBER, "Mean absolute error in percent of demand.", 2.04, optional=True),
    Column("bias_percent", NUMBER, "Mean error in percent of demand.", -0.31, optional=True),
    Column("coverage_80", NUMBER, "Percent of hours within the 80 % interval.", 79.2, optional=True),
    Column("coverage_95", NUMBER, "Percent of hours within the 95 % interval.", 95.8, optional=True),
)


def columns_of(export: str, by: str = "day") -> tuple[Column, ...]:
    """The columns of an export; of scores those of a grouping."""
    if export == FORECASTS:
        return _FORECASTS
    return _DEMAND if export == DEMAND else (REGION, _KEYS[by], *_SCORES)


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """The columns as Arrow and Parquet have them."""
    return pa.schema(
        [pa.field(each.name, ARROW_TYPES[each.kind], nullable=each.optional) for each in columns]
    )
