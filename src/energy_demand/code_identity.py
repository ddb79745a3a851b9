"""What computed a forecast: the source files and libraries that matter to it."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from energy_demand import __version__

# What a forecast is computed by; the rest of the package only carries it.
PARTS = ("*.py", "data/*.py", "model/**/*.py", "registry/serialization.py")
LIBRARIES = ("holidays", "lightgbm", "numpy", "pandas", "pvlib", "scipy")


@cache
def code_identity() -> dict[str, str]:
    """`package` and `libraries` (versions) and `sources` (a digest of the files)."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for file in sorted({file for part in PARTS for file in root.glob(part)}):
        digest.update(f"{file.relative_to(root).as_posix()}\n".encode() + file.read_bytes())
    return {
        "package": __version__,
        "sources": digest.hexdigest()[:16],
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }
