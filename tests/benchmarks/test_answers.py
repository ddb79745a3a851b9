"""Standard output of a benchmark is its one answer, whatever else prints meanwhile."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ANSWERING = sorted(path.name for path in BENCHMARKS.glob("*.py") if "print(json.dumps(" in path.read_text())
# What `main` may do beside: read its arguments, and print what was measured.
BESIDE = {
    "ArgumentParser",
    "add_argument",
    "answer_alone",
    "arguments",
    "asdict",
    "dumps",
    "exit",
    "markdown",
    "parse_args",
    "print",
    "print_result",
    "splitlines",
}


def test_the_benchmarks_that_take_json_are_all_looked_at():
    taking = {path.name for path in BENCHMARKS.glob("*.py") if '"--json"' in path.read_text()} - {"spine.py"}
    assert {"serving.py", "forecasting.py", "screening.py"} <= taking <= set(ANSWERING)


def keeps_free(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.With) and "answer_alone()" in ast.unparse(statement.items[0])


@pytest.mark.parametrize("name", ANSWERING)
def test_a_benchmark_measures_with_standard_output_kept_free_and_prints_one_object(name):
    module = ast.parse((BENCHMARKS / name).read_text())
    (main,) = (each for each in module.body if isinstance(each, ast.FunctionDef) and each.name == "main")
    blocks = [getattr(each, part, []) for each in ast.walk(main) for part in ("body", "orelse")]
    blocks = [each for each in blocks if isinstance(each, list)]
    # The statements of the block that answers; a benchmark may do other things in other modes.
    (answering,) = (each for each in blocks if any(map(keeps_free, each)))
    kept_free = [each for each in answering if keeps_free(each)]
    assert len(kept_free) == 1
    outside = [each for each in answering if each not in kept_free]
    called = {
        ast.unparse(call.func).rpartition(".")[2].lstrip("_")
        for statement in outside
        for call in ast.walk(statement)
        if isinstance(call, ast.Call)
    }
    assert called <= BESIDE
    assert (BENCHMARKS / name).read_text().count("print(json.dumps(") == 1


@pytest.mark.usefixtures("processes")
def test_what_a_block_its_children_and_libraries_print_goes_to_standard_error(tmp_path):
    program = tmp_path / "measure.py"
    program.write_text(
        "import ctypes, json, subprocess, sys\n"
        "from answers import answer_alone\n"
        "with answer_alone():\n"
        "    print('a line')\n"
        "    subprocess.run([sys.executable, '-c', 'print(1)'])\n"
        "    library = ctypes.CDLL(None)\n"
        "    library.puts(b'from C'); library.fflush(None)\n"
        "print(json.dumps({'figure': 1}))\n"
    )
    done = subprocess.run(
        [sys.executable, program],
        env={"PYTHONPATH": str(BENCHMARKS)},
        text=True,
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"figure": 1}
    assert sorted(done.stderr.split("\n")) == ["", "1", "a line", "from C"]


@pytest.mark.usefixtures("processes")
def test_standard_output_is_back_when_measuring_failed(tmp_path):
    program = tmp_path / "measure.py"
    program.write_text(
        "from answers import answer_alone\n"
        "try:\n"
        "    with answer_alone():\n"
        "        print('a line')\n"
        "        raise ValueError\n"
        "except ValueError:\n"
        "    print('back')\n"
    )
    done = subprocess.run(
        [sys.executable, program],
        env={"PYTHONPATH": str(BENCHMARKS)},
        text=True,
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("back\n", "a line\n")
