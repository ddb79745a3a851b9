"""`notify test` and `notify send` as a user sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import PRESENT

pytestmark = pytest.mark.usefixtures("processes")

COMMAND = Path(sys.executable).with_name("energy-demand")
SECRET = "canary0123456789"


@pytest.fixture
def call(settings):
    def run(*arguments: str, urls: str) -> tuple[int, str, str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(settings.home),
            "ENERGY_DEMAND_HOME": str(settings.home),
            "ENERGY_DEMAND_NOW": PRESENT.isoformat(),
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "NOTIFY_URLS": urls,
            "COLUMNS": "200",
        }
        done = subprocess.run(
            [COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_a_trial_says_which_url_took_it_and_shows_no_secret_and_status_keeps_it(call, hook, other_hook):
    other_hook.status = 404
    urls = f"{hook.url} {other_hook.url}/{SECRET}?+X-Token={SECRET}, slack://{SECRET}"
    status, out, err = call("--verbose", "notify", "test", urls=urls)
    assert (status, hook.titles) == (1, ["NY: trial message"])
    lines = out.splitlines()
    assert lines[:2] == ["json: arrived", "json 2: the service answered HTTP 404"]
    assert lines[2].startswith("slack: Apprise does not accept this URL")
    assert err.splitlines()[-1] == "error: 2 of 3 URLs did not take the message: json 2, slack"
    _, shown, _ = call("status", urls=urls)
    assert "json took a message 2025-03-12T13:00Z" in shown
    assert "json 2 failed 2025-03-12T13:00Z: the service answered HTTP 404" in shown
    assert SECRET not in out + err + shown


def test_what_waits_is_sent_and_the_answer_says_what_still_does(call, hook):
    assert call("notify", "send", urls=hook.url)[:2] == (
        0,
        "0 messages wait, 0 expired in the last week\njson not used yet\n",
    )


def test_without_urls_there_is_one_line(call):
    for command in ("test", "send"):
        status, out, err = call("notify", command, urls="")
        assert (status, out) == (1, "")
        assert err.startswith("error: NOTIFY_URLS is not set; nothing was sent.")
