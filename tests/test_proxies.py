"""Requests to this machine never go through a proxy, whatever the environment says."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx
import pytest
import requests

from energy_demand import config
from energy_demand.config import SettingsError, environment_with, load_settings
from energy_demand.proxies import without_loopback

# Nothing listens on port 9: a request that goes there fails.
CLOSED = "127.0.0.1:9"
ENVIRONMENTS = {
    "a SOCKS proxy for everything": {"ALL_PROXY": f"socks5://{CLOSED}"},
    "a SOCKS proxy that resolves names": {"all_proxy": f"socks5h://{CLOSED}"},
    "an HTTP proxy": {"HTTP_PROXY": f"http://{CLOSED}"},
    "an HTTP proxy without a scheme": {"http_proxy": CLOSED},
    "both spellings and hosts of the user's": {
        "HTTP_PROXY": f"http://{CLOSED}",
        "http_proxy": f"http://{CLOSED}",
        "NO_PROXY": "intranet.example",
        "no_proxy": "other.example",
    },
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """No `.env`, and no proxy of the developer's own."""
    monkeypatch.setattr(config, "project_root", lambda: tmp_path)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.setenv(name, "")  # so that what `load_settings` sets is taken back
        monkeypatch.setenv(name.upper(), "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_loopback_is_asked_without_a_proxy(environment, host, synthetic_upstream, project, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    load_settings()
    url = synthetic_upstream.replace("127.0.0.1", host)
    answer = httpx.get(url, trust_env=False).text
    assert httpx.get(url).text == answer  # Prefect and our own clients
    assert requests.get(url, timeout=10).text == answer  # MLflow
    with pytest.raises((httpx.ProxyError, httpx.ConnectError)):
        httpx.get("http://somewhere.example/")  # everything else still goes through it


def test_a_process_that_is_started_asks_loopback_without_a_proxy(synthetic_upstream, project):
    environment = environment_with({"ALL_PROXY": f"socks5://{CLOSED}"}, settings=False)
    asked = f"import httpx; print(httpx.get({synthetic_upstream!r}).text)"
    done = subprocess.run(
        [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == httpx.get(synthetic_upstream, trust_env=False).text.strip(), done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, "127.0.0.1,localhost,::1", id="none"),
        pytest.param({"NO_PROXY": "a, b"}, "a,b,127.0.0.1,localhost,::1", id="hosts of the user's"),
        pytest.param(
            {"no_proxy": "a,localhost", "NO_PROXY": "b"}, "a,localhost,b,127.0.0.1,::1", id="both spellings"
        ),
        pytest.param({"NO_PROXY": "*"}, "*", id="everything"),
    ],
)
def test_the_user_s_own_exceptions_stay(given, expected):
    assert without_loopback(given) == {"no_proxy": expected, "NO_PROXY": expected}


@pytest.mark.parametrize("variable", ["ALL_PROXY", "http_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        "socks4://u:canary-word@127.0.0.1:1080",
        "ftp://canary-word",
        "http://u:canary-word@host:port",
        "http://",
        "http://[::1",
        ":3128",
    ],
)
def test_a_proxy_that_no_library_understands_is_refused_by_name(variable, value, project, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: .*unset it$") as caught:
        load_settings()
    assert "canary-word" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_blank_proxy_is_none(project, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", " ")
    load_settings()
    assert "127.0.0.1" in os.environ["NO_PROXY"]
