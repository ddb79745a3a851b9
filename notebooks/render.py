"""Runs the notebooks and writes what came out to `docs/notebooks/`, as Markdown with pictures beside it.

Run it with the project's Python; arguments name some of them, such as `02_feature_engineering`.
"""

from __future__ import annotations

import os
import re
import sys
import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from ipykernel.kernelspec import write_kernel_spec
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from PIL import Image

NOTEBOOKS = Path(__file__).resolve().parent
RENDERED = NOTEBOOKS.parent / "docs" / "notebooks"
COLOURS = 128  # of a picture
TIMEOUT_SECONDS = 600  # of one cell; far more than any takes


def notebook_files() -> list[Path]:
    """The notebooks, in their order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def executed(path: Path) -> nbformat.NotebookNode:
    """A notebook after its cells ran, in their order, under this very interpreter.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=TIMEOUT_SECONDS, resources={"metadata": {"path": str(NOTEBOOKS)}}
        )
        # A kernel named python3 may be installed anywhere, with anything; this one is ours.
        write_kernel_spec(Path(folder) / "python3")
        kernel = client.create_kernel_manager()
        kernel.kernel_spec_manager = KernelSpecManager(kernel_dirs=[folder])
        kernel.transport_encryption = "auto"
        # Plots go into the notebook, whatever else this machine draws with.
        return client.execute(env={**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"})


def write(notebook: nbformat.NotebookNode, name: str, folder: Path) -> None:
    """`name.md` and its pictures; those of an earlier run are gone."""
    for old in folder.glob(f"{name}_*.png"):
        old.unlink()
    exporter = MarkdownExporter()
    resources = {"unique_key": name, "output_files_dir": ""}
    text, resources = exporter.from_notebook_node(notebook, resources)
    for picture, data in resources["outputs"].items():
        # Plots have few colours: a palette of them looks the same in half the bytes.
        Image.open(BytesIO(data)).convert("RGB").quantize(COLOURS).save(
            folder / Path(picture).name, optimize=True
        )
    (folder / f"{name}.md").write_text(_tidied(text), encoding="utf-8")


def _tidied(text: str) -> str:
    """Without the styles of tables, which GitHub shows as text, and without runs of empty lines."""
    text = re.sub(r"<style scoped>.*?</style>\n?", "", text, flags=re.DOTALL)
    lines = [line.rstrip() for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def main(names: list[str]) -> None:
    """Render all notebooks, or those that are named."""
    RENDERED.mkdir(parents=True, exist_ok=True)
    for path in notebook_files():
        if names and path.stem not in names:
            continue
        started = time.perf_counter()
        write(executed(path), path.stem, RENDERED)
        sys.stdout.write(f"{path.stem}: {time.perf_counter() - started:.0f} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
