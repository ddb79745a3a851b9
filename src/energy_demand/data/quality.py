"""What a row must be to be stored.

The contract is checked where rows enter: a row that breaks it is set apart with its reason, the good
rows of the same page go on. Nothing here changes a value.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pandas as pd
import pandera.pandas as pa

from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Broken = list[tuple["Breach", dict[str, Any]]]

# No respondent of EIA, the whole country included, has used this much in an hour.
ABSURD_MWH = 1_000_000.0
HOURS_OF_A_LONG_DAY = 25
# Shares of a total by which rounded zones may differ from it.
LARGEST_DISAGREEMENT = 0.01
LARGEST_INTEGER = 2**53
PERIOD_FORMAT = "%Y-%m-%dT%H"
DAY_FORMAT = "%Y-%m-%d"


class Breach(StrEnum):
    """Why a row is not stored."""

    UNPARSABLE_PERIOD = "its period cannot be read"
    OUTSIDE_REQUEST = "its period was not requested"
    WRONG_RESPONDENT = "it belongs to another respondent"
    WRONG_SERIES = "it belongs to another series"
    NOT_A_NUMBER = "its value is not a number"
    NEGATIVE = "its value is negative"
    ABSURD = "its value is implausibly large"
    NO_FORECAST = "its total is zero, which is an outage"
    ZONES_DISAGREE = "its zones do not add up to its total"
    OUT_OF_RANGE = "its values are outside the physical range of weather"


# Wider than the world's weather records: values outside are errors.
WEATHER_RANGES = {
    "temperature_2m": (-90.0, 60.0),
    "relative_humidity_2m": (-2.0, 102.0),  # interpolated percentages overshoot a little
    "dew_point_2m": (-100.0, 40.0),
    "apparent_temperature": (-110.0, 80.0),
    "precipitation": (0.0, 400.0),
    "rain": (0.0, 400.0),
    "snowfall": (0.0, 300.0),
    "cloud_cover": (-2.0, 102.0),
    "wind_speed_10m": (0.0, 450.0),
    "wind_gusts_10m": (0.0, 500.0),
    "surface_pressure": (450.0, 1100.0),
    "shortwave_radiation": (0.0, 1600.0),
}

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
    respondents: Sequence[str],
    series: Sequence[str],
    start: datetime,
    end: datetime,
    largest: float = ABSURD_MWH,
) -> pa.DataFrameSchema:
    """The schema of demand rows that answer a request for periods from `start` to `end`."""
    checks = {
        Breach.UNPARSABLE_PERIOD: lambda period: period.notna(),
        Breach.OUTSIDE_REQUEST: lambda period: period.isna() | period.between(start, end),
        Breach.WRONG_RESPONDENT: lambda name: name.isin(respondents),
        Breach.WRONG_SERIES: lambda name: name.isin(series),
        Breach.NOT_A_NUMBER: lambda value: value.notna(),
        Breach.NEGATIVE: lambda value: ~(value < 0),
        Breach.ABSURD: lambda value: ~(value > largest),
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
) -> tuple[pd.DataFrame, Broken]:
    """Split EIA's hourly rows by the contract.

    A null value is an hour that EIA does not have: neither part contains it.

    Returns:
        `period` (UTC), `origin` (the respondent as served), `series`, `value` (MWh), one row an hour and
        series (the last one served), sorted; and each broken row as received, with its breach.
    """
    return _split(rows, PERIOD_FORMAT, demand_contract(respondents, series, start, end))


def check_daily(
    rows: Sequence[dict[str, Any]],
    *,
    respondents: Sequence[str],
    series: Sequence[str],
    start: date,
    end: date,
) -> tuple[pd.DataFrame, Broken]:
    """Split EIA's rows of daily totals by the contract, as `check_demand`.

    Returns:
        `day` (a date), `series`, `value` (MWh); and the broken rows.
    """
    first, last = (datetime.combine(day, time(0), tzinfo=UTC) for day in (start, end))
    largest = HOURS_OF_A_LONG_DAY * ABSURD_MWH
    good, broken = _split(rows, DAY_FORMAT, demand_contract(respondents, series, first, last, largest))
    return good.assign(day=good["period"].dt.date)[["day", "series", "value"]], broken


def check_weather(frame: pd.DataFrame) -> tuple[pd.DataFrame, Broken]:
    """Split rows of weather: those with a value that cannot be weather are set apart.

    Args:
        frame: `timestamp`, `site`, the twelve variables, and whatever else; missing values are fine.
    """
    contract = pa.DataFrameSchema(
        {name: pa.Column(float, _within(*limits), nullable=True) for name, limits in WEATHER_RANGES.items()}
    )
    frame = frame.reset_index(drop=True)
    broken = _breaches(contract, frame)
    records = frame.loc[sorted(broken)].to_dict("records")
    apart = [(broken[index], _payload(row)) for index, row in zip(sorted(broken), records, strict=True)]
    return frame.drop(index=list(broken)).reset_index(drop=True), apart


def check_operator(
    lines: pd.DataFrame, *, zones: Sequence[str], system: str, expected: pd.DatetimeIndex
) -> tuple[pd.DataFrame, Broken]:
    """Split the lines of an operator's forecast file by the contract: a line is set apart as a whole.

    Args:
        lines: `written`, `period`, `lead_days`, and text by zone; an empty cell is a value that is not there.
        zones: all zones there are, `system` among them; a file may lack some.
        system: their total.
        expected: the periods that the file may have.

    Returns:
        `period`, `lead_days`, `zone`, `forecast_mwh`, one row a period and zone (the last one served);
        and the broken lines as received.
    """
    there = [zone for zone in zones if zone in lines]
    text = lines[there]
    values = text.apply(pd.to_numeric, errors="coerce").astype(float)
    values = values.where(values.map(math.isfinite))
    parts = [zone for zone in zones if zone != system]
    total = values[system]
    shares = (values.reindex(columns=parts).sum(axis=1, min_count=len(parts)) - total).abs() / total
    frame = values.assign(period=lines["period"], disagreement=shares.where(total > 0).fillna(0.0))
    periods = [
        _check(Breach.UNPARSABLE_PERIOD, lambda period: period.notna()),
        _check(Breach.OUTSIDE_REQUEST, lambda period: period.isna() | period.isin(expected)),
    ]
    contract = {"period": pa.Column(checks=periods, nullable=True)}
    for zone in there:
        checks = [
            _check(Breach.NOT_A_NUMBER, _number_where(text[zone].notna())),
            _check(Breach.NEGATIVE, lambda value: ~(value < 0)),
            _check(Breach.ABSURD, lambda value: ~(value > ABSURD_MWH)),
        ]
        if zone == system:
            checks.append(_check(Breach.NO_FORECAST, lambda value: value != 0))
        contract[zone] = pa.Column(checks=checks, nullable=True)
    agree = _check(Breach.ZONES_DISAGREE, lambda share: share <= LARGEST_DISAGREEMENT)
    contract["disagreement"] = pa.Column(checks=agree)
    broken = _breaches(pa.DataFrameSchema(contract), frame)
    apart = [
        (breach, {str(name): value for name, value in lines.loc[index, ["written", *there]].items() if value})
        for index, breach in sorted(broken.items())
    ]
    good = values.assign(period=lines["period"], lead_days=lines["lead_days"]).drop(index=list(broken))
    good = good.drop_duplicates("period", keep="last")
    rows = good.melt(["period", "lead_days"], var_name="zone", value_name="forecast_mwh")
    return rows.dropna(subset="forecast_mwh").reset_index(drop=True), apart


def _number_where(served: pd.Series) -> Callable[[pd.Series], pd.Series]:
    return lambda values: values.notna() | ~served


def _check(breach: Breach, holds: Callable[[pd.Series], pd.Series]) -> pa.Check:
    return pa.Check(holds, name=breach.name, ignore_na=False)


def _within(lowest: float, highest: float) -> pa.Check:
    return pa.Check(lambda values: values.between(lowest, highest), name=Breach.OUT_OF_RANGE.name)


def _payload(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(name): value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
        if not pd.isna(value)
    }


def _split(
    rows: Sequence[dict[str, Any]], period_format: str, contract: pa.DataFrameSchema
) -> tuple[pd.DataFrame, Broken]:
    served = pd.DataFrame(
        [
            (
                _text(row.get("period")),
                _text(row.get("respondent")),
                _text(row.get("type")),
                _number(row.get("value")),
            )
            for row in rows
        ],
        columns=["period", "respondent", "series", "value"],
        dtype=object,
    )
    missing = served["value"].isna()
    frame = pd.DataFrame(
        {
            "period": utc_index(
                pd.to_datetime(served["period"], format=period_format, errors="coerce", utc=True)
            ),
            "respondent": served["respondent"],
            "series": served["series"],
            "value": pd.to_numeric(served["value"], errors="coerce").astype(float).where(_finite),
        }
    )
    broken = _breaches(contract, frame[~missing])
    good = frame[~missing].drop(index=list(broken)).rename(columns={"respondent": "origin"})
    good = good.drop_duplicates(["series", "period"], keep="last")
    apart = [(breach, dict(rows[index])) for index, breach in sorted(broken.items())]
    return good.sort_values(["series", "period"], ignore_index=True), apart


def _text(value: Any) -> str | None:
    """A value as text that every library takes, whatever type was served."""
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def _number(value: Any) -> Any:
    """A value that is a number, or text that is none, whatever type was served."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST_INTEGER:
        return value
    return value if value is None or isinstance(value, float) else _text(value)


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
