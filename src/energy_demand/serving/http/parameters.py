"""Parameters that several routes read."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from energy_demand.jobs.forecast import TOMORROW
from energy_demand.timeaxis import TimeFormatError, parse_day

REGION = "region"
REGION_TEXT = "One of EIA_REGIONS; default: EIA_REGION, the default region."
Region = Annotated[str | None, Query(description=REGION_TEXT)]


def parse_day_or_tomorrow(text: object) -> object:
    """A day from a query; `tomorrow` stays as it is.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(text, str) or text == TOMORROW:
        return text
    try:
        return parse_day(text)
    except TimeFormatError as error:
        raise ValueError(f"{error} or tomorrow") from None
