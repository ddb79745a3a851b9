"""Sending by Apprise to real servers: one that answers, refuses, hangs or is away, and a mail server."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler

from energy_demand.notifications.messages import Message
from energy_demand.notifications.sending import INVALID, invalid, send

pytestmark = pytest.mark.usefixtures("processes")

SECRET = "canary0123456789"
FIRST, SECOND = Message("NY: first", "one <line>\nanother"), Message("NY: second", "more")
HANGS_SECONDS = 1.0


class Mailbox(MessageHandler):
    def __init__(self) -> None:
        super().__init__()
        self.mails = []

    def handle_message(self, message) -> None:
        self.mails.append(message)


@pytest.fixture
def mail_server():
    """A mail server on loopback and the mails that it took."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield port, box.mails
    controller.stop()


def test_messages_arrive_at_a_webhook_in_their_order(hook):
    (delivery,) = send({"json": hook.url}, {"json": [FIRST, SECOND]}).values()
    assert (delivery.arrived, delivery.error) == (2, None)
    assert hook.titles == ["NY: first", "NY: second"]
    assert hook.received[0]["message"] == "one <line>\nanother"


def test_a_mail_arrives_with_its_title_and_every_line(mail_server):
    port, mails = mail_server
    url = f"mailto://127.0.0.1:{port}?from=grid@example.org&to=one@example.org,two@example.org"
    (delivery,) = send({"mailto": url}, {"mailto": [FIRST]}).values()
    assert (delivery.arrived, delivery.error) == (1, None)
    assert {mail["X-RcptTo"] for mail in mails} == {"one@example.org", "two@example.org"}
    assert mails[0]["Subject"] == "NY: first"
    assert mails[0].get_content_type() == "text/plain"
    text = mails[0].get_payload(decode=True).decode()
    assert text.replace("\r", "").strip() == "one <line>\nanother"


def test_what_was_refused_says_with_which_status_and_what_follows_is_not_sent(hook):
    hook.status = 403
    (delivery,) = send({"json": hook.url}, {"json": [FIRST, SECOND]}).values()
    assert (delivery.arrived, delivery.error) == (0, "the service answered HTTP 403")


def test_one_that_hangs_is_given_up_and_the_others_have_their_messages(hook, other_hook):
    hook.hangs = True
    urls = {"json": hook.url, "json 2": other_hook.url}
    found = send(urls, {name: [FIRST] for name in urls}, limit_seconds=HANGS_SECONDS)
    assert found["json"].error == "no answer within 1 s"
    assert (found["json 2"].arrived, other_hook.titles) == (1, ["NY: first"])


def test_a_mail_server_that_hangs_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mailto://127.0.0.1:{silent.getsockname()[1]}?to=a@example.org&from=b@example.org"
        (delivery,) = send({"mailto": url}, {"mailto": [FIRST]}, limit_seconds=HANGS_SECONDS).values()
    assert (delivery.arrived, delivery.error) == (0, "no answer within 1 s")


def test_who_has_no_message_is_not_asked(hook):
    assert send({"json": hook.url}, {"json": []}) == {}


def test_a_url_that_lacks_a_part_is_reported_without_sending(hook):
    urls = {"json": hook.url, "slack": f"slack://{SECRET}"}
    assert invalid(urls) == {"slack": INVALID}
    assert hook.received == []


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"json://user:{SECRET}@127.0.0.1:9/{SECRET}?+X-Token={SECRET}", id="a webhook"),
        pytest.param(f"mailto://user:{SECRET}@127.0.0.1:9?to={SECRET}@example.org", id="mail"),
        pytest.param(f"slack://{SECRET}", id="a URL that is not accepted"),
        pytest.param(f"json://{SECRET}.invalid/{SECRET}", id="a host that is not known"),
        pytest.param(f"ntfy://user:{SECRET}@127.0.0.1:9/{SECRET}", id="ntfy"),
    ],
)
def test_no_part_of_a_url_is_in_a_reason_or_a_log(url, caplog, capfd):
    for name in (None, "apprise", "urllib3", "requests", "energy_demand"):
        caplog.set_level(logging.WARNING if name == "urllib3" else logging.DEBUG, logger=name)
    (delivery,) = send({"x": url}, {"x": [FIRST]}).values()
    assert delivery.arrived == 0
    assert delivery.error
    assert SECRET not in delivery.error
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())


def test_without_apprise_one_line_says_how_to_install_it():
    program = """
import sys
sys.modules["apprise"] = None
import importlib.util
importlib.util.find_spec = lambda name: None
from energy_demand.errors import UserError
from energy_demand.notifications.sending import send
try:
    send({"json": "json://h"}, {"json": []})
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert "pip install 'energy-demand[notify]'" in line
