"""The glossary: one sentence per term, in a file that exists, and reachable from the README."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs/glossary.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| term "))
]


def test_every_term_is_one_sentence_with_one_file():
    assert len(ROWS) > 50
    for row in ROWS:
        assert len(row) == 3, row
        term, meaning, _ = row
        assert term
        assert meaning.endswith(".")
        assert ". " not in meaning


def test_every_file_of_the_glossary_exists():
    paths = [row[2].strip("`") for row in ROWS]
    assert all(re.fullmatch(r"`[\w/.]+`", row[2]) for row in ROWS)
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_terms_are_explained_once():
    terms = [row[0] for row in ROWS]
    assert len(set(terms)) == len(terms)


def test_the_readme_links_the_glossary():
    assert "(docs/glossary.md)" in (ROOT / "README.md").read_text()
