"""Checks side by side: each with its limit, none stopping another; secrets stay out of every line."""

from __future__ import annotations

import threading
import time

import pytest

from energy_demand.doctor.checks import Area, Check, State, age, ok, run_checks, warning
from energy_demand.doctor.privacy import Secrets
from support import make_settings


def check(name, run, limit=5.0):
    return Check(Area.MACHINE, name, run, limit)


def plain(text: str) -> str:
    return text


def test_a_check_that_raises_becomes_a_line_and_the_others_go_on():
    def broken():
        raise RuntimeError("first line\nsecond line")

    found = run_checks([check("one", broken), check("two", lambda: [ok("two", "fine")])], plain)
    assert [(each.finding.name, each.finding.state) for each in found] == [
        ("one", State.FAILURE),
        ("two", State.OK),
    ]
    assert found[0].finding.found == "RuntimeError: first line"
    assert found[0].finding.remedy


def test_a_check_that_takes_too_long_becomes_a_line_in_time():
    never = threading.Event()
    began = time.monotonic()
    found = run_checks(
        [check("stuck", lambda: never.wait(60) and [], 0.3), check("two", lambda: [ok("two", "fine")])], plain
    )
    never.set()
    assert time.monotonic() - began < 5
    assert found[0].finding.state is State.FAILURE
    assert "no answer within 0.3 s" in found[0].finding.found
    assert found[1].finding.state is State.OK


def test_checks_run_side_by_side():
    meeting = threading.Barrier(3, timeout=5)
    found = run_checks(
        [check(str(number), lambda: [ok("met", str(meeting.wait() >= 0))]) for number in range(3)], plain
    )
    assert [each.finding.state for each in found] == [State.OK] * 3


def test_one_check_may_give_several_lines_in_their_order():
    found = run_checks([check("many", lambda: [ok("a", "1"), warning("b", "2", "3", "4")])], plain)
    assert [each.finding.name for each in found] == ["a", "b"]
    assert found[1].to_json() | {"seconds": 0} == {
        "area": "machine",
        "name": "b",
        "ok": True,
        "state": "warning",
        "found": "2",
        "expected": "3",
        "remedy": "4",
        "seconds": 0,
    }


def test_every_text_of_a_line_is_cleaned():
    secrets = Secrets(make_settings(eia_api_key="s3cretkey"), {})
    line = warning("x", "got s3cretkey", "not s3cretkey", "change s3cretkey")
    (found,) = run_checks([check("x", lambda: [line])], secrets.clean)
    assert "s3cretkey" not in str(found.to_json())


PASSWORDS = {
    "quoted": ("postgresql://u:pa%2Fss%40word@host/db", ["pa%2Fss%40word", "pa/ss@word", "word", "pa/ss"]),
    "not quoted": ("postgresql://u:pa/ss@word@host/db", ["pa/ss@word", "word"]),
    "with blanks around": ("postgresql://u:longsecret@host/db", ["longsecret"]),
}


@pytest.mark.parametrize("how", PASSWORDS)
def test_no_part_of_a_password_is_left(how):
    address, parts = PASSWORDS[how]
    secrets = Secrets(make_settings(database_url=address), {})
    for part in parts:
        assert part not in secrets.clean(f"cannot reach '{part}@host' ({part})")


def test_passwords_of_proxies_and_mlflow_and_blanks_around_keys_count():
    settings = make_settings(eia_api_key=" key12345\n", mlflow_tracking_uri="http://m:mlflowpw@h")
    secrets = Secrets(settings, {"http": "http://me:proxypw1@proxy:3128"})
    text = secrets.clean("key12345 mlflowpw proxypw1")
    assert text == "REDACTED REDACTED REDACTED"


def test_what_is_recorded_has_no_addresses_of_a_person(monkeypatch):
    monkeypatch.setattr("energy_demand.doctor.privacy.socket.gethostname", lambda: "marias-laptop")
    monkeypatch.setattr("energy_demand.doctor.privacy.getpass.getuser", lambda: "mariarossi")
    secrets = Secrets(None, {})
    text = (
        "blocked 203.0.113.77:443 2001:db8::ff00:42:8329 maria@example.org marias-laptop /home/mariarossi "
        "version 2.1.8 at 2025-03-12T00:00 and 127.0.0.1:8090"
    )
    clean = secrets.clean_record(text)
    for personal in ("203.0.113.77", "2001:db8", "maria@", "marias", "mariarossi"):
        assert personal not in clean
    assert clean.endswith("version 2.1.8 at 2025-03-12T00:00 and 127.0.0.1:8090")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(90, "2 min"), (3600 * 3.5, "3.5 h"), (86400 * 12, "12 days"), (-7200, "2 h in the future")],
)
def test_a_span_is_told_in_a_unit_that_fits(seconds, told):
    assert age(seconds) == told
