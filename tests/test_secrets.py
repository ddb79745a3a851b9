"""The canary: a key that must never be seen again, whatever goes wrong while it is used."""

from __future__ import annotations

import logging
import traceback
from datetime import date
from typing import TYPE_CHECKING

import httpx
import pytest
import sqlalchemy as sa

from energy_demand.data.ingestion.ingest import backfill_span, ingest
from energy_demand.database.tables import metadata
from energy_demand.errors import UserError
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.jobs.training import run_training
from energy_demand.registry.registry import Registry
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.synthetic import SyntheticWorld
from records import QUICK
from support import PRESENT, make_settings

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary0123456789canary"


@pytest.fixture(scope="module")
def guarded_sandbox():
    app = create_app(SyntheticWorld(seed=1), now=PRESENT, require_key=CANARY)
    with serving(app) as address:
        yield address


@pytest.fixture
def keyed(settings, guarded_sandbox):
    given = make_settings(sandbox_url=guarded_sandbox, eia_api_key=CANARY, http_timeout_seconds=2.0)
    kept = {name: getattr(settings, name) for name in ("database_url", "energy_demand_home")}
    return given.model_copy(update=kept)


def log_everything(caplog) -> None:
    for name in (None, "energy_demand", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)


def everything_stored(database, home: Path) -> str:
    with database.transaction() as connection:
        tables = [
            str(connection.execute(sa.text(f"SELECT to_jsonb(t)::text FROM {name} t")).scalars().all())
            for name in metadata.tables
        ]
    files = [file.read_bytes().decode("utf-8", "replace") for file in home.rglob("*") if file.is_file()]
    return "".join(tables + files)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "http_403", "times": 99}, id="throttled with 403"),
        pytest.param({"kind": "http_500", "times": 99}, id="broken with 500"),
        pytest.param({"kind": "slow", "times": 99, "seconds": 5}, id="too slow"),
        pytest.param({"kind": "truncated", "times": 99}, id="cut in the middle"),
    ],
)
def test_the_key_is_in_no_log_exception_or_stored_body_after(fault, keyed, database, caplog, capsys):
    quick = keyed.model_copy(update={"http_timeout_seconds": 0.2, "http_attempts": 2})
    log_everything(caplog)
    httpx.post(f"{keyed.sandbox_url}/sandbox/faults", json={**fault, "path": "/eia"}).raise_for_status()
    try:
        span = backfill_span(quick, date(2025, 3, 1), date(2025, 3, 5), PRESENT)
        outcome = run_ingestion(database, quick, span, PRESENT, lambda *_: None)
        with pytest.raises(UserError) as caught:
            outcome.raise_failures()
    finally:
        httpx.delete(f"{keyed.sandbox_url}/sandbox/faults").raise_for_status()
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    assert CANARY not in told + str(capsys.readouterr())
    assert CANARY not in everything_stored(database, keyed.home)
    assert "start=2025-03" in told  # it does say what was asked


def test_a_wrong_key_is_refused_at_once_and_not_repeated(keyed, database, caplog):
    wrong = keyed.model_copy(update={"eia_api_key": type(keyed.eia_api_key)("wrong-" + CANARY)})
    span = backfill_span(wrong, date(2025, 3, 1), date(2025, 3, 5), PRESENT)
    failures = ingest(database, wrong, span, PRESENT, lambda *_: None).failures
    assert "API_KEY_INVALID" in failures["eia"]
    assert CANARY not in str(failures) + caplog.text


def test_the_key_is_nowhere_after_a_run_that_went_well(keyed, database, caplog):
    log_everything(caplog)
    span = backfill_span(keyed, date(2024, 12, 1), date(2025, 3, 12), PRESENT)
    report = ingest(database, keyed, span, PRESENT, lambda *_: None)
    assert report.demand.new > 1000
    run_training(database, Registry(keyed), keyed, PRESENT, recipe=QUICK)
    assert any("region-data" in record.getMessage() for record in caplog.records)
    assert CANARY not in caplog.text
    stored = everything_stored(database, keyed.home)
    assert "2025-03-01T00:00:00+00:00" in stored
    assert CANARY not in stored
