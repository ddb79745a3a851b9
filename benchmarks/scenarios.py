"""Whether the response of scenarios holds on the real record, and what its two rules cost.

    .venv/bin/python benchmarks/scenarios.py --json [--model FILE]

Day-ahead forecasts of New York, 2024-05-02 … 2024-07-31, by a model that was fitted on the hours before.
`observed_weather`: MAPE of the forecast, and of its scenario with the weather that was observed then in place
of the forecast weather, as it is made and with trees that respond. `warmer`: of hours from 12:00 to 18:00
local time whose forecast is warm, how many lose demand when all hours grow warmer by some °C, by the adaptive
regression alone, with trees that respond, and as a scenario has it. Reads the database of the settings, which
must be backfilled. `--model` keeps the fitted model in a file, so that it is fitted once.
"""

from __future__ import annotations

import argparse
import json
import pickle
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.data.weather_path import MAIN, REST, WeatherPath
from energy_demand.database.engine import opened
from energy_demand.model.forecaster import PREDICTED
from energy_demand.model.scenarios.answer import forecast_scenario, weather_before
from energy_demand.model.scenarios.changes import Scenario, SiteHour, read_scenario
from energy_demand.model.scenarios.response import WARM_FROM, changed_weather
from energy_demand.model.stages.response_features import response_features
from energy_demand.model.train import fit
from energy_demand.model.weather.horizon import Horizon, weather_of
from energy_demand.timeaxis import Availability, day_ahead_issue, day_periods, utc_index

if TYPE_CHECKING:
    from energy_demand.arrays import Floats
    from energy_demand.data.record import Record
    from energy_demand.model.forecaster import Forecaster, StageForecasts

TRAINED_UNTIL = datetime(2024, 5, 1, 4, tzinfo=UTC)
FIRST, LAST = date(2024, 5, 2), date(2024, 7, 31)
END = datetime(2024, 8, 1, 5, tzinfo=UTC)
DELAY = Availability(1)
DEGREES = (1, 3, 5, 10)
AFTERNOON = range(12, 18)  # local hours, by their start
OWN = {
    "temperature": "temperature_2m",
    "humidity": "relative_humidity_2m",
    "cloud": "cloud_cover",
    "wind": "wind_speed_10m",
}


class Day:
    """The day-ahead forecast of one local day."""

    def __init__(self, record: Record, model: Forecaster, day: date) -> None:
        self.issued_at = day_ahead_issue(day, record.region.zone)
        self.record = record.cut_at(self.issued_at, DELAY)
        self.model = model.advance(self.record)
        whole = self.model.horizon(self.record, self.issued_at)
        first = int(
            (day_periods(day, record.region.zone)[0] - whole.responses.periods[0]) // pd.Timedelta("1h")
        )
        self.periods = day_periods(day, record.region.zone)
        self.stages: StageForecasts = self.model.stages(
            whole.rows(slice(first, first + len(self.periods))), self.issued_at
        )
        self.ahead = weather_of(whole)
        self.past = weather_before(self.model, self.record, self.issued_at)

    def scenario(self, scenario: Scenario) -> Floats:
        """MWh of each hour, as a scenario has them."""
        made = forecast_scenario(self.model, self.record, self.past, self.ahead, self.stages, scenario)
        return made.hours[PREDICTED].to_numpy()

    def responding(self, scenario: Scenario) -> tuple[Floats, Floats]:
        """The same without the rules: MWh by the regression's response alone, and with trees that respond."""
        path, changed = changed_weather(self.model, self.record, self.past, self.ahead, self.stages, scenario)
        values = path.values.copy()
        values[-len(self.periods) :] = changed.of(set(scenario.quantities), changed.warming()[-1])
        rows = response_features(
            WeatherPath(path.periods, values), self.record.region, last=len(self.periods)
        )
        moved = self.model.stages(Horizon(rows), self.issued_at)
        held = self.stages.correction + self.stages.trees
        return tuple(np.exp(load / 100) - rows.rooftop_mwh for load in (moved.regression + held, moved.total))


