"""Writes what the upstreams answered into a folder, without secrets, for the contract test of the sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from energy_demand.outputs import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from energy_demand.doctor.asking import Answer
    from energy_demand.doctor.privacy import Secrets

MANIFEST = "manifest.json"
KEPT_HEADERS = ("content-type", "date", "last-modified", "location", "retry-after", "x-sandbox-data")
FILE_LINES = 40  # of a six-month file


def check_folder(folder: Path) -> None:
    """Make the folder, before anything is asked.

    Raises:
        OutputError: that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None


def write(folder: Path, answers: Mapping[str, Answer], secrets: Secrets, now: datetime) -> list[Path]:
    """Write each body and `manifest.json`; what is there under these names is replaced.

    Raises:
        OutputError: a file cannot be written.
    """
    written = []
    try:
        entries = []
        for name in sorted(answers):
            answer = answers[name]
            file = folder / answer.question.topic.file_name
            file.write_text(secrets.clean_record(_body(answer)), encoding="utf-8")
            written.append(file)
            entries.append(_entry(answer, file.name, secrets))
        manifest = folder / MANIFEST
        text = json.dumps({"now": f"{now:%Y-%m-%dT%H:%M:%SZ}", "answers": entries}, indent=1)
        manifest.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from error
    return [*written, manifest]


def _body(answer: Answer) -> str:
    text = answer.body.decode("utf-8", "replace")
    if answer.question.most_bytes is None:
        return text
    return "".join(text.splitlines(keepends=True)[:FILE_LINES])


def _entry(answer: Answer, file: str, secrets: Secrets) -> dict[str, Any]:
    question = answer.question
    return {
        "topic": question.topic.value,
        "url": secrets.clean_record(question.url),
        "params": [[name, secrets.clean(value)] for name, value in question.params],
        "status": answer.status,
        "headers": {
            name: secrets.clean_record(value)
            for name, value in answer.headers.items()
            if name in KEPT_HEADERS
        },
        "seconds": round(answer.seconds, 3),
        "file": file,
    }


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"{folder} cannot be written ({error.strerror or error}); name another folder")
