"""The one logger set-up, and the filter that keeps secrets out of every record.

Logs go to standard error; standard output is for the command's result.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

import orjson

REDACTED = "REDACTED"
CHATTY = ("mlflow", "alembic", "httpx", "httpcore")
_KEY_IN_TEXT = re.compile(r"(?i)(api[-_]?key[\"']?\s*[=:]\s*[\"']?)[^&\s\"',})]+")
# Up to the last @ of the word, as a password may have one; in a line of JSON a quotation mark ends the word.
_PASSWORD_IN_URL = re.compile(r"(://[^:/@\s\"]*:)(?:[^\s\"]+|[^@\s]+)(@)")


def redact(text: str) -> str:
    """`text` without API keys and without the passwords of URLs."""
    if "://" in text:  # most lines have neither, and this test is cheaper than a regular expression
        text = _PASSWORD_IN_URL.sub(rf"\1{REDACTED}\2", text)
    if "api" in text.lower():
        text = _KEY_IN_TEXT.sub(rf"\1{REDACTED}", text)
    return text


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
    """Send warnings (with `verbose`, all of the project's records) to standard error, redacted."""
    shape = _RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    _send_to_stderr(shape, logging.DEBUG if verbose else logging.WARNING)


class _RedactingJsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the fields of `extra`.

    A request's line is written before its response is sent, so this does as little as possible: a
    general-purpose formatter took longer than the prediction.
    """

    _ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in self._ORDINARY}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return redact(orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z).decode())
        except TypeError:  # text that is not valid Unicode, such as half a character of a broken request
            return redact(json.dumps(line, default=str))


def configure_json_logging(level: int = logging.INFO) -> None:
    """Send the project's records from `level` on to standard error, one redacted JSON object a line."""
    # Fields that no line shows are not collected (the logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    _send_to_stderr(_RedactingJsonFormatter(), level)


def _send_to_stderr(shape: logging.Formatter, level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(shape)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("energy_demand").setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
