"""What NOTIFY_URLS, NOTIFY_KINDS and NOTIFY_QUIET_HOURS may say, and how a mistake in them is reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_demand.config import SettingsError, load_settings
from energy_demand.notification_settings import SCHEMES, Kind, QuietHours, notifiers

ZONE = ZoneInfo("America/New_York")
NEW_YEAR = datetime(2025, 1, 1, tzinfo=UTC)
SECRET = "canary0123456789"


def test_the_schemes_are_those_of_apprise():
    from apprise.manager_plugins import NotificationManager  # noqa: PLC0415

    assert set(NotificationManager().schemas()) | {"http", "https"} == SCHEMES


@pytest.mark.parametrize(
    "text",
    [
        "slack://a/b/c",
        "mailto://u:p@mail.example?to=a@b.example,c@d.example, ntfy://topic",
        "json://h/a,b,,xml://h/c",
        "json://h/1\nJSON://h/2\tslack://a/b/c/#one,#two",
        " ,json://h/1, ",
    ],
)
def test_a_list_is_split_where_apprise_splits_it(text):
    from apprise.utils.parse import parse_urls  # noqa: PLC0415

    assert list(notifiers(text).values()) == [url.rstrip(", ") for url in parse_urls(text)]


def test_urls_have_names_that_show_nothing_of_them():
    named = notifiers(f"json://{SECRET}/1, slack://{SECRET}/b/c JSON://h/2")
    assert list(named) == ["json", "slack", "json 2"]
    assert named["json 2"] == "JSON://h/2"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(f"slak://{SECRET}/b/c", "URL 1 begins with slak://", id="a scheme that is mistyped"),
        pytest.param(f"json://h, qqqqqqqq://{SECRET}", "URL 2 begins with qqqqqqqq://", id="an unknown one"),
        pytest.param(f"hooks.example/{SECRET}", "URL 1 does not begin with a scheme", id="no scheme"),
        pytest.param(f"json://h json://x {SECRET}", "URL 2 has a blank", id="a blank"),
        pytest.param(f"{SECRET} json://h", "URL 1 does not begin", id="text before it"),
        pytest.param(",", "URL 1 does not begin with a scheme", id="nothing"),
    ],
)
def test_a_url_that_cannot_be_used_is_named_without_its_secrets(monkeypatch, value, reason):
    monkeypatch.setenv("NOTIFY_URLS", value)
    with pytest.raises(SettingsError, match="^NOTIFY_URLS: ") as refused:
        load_settings()
    assert reason in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_mistyped_scheme_is_named_with_the_one_that_is_near(monkeypatch):
    monkeypatch.setenv("NOTIFY_URLS", "malito://u:p@h")
    with pytest.raises(SettingsError, match=r"did you mean mailto://\?"):
        load_settings()


def test_settings_that_are_shown_hide_the_urls(monkeypatch):
    monkeypatch.setenv("NOTIFY_URLS", f"json://{SECRET}")
    settings = load_settings()
    assert settings.notifiers == {"json": f"json://{SECRET}"}
    assert SECRET not in repr(settings)


def test_kinds_are_a_list_of_known_words(monkeypatch):
    assert load_settings().notify_kinds == tuple(Kind)
    monkeypatch.setenv("NOTIFY_KINDS", "drift, source")
    assert load_settings().notify_kinds == (Kind.DRIFT, Kind.SOURCE)
    monkeypatch.setenv("NOTIFY_KINDS", "drift,weather")
    with pytest.raises(SettingsError, match=r"NOTIFY_KINDS\[1\]: .*'forecast'"):
        load_settings()


@pytest.mark.parametrize("text", ["22", "22-22", "24-7", "7-25", "22:00-7:00", "night", "0-24"])
def test_quiet_hours_that_are_none_are_refused(monkeypatch, text):
    monkeypatch.setenv("NOTIFY_QUIET_HOURS", text)
    with pytest.raises(SettingsError, match="NOTIFY_QUIET_HOURS: .*expected e.g. 22-7"):
        load_settings()


@pytest.mark.parametrize(
    ("hours", "local", "until"),
    [
        pytest.param("22-7", "2025-07-31T23:30", "2025-08-01T07:00", id="before midnight"),
        pytest.param("22-7", "2025-08-01T06:59", "2025-08-01T07:00", id="after midnight"),
        pytest.param("22-7", "2025-08-01T07:00", None, id="the end is not quiet"),
        pytest.param("22-7", "2025-08-01T22:00", "2025-08-02T07:00", id="the start is"),
        pytest.param("13-15", "2025-08-01T14:00", "2025-08-01T15:00", id="by day"),
        pytest.param("18-24", "2025-08-01T20:00", "2025-08-02T00:00", id="until midnight"),
        pytest.param("22-7", "2025-03-08T22:30", "2025-03-09T07:00", id="the night that is an hour short"),
        pytest.param("22-7", "2025-11-01T22:30", "2025-11-02T07:00", id="the night that is an hour long"),
        pytest.param("22-2", "2025-03-09T01:30", "2025-03-09T03:00", id="an end that the clocks skip"),
    ],
)
def test_quiet_hours_end_in_the_region_s_time(hours, local, until):
    now = datetime.fromisoformat(local).replace(tzinfo=ZONE)
    found = QuietHours.parse(hours).until(now, ZONE)
    assert found == (None if until is None else datetime.fromisoformat(until).replace(tzinfo=ZONE))


@given(
    st.integers(0, 23),
    st.integers(0, 23),
    st.integers(0, 365 * 24 * 60).map(lambda minutes: NEW_YEAR + timedelta(minutes=minutes)),
)
def test_quiet_hours_end_within_a_day_and_are_over_then(start, end, now):
    if start == end:
        return
    quiet = QuietHours(start, end)
    until = quiet.until(now, ZONE)
    if until is None:
        assert now.astimezone(ZONE).hour != start
        return
    assert now < until <= now + timedelta(hours=25)
    assert quiet.until(until, ZONE) is None
