"""Answers that can be frames; their fields are those of `types`."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from .frames import forecast_frame, rows_frame
from .types import (
    DayScore,
    DemandRow,
    DemandRows,
    ForecastAnswer,
    ForecastRow,
    ForecastRows,
    ScoreRows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from pydantic import BaseModel


class Forecast(ForecastAnswer):
    """A forecast of consecutive hours."""

    def to_frame(self) -> pd.DataFrame:
        """A row for each hour, the rest in `attrs`; as `energy_demand.forecast` gives it."""
        return forecast_frame(self.model_dump(mode="json", exclude_unset=True))


class Forecasts(ForecastRows):
    """Logged forecasts; `next` is the cursor to the next page."""

    def to_frame(self) -> pd.DataFrame:
        """A row for each forecast of an hour; times are UTC, energies MWh."""
        return _frame(self.rows, ForecastRow)


class Demand(DemandRows):
    """Hours of demand; `next` is the cursor to the next page."""

    def to_frame(self) -> pd.DataFrame:
        """A row for each hour; times are UTC, energies MWh."""
        return _frame(self.rows, DemandRow)


class Scores(ScoreRows):
    """Scores by day, version or quality; `next` is the cursor to the next page."""

    def to_frame(self) -> pd.DataFrame:
        """A row for each day, version or quality."""
        return _frame(self.rows, DayScore)


def _frame(rows: Sequence[BaseModel], empty: type[BaseModel]) -> pd.DataFrame:
    """The rows with the columns of their type; without rows those of `empty`."""
    fields = (type(rows[0]) if rows else empty).model_fields
    numbers = [
        name for name, field in fields.items() if float in {field.annotation, *get_args(field.annotation)}
    ]
    return rows_frame([dict(row) for row in rows], list(fields)).astype(dict.fromkeys(numbers, float))
