"""Replays the alerts of peak days over the recorded summers, and chooses their rule on the earlier years.

Every forecast is issued at 09:00 of the day before (`day-ahead`, delay 1 h), with one fit before each summer
(June to September). Weather is observed; years with recorded weather runs are walked again `as_issued`.
Reads the database of the settings, which must be backfilled.

    .venv/bin/python benchmarks/peaks.py --json

What was forecast is kept in `--work`, a file for each summer: choosing a rule repeats no backtest.
Delete them after a change of the forecaster.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.evaluation.backtest import walk_forward
from energy_demand.evaluation.peak_alerts import alerted_days, chances_of_days, score_years
from energy_demand.evaluation.schedule import Protocol, schedule
from energy_demand.jobs.past_days import last_scorable_day
from energy_demand.model.day_peak import LIKELY
from energy_demand.model.distribution import QUANTILES
from energy_demand.model.peaks import ALERT_RULE, AlertRule
from energy_demand.timeaxis import local_day, local_days, utc_index

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster, StageForecasts
    from energy_demand.model.train import Weather
    from energy_demand.timeaxis import Availability

SUMMER = (6, 9)  # months
FIRST = 2017  # the first summer with a year of weather before it
ISSUED_FROM = 2024  # the first summer with recorded runs before it
CHOSEN_UNTIL = 2020  # the rule is chosen on the summers up to here, and reported on those after it
ALERT_DAYS = ALERT_RULE.alert_days
LIMITS = [number / 100 for number in range(2, 61, 2)]
SLOPES = [number / 10 for number in range(11)]
DEMAND = "demand.parquet"


class Peaks:
    """Collects the distribution of each day's peak; an observer of `walk_forward`."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def __call__(self, model: Forecaster, stages: StageForecasts) -> None:
        """Keep one day."""
        periods = stages.horizon.responses.periods
        joint = model.joint_distribution(stages)
        self.rows.append(
            {
                "issued_at": stages.issued_at,
                "first": periods[0],
                "last": periods[-1],
                **dict(zip(QUANTILES, joint.peak, strict=True)),
                "peak_hour": joint.peak_hour.tolist(),
            }
        )


def summer(record: Record, year: int, weather: Weather) -> pd.DataFrame:
    """A summer's days, with the distribution of their peaks."""
    zone = record.region.zone
    last = min(date(year, SUMMER[1], 30), last_scorable_day(record)[1])
    observe = Peaks()
    say(f"{year} {weather}")
    walk_forward(
        record,
        list(schedule(Protocol.DAY_AHEAD, date(year, SUMMER[0], 1), last, zone, 366)),
        protocol=Protocol.DAY_AHEAD,
        weather=weather,
        observe=observe,
    )
    return pd.DataFrame(observe.rows)


def walk(work: Path) -> None:
    """Forecast the summers that are not kept yet, and keep the record's demand."""
    work.mkdir(parents=True, exist_ok=True)
    settings = load_settings()
    with opened(settings) as database:
        record = load_record(database, settings, settings.present())
    record.demand.to_parquet(work / DEMAND, index=False)
    last = record.periods[-1].year
    for weather, since in (("observed", FIRST), ("as_issued", ISSUED_FROM)):
        for year in range(since, last + 1):
            file = work / f"{year}-{weather}.parquet"
            if not file.is_file() and last_scorable_day(record)[1] >= date(year, SUMMER[0], 1):
                written = file.with_suffix(".part")
                summer(record, year, weather).to_parquet(written, index=False)
                written.replace(file)


