"""Which hours are truth: what trailing weeks say is what the whole record says; upgrades; a true step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from alembic import command

from energy_demand.data.screening import EDGE_HOURS, SETTLED_DAYS, screen, truth_flags
from energy_demand.data.truth import refresh_truth
from energy_demand.database import repository, state
from energy_demand.database.engine import _alembic_config
from energy_demand.database.tables import truth_flag
from energy_demand.region import NEW_YORK
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from energy_demand.timeaxis import HOUR, hourly
from smooth_demand import AT, record, with_values
from support import PRESENT, SHARED_DATA


def verdicts(frame: pd.DataFrame) -> pd.Series:
    """By period, why an hour is not truth, in the order of time."""
    causal = screen(frame)
    flags = truth_flags(causal, screen(frame, two_sided=True))
    return pd.Series(flags.to_numpy(), index=causal["period"]).dropna()


def faulty(frame: pd.DataFrame, seed: int, share: float = 0.002) -> pd.DataFrame:
    """Spikes, gaps, zeros, frozen values and wrong levels that begin in this share of the hours."""
    rng = np.random.default_rng(seed)
    values = frame["demand_mwh"].to_numpy(dtype=float).copy()
    for at in rng.choice(len(values), int(len(values) * share), replace=False):
        length = int(rng.integers(2, 30))
        match rng.integers(5):
            case 0:
                values[at] *= rng.choice([0.5, 0.85, 1.15, 2.0])
            case 1:
                values[at : at + length] = np.nan
            case 2:
                values[at : at + length] = 0.0
            case 3:
                values[at : at + length] = values[at]
            case _:
                values[at : at + length] *= rng.choice([0.7, 0.85, 1.15, 1.3])
    return frame.assign(demand_mwh=values)


@pytest.mark.parametrize("hours", [EDGE_HOURS - 1, EDGE_HOURS], ids=["the last hours", "an hour earlier"])
def test_a_step_is_doubted_until_a_day_has_followed_its_first_hours(hours):
    step = with_values(record(), AT, *[1.15] * 400)
    first = step["period"].iloc[AT]
    seen = verdicts(step[step["period"] <= first + hours * HOUR])
    assert screen(step)["flag"].notna()[AT : AT + 3].all(), "so the causal flags would have it for ever"
    assert (first in seen.index) is (hours < EDGE_HOURS)
    assert verdicts(step)[: first + timedelta(days=7)].empty


@pytest.mark.parametrize(
    "factors",
    [pytest.param([2.0], id="a spike"), pytest.param([0.7] * 4, id="a wrong level of four hours")],
)
def test_a_fault_of_the_newest_hours_is_never_truth(factors):
    broken = with_values(record(), AT, *factors)
    for hours in (0, 1, 5, 40):
        known = broken.iloc[: AT + len(factors) + hours]
        assert list(verdicts(known).index) == list(broken["period"].iloc[AT : AT + len(factors)])


def test_an_outage_is_no_later_side():
    """Zeros after a spike cannot confirm it, however many."""
    broken = with_values(record(), AT, 2.0, *[0.0] * 60).iloc[: AT + 61]
    assert verdicts(broken)[broken["period"].iloc[AT]] == "SPIKE"


@pytest.fixture
def store(database):
    """Stores demand as known at its end, from the first hour of a frame to the last."""

    def write(frame: pd.DataFrame) -> None:
        known = frame.dropna().rename(columns={"demand_mwh": "value"})
        rows = known.assign(
            respondent="NY", series="D", origin="NY", known_at=known["period"], ingested_at=known["period"]
        )
        database.run(lambda connection: repository.upsert_demand(connection, rows, PRESENT))

    return write


@pytest.fixture
def stored_flags(database):
    def read() -> pd.Series:
        query = sa.select(truth_flag.c.period, truth_flag.c.flag).order_by(truth_flag.c.period)
        with database.transaction() as connection:
            rows = pd.DataFrame(connection.execute(query).all(), columns=["period", "flag"])
        return pd.Series(rows["flag"].to_numpy(), index=pd.DatetimeIndex(rows["period"]))

    return read


def whole_weeks(frame: pd.DataFrame, refresh, weeks: int) -> None:
    """Refresh as ingestions do: at some time of each week, with the week before as its span."""
    at = frame["period"].iloc[0] + timedelta(days=7 * weeks)
    while at < frame["period"].iloc[-1]:
        refresh(at - timedelta(days=9), at)
        at += timedelta(days=7, hours=5)
    refresh(frame["period"].iloc[-1] - timedelta(days=9), frame["period"].iloc[-1])


def synthetic_year() -> pd.DataFrame:
    """A year of the synthetic world, clock changes and holidays included."""
    periods = hourly(datetime(2023, 1, 2, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    hours = periods.as_unit("s").asi8 // 3600
    values = SyntheticWorld(seed=1).hourly.values("D", hours)
    return pd.DataFrame({"period": periods, "demand_mwh": values.astype(float)})


@pytest.mark.parametrize("seed", range(3))
def test_trailing_screening_gives_the_verdicts_of_the_whole_record(database, store, stored_flags, seed):
    frame = faulty(synthetic_year(), seed)
    store(frame)
    whole_weeks(frame, lambda start, end: refresh_truth(database, NEW_YORK, start, end, end), weeks=10)
    found, wanted = stored_flags(), verdicts(frame)
    assert len(wanted) > 50
    assert dict(found) == dict(wanted)


@pytest.mark.shared_data
def test_trailing_screening_gives_the_verdicts_of_the_whole_recorded_demand():
    """With faults added; inside its margins, a window decides as the whole record does."""
    real = pd.read_parquet(SHARED_DATA / "ny_demand_hourly.parquet")[["period", "demand_mwh"]]
    frame = faulty(real.sort_values("period", ignore_index=True), seed=5, share=0.001)
    whole = verdicts(frame)
    assert len(whole) > 500
    margin = timedelta(days=SETTLED_DAYS)
    for start in pd.date_range(frame["period"].min(), frame["period"].max() - 3 * margin, freq="71D"):
        end = start + 3 * margin
        window = verdicts(frame[(frame["period"] >= start) & (frame["period"] <= end)])
        inside = (whole.index >= start + margin) & (whole.index <= end - margin)
        within = (window.index >= start + margin) & (window.index <= end - margin)
        assert dict(window[within]) == dict(whole[inside])


def test_a_revision_of_an_old_hour_changes_its_verdict(database, store, stored_flags):
    frame = with_values(record(20 * 168), AT, 2.0)
    at, last = frame["period"].iloc[AT], frame["period"].iloc[-1]
    store(frame)
    refresh_truth(database, NEW_YORK, last - timedelta(days=7), last, PRESENT)
    assert dict(stored_flags()) == {at: "SPIKE"}
    store(record(20 * 168).iloc[[AT]])
    since = refresh_truth(database, NEW_YORK, at - HOUR, at + HOUR, PRESENT)
    assert stored_flags().empty
    assert since < at


def test_an_unchanged_verdict_is_left_as_it_is(database, store):
    frame = with_values(record(20 * 168), AT, 2.0)
    store(frame)
    query = sa.select(truth_flag.c.flagged_at)
    for now in (PRESENT, PRESENT + HOUR):
        refresh_truth(database, NEW_YORK, frame["period"].iloc[0], frame["period"].iloc[-1], now)
        with database.transaction() as connection:
            assert connection.scalars(query).all() == [PRESENT]


def test_an_upgraded_database_is_screened_whole_once_at_the_next_ingestion(database, store, stored_flags):
    frame = faulty(record(30 * 168), seed=1, share=0.004)
    store(frame)
    config = _alembic_config()
    old = frame["period"].iloc[700]
    with database.transaction() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0006")
        flag = (
            "INSERT INTO demand_flag (respondent, period, flag, flagged_at) VALUES ('NY', :at, 'SPIKE', :at)"
        )
        connection.execute(sa.text(flag), {"at": old})
        command.upgrade(config, "head")
    assert dict(stored_flags()) == {old: "SPIKE"}, "what counted so far does so until the record is screened"
    last = frame["period"].iloc[-1]
    refresh_truth(database, NEW_YORK, last - timedelta(days=7), last, PRESENT)
    assert dict(stored_flags()) == dict(verdicts(frame))
    with database.transaction() as connection:  # an old verdict, to see that it is not looked at again
        connection.execute(sa.delete(truth_flag).where(truth_flag.c.period < last - timedelta(days=90)))
    refresh_truth(database, NEW_YORK, last - timedelta(days=7), last, PRESENT)
    assert stored_flags().index.min() > last - timedelta(days=90)


def test_after_a_release_from_quarantine_the_record_is_screened_whole(database, store, stored_flags):
    frame = record(20 * 168)
    store(frame.drop(index=AT))
    last = frame["period"].iloc[-1]
    span = (last - timedelta(days=7), last)
    refresh_truth(database, NEW_YORK, *span, PRESENT)
    assert dict(stored_flags()) == {frame["period"].iloc[AT]: "ZERO_OR_MISSING"}
    store(frame.iloc[[AT]])
    database.run(lambda connection: state.forget_watermark(connection, state.TRUTH, "NY"))
    refresh_truth(database, NEW_YORK, *span, PRESENT)
    assert stored_flags().empty


def test_without_demand_nothing_is_done(database, stored_flags):
    refresh_truth(database, NEW_YORK, PRESENT - HOUR, PRESENT, PRESENT)
    assert stored_flags().empty
