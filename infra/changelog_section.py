"""Prints the changelog's section of a version, for the notes of a release.

    python3 infra/changelog_section.py 0.2.0 < CHANGELOG.md

Exit status 1 with a line of reason if there is no such section, or nothing in it.
"""

from __future__ import annotations

import re
import sys


def section(changelog: str, version: str) -> str:
    """The text below the heading `## [version]`, up to the next heading of its level.

    Raises:
        ValueError: there is no such heading, or nothing below it.
    """
    below = re.split(rf"^## \[{re.escape(version)}\].*$", changelog, maxsplit=1, flags=re.MULTILINE)
    if len(below) != 2:
        raise ValueError(f"CHANGELOG.md has no section [{version}]; rename [Unreleased] before the tag")
    text = re.split(r"^## \[", below[1], maxsplit=1, flags=re.MULTILINE)[0].strip()
    if not text:
        raise ValueError(f"the section [{version}] of CHANGELOG.md is empty")
    return text


if __name__ == "__main__":
    try:
        sys.stdout.write(section(sys.stdin.read(), sys.argv[1]) + "\n")
    except ValueError as error:
        sys.exit(f"error: {error}")
