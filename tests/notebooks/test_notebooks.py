"""The notebooks run from top to bottom, in a home that knows nothing of Jupyter, and are stored clean."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.usefixtures("processes")

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
RENDERED = NOTEBOOKS.parent / "docs" / "notebooks"
FIGURES = {
    "01_data_exploration": 6,
    "02_feature_engineering": 5,
    "03_model_training": 5,
    "04_drift_analysis": 4,
}
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|Users|work|root|tmp|private|var|mnt|opt)/|[A-Z]:\\\\")
LARGEST_PICTURE, LARGEST_FOLDER = 80_000, 2_000_000


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


@pytest.fixture
def fresh_home(monkeypatch, tmp_path):
    """A home without kernels, settings or caches, and no way to the notebooks but by their folder."""
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    # jupyter_core warns that its folders will move one day unless it is told to move now.
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.syspath_prepend(NOTEBOOKS)


def test_every_notebook_is_tested_and_listed():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == sorted(FIGURES)
    for name in FIGURES:
        assert name in (NOTEBOOKS / "README.md").read_text()
        assert f"({name}.md)" in (RENDERED / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_it_runs_and_draws(name, fresh_home):
    import render  # noqa: PLC0415  (it lies beside the notebooks)

    done = render.executed(NOTEBOOKS / f"{name}.ipynb")
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    assert all(cell["execution_count"] for cell in done.cells if cell["cell_type"] == "code")
    noise = [each for each in outputs if each["output_type"] == "error" or each.get("name") == "stderr"]
    assert not noise, noise
    pictures = [each for each in outputs if "image/png" in each.get("data", {})]
    assert len(pictures) >= FIGURES[name]
    told = json.dumps(
        [{**each.get("data", {}), "image/png": "", "text": each.get("text", "")} for each in outputs]
    )
    assert "synthetic data" in told
    assert not MACHINE_PATH.search(told)


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_stored_without_outputs_and_machine_paths(name):
    notebook = read(name)
    assert 8 <= len(notebook.cells) <= 18
    for cell in notebook.cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
        assert cell["metadata"] == {}
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert not MACHINE_PATH.search((NOTEBOOKS / f"{name}.ipynb").read_text())


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_rendered_is_of_this_notebook(name):
    """Each cell's source stands in the page: a notebook that was changed must be rendered again."""
    page = (RENDERED / f"{name}.md").read_text()
    for cell in read(name).cells:
        for line in cell["source"].splitlines():
            assert line.rstrip() in page
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert len(pictures) >= FIGURES[name]
    for picture in pictures:
        assert (RENDERED / picture).stat().st_size <= LARGEST_PICTURE
    assert {path.name for path in RENDERED.glob(f"{name}_*.png")} == set(pictures)
    assert not MACHINE_PATH.search(page)


def test_the_rendered_pages_are_small():
    assert sum(path.stat().st_size for path in RENDERED.iterdir()) < LARGEST_FOLDER


def test_the_kernel_is_this_interpreter(fresh_home, tmp_path):
    import render  # noqa: PLC0415

    path = tmp_path / "which.ipynb"
    asks = nbformat.v4.new_code_cell("import sys\nprint(sys.executable)")
    nbformat.write(nbformat.v4.new_notebook(cells=[asks]), path)
    printed = render.executed(path).cells[0]["outputs"][0]["text"].strip()
    assert printed == sys.executable
