"""Letting rows out of quarantine."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from energy_demand.data.quarantine import ReleaseError, release
from energy_demand.database import state
from support import PRESENT

GOOD = {"period": "2025-02-10T12", "respondent": "NY", "type": "D", "value": "-5"}


@pytest.fixture
def held(database):
    """Two rows in quarantine: one that holds an hour of demand, and one that does not."""
    payloads = {"NEGATIVE": GOOD, "UNPARSABLE_PERIOD": {**GOOD, "period": "yesterday"}}
    rows = [
        {"source": "eia", "subject": "NY", "reason": reason, "payload": payload, "seen_at": PRESENT}
        for reason, payload in payloads.items()
    ]
    with database.transaction() as connection:
        state.insert_quarantine(connection, rows)
        return [row["id"] for row in state.quarantined(connection)]


def stored(database) -> list[float]:
    with database.transaction() as connection:
        return list(
            connection.scalars(
                sa.text("SELECT value FROM raw_demand WHERE known_at = :now"), {"now": PRESENT}
            )
        )


def waiting(database) -> list[int]:
    with database.transaction() as connection:
        return [row["id"] for row in state.quarantined(connection)]


def test_a_released_row_is_demand_known_from_then_on_and_leaves_the_list(database, held):
    assert release(database, held[:1], PRESENT) == 1
    assert stored(database) == [-5.0]
    assert waiting(database) == held[1:]


@pytest.mark.parametrize(
    ("which", "said"),
    [
        pytest.param(slice(0, 2), "has no readable period", id="one of them cannot be stored"),
        pytest.param(None, "not in quarantine: 4711", id="one of them is not there"),
    ],
)
def test_nothing_is_released_when(database, held, which, said):
    ids = held[which] if which else [held[0], 4711]
    with pytest.raises(ReleaseError, match=said):
        release(database, ids, PRESENT)
    assert stored(database) == []
    assert waiting(database) == held


def test_a_row_is_released_once(database, held):
    release(database, held[:1], PRESENT)
    with pytest.raises(ReleaseError, match="not in quarantine"):
        release(database, held[:1], PRESENT)
