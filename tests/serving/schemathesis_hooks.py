"""What JSON Schema cannot say, kept out of the requests that Schemathesis sends.

Loaded by `schemathesis run` in a process of its own; see `test_schemathesis.py`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import schemathesis
from schemathesis import GenerationMode

from energy_demand.serving.http.export_routes import EXPORT_PATHS
from energy_demand.serving.http.middleware import REQUEST_ID_PATTERN
from energy_demand.serving.schemas import DERIVED

if TYPE_CHECKING:
    from schemathesis import Case, HookContext

# Given, they must agree with other fields.
AGREEING = {*DERIVED, "timestamp"}
SENSIBLE = {
    "period_from": "2025-03-01",
    "period_to": "2025-03-09",
    "issued_from": "2025-02-28T00:00:00Z",
    "issued_to": "2025-03-09",
    "as_of": "2025-03-09T12:00:00Z",
}
SCENARIO = "temperature+3,cloud=0"
WEATHER = {"period": "2025-03-12T14:00:00Z", "wind_speed": 12.5}
ids = map("case-{}".format, itertools.count())


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    # An id is used for one question: good ones are made different, bad ones stay.
    if REQUEST_ID_PATTERN.fullmatch(str(case.headers.get("X-Request-ID", ""))):
        case.headers["X-Request-ID"] = next(ids)
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if isinstance(case.body, dict):
        for row in case.body.get("rows", [case.body]):
            for name in AGREEING & row.keys():
                del row[name]
    if "day" in case.query:  # it must lie ahead, and stands instead of hours
        case.query["day"] = "tomorrow"
        case.query.pop("hours", None)
    _scenario(case)
    if case.path in EXPORT_PATHS:
        # Its times must be of this century and in order, and a cursor is that of an answer.
        case.query = {
            name: SENSIBLE.get(name, value) for name, value in case.query.items() if name != "cursor"
        }
        if "issued_by" in case.query:
            case.query["days_ahead"] = 1


def _scenario(case: Case) -> None:
    if "scenario" in case.query:  # it has a grammar of its own
        case.query["scenario"] = SCENARIO
    if case.path == "/forecast" and isinstance(case.body, dict):
        case.body["scenario"] = SCENARIO
        if case.body.get("weather"):  # of an hour that is forecast, at a site that there is
            case.body["weather"] = [{**case.body["weather"][0], **WEATHER}]
            case.body["weather"][0].pop("site", None)
            case.query.pop("day", None)
