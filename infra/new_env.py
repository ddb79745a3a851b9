"""Writes `.env` from `.env.example`, with a random value for each secret that Compose has no default for.

python3 infra/new_env.py [--sandbox] [--output FILE]

Nothing but Python's own library is needed. An `.env` that is there stays.
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
    """The example with `given` values, and secrets for what `compose` demands and has no default for."""
    demanded = re.findall(r"\$\{([A-Z_]+):\?", compose)
    values = {name: secrets.token_hex(24) for name in demanded} | given

    def fill(line: re.Match[str]) -> str:
        return f"{line[1]}={values.get(line[1], '')}"

    return re.sub(r"^([A-Z_]+)=$", fill, example, flags=re.MULTILINE)


def main() -> str | None:
    """Write the file; what kept it from being written, for `sys.exit`."""
    parser = argparse.ArgumentParser(description="Write .env with random passwords, for Compose.")
    parser.add_argument("--sandbox", action="store_true", help="a system without a key, on made-up data")
    parser.add_argument("--output", type=Path, default=ROOT / ".env", help="instead of the project's .env")
    asked = parser.parse_args()
    example, compose = ROOT / ".env.example", ROOT / "infra" / "docker-compose.yml"
    text = filled(example.read_text(), compose.read_text(), WITHOUT_A_KEY if asked.sandbox else {})
    try:
        descriptor = os.open(asked.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return f"{asked.output} is there already; nothing was changed. Move it away to get new passwords"
    except OSError as error:
        return f"{asked.output} cannot be written: {error.strerror}"
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    wanted = "" if asked.sandbox else "; EIA_API_KEY in it is yours to fill in"
    sys.stdout.write(f"{asked.output} is written, for you alone to read{wanted}\n")
    return None


if __name__ == "__main__":
    sys.exit(main())
