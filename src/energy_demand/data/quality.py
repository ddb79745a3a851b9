"""What a row must be to be stored, and which stored values may be used as demand.

The contract is checked where rows enter: a row that breaks it is set apart with its reason, the good
rows of the same page go on. Nothing here changes a value.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pandas as pd
import pandera.pandas as pa

from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

# No respondent of EIA, the whole country included, has used this much in an hour.
ABSURD_MWH = 1_000_000.0
PERIOD_FORMAT = "%Y-%m-%dT%H"


class Breach(StrEnum):
    """Why a row is not stored."""

    UNPARSABLE_PERIOD = "its period cannot be read"
    OUTSIDE_REQUEST = "its period was not asked for"
    WRONG_RESPONDENT = "it belongs to another respondent"
    WRONG_SERIES = "it belongs to another series"
    NOT_A_NUMBER = "its value is no number"
    NEGATIVE = "its value is negative"
    ABSURD = "its value is absurdly large"


# The first of a row's breaches, in this order, is its reason.
_COLUMN_OF = {
    Breach.UNPARSABLE_PERIOD: "period",
    Breach.OUTSIDE_REQUEST: "period",
    Breach.WRONG_RESPONDENT: "respondent",
    Breach.WRONG_SERIES: "series",
    Breach.NOT_A_NUMBER: "value",
    Breach.NEGATIVE: "value",
    Breach.ABSURD: "value",
}


def demand_contract(
    respondents: Sequence[str], series: Sequence[str], start: datetime, end: datetime
) -> pa.DataFrameSchema:
    """The schema of demand rows that answer a request for periods from `start` to `end`."""
    checks = {
        Breach.UNPARSABLE_PERIOD: lambda period: period.notna(),
        Breach.OUTSIDE_REQUEST: lambda period: period.isna() | period.between(start, end),
        Breach.WRONG_RESPONDENT: lambda name: name.isin(respondents),
        Breach.WRONG_SERIES: lambda name: name.isin(series),
        Breach.NOT_A_NUMBER: lambda value: value.notna(),
        Breach.NEGATIVE: lambda value: ~(value < 0),
        Breach.ABSURD: lambda value: ~(value > ABSURD_MWH),
    }
    columns: dict[str, list[pa.Check]] = {}
    for breach, check in checks.items():
        columns.setdefault(_COLUMN_OF[breach], []).append(pa.Check(check, name=breach.name, ignore_na=False))
    return pa.DataFrameSchema(
        {name: pa.Column(checks=checks, nullable=True) for name, checks in columns.items()}
    )


def check_demand(
    rows: Sequence[dict[str, Any]],
    *,
    respondents: Sequence[str],
    series: Sequence[str],
    start: datetime,
    end: datetime,
) -> tuple[pd.DataFrame, list[tuple[Breach, dict[str, Any]]]]:
    """Split EIA's rows by the contract.

    A null value is an hour that EIA does not have: it is in neither part.

    Returns:
        `period` (UTC), `origin` (the respondent as served), `series`, `value` (MWh), one row an hour and
        series (the last one served), sorted; and each broken row as it came, with its breach.
    """
    served = pd.DataFrame(
        [(row.get("period"), row.get("respondent"), row.get("type"), row.get("value")) for row in rows],
        columns=["period", "respondent", "series", "value"],
        dtype=object,
    )
    missing = served["value"].isna()
    frame = pd.DataFrame(
        {
            "period": utc_index(
                pd.to_datetime(served["period"], format=PERIOD_FORMAT, errors="coerce", utc=True)
            ),
            "respondent": served["respondent"],
            "series": served["series"],
            "value": pd.to_numeric(served["value"], errors="coerce").astype(float).where(_finite),
        }
    )
    broken = _breaches(demand_contract(respondents, series, start, end), frame[~missing])
    good = frame[~missing].drop(index=list(broken)).rename(columns={"respondent": "origin"})
    good = good.drop_duplicates(["series", "period"], keep="last")
    apart = [(breach, dict(rows[index])) for index, breach in sorted(broken.items())]
    return good.sort_values(["series", "period"], ignore_index=True), apart


def usable_demand(values: pd.Series) -> pd.Series:
    """Demand with the values that cannot be demand set to NaN: a zero is an outage of the reporting."""
    return values.where(values > 0)


def _breaches(contract: pa.DataFrameSchema, frame: pd.DataFrame) -> dict[int, Breach]:
    try:
        contract.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return {}
    order = {breach.name: breach for breach in Breach}
    found: dict[int, Breach] = {}
    for name, breach in order.items():
        for index in cases.loc[cases["check"] == name, "index"]:
            found.setdefault(int(index), breach)
    return found


def _finite(values: pd.Series) -> pd.Series:
    return values.map(math.isfinite) | values.isna()