def measured(model_path: Path | None) -> dict[str, Any]:
    """Both tables."""
    settings = load_settings()
    with opened(settings) as database:
        record = load_record(database, settings, END)
    if model_path is not None and model_path.exists():
        model = pickle.loads(model_path.read_bytes())
    else:
        model = fit(record.cut_at(TRAINED_UNTIL, DELAY), judge=False).forecaster
        if model_path is not None:
            model_path.write_bytes(pickle.dumps(model))
    sites = [site.name for site in record.region.sites]
    weather = record.weather.assign(timestamp=utc_index(record.weather["timestamp"])).set_index("timestamp")
    truth = pd.Series(record.truth_mwh, index=record.periods)
    hours, warm = [], []
    for day in pd.date_range(FIRST, LAST).date:
        each = Day(record, model, day)
        seen = weather[weather.index.isin(each.periods) & weather["site"].isin(sites)]
        own = tuple(
            SiteHour(period, row["site"], {name: row[column] for name, column in OWN.items()})
            for period, row in zip(seen.index, seen.to_dict("records"), strict=True)
            if all(np.isfinite(row[column]) for column in OWN.values())
        )
        observed = Scenario(own=own)
        forecast = np.exp(each.stages.total / 100) - each.stages.horizon.responses.rooftop_mwh
        by_regression, by_trees = each.responding(observed)
        hours.append(
            pd.DataFrame(
                {
                    "actual": truth.reindex(each.periods).to_numpy(),
                    "forecast": forecast,
                    "scenario": each.scenario(observed),
                    "without_running_maximum": by_regression,
                    "trees_respond": by_trees,
                }
            )
        )
        warm += warmer(each, forecast)
    scored = pd.concat(hours).dropna()
    of_warm = pd.DataFrame(warm)
    return {
        "observed_weather_mape": {
            name: round(float(100 * (scored[name] / scored["actual"] - 1).abs().mean()), 3)
            for name in list(scored)[1:]
        }
        | {"hours": len(scored)},
        "warmer": {
            f"+{degrees}": {
                "hours": len(rows),
                **{
                    name: {
                        "hours_that_lose": int((rows[name] < 0).sum()),
                        "largest_loss_percent": round(float(-rows[name].min()), 2),
                        "mean_percent": round(float(rows[name].mean()), 2),
                    }
                    for name in ("regression", "trees_respond", "scenario")
                },
            }
            for degrees, rows in of_warm.groupby("degrees")
        },
    }


def warmer(day: Day, forecast: Floats) -> list[dict[str, float]]:
    """By how many percent demand of each warm hour of an afternoon changes with each of `DEGREES`."""
    weather = day.stages.horizon.weather
    share = day.record.region.sites[0].weight / sum(site.weight for site in day.record.region.sites)
    temperature = share * weather.column(MAIN) + (1 - share) * weather.column(REST)
    chosen = (temperature >= WARM_FROM) & np.isin(day.stages.horizon.responses.hours, AFTERNOON)
    if not chosen.any():
        return []
    rows = []
    for degrees in DEGREES:
        scenario = read_scenario(f"temperature+{degrees}", day.record.region.country)
        by_regression, by_trees = day.responding(scenario)
        values = {"regression": by_regression, "trees_respond": by_trees, "scenario": day.scenario(scenario)}
        change = {name: 100 * (each / forecast - 1)[chosen] for name, each in values.items()}
        rows += [
            {"degrees": degrees, **{name: float(each[at]) for name, each in change.items()}}
            for at in range(int(chosen.sum()))
        ]
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, as it always does")
    parser.add_argument("--model", type=Path, help="keep the fitted model in this file")
    arguments = parser.parse_args()
    with answer_alone():
        body = measured(arguments.model)
    print(json.dumps(body))


if __name__ == "__main__":
    main()
