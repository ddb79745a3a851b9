"""A server of the Model Context Protocol: an assistant asks for forecasts, scores and status. Only reads.

Its tools are the jobs behind the commands; what they refuse reaches the assistant as the same line.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from energy_demand import __version__
from energy_demand.errors import UserError
from energy_demand.logs import redact
from energy_demand.timeaxis import parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from energy_demand.config import Settings

INSTRUCTIONS = (
    "Hourly electricity demand of a region: forecasts with calibrated intervals, how good they were, and the "
    "state of the system that makes them. Energies are MWh. Times are UTC, and an hour is named by its end. "
    "`quality` says which step of the fallback ladder answered: champion is the best. Tell the reader the "
    "`warnings` of a forecast. Nothing here changes anything."
)
READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
# An assistant has no use for a year of days unless it asks for them.
USUAL_DAYS = 30
MOST_ROWS = 1_000

Hours = Annotated[int | None, Field(description="The next N hours, 1 to 48; 24 where neither is given.")]
Day = Annotated[
    str | None,
    Field(description="All hours of a local day instead: `tomorrow` or a date such as 2025-07-31."),
]
AsOf = Annotated[
    str | None,
    Field(description="Issue the forecast as of this past time, e.g. 2025-07-31T13:00Z; default: now."),
]
Region = Annotated[str | None, Field(description="Code of the region; default: the default region.")]
FirstDay = Annotated[
    str | None, Field(description=f"First local day; by day the default is {USUAL_DAYS} days ago.")
]
LastDay = Annotated[str | None, Field(description="Last local day, included; default: the newest.")]


def create_server(settings: Settings) -> MCPServer[Any]:
    """The server with its tools, on the database and the registry of `settings`."""
    server: MCPServer[Any] = MCPServer(
        "energy-demand", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING"
    )

    @server.tool(annotations=READ_ONLY)
    def forecast(
        hours: Hours = None, day: Day = None, as_of: AsOf = None, region: Region = None
    ) -> dict[str, Any]:
        """Forecast the next hours or a local day: each hour with 80 % and 95 % intervals, and the peak."""
        return _forecast(settings, hours, day, as_of, region, explain=False)

    @server.tool(annotations=READ_ONLY)
    def explain(
        hours: Hours = None, day: Day = None, as_of: AsOf = None, region: Region = None
    ) -> dict[str, Any]:
        """Say why: what calendar, temperature, sun, recent errors and trees add to each hour's forecast."""
        return _forecast(settings, hours, day, as_of, region, explain=True)

    @server.tool(annotations=READ_ONLY)
    def scores(
        by: Literal["day", "version", "quality"] = "day",
        period_from: FirstDay = None,
        period_to: LastDay = None,
        region: Region = None,
    ) -> dict[str, Any]:
        """Errors of the day-ahead forecasts scheduled at 09:00: MAE, MAPE, bias, interval coverage."""
        return _scores(settings, by, period_from, period_to, region)

    @server.tool(annotations=READ_ONLY)
    def status(region: Region = None) -> dict[str, Any]:
        """What is stored and missing, which model serves, the last drift check, the last retraining."""
        from energy_demand.jobs.status import status as read_status  # noqa: PLC0415

        with _refusals():
            of = _of(settings, region)
            return read_status(of, of.present())

    return server


def run(settings: Settings) -> None:
    """Serve on standard input and output until the assistant closes them."""
    create_server(settings).run("stdio")


def _forecast(
    settings: Settings,
    hours: int | None,
    day: str | None,
    as_of: str | None,
    region: str | None,
    *,
    explain: bool,
) -> dict[str, Any]:
    # Here and below: an assistant that only lists the tools does not wait for pandas.
    from energy_demand.jobs.forecast_answer import forecast_answer  # noqa: PLC0415

    with _refusals():
        issued_at = None if as_of is None else parse_moment(as_of)
        answer = forecast_answer(_of(settings, region), hours=hours, day=day, as_of=issued_at)
        return answer.to_json(explain=explain)


def _scores(
    settings: Settings, by: str, period_from: str | None, period_to: str | None, region: str | None
) -> dict[str, Any]:
    from energy_demand.database.engine import opened  # noqa: PLC0415
    from energy_demand.exports.columns import SCORES  # noqa: PLC0415
    from energy_demand.exports.formats import JSON, pieces  # noqa: PLC0415
    from energy_demand.exports.questions import parse_question  # noqa: PLC0415
    from energy_demand.exports.reading import open_export  # noqa: PLC0415

    with _refusals():
        of = _of(settings, region)
        present = of.present()
        if by == "day" and period_from is None and period_to is None:
            period_from = (present - timedelta(days=USUAL_DAYS)).date().isoformat()
        given = {"by": by, "period_from": period_from, "period_to": period_to, "limit": str(MOST_ROWS)}
        asked = {name: [text] for name, text in given.items() if text is not None}
        with opened(of) as database:
            export = open_export(database, parse_question(SCORES, asked, of.region, present))
            answer: dict[str, Any] = orjson.loads(b"".join(pieces(export, JSON)))
    return answer


def _of(settings: Settings, region: str | None) -> Settings:
    return settings if region is None else settings.for_region(region)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the user can mend into an error of the tool: one line without secrets."""
    try:
        yield
    except UserError as error:
        field = getattr(error, "field", None)  # of a parameter that cannot be used
        raise ToolError(redact(f"{field}: {error}" if field else str(error))) from None
