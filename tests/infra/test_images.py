"""What the Dockerfiles import while an image is built can be imported: a module that was moved breaks it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

INFRA = Path(__file__).parents[2] / "infra"
IMPORTED = {
    path.name: found[1]
    for path in sorted(INFRA.glob("Dockerfile.*"))
    if (found := re.search(r'^RUN \S+/python -c "(import [^"]+)"$', path.read_text(), re.MULTILINE))
}


def test_the_images_that_compile_modules_are_found():
    assert {"Dockerfile.api", "Dockerfile.dashboard", "Dockerfile.worker"} <= set(IMPORTED)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("name", sorted(IMPORTED))
def test_what_an_image_compiles_is_there(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED[name]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
