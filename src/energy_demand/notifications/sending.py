"""Sends messages by Apprise, to every URL at once, each within a time limit.

Apprise is imported only here, and only when there is something to send. Its own log lines can have parts of a
URL, so they are kept from every handler; the reason of a failure is in words of ours.
"""

from __future__ import annotations

import importlib.util
import logging
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from energy_demand.notifications.messages import Message

LIMIT_SECONDS = 20.0
INVALID = "Apprise does not accept this URL; a part of it is missing or malformed, see docs/notifications.md"
NOT_INSTALLED = (
    "NOTIFY_URLS is set, but Apprise is not installed, so nothing is sent; install it with "
    "`pip install 'energy-demand[notify]'`"
)
_STATUS = re.compile(r"\berror[=:] ?(\d{3})\b")
_thread = threading.local()


class NotInstalledError(UserError, RuntimeError):
    """NOTIFY_URLS is set, and the extra `notify` is not installed."""

    def __init__(self) -> None:
        super().__init__(NOT_INSTALLED)


@dataclass
class Delivery:
    """How many of the messages to a URL arrived, in their order, and why the next one did not."""

    arrived: int = 0
    error: str | None = None


class _Kept(logging.Handler):
    """Keeps Apprise's lines for the thread that sends, and shows them to nobody."""

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(_thread, "lines"):
            _thread.lines.append(record.getMessage())


def is_installed() -> bool:
    """Whether Apprise could be imported; imports nothing."""
    return importlib.util.find_spec("apprise") is not None


def send(
    urls: Mapping[str, str], batches: Mapping[str, Sequence[Message]], limit_seconds: float = LIMIT_SECONDS
) -> dict[str, Delivery]:
    """Send each URL its messages, in order, until one fails.

    A URL whose server hangs is given up after `limit_seconds`; its thread ends with the process, or delivers
    late.

    Args:
        urls: by name.
        batches: the messages of each URL, by its name.
        limit_seconds: for all together.

    Returns:
        By name.

    Raises:
        NotInstalledError: Apprise is not installed.
    """
    if not is_installed():
        raise NotInstalledError
    deliveries = {name: Delivery() for name, messages in batches.items() if messages}
    threads = [
        threading.Thread(target=_send, args=(urls[name], batches[name], delivery), daemon=True)
        for name, delivery in deliveries.items()
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + limit_seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = f"no answer within {limit_seconds:g} s"
    return {
        name: Delivery(delivery.arrived, late if thread.is_alive() else delivery.error)
        for (name, delivery), thread in zip(deliveries.items(), threads, strict=True)
    }


def invalid(urls: Mapping[str, str]) -> dict[str, str]:
    """The URLs that Apprise does not accept, and why, by name; nothing is sent.

    Raises:
        NotInstalledError: Apprise is not installed.
    """
    if not is_installed():
        raise NotInstalledError
    return {name: INVALID for name, url in urls.items() if _service(url) is None}


def _service(url: str) -> Any:
    """Apprise with one URL; None where it does not accept it."""
    from apprise import Apprise, AppriseAsset, NotifyFormat  # noqa: PLC0415  (half a second)

    logger = logging.getLogger("apprise")
    # For good: a thread that hangs may log later.
    logger.handlers, logger.propagate = [_Kept(logging.WARNING)], False
    asset = AppriseAsset(
        app_id="energy-demand",
        app_desc="Electricity demand forecasts",
        app_url="",
        async_mode=False,  # in this thread
        secure_logging=True,
    )
    plugin = Apprise.instantiate(url, asset=asset)
    if plugin is None:
        return None
    if plugin.notify_format == NotifyFormat.HTML and "format=" not in url:
        plugin.notify_format = NotifyFormat.TEXT  # a text made into HTML has lines that do not wrap
    return Apprise(plugin, asset=asset)


def _send(url: str, messages: Sequence[Message], delivery: Delivery) -> None:
    _thread.lines = []
    try:
        service = _service(url)
        if service is None:
            delivery.error = INVALID
            return
        for message in messages:
            # One at a time, so that what arrived is known when a later one hangs.
            if not service.notify(title=message.title, body=message.body, body_format="text"):
                delivery.error = _reason(_thread.lines)
                return
            delivery.arrived += 1
    except Exception as error:  # noqa: BLE001  (its text may have parts of the URL)
        delivery.error = f"not sent ({type(error).__name__})"


def _reason(lines: Sequence[str]) -> str:
    """What Apprise's lines say, without any part of the URL."""
    text = "\n".join(lines)
    status = _STATUS.findall(text)
    if status:
        return f"the service answered HTTP {status[-1]}"
    if "onnection error" in text or "failed" in text.lower():
        return "the service could not be reached, or refused the message"
    return "not sent; Apprise gives no reason"
