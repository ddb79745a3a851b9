"""`GET /forecast` beside the operator's: ours byte for byte the same, the rest as documented."""

from __future__ import annotations

import re
import shutil
from datetime import date

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import Server

from energy_demand.database.engine import opened
from energy_demand.serving.forecast_schemas import ForecastAnswer
from operator_postings import log_days, store_files
from support import make_settings


@pytest.fixture(scope="module")
def beside(registered, filled_database_url, tmp_path_factory):
    """A server with the setting on, on the database of the one without; postings until today's."""
    database_url = filled_database_url
    with opened(
        make_settings(database_url=database_url, energy_demand_home=tmp_path_factory.mktemp("a"))
    ) as to:
        store_files(to, date(2025, 1, 20), date(2025, 3, 13))
        log_days(to, date(2025, 2, 1), date(2025, 3, 10))
    home = tmp_path_factory.mktemp("beside") / "home"
    shutil.copytree(registered / "mlflow", home / "mlflow")
    started = Server(home, filled_database_url, operator_forecast="nyiso").start()
    yield started
    started.stop()
    started.client.close()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hours=st.integers(1, 48), explain=st.booleans(), quantiles=st.booleans())
def test_ours_is_byte_for_byte_the_same_with_and_without_the_operator(
    service, beside, hours, explain, quantiles
):
    query = f"/forecast?hours={hours}&explain={str(explain).lower()}&quantiles={str(quantiles).lower()}"
    alone, both = (server.client.get(query).content for server in (service, beside))
    assert both.count(b'"operator":{') == hours + 1
    assert re.sub(rb',"operator":\{[^{}]*\}', b"", both) == alone


def test_the_answer_is_the_documented_one(beside):
    body = beside.client.get("/forecast?day=tomorrow").json()
    answer = ForecastAnswer.model_validate(body)
    assert orjson.loads(answer.model_dump_json(exclude_none=True)) == body
    assert body["operator"]["posted_at"] == "2025-03-12T11:45:00Z"
    assert body["operator"]["learnt_hours"] > 0
    assert all(0 < hour["operator"]["our_weight"] < 1 for hour in body["hours"])


def test_the_document_describes_the_combination_with_an_example(beside):
    schemas = beside.client.get("/openapi.json").json()["components"]["schemas"]
    hour, answer = schemas["ForecastHour"]["properties"], schemas["ForecastAnswer"]["properties"]
    example = hour["operator"]["examples"][0]
    assert set(example) == set(schemas["OperatorHour"]["properties"])
    assert set(answer["operator"]["examples"][0]) == set(schemas["OperatorAnswer"]["properties"])
    assert all("description" in each for each in schemas["OperatorHour"]["properties"].values())
