"""What a forecast says of a day's peak: its probabilities, whether the day is alerted, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from zoneinfo import ZoneInfo

PREDICTED = "predicted_demand_mwh"  # as a forecaster names it, which is heavy to import
LIKELY = 0.1  # hours with this probability of being the highest are named


@dataclass(frozen=True)
class DayPeak:
    """What a forecast says of a day's peak.

    Attributes:
        day: local.
        issued_at: of the forecast.
        model_version: that made it.
        quality: the step of the fallback ladder that answered.
        quantiles: MWh of the highest hour, by probability.
        hours: `period`, `predicted_demand_mwh`, `probability` that the hour is the highest (None: unknown).
        so_far_mwh: see `Standings`, as the three after it.
        so_far_probability: see `Chances`, as the two after it.
        needed_probability: that `hour_probability` has to reach for an alert.
        alerts_before: days of the year alerted before.
        alert: whether the day is alerted.
        made_at: when it was stored; for one that is not stored, when it was made.
    """

    day: date
    issued_at: datetime
    model_version: str
    quality: str
    quantiles: dict[float, float]
    hours: list[dict[str, Any]]
    so_far_mwh: float | None
    day_mwh: float | None
    hour_mwh: float | None
    to_come: float
    so_far_probability: float | None
    day_probability: float | None
    hour_probability: float | None
    needed_probability: float
    alerts_before: int
    alert: bool
    made_at: datetime

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> DayPeak:
        """From a row of `peak_forecast`."""
        quantiles = {float(at): mwh for at, mwh in row["peak_quantiles"].items()}
        hours = [{**hour, "period": datetime.fromisoformat(hour["period"])} for hour in row["hours"]]
        others = {name: row[name] for name in cls.__dataclass_fields__ if name not in {"quantiles", "hours"}}
        return cls(quantiles=dict(sorted(quantiles.items())), hours=hours, **others)

    @property
    def likeliest(self) -> datetime:
        """The hour that is most likely the highest; where that is unknown, the highest forecast's."""
        hour = max(self.hours, key=lambda hour: (hour["probability"] or 0.0, hour[PREDICTED]))
        period: datetime = hour["period"]
        return period

    @property
    def likely(self) -> tuple[datetime, datetime]:
        """Start and end of the span that holds every hour likely to be the highest."""
        named = [hour["period"] for hour in self.hours if (hour["probability"] or 0.0) >= LIKELY]
        if not named:
            named = [self.likeliest]
        return named[0] - HOUR, named[-1]

    def headline(self, place: str, zone: ZoneInfo) -> str:
        """The day in a few words."""
        start, end = (moment.astimezone(zone) for moment in self.likely)
        expected = f"{self.quantiles[0.5] / 1000:.1f} GW"
        return f"Peak demand in {place}: {expected}, likely {start:%H:%M} to {end:%H:%M}"

    def reason(self, zone: ZoneInfo) -> str:
        """Why the day is alerted or not, a sentence."""
        if self.hour_probability is None:
            return (
                f"{self.day} is not alerted: with fewer than ten hours of {self.day.year} and no whole "
                "earlier year stored, the probability of a peak is unknown"
            )
        start, end = (moment.astimezone(zone) for moment in self.likely)
        low, middle, high = (self.quantiles[at] / 1000 for at in (0.1, 0.5, 0.9))
        return (
            f"{self.day} is {'' if self.alert else 'not '}alerted: it holds one of the ten highest hours of "
            f"{self.day.year} with a probability of {self.hour_probability:.0%}, and an alert needs "
            f"{self.needed_probability:.0%}; expected peak {middle:.1f} GW "
            f"(80 % interval {low:.1f} to {high:.1f}), most likely between {start:%H:%M} and "
            f"{end:%H:%M}, time of {zone.key}"
        )

    def to_json(self, zone: ZoneInfo) -> dict[str, Any]:
        """The JSON form."""
        body = {name: value for name, value in vars(self).items() if name != "quantiles"}
        probabilities = [name for name in body if name.endswith("_probability") or name == "to_come"]
        body |= {name: _rounded(body[name], 4) for name in probabilities}
        body |= {name: _rounded(body[name], 1) for name in body if name.endswith("_mwh")}
        likely = dict(zip(("start", "end"), self.likely, strict=True))
        return body | {
            "reason": self.reason(zone),
            "likely": likely,
            "peak_quantiles": by_probability(self.quantiles),
        }


def by_probability(quantiles: Mapping[float, float]) -> dict[str, float]:
    """Quantiles as JSON has them."""
    return {f"{at:g}": mwh for at, mwh in quantiles.items()}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
