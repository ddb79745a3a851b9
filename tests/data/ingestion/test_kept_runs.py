"""Which runs of a weather model are asked for: several for each issue, and those on both sides of a gap."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import sqlalchemy as sa

from energy_demand.columns import WEATHER_VARIABLES
from energy_demand.data.ingestion.ingestion_run import IngestionRun, Report, Span
from energy_demand.data.ingestion.issued_weather import (
    PROBED_EVERY,
    RUNS_FOR_A_MOMENT,
    ingest_issued,
)
from energy_demand.data.model_run import ModelRun
from energy_demand.data.weather_client import RUNS_AT_ONCE
from support import make_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_demand.http import UpstreamError
    from energy_demand.weather_models import WeatherModel

NOW = datetime(2025, 7, 1, 14, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Client:
    """Serves the runs that `on_record` says exist, and counts how often each was asked for."""

    on_record: Callable[[datetime], bool]
    asked: Counter[datetime] = field(default_factory=Counter)
    data_kind: str = "synthetic"

    def fetch_runs(
        self, wanted: Sequence[datetime], model: WeatherModel
    ) -> tuple[list[ModelRun], UpstreamError | None]:
        self.asked.update(wanted)
        return [self._run(start, model) for start in wanted], None

    def _run(self, start: datetime, model: WeatherModel) -> ModelRun:
        if not self.on_record(start):
            return ModelRun(model.name, start)
        rows = {
            "issued_at": model.published(start),
            "timestamp": pd.date_range(start, periods=3, freq="h"),
            "site": "new_york_city",
            **dict.fromkeys(WEATHER_VARIABLES, 1.0),
            "surface_pressure": 1000.0,
        }
        return ModelRun(model.name, start, pd.DataFrame(rows))


@pytest.fixture
def backfill(database, tmp_path, database_url):
    """Stores the runs of some days of history, with so many runs kept."""

    def run(client: Client, first: datetime, last: datetime, kept: int) -> list[datetime]:
        settings = make_settings(
            energy_demand_home=tmp_path / "home", database_url=database_url, weather_runs_kept=kept
        )
        span = Span(first, last, history=True)
        ingest_issued(IngestionRun(database, settings, span, NOW, lambda *_: None, Report()), client)
        query = "SELECT run_at FROM weather_run WHERE status = 'complete' ORDER BY run_at"
        with database.transaction() as connection:
            return [row.run_at for row in connection.execute(sa.text(query))]

    return run


def test_one_run_kept_is_the_newest_at_each_days_issue(backfill):
    found = backfill(
        Client(lambda _: True), datetime(2025, 3, 4, 6, tzinfo=UTC), datetime(2025, 3, 6, 4, tzinfo=UTC), 1
    )
    # 09:00 in New York is 14:00 UTC; the run of 06 UTC is out at 12:30, the one of 12 at 19:42.
    assert found == [datetime(2025, 3, day, 6, tzinfo=UTC) for day in (3, 4, 5)]


def test_twelve_runs_kept_are_every_run_of_the_days_and_of_the_three_before(backfill):
    first, last = datetime(2025, 3, 4, 6, tzinfo=UTC), datetime(2025, 3, 6, 4, tzinfo=UTC)
    found = backfill(Client(lambda _: True), first, last, 12)
    newest, oldest = datetime(2025, 3, 5, 6, tzinfo=UTC), datetime(2025, 2, 28, 12, tzinfo=UTC)
    assert (found[0], found[-1]) == (oldest, newest)
    assert found == list(pd.date_range(oldest, newest, freq="6h"))


def test_a_second_backfill_asks_for_no_run_again(backfill):
    client = Client(lambda _: True)
    span = datetime(2025, 3, 4, 6, tzinfo=UTC), datetime(2025, 3, 6, 4, tzinfo=UTC)
    backfill(client, *span, 12)
    before = client.asked.total()
    backfill(client, *span, 12)
    assert client.asked.total() == before == len(client.asked)


def test_a_run_that_is_not_on_record_takes_no_other_with_it(backfill):
    absent = datetime(2025, 3, 5, 6, tzinfo=UTC)
    client = Client(lambda start: start != absent)
    found = backfill(client, datetime(2025, 3, 4, 6, tzinfo=UTC), datetime(2025, 3, 6, 4, tzinfo=UTC), 12)
    every = list(pd.date_range("2025-02-28T12:00Z", "2025-03-05T06:00Z", freq="6h"))
    assert found == [start for start in every if start != absent]


@pytest.mark.parametrize("kept", [1, 12])
def test_runs_before_a_gap_of_months_are_found_and_few_are_asked_for_within_it(backfill, kept):
    resumed, stopped = datetime(2024, 12, 10, tzinfo=UTC), datetime(2024, 4, 20, tzinfo=UTC)
    client = Client(lambda start: start >= resumed or start < stopped)
    first = datetime(2024, 3, 1, 6, tzinfo=UTC)
    found = backfill(client, first, datetime(2025, 1, 10, 4, tzinfo=UTC), kept)
    every = pd.date_range("2024-03-01T06:00Z", "2025-01-09T06:00Z", freq="6h")
    wanted = [start for start in every if kept == 12 or start.hour in (6, 0)]
    days = {start.date() for start in found}
    assert {start.date() for start in wanted if start < stopped} <= days
    assert {start.date() for start in wanted if start >= resumed + DAY} <= days
    assert max(client.asked.values()) == 1
    within = sum(stopped <= start < resumed for start in client.asked)
    # Until the gap is noticed (at the end of a batch), at each look into it, and from the run found there on.
    probes = (resumed - stopped) // PROBED_EVERY + 1
    moments = 2 * RUNS_AT_ONCE + probes + PROBED_EVERY // DAY
    assert within <= moments * RUNS_FOR_A_MOMENT
    assert within < (resumed - stopped) // timedelta(hours=12)


def test_the_time_before_a_models_record_costs_few_requests(backfill):
    begun = datetime(2025, 5, 1, tzinfo=UTC)
    client = Client(lambda start: start >= begun)
    found = backfill(client, datetime(2015, 7, 1, 6, tzinfo=UTC), datetime(2025, 6, 1, 4, tzinfo=UTC), 12)
    assert found[0] == begun
    before = sum(start < begun for start in client.asked)
    assert before <= (10 * 366 * DAY // PROBED_EVERY + 1) * RUNS_FOR_A_MOMENT + 2 * RUNS_AT_ONCE
