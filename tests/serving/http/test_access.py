"""Who may call: the rules alone, without a server."""

from __future__ import annotations

import pytest

from energy_demand.serving.http.access import RefusedError, check_access, host_name, is_loopback

LOCAL = {b"host": b"localhost:8000"}
KEY = "right-key"


def refused(key: str | None, client: str | None, headers: dict[bytes, bytes]) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        check_access(key, client, headers)
    return caught.value


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1", id="IPv4"),
        pytest.param("127.255.255.254", id="the end of IPv4's loopback network"),
        pytest.param("::1", id="IPv6"),
        pytest.param("0:0:0:0:0:0:0:1", id="IPv6 written out"),
        pytest.param("::ffff:127.0.0.1", id="IPv4 mapped into IPv6"),
    ],
)
def test_an_address_of_this_machine_is_loopback(address):
    assert is_loopback(address)
    check_access(None, address, LOCAL)


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("192.168.1.7", id="a neighbour"),
        pytest.param("128.0.0.1", id="just past the loopback network"),
        pytest.param("0.0.0.0", id="no address"),
        pytest.param("::", id="no IPv6 address"),
        pytest.param("::ffff:10.0.0.1", id="a neighbour mapped into IPv6"),
        pytest.param("::127.0.0.1", id="IPv4 in the old compatible form"),
        pytest.param("fe80::1", id="a link-local neighbour"),
        pytest.param("localhost", id="a name"),
        pytest.param("127.1", id="a short form"),
        pytest.param("", id="empty"),
        pytest.param(None, id="none, as of a Unix socket"),
    ],
)
def test_any_other_address_is_not_and_is_refused_without_a_key(address):
    assert not is_loopback(address)
    assert refused(None, address, LOCAL).status == 403


@pytest.mark.parametrize(
    ("host", "name"),
    [
        pytest.param("localhost", "localhost", id="without a port"),
        pytest.param("LocalHost:8000", "localhost", id="in capitals"),
        pytest.param(" 127.0.0.1:8000 ", "127.0.0.1", id="with spaces"),
        pytest.param("[::1]:8000", "[::1]", id="IPv6 with a port"),
        pytest.param("[::1]", "[::1]", id="IPv6 without one"),
        pytest.param("localhost:", "localhost", id="with an empty port"),
        pytest.param("evil.test:80", "evil.test", id="another name"),
        pytest.param("", "", id="empty"),
    ],
)
def test_the_name_in_a_host_header_is_found(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize("host", [b"localhost", b"127.0.0.1:8000", b"[::1]:8000"])
def test_without_a_key_this_machine_is_let_in_by_its_own_names(host):
    check_access(None, "127.0.0.1", {b"host": host})


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(b"evil.test", id="another site's name, as in DNS rebinding"),
        pytest.param(b"localhost.evil.test", id="a name that begins like ours"),
        pytest.param(b"evil.test:localhost", id="ours as a port"),
        pytest.param(b"localhost:80@evil.test", id="ours as a user"),
        pytest.param(b"[::1].evil.test", id="a name after the brackets"),
        pytest.param(b"[::1", id="a bracket that is not closed"),
        pytest.param(b"::1", id="IPv6 without brackets"),
        pytest.param(b"localhost,evil.test", id="two names"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"", id="empty"),
    ],
)
def test_without_a_key_another_host_is_refused(host):
    error = refused(None, "127.0.0.1", {b"host": host})
    assert (error.status, "Host header must be localhost" in str(error)) == (403, True)


def test_without_a_key_a_missing_host_is_refused():
    assert refused(None, "127.0.0.1", {}).status == 403


@pytest.mark.parametrize(
    "header",
    [b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"],
)
def test_without_a_key_a_forwarded_request_is_refused_even_from_this_machine(header):
    error = refused(None, "127.0.0.1", {**LOCAL, header: b"127.0.0.1"})
    assert (error.status, header.decode() in str(error)) == (403, True)


def test_with_the_key_anybody_is_let_in_from_anywhere():
    check_access(KEY, "203.0.113.9", {b"x-api-key": KEY.encode(), b"x-forwarded-for": b"1.2.3.4"})
    check_access("ключ", None, {b"x-api-key": "ключ".encode()})


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="none"),
        pytest.param(b"", id="empty"),
        pytest.param(b"right-kez", id="wrong in the last letter"),
        pytest.param(b"right-key ", id="with a space after it"),
        pytest.param(b"right-ke", id="too short"),
        pytest.param(b"RIGHT-KEY", id="in capitals"),
        pytest.param(b"\xff\xfe", id="no text"),
    ],
)
def test_with_a_key_any_other_is_refused_even_from_this_machine(given):
    error = refused(KEY, "127.0.0.1", LOCAL if given is None else {**LOCAL, b"x-api-key": given})
    assert error.status == 401
    assert "X-API-Key" in str(error)
    assert KEY not in str(error)
