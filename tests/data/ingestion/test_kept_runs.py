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
    GAP,
    PROBED_EVERY,
    RUNS_FOR_A_MOMENT,
    ingest_issued,
)
from energy_demand.data.model_run import ModelRun
from energy_demand.data.weather_client import RUNS_AT_ONCE
from energy_demand.http import UpstreamError
from energy_demand.weather_models import RUN_EVERY
from support import make_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_demand.weather_models import WeatherModel

NOW = datetime(2025, 7, 1, 14, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Client:
    """Serves the runs that `on_record` says exist, and counts how often each was asked for.

    A damaged run cannot be fetched; a half one lacks values that it will have.
    """

    on_record: Callable[[datetime], bool]
    damaged: frozenset[datetime] = frozenset()
    half: frozenset[datetime] = frozenset()
    asked: Counter[datetime] = field(default_factory=Counter)
    data_kind: str = "synthetic"

    def fetch_runs(
        self, wanted: Sequence[datetime], model: WeatherModel
    ) -> tuple[list[ModelRun], UpstreamError | None]:
        self.asked.update(wanted)
        return [self._run(start, model) for start in wanted], None

    def _run(self, start: datetime, model: WeatherModel) -> ModelRun:
        if start in self.damaged:
            error = UpstreamError(
                "Open-Meteo", f"the run of {start:%Y-%m-%dT%H}", "it is damaged", status=500
            )
            return ModelRun(model.name, start, error=error)
        if not self.on_record(start):
            return ModelRun(model.name, start)
        rows = {
            "issued_at": model.published(start),
            "timestamp": pd.date_range(start, periods=3, freq="h"),
            "site": "new_york_city",
            **dict.fromkeys(WEATHER_VARIABLES, 1.0),
            "surface_pressure": 1000.0,
        }
        return ModelRun(model.name, start, pd.DataFrame(rows), missing=5 if start in self.half else 0)


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


@pytest.mark.parametrize("fault", ["damaged", "half"])
def test_a_run_that_is_damaged_or_half_takes_no_other_with_it_and_counts_as_what_it_is(
    backfill, database, fault
):
    struck = datetime(2025, 3, 5, 6, tzinfo=UTC), datetime(2025, 3, 3, 18, tzinfo=UTC)
    client = Client(lambda _: True, **{fault: frozenset(struck)})
    found = backfill(client, datetime(2025, 3, 4, 6, tzinfo=UTC), datetime(2025, 3, 6, 4, tzinfo=UTC), 12)
    every = list(pd.date_range("2025-02-28T12:00Z", "2025-03-05T06:00Z", freq="6h"))
    assert found == [start for start in every if start not in struck]
    # None was asked for that would not have been without the fault.
    assert sorted(client.asked) == every
    query = "SELECT run_at, status FROM weather_run WHERE status <> 'complete'"
    with database.transaction() as connection:
        others = dict(connection.execute(sa.text(query)).all())
    assert others == dict.fromkeys(struck, "failed" if fault == "damaged" else "incomplete")


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


def test_a_second_backfill_over_a_gap_asks_for_no_run_again(backfill):
    resumed, stopped = datetime(2024, 12, 10, tzinfo=UTC), datetime(2024, 4, 20, tzinfo=UTC)
    client = Client(lambda start: start >= resumed or start < stopped)
    span = datetime(2024, 3, 1, 6, tzinfo=UTC), datetime(2025, 1, 10, 4, tzinfo=UTC)
    first = backfill(client, *span, 12)
    assert backfill(client, *span, 12) == first
    assert max(client.asked.values()) == 1


@pytest.mark.parametrize("days", [1, 20, 59, 61])
@pytest.mark.parametrize("kept", [1, 12])
def test_runs_at_the_very_beginning_of_a_span_are_found_however_few_days_they_are(backfill, kept, days):
    resumed = datetime(2024, 12, 10, tzinfo=UTC)
    first = datetime(2024, 3, 1, 6, tzinfo=UTC)
    stopped = first + days * DAY
    client = Client(lambda start: start >= resumed or start < stopped)
    found = backfill(client, first, datetime(2025, 1, 10, 4, tzinfo=UTC), kept)
    # The span's first issue is the one for its first day: 14:00 UTC on 29 February.
    oldest = datetime(2024, 2, 29, 6, tzinfo=UTC) - (kept - 1) * timedelta(hours=6)
    assert found[0] == oldest
    every = [oldest + number * timedelta(hours=6 if kept == 12 else 24) for number in range(400)]
    assert {start for start in every if start < stopped} <= set(found)
    assert max(client.asked.values()) == 1


@pytest.mark.parametrize("months", [6, 12, 36])
def test_a_longer_gap_costs_one_look_for_every_sixty_days_more(backfill, months):
    resumed, stopped = (
        datetime(2024, 12, 10, tzinfo=UTC),
        datetime(2024, 12, 10, tzinfo=UTC) - months * 30 * DAY,
    )
    client = Client(lambda start: start >= resumed or start < stopped)
    found = backfill(client, stopped - 70 * DAY, datetime(2025, 1, 10, 4, tzinfo=UTC), 12)
    assert stopped - timedelta(hours=6) in found
    within = sum(stopped <= start < resumed for start in client.asked)
    # A week and the rest of the batch; four runs at each look; sixty days from the run found there on.
    noticed = GAP // RUN_EVERY + RUNS_AT_ONCE + RUNS_FOR_A_MOMENT
    looks = (months * 30 * DAY // PROBED_EVERY + 1) * RUNS_FOR_A_MOMENT
    assert within <= noticed + looks + PROBED_EVERY // RUN_EVERY


def test_the_time_before_a_models_record_costs_few_requests(backfill):
    begun = datetime(2025, 5, 1, tzinfo=UTC)
    client = Client(lambda start: start >= begun)
    found = backfill(client, datetime(2015, 7, 1, 6, tzinfo=UTC), datetime(2025, 6, 1, 4, tzinfo=UTC), 12)
    assert found[0] == begun
    before = sum(start < begun for start in client.asked)
    assert before <= (10 * 366 * DAY // PROBED_EVERY + 1) * RUNS_FOR_A_MOMENT + 2 * RUNS_AT_ONCE