def scored(work: Path, zone: ZoneInfo, availability: Availability) -> dict[str, Any]:
    """The rule that the earlier years choose, and how it and others do in either half."""
    demand = pd.read_parquet(work / DEMAND).set_index("period")
    truth = demand["truth_mwh"]
    summers = {
        (int(file.stem[:4]), file.stem[5:]): pd.read_parquet(file) for file in work.glob("????-*ed.parquet")
    }
    chances = {
        key: chances_of_days(days, demand["seen_mwh"], zone, availability) for key, days in summers.items()
    }
    years = sorted({year for year, _ in summers})
    early = [(year, "observed") for year in years if year <= CHOSEN_UNTIL]
    late = [(year, "observed") for year in years if year > CHOSEN_UNTIL]
    issued = [(year, "as_issued" if (year, "as_issued") in summers else "observed") for year, _ in late]

    def score(rule: AlertRule, of: list[tuple[int, str]]) -> dict[str, Any]:
        alerted = [day for key in of for day in alerted_days(chances[key], rule)]
        return score_years(alerted, truth, [year for year, _ in of], zone)

    def merit(rule: AlertRule) -> tuple[float, float, float]:
        """Most hours; of equals the most days, which are there to be spent; of equals the simplest."""
        mean = score(rule, early)["mean"]
        return mean["hours"], mean["alerted_days"], -rule.slope

    rules = [AlertRule(limit, slope, ALERT_DAYS) for limit, slope in itertools.product(LIMITS, SLOPES)]
    affordable = [rule for rule in rules if score(rule, early)["mean"]["alerted_days"] <= ALERT_DAYS]
    shown = {
        "chosen": max(affordable, key=merit),
        "in use": ALERT_RULE,
        "peak above the expected tenth-highest hour": AlertRule(0.5, 0.0, ALERT_DAYS),
    }
    return {
        "alert_days": ALERT_DAYS,
        "last_record_day": str(local_day(truth.dropna().index[-1].to_pydatetime(), zone)),
        "rules": {
            name: {
                "limit": rule.limit,
                "slope": rule.slope,
                "chosen_on": score(rule, early),
                "reported": score(rule, issued),
                "reported_observed": score(rule, late),
            }
            for name, rule in shown.items()
        },
        "weather": {str(year): weather for year, weather in [*early, *issued]},
        "peak_hour": {
            weather: peak_hours(
                pd.concat([days for key, days in summers.items() if key[0] > CHOSEN_UNTIL and key in of]),
                truth,
            )
            for weather, of in (("observed", late), ("as_issued", [key for key in issued if key not in late]))
            if of
        },
        "among_ten_so_far": {
            weather: reliability(pd.concat([days for key, days in chances.items() if key in of]), truth, zone)
            for weather, of in (("observed", late), ("as_issued", [key for key in issued if key not in late]))
            if of
        },
    }


def peak_hours(days: pd.DataFrame, truth: pd.Series) -> dict[str, float]:
    """How often the highest hour was the most probable one, and one of those with a probability of 10 %."""
    first, likely, named = [], [], []
    for row in days.to_dict("records"):
        hours = truth.loc[row["first"] : row["last"]]
        probabilities = np.asarray(row["peak_hour"])
        if hours.isna().any():
            continue
        highest = int(hours.to_numpy().argmax())
        first.append(probabilities.argmax() == highest)
        likely.append(probabilities[highest] >= LIKELY)
        named.append((probabilities >= LIKELY).sum())
    return {
        "days": len(first),
        "most_probable": round(float(np.mean(first)), 3),
        "likely": round(float(np.mean(likely)), 3),
        "likely_hours": round(float(np.mean(named)), 2),
    }


def reliability(chances: pd.DataFrame, truth: pd.Series, zone: ZoneInfo) -> list[dict[str, float]]:
    """Days by their probability of being among the ten highest so far: its mean, and the share that were."""
    chances = chances.reset_index(drop=True)
    peaks = truth.groupby(local_days(utc_index(pd.DatetimeIndex(truth.index)), zone)).max()
    actual = peaks.reindex(pd.to_datetime(chances["day"])).to_numpy()
    came = pd.Series(actual > chances["so_far_mwh"].to_numpy(), index=chances.index)
    bins = pd.cut(chances["so_far_probability"], [-0.01, 0.1, 0.5, 0.9, 1.01])
    return [
        {
            "days": len(rows),
            "mean_probability": round(float(rows.mean()), 3),
            "were": round(float(came[rows.index].mean()), 3),
        }
        for _, rows in chances["so_far_probability"].groupby(bins, observed=True)
    ]


def say(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")
    sys.stderr.flush()


def main() -> None:
    """Forecast what is not kept, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object, as without it")
    parser.add_argument(
        "--work", type=Path, help="where forecasts are kept; default: peaks/ in the home folder"
    )
    options = parser.parse_args()
    with answer_alone():
        settings = load_settings()
        work = options.work or settings.home / "peaks"
        walk(work)
        answer = scored(work, settings.region.zone, Protocol.DAY_AHEAD.availability)
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
