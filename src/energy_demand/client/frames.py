"""Answers as pandas frames. pandas is imported when one is asked for: the client works without it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

HOURS = "hours"
TIMES = frozenset({"period", "issued_at", "made_at", "known_at"})


def forecast_frame(body: Mapping[str, Any]) -> pd.DataFrame:
    """A forecast as a frame with a row for each hour.

    Args:
        body: the JSON of `GET /forecast` or `energy-demand forecast --json`.

    Returns:
        `period` (UTC, hour ending), `lead_hours`, `predicted_demand_mwh` and the bounds of the 80 % and 95 %
        intervals (MWh); of what an hour has further, a column for each part, such as `explanation.sun`.
        `attrs` has the rest of the body (`issued_at`, `quality`, `model_version`, `warnings`, …) as JSON has
        it, so that `to_parquet` can keep it.

    Raises:
        ClientError: pandas is not installed.
    """
    _need_pandas()
    import pandas as pd  # noqa: PLC0415

    hours = pd.json_normalize(list(body[HOURS]))
    # The service and the client write the parts in orders of their own.
    parts = sorted(hours.columns, key=lambda name: name.partition(".")[0] if "." in name else "")
    frame = _with_times(hours[parts])
    frame.attrs = {name: value for name, value in body.items() if name != HOURS}
    return frame


def rows_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows of an export as a frame; times are UTC timestamps, and without rows there are still columns."""
    _need_pandas()
    import pandas as pd  # noqa: PLC0415

    return _with_times(pd.DataFrame(list(rows), columns=list(columns)))


def _need_pandas() -> None:
    if find_spec("pandas") is None:
        raise ClientError("a frame needs pandas, which is not installed: pip install pandas")


def _with_times(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415

    times = {
        name: pd.to_datetime(frame[name], utc=True, format="ISO8601").dt.as_unit("us")
        for name in frame.columns
        if name in TIMES
    }
    return frame.assign(**times)
