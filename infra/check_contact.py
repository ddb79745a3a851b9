"""Refuses an alert contact without an address before any container is started; `make up` runs it.

python3 infra/check_contact.py [--env-file FILE]

The rule itself is in `grafana/start.sh`, which checks again in Grafana's container. Needs only Python's
standard library.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

INFRA = Path(__file__).resolve().parent
VARIABLES = ("ALERT_CONTACT", "ALERT_WEBHOOK_URL", "ALERT_EMAIL", "ALERT_SMTP_HOST")


def contact(env_file: Path, environment: dict[str, str]) -> dict[str, str]:
    """The contact's variables as Compose takes them: the environment first, then the last line of `.env`."""
    text = env_file.read_text(encoding="utf-8-sig", errors="replace")
    found = {
        name: re.sub(r"\s+#.*$", "", value).strip().strip("\"'")
        for name, value in re.findall(r"^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=[ \t]*(.*)$", text, re.MULTILINE)
    }
    return {name: environment.get(name, found.get(name, "")) for name in VARIABLES}


def main() -> int:
    """Check the file; the reason goes to standard error."""
    parser = argparse.ArgumentParser(description="Check where alerts are sent, before Compose starts.")
    parser.add_argument("--env-file", type=Path, default=INFRA.parent / ".env")
    options = parser.parse_args()
    try:
        given = contact(options.env_file, dict(os.environ))
    except OSError as error:
        sys.stderr.write(f"{options.env_file} cannot be read: {error.strerror}\n")
        return 1
    command = ["/bin/sh", str(INFRA / "grafana" / "start.sh"), "true"]
    return subprocess.run(command, env={"PATH": os.defpath, **given}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
