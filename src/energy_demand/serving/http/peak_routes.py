"""`GET /peaks` and the calendar of the alerted days, `GET /peaks.ics`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
from fastapi import Query, Request, Response
from pydantic import BeforeValidator

from energy_demand.serving.http.answers import BadFieldError, request_id_of
from energy_demand.serving.http.openapi import responses
from energy_demand.serving.http.parameters import REGION, Region, parse_day_or_tomorrow
from energy_demand.serving.peak_calendar import peak_calendar
from energy_demand.serving.peak_schemas import PeaksAnswer
from energy_demand.serving.schemas import FIRST_YEAR
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from fastapi import FastAPI

    from energy_demand.serving.service import Service

CALENDAR = "text/calendar"
JSON = "application/json"


Day = Annotated[
    Literal["tomorrow"] | date,
    BeforeValidator(parse_day_or_tomorrow),
    Query(description=f"A local day from {FIRST_YEAR} on that ends within 48 hours, or `tomorrow`."),
]


def add_peaks(app: FastAPI, service: Service) -> None:
    """Add both routes."""

    @app.get(
        "/peaks",
        response_model=PeaksAnswer,
        tags=["peaks"],
        responses=responses(409, 422, 429, 503, 504),
    )
    async def peaks(
        request: Request,
        day: Day = "tomorrow",
        region: Region = None,
    ) -> Response:
        """How likely a day is among its year's highest, whether it is alerted, and the year's highest so far.

        A coming day of which no scheduled forecast is stored yet is forecast now; nothing but the forecast is
        stored then.
        """
        _check_names(request, ("day", REGION))
        settings = service.of(region).settings
        now = settings.present()
        today = local_day(now, settings.region.zone)
        of_day = today + timedelta(days=1) if isinstance(day, str) else day
        if of_day.year < FIRST_YEAR:
            raise BadFieldError("day", f"must be in the year {FIRST_YEAR} or later")
        body = await service.peaks.body(settings, now, of_day)
        if body["peak"] is None and of_day > today:
            made = await service.forecast(request_id_of(request.scope), hours=None, day=of_day, region=region)
            body = await service.peaks.body(settings, now, of_day, made.ours)
        # Written once; a test holds it to `PeaksAnswer`.
        return Response(orjson.dumps(body, option=orjson.OPT_UTC_Z), media_type=JSON)

    @app.get(
        "/peaks.ics",
        tags=["peaks"],
        response_class=Response,
        responses={
            200: {
                "description": "An iCalendar feed (RFC 5545): an all-day event for each alerted day of this "
                "year and for tomorrow, if it is alerted.",
                "content": {CALENDAR: {"schema": {"type": "string"}}},
            },
            **responses(422, 429, 503, 504),
        },
    )
    async def calendar(request: Request, region: Region = None) -> Response:
        """The alerted peak days as a calendar to subscribe to."""
        _check_names(request, (REGION,))
        settings = service.of(region).settings
        days = await service.peaks.alerted(settings, settings.present())
        headers = {"Content-Disposition": f'inline; filename="peaks-{settings.eia_region}.ics"'}
        return Response(
            peak_calendar(days, settings.region), headers=headers, media_type=f"{CALENDAR}; charset=utf-8"
        )


def _check_names(request: Request, known: tuple[str, ...]) -> None:
    for name in request.query_params:
        if name not in known:
            raise BadFieldError(name, f"unknown parameter; use {', '.join(known)}")
