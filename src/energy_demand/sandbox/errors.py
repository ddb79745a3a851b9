"""The sandbox's failures: errors for the user who starts it, refusals for its callers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class SandboxError(Exception):
    """The sandbox cannot start; the message is a one-line reason."""


class SandboxDataError(SandboxError):
    """A file of a recorded data folder is missing or cannot be read.

    Attributes:
        path: The file in question.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class SandboxPortError(SandboxError):
    """The address cannot be listened on.

    Attributes:
        host: The host asked for.
        port: The port asked for.
    """

    def __init__(self, host: str, port: int, problem: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {problem}; choose another port with --port")
        self.host = host
        self.port = port


class DisturbanceError(SandboxError):
    """The text of a disturbance cannot be read.

    Attributes:
        text: The text as given.
    """

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f"--disturb {text!r}: {problem}")
        self.text = text


class Refusal(Exception):  # noqa: N818 - an answer to the caller, not a failure of the sandbox
    """A request answered with an error status in the upstream's own format.

    Attributes:
        status: The HTTP status.
        body: The JSON body.
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.body = body
