"""Scores the screening of demand: good months are masked with the defects that the real record has.

    .venv/bin/python benchmarks/screening.py --data ../shared/data

Prints Markdown tables, or with `--json` one object. The masked months are in 2016–2023, which is also the
span that the thresholds were measured on; the list of real defects and false alarms covers the whole record.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from answers import answer_alone
from energy_demand.data.screening import Flag, screen

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20200526
MONTHS = ("2016-03", "2016-08", "2017-01", "2017-10", "2018-06", "2018-12", "2019-07", "2019-11", "2020-04",
          "2020-09", "2021-02", "2021-06", "2022-05", "2022-12", "2023-03", "2023-10")  # fmt: skip
HISTORY = pd.Timedelta(weeks=8)  # what a forecast screens
AFTER = pd.Timedelta(days=3)
SPACING_HOURS = 60  # so that one defect is over before the next
AGREEMENT = 0.01
MODES = {"causal": False, "two_sided": True}


class Defect(NamedTuple):
    """Defective values from an hour on, and how many of the first hours are true all the same."""

    served: np.ndarray
    true_hours: int = 0


def zeros(hours: int) -> Callable[..., Defect]:
    """So many hours of zero."""
    return lambda _rng, _truth: Defect(np.zeros(hours))


def outage(shortest: int, longest: int) -> Callable[..., Defect]:
    """No values for some hours."""
    return lambda rng, _truth: Defect(np.full(rng.integers(shortest, longest + 1), np.nan))


def frozen(rng: np.random.Generator, truth: np.ndarray) -> Defect:
    """A true value that is repeated: three to six equal hours."""
    return Defect(np.full(rng.integers(3, 7), truth[0]), true_hours=1)


def wrong_level(shortest: int, longest: int) -> Callable[..., Defect]:
    """All hours of a stretch too high or too low by 20 to 50 %."""

    def make(rng: np.random.Generator, truth: np.ndarray) -> Defect:
        factor = 1 + rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)
        return Defect(truth[: rng.integers(shortest, longest + 1)] * factor)

    return make


PATTERNS: dict[str, Callable[..., Defect]] = {
    "single zero": zeros(1),
    "two zero hours": zeros(2),
    "missing 1-2 h": outage(1, 2),
    "outage 1-24 h": outage(1, 24),
    "frozen 3-6 h": frozen,
    "spike ±20-50 %": wrong_level(1, 1),
    "level ±20-50 %, 2-6 h": wrong_level(2, 6),
    "level ±20-50 %, 7-12 h": wrong_level(7, 12),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of recorded files")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with answer_alone():
        real = pd.read_parquet(arguments.data / "ny_demand_hourly.parquet").sort_values("period")
        figures = {
            mode: {"masked": masked_months(real, two_sided), "record": whole_record(real, two_sided)}
            for mode, two_sided in MODES.items()
        }
    print(json.dumps(figures, indent=1) if arguments.json else markdown(figures))


def masked_months(real: pd.DataFrame, two_sided: bool) -> dict[str, dict[str, float]]:  # noqa: FBT001
    """Detection, false alarms and imputation error by pattern, over all months."""
    figures = {}
    for number, (name, pattern) in enumerate(PATTERNS.items()):
        rng = np.random.default_rng([SEED, number])  # the same defects for both modes
        months = [mask_month(real, month, pattern, rng, two_sided) for month in MONTHS]
        hours = pd.concat(months, ignore_index=True)
        bad = hours[hours["bad"]]
        good = hours[~hours["masked"]]
        imputed = bad[bad["imputed"]]
        figures[name] = {
            "events": int(bad["key"].nunique()),
            "bad_hours": len(bad),
            "events_detected": round(float(bad.groupby("key")["flagged"].any().mean()), 4),
            "hours_detected": round(float(bad["flagged"].mean()), 4),
            "false_flag_rate": round(float(good["flagged"].mean()), 6),
            "imputation_mape": round(float((imputed["demand_mwh"] / imputed["truth"] - 1).abs().mean()), 4),
        }
    return figures


def mask_month(
    real: pd.DataFrame,
    month: str,
    pattern: Callable[..., Defect],
    rng: np.random.Generator,
    two_sided: bool,  # noqa: FBT001
) -> pd.DataFrame:
    """The hours of one month after defects were put into it and it was screened with its history."""
    first = pd.Timestamp(month, tz="UTC")
    last = first + pd.offsets.MonthBegin(1)
    window = real[real["period"].between(first - HISTORY, last + AFTER)].reset_index(drop=True)
    inside = window.index[window["period"].between(first, last, inclusive="left")]
    truth = window["demand_mwh"].to_numpy()
    operator = window.loc[inside, "nyiso_load_mwh"]
    agrees = operator.isna() | ((truth[inside] / operator - 1).abs() < AGREEMENT)
    if not (agrees.all() and (truth[inside] > 0).all()):
        raise ValueError(f"{month} is no good month")
    served = truth.copy()
    event = np.full(len(window), -1)
    bad = np.zeros(len(window), dtype=bool)
    starts = range(int(inside[0]), int(inside[-1]) - SPACING_HOURS, SPACING_HOURS)
    for key, slot in enumerate(starts):
        start = slot + int(rng.integers(0, SPACING_HOURS - 30))
        defect = pattern(rng, truth[start:])
        end = start + len(defect.served)
        served[start:end] = defect.served
        event[start:end] = key
        bad[start + defect.true_hours : end] = True
    screened = screen(window.assign(demand_mwh=served)[["period", "demand_mwh"]], two_sided=two_sided)
    hours = screened.assign(
        truth=truth, event=event, masked=event >= 0, bad=bad, flagged=screened["flag"].notna()
    ).loc[inside]
    return hours.assign(key=[f"{month} {key}" for key in hours["event"]])


def whole_record(real: pd.DataFrame, two_sided: bool) -> dict[str, object]:  # noqa: FBT001
    """Time, real defects found and false alarms on the record as it is."""
    served = real[["period", "demand_mwh"]]
    started = time.perf_counter()
    screened = screen(served, two_sided=two_sided).set_index("period")
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    screen(served.tail(8 * 168), two_sided=two_sided)
    weeks = time.perf_counter() - started
    operator = real.set_index("period")["nyiso_load_mwh"].reindex(screened.index)
    certain = screened["flag"].isin([Flag.ZERO_OR_MISSING, Flag.IDENTICAL_RUN])
    disagrees = operator.notna() & ~((screened["served_mwh"] / operator - 1).abs() < AGREEMENT)
    flagged = screened["flag"].notna()
    found = screened[flagged & (certain | disagrees)]
    # Frozen hours agree with the operator, whose own record is frozen there; they are no good hours.
    good = operator.notna() & ~disagrees & ~certain
    before = operator.isna() & ~certain
    return {
        "hours": len(screened),
        "seconds": round(seconds, 2),
        "eight_weeks_milliseconds": round(weeks * 1000, 1),
        "found": {f"{period:%Y-%m-%dT%H}": row["flag"] for period, row in found.iterrows()},
        "off_but_not_found": [f"{period:%Y-%m-%dT%H}" for period in screened.index[disagrees & ~flagged]],
        "good_hours": int(good.sum()),
        "false_flags": int((good & flagged).sum()),
        "false_flag_rate": round(float(flagged[good].mean()), 6),
        "flag_rate_before_2019_unchecked": round(float(flagged[before].mean()), 6),
        "false_flags_by_year": {
            str(year): int(count)
            for year, count in (good & flagged).groupby(screened.index.year).sum().items()
        },
    }


def markdown(figures: dict[str, dict]) -> str:
    """The figures as tables for docs/measurements.md."""
    lines = [
        "| pattern (events, bad hours) | mode | events found | hours found | false flags | imputation MAPE |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name in PATTERNS:
        for mode in MODES:
            row = figures[mode]["masked"][name]
            lines.append(
                f"| {name} ({row['events']}, {row['bad_hours']}) | {mode} | {row['events_detected']:.1%} "
                f"| {row['hours_detected']:.1%} | {row['false_flag_rate']:.3%} "
                f"| {row['imputation_mape']:.2%} |"
            )
    lines += [
        "",
        "| whole record | false flags of good hours (2019 on) | flagged before 2019 | time | 8 weeks |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for mode in MODES:
        row = figures[mode]["record"]
        lines.append(
            f"| {mode} | {row['false_flags']} of {row['good_hours']:,} ({row['false_flag_rate']:.3%}) "
            f"| {row['flag_rate_before_2019_unchecked']:.3%} | {row['seconds']} s "
            f"| {row['eight_weeks_milliseconds']} ms |"
        )
    for mode in MODES:
        row = figures[mode]["record"]
        found = ", ".join(f"{period} {flag}" for period, flag in row["found"].items())
        lines += [
            "",
            f"Real defects found, {mode}: {found}. Not found: {row['off_but_not_found'] or 'none'}.",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
