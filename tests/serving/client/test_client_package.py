"""The client stands alone: the service's types, imports of its own, and a package of its own."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import get_type_hints

import pytest

import energy_demand
from energy_demand.client import questions
from energy_demand.serving.app import create_app
from support import make_settings

ROOT = Path(__file__).parents[3]
PACKING, CLIENT = ROOT / "clients/python", ROOT / "src/energy_demand/client"
# Beside the standard library; pandas in functions alone.
NEEDED = {"anyio", "httpx", "pydantic", "pydantic_core", "stamina"}


@pytest.fixture(scope="module")
def document():
    return create_app(make_settings()).openapi()


@pytest.mark.usefixtures("processes")  # ruff
def test_the_types_are_those_of_the_service():
    spec = importlib.util.spec_from_file_location("write_types", PACKING / "write_types.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.types_text() == (CLIENT / "types.py").read_text(), "run `make client`"


@pytest.mark.parametrize(
    ("path", "question"),
    [
        ("/forecast", questions.ForecastQuestion),
        ("/forecasts", questions.ForecastsQuestion),
        ("/demand", questions.DemandQuestion),
        ("/scores", questions.ScoresQuestion),
    ],
)
def test_the_questions_have_the_parameters_of_the_service(document, path, question):
    parameters = {
        each["name"] for each in document["paths"][path]["get"]["parameters"] if each["in"] == "query"
    }
    assert set(get_type_hints(question, vars(questions) | {"Mapping": dict})) == parameters - {"format"}


def imports(file: Path) -> set[str]:
    """First names of the modules that a file imports as it is loaded; of functions, all but pandas."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"{file.name} reaches out of the folder"
    return names - set(sys.stdlib_module_names)


def test_the_client_imports_only_what_its_own_package_names():
    found = {file.name: imports(file) for file in CLIENT.glob("*.py")}
    assert found.pop("frames.py") == {"pandas"}
    assert found.pop("answers.py") == {"pandas", "pydantic"}  # for its annotations
    assert set().union(*found.values()) == NEEDED
    named = tomllib.loads((PACKING / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {each.partition(">")[0] for each in named} == NEEDED - {"pydantic_core"}


def test_the_packed_client_asks_a_service_without_pandas_or_the_rest_of_us(address, tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=PACKING, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("energy_demand_client-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert "energy_demand_client/py.typed" in packed.namelist()
    program = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(wheel)!r})\n"
        "from energy_demand_client import Client, ClientError\n"
        f"with Client({address!r}) as client:\n"
        "    forecast = client.forecast(day='tomorrow')\n"
        "loaded = sorted({name.partition('.')[0] for name in sys.modules})\n"
        "sys.modules['pandas'] = None\n"  # as if it were not installed
        "try:\n    forecast.to_frame()\nexcept ClientError as error:\n    refused = str(error)\n"
        "print(json.dumps([len(forecast.hours), loaded, refused]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    hours, loaded, refused = json.loads(done.stdout)
    assert hours == 24
    assert {"pandas", "numpy", "energy_demand", "sqlalchemy", "fastapi"} & set(loaded) == set()
    assert refused == "a frame needs pandas, which is not installed: pip install pandas"


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("statement", "never"),
    [
        ("", {"pandas", "numpy", "httpx", "pydantic", "sqlalchemy"}),
        ("energy_demand.Client, energy_demand.AsyncClient", {"pandas", "numpy", "sqlalchemy", "lightgbm"}),
    ],
    ids=["import", "client"],
)
def test_importing_is_quick(statement, never):
    program = f"import sys, energy_demand\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert never & set(done.stdout.split()) == set()


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Clint'"):
        energy_demand.Clint  # noqa: B018
    assert set(energy_demand.__all__) <= {*dir(energy_demand), "Client", "AsyncClient"}
