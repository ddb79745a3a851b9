"""The test days, and the time up to which data may be used for training. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from energy_demand.errors import UserError
from energy_demand.evaluation.schedule import Predict, Protocol, schedule
from energy_demand.timeaxis import HOUR, local_day

if TYPE_CHECKING:
    from energy_demand.data.record import Record
    from energy_demand.pipeline.params import Forecast


class WindowError(UserError, ValueError):
    """The record cannot be split as the parameters require."""


@dataclass(frozen=True)
class Window:
    """The newest days of a record.

    Invariant: nothing that became known after `cut` may be trained on; `cut` is the issue time of the first
    forecast.

    Attributes:
        protocol: of the forecasts.
        first: first local test day.
        last: last local test day.
        predictions: the forecast events of the test days, in order of issue.
    """

    protocol: Protocol
    first: date
    last: date
    predictions: tuple[Predict, ...]

    @property
    def cut(self) -> datetime:
        """The issue time of the first forecast."""
        return self.predictions[0].issued_at

    @property
    def trained_through(self) -> datetime:
        """The newest hour of demand that may be trained on."""
        return self.protocol.availability.newest_known(self.cut)


def test_window(record: Record, forecast: Forecast) -> Window:
    """The window of the newest `test_days` of a record.

    Raises:
        WindowError: forecasts use weather as issued, and none is on record by the first of them.
    """
    protocol, zone = Protocol(forecast.protocol), record.region.zone
    last = local_day((record.periods[-1] - pd.Timedelta(HOUR)).to_pydatetime(), zone)
    first = last - timedelta(days=forecast.test_days - 1)
    events = schedule(protocol, first, last, zone)
    window = Window(protocol, first, last, tuple(event for event in events if isinstance(event, Predict)))
    runs = record.issued.issued_at
    if forecast.weather == "as_issued" and (len(runs) == 0 or runs[0] > pd.Timestamp(window.cut)):
        known = f"begin at {runs[0]:%Y-%m-%dT%H} UTC" if len(runs) else "are not stored"
        raise WindowError(
            f"weather forecasts as issued {known}, but the first forecast of the test days is issued at "
            f"{window.cut:%Y-%m-%dT%H} UTC; set forecast.weather to observed, or choose later days"
        )
    return window
