"""Nothing that becomes known after the issue time touches a forecast, from the upstream to the hours."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from energy_demand.data.ingestion.ingest import backfill_span, ingest
from energy_demand.database.engine import opened
from energy_demand.jobs.forecast import forecast_stored, run_forecast
from energy_demand.jobs.training import run_training
from energy_demand.registry.registry import Registry
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.timeaxis import hourly
from records import QUICK
from support import PRESENT, make_settings
from worlds import ForkedWorld

FORK = PRESENT
LATER = PRESENT + timedelta(days=3)


def forecasts(world, home, database_url) -> dict[str, pd.DataFrame]:
    """Everything ingested at `LATER`; trained as of the fork; forecasts issued around it."""
    with serving(create_app(world, now=LATER)) as address:
        settings = make_settings(
            sandbox_url=address,
            energy_demand_home=home,
            energy_demand_now=LATER,
            database_url=database_url,
        )
        with opened(settings) as database:
            span = backfill_span(settings, date(2024, 9, 1), date(2025, 3, 15), LATER)
            ingest(database, settings, span, LATER, lambda *_: None)
            registry = Registry(settings)
            run_training(database, registry, settings, FORK, recipe=QUICK)
            champion = registry.champion()
            made = {}
            for name, hours in (("at the fork", 0), ("a day before", -24), ("a day after", 24)):
                issued = FORK + timedelta(hours=hours)
                periods = hourly(issued + timedelta(hours=1), issued + timedelta(hours=48))
                forecast = forecast_stored(database, settings, issued, periods, champion)
                assert forecast.quality == "champion"
                made[name] = pd.concat(
                    [forecast.hours, forecast.explanation, forecast.rows.drop(columns="demand_mwh")], axis=1
                )
            logged = run_forecast(database, registry, settings, FORK, LATER, hours=24)
            made["logged"] = logged.hours
    return made


@pytest.fixture(scope="module")
def both(tmp_path_factory, new_database_url):
    return [
        forecasts(world, tmp_path_factory.mktemp("home"), new_database_url())
        for world in (SyntheticWorld(seed=1), ForkedWorld(FORK))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("issue", ["at the fork", "a day before", "logged"])
def test_a_forecast_is_the_same_whatever_the_upstream_says_of_the_time_after_it(both, issue):
    straight, forked = both
    pd.testing.assert_frame_equal(straight[issue], forked[issue], check_exact=True)


@pytest.mark.slow
def test_a_later_forecast_does_see_that_the_world_has_changed(both):
    straight, forked = both
    change = straight["a day after"]["predicted_demand_mwh"] - forked["a day after"]["predicted_demand_mwh"]
    assert change.abs().max() > 100
