"""Special days: holidays and the days around them, on which demand differs from a usual day of that weekday.

Pure. Each class of day has a column of its own, because demand on Thanksgiving and on Columbus Day has
nothing in common.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import holidays
import pandas as pd
from dateutil.easter import easter

if TYPE_CHECKING:
    from energy_demand.arrays import Floats


# Days of every year by (month, day).
_FIXED = {
    "new_year": [(1, 1)],
    "after_new_year": [(1, 2)],
    "christmas_eve": [(12, 24)],
    "christmas": [(12, 25)],
    "christmas_week": [(12, 23), *((12, day) for day in range(26, 31))],
    "new_year_eve": [(12, 31)],
}
# Classes by the beginning of a holiday's name, and offsets in days from it.
_EASTER = "the calculated Easter"  # in no holiday calendar, so that it never matches Easter Monday
_MOVING = {
    "before_independence_day": ("Independence", [-1]),
    "independence_day": ("Independence", [0]),
    "thanksgiving_eve": ("Thanksgiving", [-1]),
    "thanksgiving": ("Thanksgiving", [0]),
    "after_thanksgiving": ("Thanksgiving", [1]),
    "thanksgiving_weekend": ("Thanksgiving", [2, 3]),
    "memorial_day": ("Memorial", [0]),
    "memorial_weekend": ("Memorial", [-2, -1]),
    "labor_day": ("Labor", [0]),
    "labor_weekend": ("Labor", [-2, -1]),
    "martin_luther_king_day": ("Martin", [0]),
    "presidents_day": ("Washington", [0]),
    "columbus_day": ("Columbus", [0]),
    "veterans_day": ("Veterans", [0]),
    "juneteenth": ("Juneteenth", [0]),
    "good_friday": (_EASTER, [-2]),
    "easter": (_EASTER, [0]),
    "easter_monday": (_EASTER, [1]),
}
_OBSERVED, _BRIDGE, _AFTER_INDEPENDENCE_DAY = "observed", "bridge", "after_independence_day"
SPECIAL_DAYS = (*_FIXED, *_MOVING, _OBSERVED, _BRIDGE, _AFTER_INDEPENDENCE_DAY)
# Classes of one holiday each.
HOLIDAYS = (
    "new_year",
    "martin_luther_king_day",
    "presidents_day",
    "good_friday",
    "easter_monday",
    "memorial_day",
    "juneteenth",
    "independence_day",
    "labor_day",
    "columbus_day",
    "veterans_day",
    "thanksgiving",
    "christmas",
)
_USUAL_YEAR = 2024


def special_day_columns(days: pd.DatetimeIndex, country: str) -> dict[str, Floats]:
    """One 0/1 column per class of `SPECIAL_DAYS`.

    Args:
        days: local calendar days (naive midnights), in any order.
        country: of the holiday calendar. Classes whose holiday it lacks stay 0.
    """
    years = range(days.year.min(), days.year.max() + 1) if len(days) else range(0)
    by_year = [_classes(country, year) for year in years]
    return {
        name: days.isin(pd.DatetimeIndex([day for classes in by_year for day in classes[name]])).astype(float)
        for name in SPECIAL_DAYS
    }


@lru_cache(maxsize=64)
def public_holidays(country: str) -> tuple[str, ...]:
    """Those of `HOLIDAYS` that are public holidays of a country."""
    calendar = holidays.country_holidays(country, years=_USUAL_YEAR)
    classes = _classes(country, _USUAL_YEAR)
    return tuple(name for name in HOLIDAYS if any(day in calendar for day in classes[name]))


@lru_cache(maxsize=256)
def _classes(country: str, year: int) -> dict[str, list[date]]:
    named = [(day, name) for day, name in holidays.country_holidays(country, years=year).items()]
    in_place = [(day, name) for day, name in named if "observed" not in name]
    in_place.append((easter(year), _EASTER))
    classes = {name: [date(year, *each) for each in fixed] for name, fixed in _FIXED.items()}
    for name, (word, offsets) in _MOVING.items():
        classes[name] = [
            day + timedelta(days=offset)
            for day, holiday in in_place
            if holiday.startswith(word)
            for offset in offsets
        ]
    classes[_OBSERVED] = [day for day, name in named if "observed" in name]
    bridges, after = classes.setdefault(_BRIDGE, []), classes.setdefault(_AFTER_INDEPENDENCE_DAY, [])
    for holiday in classes["independence_day"]:
        # The Monday before a Tuesday and the Friday after a Thursday; demand is low the day after as well.
        bridges += {1: [holiday - timedelta(days=1)], 3: [holiday + timedelta(days=1)]}.get(
            holiday.weekday(), []
        )
        after += [] if holiday.weekday() == 4 else [holiday + timedelta(days=1)]
    return classes
