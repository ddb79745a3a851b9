"""Keeps what is secret or personal out of the table and out of recorded answers."""

from __future__ import annotations

import contextlib
import getpass
import ipaddress
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from energy_demand.logs import REDACTED, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from energy_demand.config import Settings

SHORTEST = 4  # of what is replaced: shorter pieces are in every text
_ADDRESS = re.compile(
    r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])|(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,7}(?![\w:])"
)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


class Secrets:
    """The secret values of the settings and the environment's proxies.

    A password in an address counts whole, percent-encoded or not, and in the pieces into which an address
    that is not quoted falls.
    """

    def __init__(self, settings: Settings | None, proxies: Mapping[str, str]) -> None:
        values = set(_values(settings, proxies))
        forms = {form for value in values for form in (value, quote(value, safe=""), unquote(value))}
        self._longest_first = sorted({form for form in forms if len(form) >= SHORTEST}, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._longest_first:
            text = text.replace(secret, REDACTED)
        return redact(text)

    def clean_record(self, text: str) -> str:
        """The text without secrets, network and e-mail addresses, and names of user and machine."""
        text = _ADDRESS.sub(lambda found: REDACTED if _is_address(found[0]) else found[0], self.clean(text))
        text = _MAIL.sub(REDACTED, text)
        for name in _personal():
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", REDACTED, text)
        return text


def _values(settings: Settings | None, proxies: Mapping[str, str]) -> Iterator[str]:
    given: dict[str, Any] = {} if settings is None else dict(settings)
    if settings is not None:
        for url in settings.notifiers.values():  # any part of one can be a secret
            yield from (url, url.partition("://")[2])
    for value in (value for name, value in given.items() if name != "notify_urls"):
        if hasattr(value, "get_secret_value"):
            secret = str(value.get_secret_value())
            if "://" not in secret:
                yield from (secret, secret.strip())
            yield from _passwords(secret)
        elif isinstance(value, str):
            yield from _passwords(value)
    for address in proxies.values():
        yield from _passwords(address)


def _passwords(address: str) -> Iterator[str]:
    """The password of `scheme://user:password@host`, and its pieces."""
    before, found, _ = address.partition("://")[2].rpartition("@")
    password = before.partition(":")[2] if found else ""
    if password:
        yield password
        plain = unquote(password)
        yield from re.split(r"[@/:?#]", plain)
        for found_at in re.finditer(r"[@/:?#]", plain):
            yield from (plain[: found_at.start()], plain[found_at.end() :])


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_loopback)


def _personal() -> Iterator[str]:
    """Names of the account, its home and the machine, where they are long enough to mean only that."""
    names = [str(Path.home()), socket.gethostname()]
    with contextlib.suppress(KeyError, OSError):
        names.append(getpass.getuser())
    common = {"root", "user", "runner", "localhost", "ubuntu", "admin", "nobody"}
    yield from (name for name in names if len(name) > 5 and name.lower() not in common)
