"""What every adapter shares: reading the inputs, cutting them at each issue, and writing the forecasts.

An adapter runs in an environment of its own that knows nothing of the product. It gives two functions to
`run`: `fit(history)` returns a model, `forecast(model, history, horizon)` returns the hours of the horizon
with `predicted_mwh` and, if it has intervals, `lower_80`, `upper_80`, `lower_95`, `upper_95`.

Both get `history` cut at the newest hour of demand that was known at the issue, and nothing else that has
demand in it. All issues between two refits make one block; a block that is on disk is not computed again.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEMAND, POINT = "demand_mwh", "predicted_mwh"
BOUNDS = ("lower_80", "upper_80", "lower_95", "upper_95")


@dataclass(frozen=True)
class Issue:
    """One forecast to make.

    Attributes:
        issued_at: UTC.
        refit: the model must be fitted before.
        history: by `period`: demand and inputs up to the newest hour with known demand.
        horizon: by `period`: the inputs of the hours after it, up to the last hour of the forecast day.
        target: which hours of the horizon belong to the forecast day.
    """

    issued_at: pd.Timestamp
    refit: bool
    history: pd.DataFrame
    horizon: pd.DataFrame
    target: pd.Series


def issues(folder: Path) -> Iterator[Issue]:
    """The forecasts to make, in order of time.

    Raises:
        ValueError: the inputs do not fit together: a horizon holds demand or does not follow its history.
    """
    history = pd.read_parquet(folder / "history.parquet")
    horizon = pd.read_parquet(folder / "horizon.parquet")
    if any("demand" in name for name in horizon):
        raise ValueError("the horizon must not hold demand")
    by_issue = dict(list(horizon.groupby("issued_at")))
    columns = [name for name in history if name != DEMAND]
    for row in pd.read_parquet(folder / "issues.parquet").itertuples():
        ahead = by_issue[row.issued_at].set_index("period")
        if ahead.index[0] != row.newest_known + pd.Timedelta(hours=1):
            raise ValueError(f"the horizon of {row.issued_at} does not follow its history")
        if row.newest_known >= row.issued_at:
            raise ValueError(f"{row.newest_known} was not known at {row.issued_at}")
        yield Issue(
            row.issued_at, bool(row.refit), history.loc[: row.newest_known], ahead[columns], ahead["target"]
        )


def run(
    fit: Callable[[pd.DataFrame], Any],
    forecast: Callable[[Any, pd.DataFrame, pd.DataFrame], pd.DataFrame],
) -> None:
    """Make all forecasts of the folder of inputs (first argument) into the folder of results (second)."""
    inputs, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    blocks: list[list[Issue]] = []
    for issue in issues(inputs):
        if issue.refit or not blocks:
            blocks.append([])
        blocks[-1].append(issue)
    for number, block in enumerate(blocks):
        file = out / f"block_{number:03d}.parquet"
        if not file.exists():
            _compute(block, file, fit, forecast)
        print(f"block {number + 1} of {len(blocks)}", file=sys.stderr, flush=True)


def _compute(block: list[Issue], file: Path, fit: Callable[..., Any], forecast: Callable[..., Any]) -> None:
    """One fit and the forecasts until the next; written at the end, with the seconds that each part took."""
    started = time.perf_counter()
    model = fit(block[0].history)
    fit_s = time.perf_counter() - started
    hours = []
    started = time.perf_counter()
    for issue in block:
        found = forecast(model, issue.history, issue.horizon)
        names = [POINT, *(name for name in BOUNDS if name in found)]
        found = found.loc[issue.target[issue.target].index, names]
        hours.append(found.assign(issued_at=issue.issued_at).rename_axis("period").reset_index())
    forecast_s = (time.perf_counter() - started) / len(block)
    unfinished = file.with_suffix(".part")
    pd.concat(hours, ignore_index=True).to_parquet(unfinished, index=False)
    seconds = {"fit_s": fit_s, "forecast_s": forecast_s, "forecasts": len(block)}
    file.with_suffix(".json").write_text(json.dumps(seconds))
    unfinished.rename(file)
