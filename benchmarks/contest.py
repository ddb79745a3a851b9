"""Error rates of the contest between champion and challenger, on pairs built from recorded errors.

Every quarter a forecaster is fitted on what was known then and forecasts the next 182 days, day-ahead. So
the second 91 days have two forecasts: of a champion, and of the refit that would have been its challenger. A
pair of equal models: 56 consecutive days of such a quarter, of which each week has the two models exchanged
or not, by the toss of a coin. A challenger 3 % better: the same with its errors times 0.97. Each pair goes
through `promotion.judge` as in service: once with the 28 days of the holdout, then every day in the shadow.

Weather as observed (forecasts as issued begin in 2023-10); nothing after 2024-07-31 is read. Reads the
database of the settings, which must be backfilled. The forecasts are kept in `contest_forecasts.parquet` in
the home folder: delete it after a change of the model.

    .venv/bin/python benchmarks/contest.py --json
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.evaluation.contest import compared, day_ahead
from energy_demand.evaluation.promotion import PLANNED_DAYS, Decision, judge
from energy_demand.evaluation.rollback import gain_deviation
from energy_demand.limits import HOLDOUT_DAYS, SHADOW_DAYS
from energy_demand.model.train import fit
from energy_demand.timeaxis import day_ahead_issue

if TYPE_CHECKING:
    from pathlib import Path

    from energy_demand.data.record import Record
    from energy_demand.timeaxis import Availability

END = datetime(2024, 8, 1, 5, tzinfo=UTC)
LAST_DAY = date(2024, 7, 30)
FIRST_FIT, LAST_FIT = "2018-10-01", "2024-04-01"
SERVED_DAYS = 182
BETTER = 0.97
EXCHANGED_DAYS = 7


def forecasts(record: Record, availability: Availability, path: Path) -> list[pd.DataFrame]:
    """The pairs, an hour a row as `judge` takes them; from the file where it has them."""
    if path.exists():
        whole = pd.read_parquet(path)
        return [pair for _, pair in whole.groupby("challenger_fit")]
    pairs, base, before = [], None, None
    for start in pd.date_range(FIRST_FIT, LAST_FIT, freq="QS"):
        first = start.date()
        known = record.cut_at(day_ahead_issue(first, record.region.zone), availability)
        fitted = fit(known, availability=availability, weather="observed", judge=False, base=base).forecaster
        base = fitted.base  # day-ahead forecasts do not use it
        last = min(first + timedelta(days=SERVED_DAYS), LAST_DAY)
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        served = day_ahead(fitted, record, days, "observed")
        if before is not None:
            pairs.append(compared(served, before, record).assign(challenger_fit=str(first)))
        before = served
        error = (served["predicted_mwh"] / served["actual_mwh"] - 1).abs()
        print(
            f"{first}: {len(days)} days, MAPE {100 * error.mean():.2f} %, at most {100 * error.max():.0f} %",
            file=sys.stderr,
            flush=True,
        )
    pd.concat(pairs).to_parquet(path)
    return pairs


def drawn(pairs: list[pd.DataFrame], better: float, random: np.random.Generator) -> pd.DataFrame:
    """A pair of `PLANNED_DAYS` days; `better` is what the challenger's errors are multiplied by."""
    pair = pairs[random.integers(len(pairs))]
    days = np.sort(pair["day"].unique())
    begin = random.integers(len(days) - PLANNED_DAYS + 1)
    chosen = days[begin : begin + PLANNED_DAYS]
    hours = pair[pair["day"].isin(chosen)].sort_values("period", ignore_index=True)
    week = np.searchsorted(chosen, hours["day"]) // EXCHANGED_DAYS
    exchanged = (random.random(week.max() + 1) < 0.5)[week]
    challenger = np.where(exchanged, hours["champion_mwh"], hours["challenger_mwh"])
    champion = np.where(exchanged, hours["challenger_mwh"], hours["champion_mwh"])
    actual = hours["actual_mwh"].to_numpy()
    return hours.assign(champion_mwh=champion, challenger_mwh=actual + better * (challenger - actual))


def race(hours: pd.DataFrame, *, refit: bool) -> tuple[Decision, int]:
    """What is decided, and after how many days in the shadow."""
    days = np.sort(hours["day"].unique())
    for shadow in range(SHADOW_DAYS + 1):
        known = hours[hours["day"] <= days[HOLDOUT_DAYS + shadow - 1]]
        verdict = judge(known, refit=refit, last_look=shadow == SHADOW_DAYS)
        if verdict.decision is not Decision.UNDECIDED:
            return verdict.decision, shadow
    raise AssertionError("the last look decides")


def measure(pairs: list[pd.DataFrame], draws: int, seed: int) -> dict[str, Any]:
    """The figures, percent of the draws."""
    random = np.random.default_rng(seed)
    figures: dict[str, float] = {}
    for refit, kind in ((False, ""), (True, "refit_")):
        for better, name in ((1.0, "equal"), (BETTER, "better"), (1 / BETTER, "worse")):
            if name == "worse" and not refit:
                continue
            races = [race(drawn(pairs, better, random), refit=refit) for _ in range(draws)]
            share = 100 * float(np.mean([decision is Decision.PROMOTED for decision, _ in races]))
            figures[f"{kind}{name}"] = round(share, 1)
            figures[f"{kind}{name}_days"] = float(np.median([days for _, days in races]))
            print(f"{kind}{name}: {share:.1f} % promoted", file=sys.stderr, flush=True)
    return {
        "false_promotions_percent": figures["equal"],
        "true_promotions_percent": figures["better"],
        "median_days_to_decision": figures["better_days"],
        "refits_promoted_percent": {name: figures[f"refit_{name}"] for name in ("worse", "equal", "better")},
        "gain_deviation_percent": _deviations(pairs),
        "pairs": len(pairs),
        "draws": draws,
    }


def _deviations(pairs: list[pd.DataFrame]) -> dict[str, float]:
    """By how much the daily gains of two refits vary: the least, the median and the most of the pairs."""
    found = [100 * gain_deviation(pair) for pair in pairs]
    return {
        name: round(float(of(found)), 1)
        for name, of in (("least", min), ("median", np.median), ("most", max))
    }


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="no different; kept for all benchmarks alike")
    arguments = parser.parse_args()
    with answer_alone():
        settings = load_settings()
        with opened(settings) as database:
            record = load_record(database, settings, END)
        pairs = forecasts(record, settings.availability, settings.home / "contest_forecasts.parquet")
        figures = measure(pairs, arguments.draws, arguments.seed)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
