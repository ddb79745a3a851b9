"""The routes of the exports: parameters, the format by `?format=` or `Accept`, pages, documentation."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request  # noqa: TC002  (FastAPI reads it)
from starlette.responses import Response  # noqa: TC002

from energy_demand.exports.columns import DAY, EXPORTS, FORECASTS, INTEGER, SCORES, TEXT, TIME, columns_of
from energy_demand.exports.formats import CSV, FORMATS, JSON, MEDIA_TYPES
from energy_demand.exports.questions import QuestionError, parameters_of, parse_question
from energy_demand.serving.exports import ExportResponse
from energy_demand.serving.http.direct_route import DirectRoute
from energy_demand.serving.http.openapi import responses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from fastapi import FastAPI

    from energy_demand.exports.columns import Column
    from energy_demand.serving.service import Service

FORMAT, REGION = "format", "region"
EXPORT_PATHS = tuple(f"/{export}" for export in EXPORTS)
# Names that others have for the same: pandas and browsers' tools still send some of them.
_ALSO = {
    "application/parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/vnd.apache.arrow": "arrow",
    "application/csv": "csv",
}
_WORDS = {
    FORECASTS: "The logged forecasts, each with the demand of its hour where it is known, and the error.",
    "demand": "Hourly demand as served, with the flags of screening.",
    SCORES: "Errors of the forecasts that were scheduled at 09:00, by day, model version or quality.",
}


def add_exports(app: FastAPI, service: Service, region_text: str) -> None:
    """Add `GET /forecasts`, `/demand` and `/scores`."""
    for export in EXPORTS:
        endpoint = _endpoint(service, export)
        endpoint.__doc__ = f"{_WORDS[export]} As JSON, CSV, Parquet or Arrow (an IPC stream)."
        endpoint.__name__ = export
        app.router.add_api_route(
            f"/{export}",
            endpoint,
            methods=["GET"],
            tags=["exports"],
            summary=_WORDS[export],
            responses={200: _answered(export), **responses(406, 422, 429, 503, 504)},
            response_model=None,
            openapi_extra={"parameters": _parameters(export, region_text)},
            route_class_override=DirectRoute,
        )


def _endpoint(service: Service, export: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        given: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            given.setdefault(name, []).append(value)
        region = _single(given, REGION)
        how = chosen_format(_single(given, FORMAT), request.headers.get("accept"))
        settings = service.of(region).settings
        question = parse_question(export, given, settings.region, settings.present())
        answer = await service.exports.begin(question, how)
        headers = {"Vary": "Accept"}
        if how != JSON:
            suffix = f".{how}"
            headers["Content-Disposition"] = f'attachment; filename="{export}-{settings.eia_region}{suffix}"'
        if answer.next_cursor is not None:
            asked = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
            address = f"{request.url.path}?{urlencode([*asked, ('cursor', answer.next_cursor)])}"
            headers["Link"] = f'<{address}>; rel="next"'
        media_type = MEDIA_TYPES[how] + ("; header=present" if how == CSV else "")
        return ExportResponse(service.exports, answer, headers, media_type)

    return endpoint


def _single(given: dict[str, list[str]], name: str) -> str | None:
    values = given.pop(name, [])
    if len(values) > 1:
        raise QuestionError(name, "is given more than once")
    return values[0] if values else None


def chosen_format(asked: str | None, accept: str | None) -> str:
    """The format by `?format=`, or else the one that `Accept` prefers; JSON where it has no preference.

    Raises:
        QuestionError: there is no such format.
        HTTPException: 406, `Accept` takes none of the formats.
    """
    if asked is not None:
        if asked not in FORMATS:
            raise QuestionError(FORMAT, f"must be one of {', '.join(FORMATS)}")
        return asked
    if accept is None or not accept.strip():
        return JSON
    best = max(FORMATS, key=lambda how: _quality(how, accept))
    if _quality(best, accept) <= 0:
        kinds = ", ".join(MEDIA_TYPES.values())
        raise HTTPException(406, f"Accept takes none of {kinds}; or use ?format= with {', '.join(FORMATS)}")
    return best


def _quality(how: str, accept: str) -> float:
    """How much `Accept` wants a format, by its most exact range."""
    exact = 0
    wanted = 0.0
    for media_range, quality in _ranges(accept):
        kind = media_range.partition("/")[0]
        if media_range == MEDIA_TYPES[how] or _ALSO.get(media_range) == how:
            fits = 3
        elif media_range == f"{MEDIA_TYPES[how].partition('/')[0]}/*":
            fits = 2
        elif media_range == "*/*" or kind == "*":
            fits = 1
        else:
            continue
        if fits > exact:
            exact, wanted = fits, quality
    return wanted


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(","):
        media_range, *parameters = (each.strip().lower() for each in part.split(";"))
        quality = 1.0
        for each in parameters:
            name, _, value = each.partition("=")
            if name.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        yield media_range, quality


def _parameters(export: str, region_text: str) -> list[dict[str, Any]]:
    described = [
        {
            "name": each.name,
            "in": "query",
            "required": False,
            "description": each.text,
            "schema": deepcopy(dict(each.schema)),
            **({} if each.example is None else {"example": each.example}),
        }
        for each in parameters_of(export).values()
    ]
    formats = {"type": "string", "enum": list(FORMATS)}
    text = "The format; it goes before the header `Accept`, which names one by its media type."
    return [
        *described,
        {"name": FORMAT, "in": "query", "required": False, "description": text, "schema": formats},
        {
            "name": REGION,
            "in": "query",
            "required": False,
            "description": region_text,
            "schema": {"type": "string"},
        },
    ]


def _answered(export: str) -> dict[str, Any]:
    columns = columns_of(export)
    example = {"next": None, "rows": [{each.name: each.example for each in columns}]}
    lines = [",".join(each.name for each in columns), ",".join(str(each.example) for each in columns)]
    return {
        "description": "The rows, in the order of time.",
        "headers": {
            "Link": {
                "description": 'The next page, `<…>; rel="next"`, where `limit` left rows out.',
                "schema": {"type": "string"},
            }
        },
        "content": {
            MEDIA_TYPES[JSON]: {"schema": _rows_schema(export), "example": example},
            MEDIA_TYPES[CSV]: {"example": "\n".join(lines) + "\n"},
            **{MEDIA_TYPES[how]: {} for how in FORMATS if how not in {JSON, CSV}},
        },
    }


def _rows_schema(export: str) -> dict[str, Any]:
    groups = ("day", "version", "quality") if export == SCORES else ("day",)
    rows = [_row_schema(columns_of(export, by)) for by in groups]
    return {
        "type": "object",
        "required": ["next", "rows"],
        "additionalProperties": False,
        "properties": {
            "next": {
                "type": ["string", "null"],
                "description": "Cursor to the next page; null: the last one.",
            },
            "rows": {"type": "array", "items": rows[0] if len(rows) == 1 else {"oneOf": rows}},
        },
    }


def _row_schema(columns: tuple[Column, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [each.name for each in columns],
        "additionalProperties": False,
        "properties": {each.name: _value_schema(each) for each in columns},
    }


def _value_schema(column: Column) -> dict[str, Any]:
    kind = {TEXT: "string", TIME: "string", DAY: "string", INTEGER: "integer"}.get(column.kind, "number")
    form = {TIME: {"format": "date-time"}, DAY: {"format": "date"}}.get(column.kind, {})
    return {"type": [kind, "null"] if column.optional else kind, "description": column.text, **form}
