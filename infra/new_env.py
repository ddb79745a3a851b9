"""Writes `.env` from `.env.example`, with a random value for each secret without a default in Compose.

python3 infra/new_env.py [--sandbox] [--output FILE]

Needs only Python's standard library. An existing `.env` is never overwritten.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_A_KEY = {
    "COMPOSE_PROFILES": "sandbox",
    "COMPOSE_SANDBOX_URL": "http://sandbox:8090",
    "SANDBOX_URL": "http://127.0.0.1:8090",
}


def filled(example: str, compose: str, given: dict[str, str]) -> str:
    """The example with the `given` values, and a random secret for each variable that `compose` requires."""
    required = re.findall(r"\$\{([A-Z_]+):\?", compose)
    values = {name: secrets.token_hex(24) for name in required} | given

    def fill(line: re.Match[str]) -> str:
        return f"{line[1]}={values.get(line[1], '')}"

    return re.sub(r"^([A-Z_]+)=$", fill, example, flags=re.MULTILINE)


def main() -> str | None:
    """Write the file; returns the error message for `sys.exit`, or None."""
    parser = argparse.ArgumentParser(description="Write .env with random passwords, for Compose.")
    parser.add_argument("--sandbox", action="store_true", help="use the sandbox: no key, synthetic data")
    parser.add_argument(
        "--output", type=Path, default=ROOT / ".env", help="write this file instead of the project's .env"
    )
    options = parser.parse_args()
    example, compose = ROOT / ".env.example", ROOT / "infra" / "docker-compose.yml"
    text = filled(example.read_text(), compose.read_text(), WITHOUT_A_KEY if options.sandbox else {})
    try:
        descriptor = os.open(options.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return f"{options.output} already exists; nothing was changed. Move it away to get new passwords"
    except OSError as error:
        return f"cannot write {options.output}: {error.strerror}"
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    next_step = "" if options.sandbox else "; set EIA_API_KEY in it"
    sys.stdout.write(f"wrote {options.output}, readable only by you{next_step}\n")
    return None


if __name__ == "__main__":
    sys.exit(main())
