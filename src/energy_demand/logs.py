"""The one logger set-up, and the filter that keeps secrets out of every record.

Logs go to standard error; standard output belongs to the command's own answer.
"""

from __future__ import annotations

import logging
import re
import sys

REDACTED = "REDACTED"
CHATTY = ("mlflow", "alembic", "httpx", "httpcore")
_KEY_IN_TEXT = re.compile(r"(?i)(api[-_]?key[\"']?\s*[=:]\s*[\"']?)[^&\s\"',})]+")
_PASSWORD_IN_URL = re.compile(r"(://[^:/@\s]*:)[^@\s]+(@)")


def redact(text: str) -> str:
    """`text` without API keys and without the passwords of URLs."""
    return _PASSWORD_IN_URL.sub(rf"\1{REDACTED}\2", _KEY_IN_TEXT.sub(rf"\1{REDACTED}", text))


class RedactingFilter(logging.Filter):
    """Rewrites a record's finished message so that no secret reaches a handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact in place; every record passes."""
        message = record.getMessage()
        clean = redact(message)
        if clean != message:
            record.msg, record.args = clean, ()
        return True


class _RedactingFormatter(logging.Formatter):
    """Redacts the whole line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure_logging(*, verbose: bool = False) -> None:
    """Send warnings (with `verbose`, everything of ours) to standard error, redacted."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("energy_demand").setLevel(logging.DEBUG if verbose else logging.WARNING)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
