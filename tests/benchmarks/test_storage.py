"""Every query of the product finds its rows by an index, and every one is on the benchmark's list."""

from __future__ import annotations

import pytest

from energy_demand.database.engine import open_database
from storage import GROWING, measure, own_part, sizes
from storage_fill import Extent, chosen_regions, fill, regions_toml
from storage_queries import WHOLE, every_query, functions
from support import make_settings

EXTENT = Extent(chosen_regions(3), days=60)


@pytest.fixture(scope="module")
def filled(new_database_url):
    """A database with two months of three regions."""
    database = open_database(make_settings(database_url=new_database_url()))
    fill(database, EXTENT)
    yield database
    database.close()


@pytest.fixture(scope="module")
def queries(filled, tmp_path_factory):
    """What was measured, asked once each, where a table is read whole only if no index helps."""
    file = tmp_path_factory.mktemp("storage") / "regions.toml"
    file.write_text(regions_toml(EXTENT.regions))
    return measure(filled, EXTENT, file, times=1, only_indexes=True)


def test_no_query_reads_a_growing_table_from_end_to_end(queries):
    assert {name: each["whole"] for name, each in queries.items() if each["whole"]} == {}


def test_every_public_function_with_a_query_is_on_the_list():
    listed = {query.name.removesuffix(WHOLE) for query in every_query()}
    assert functions() - listed == set()


def test_every_query_on_the_list_was_sent_and_explained(queries):
    assert {name for name, each in queries.items() if not each["statements"]} == set()
    assert all(each["times"] >= 1 and each["p95_ms"] >= each["p50_ms"] > 0 for each in queries.values())


def test_every_table_that_grows_is_filled_and_its_size_is_told(filled):
    found = sizes(filled)["tables"]
    assert {name for name in GROWING if not found[name]["rows"]} == set()
    assert found["raw_weather"]["rows"] > 3 * 4 * 60 * 23
    assert {name for name, each in found.items() if each["total_mb"] <= 0} == set()


def test_the_pages_of_one_region_are_counted(filled):
    found = own_part(filled, EXTENT)["raw_weather"]
    assert found["record"]["rows"] > found["56_days"]["rows"] > 4 * 55 * 24
    assert 0 < found["56_days"]["pages"] <= found["record"]["pages"] <= found["pages"]
