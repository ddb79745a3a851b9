"""Access control: with API_KEY set, callers must send it; without it only this machine may call. Pure."""

from __future__ import annotations

import hmac
import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_HEADER = b"x-api-key"
# Headers that proxies add: a caller behind a proxy is not this machine.
FORWARDED_HEADERS = (
    b"forwarded",
    b"via",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
)
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[^]]*\]|[^:]*)(?::[0-9]*)?")


class RefusedError(Exception):
    """The caller is refused; `status` is 401 if a key would help, else 403."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def check_access(key: str | None, client: str | None, headers: Mapping[bytes, bytes]) -> None:
    """Accept or refuse a caller.

    Args:
        key: the key that callers must send; None: only this machine may call.
        client: the caller's address, from the connection.
        headers: lower-case names.

    Raises:
        RefusedError: the message says what is missing.
    """
    if key is not None:
        given = headers.get(KEY_HEADER)
        if given is None:
            raise RefusedError(401, "send the API key in the header X-API-Key")
        # Compared in constant time, which reveals nothing about the key.
        if not hmac.compare_digest(given, key.encode()):
            raise RefusedError(401, "the API key in the header X-API-Key is wrong")
        return
    if not is_loopback(client):
        raise RefusedError(403, "only this machine may call while API_KEY is not set; set it to allow others")
    forwarded = [name for name in FORWARDED_HEADERS if name in headers]
    if forwarded:
        raise RefusedError(
            403,
            f"forwarded requests ({forwarded[0].decode()}) are refused while API_KEY is not set; set API_KEY",
        )
    # A page of another site whose name resolves to this machine must not call either (DNS rebinding).
    if host_name(headers.get(b"host", b"").decode("latin-1")) not in LOCAL_NAMES:
        raise RefusedError(
            403, "the Host header must be localhost while API_KEY is not set; set API_KEY to use another name"
        )


@lru_cache(maxsize=1024)
def is_loopback(client: str | None) -> bool:
    """Whether a connection comes from this machine."""
    try:
        address = ipaddress.ip_address(client or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def host_name(host: str) -> str:
    """The name in a Host header, without its port; empty if the header is invalid."""
    found = _HOST.fullmatch(host.strip().lower())
    return found[1] if found else ""
