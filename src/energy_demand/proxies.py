"""Proxies of the environment: requests to this machine never go through one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EXCEPT, EVERYTHING = "no_proxy", "*"
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
SCHEMES = ("http", "https", "socks5", "socks5h")


def without_loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that keep every library from asking a proxy for this machine; the user's hosts stay.

    Both spellings, since some libraries read one and some the other.
    """
    given = (environment.get(name, "") for name in (EXCEPT, EXCEPT.upper()))
    hosts = list(dict.fromkeys(host.strip() for text in given for host in text.split(",") if host.strip()))
    if EVERYTHING in hosts:
        return {EXCEPT: EVERYTHING, EXCEPT.upper(): EVERYTHING}
    value = ",".join([*hosts, *(each for each in LOOPBACK if each not in hosts)])
    return {EXCEPT: value, EXCEPT.upper(): value}


def unusable_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """Variable → what is wrong with its proxy, without its address, which may have a password."""
    return {
        name: problem
        for name, value in environment.items()
        if name.lower() in PROXIES and value.strip() and (problem := _problem(value.strip()))
    }


def _problem(value: str) -> str | None:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        return "not a valid proxy; expected e.g. http://proxy.example:3128, or unset it"
    if parts.scheme.lower() not in SCHEMES:
        return f"a proxy must be one of {', '.join(f'{each}://' for each in SCHEMES)}; change or unset it"
    return None
