"""The documentation's site: it builds without a warning, and its references have every name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from energy_demand import cli
from energy_demand.config import Settings
from energy_demand.database.tables import metadata

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_page_is_in_the_site_and_the_references_have_every_name(site):
    def text(page: str) -> str:
        return (site / page / "index.html").read_text()

    pages = [path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")]
    missing = [
        page for page in pages if not (site / (page.parent if page.name == "README" else page)).is_dir()
    ]
    assert missing == []
    assert [name for name in Settings.model_fields if name.upper() not in text("reference/settings")] == []
    assert [name for name in metadata.tables if name not in text("reference/tables")] == []
    commands = typer.main.get_command(cli.app).commands
    assert [name for name in commands if f"energy-demand {name}" not in text("reference/command-line")] == []
    http = text("reference/http")
    assert "GET /forecast" in http
    assert "POST /predict" in http
    python = text("reference/python")
    assert "energy_demand.forecast" in python
    assert "The forecast by the model that serves" in python
