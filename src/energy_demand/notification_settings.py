"""What NOTIFY_URLS, NOTIFY_KINDS and NOTIFY_QUIET_HOURS may say. Pure.

Every command reads the settings, so nothing here needs Apprise. Error messages never contain a URL, because
any part of one can be a secret: a URL is named by its place and the scheme before its `://`.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


class Kind(StrEnum):
    """The kinds of messages; NOTIFY_KINDS chooses."""

    FORECAST = "forecast"
    PEAK = "peak"
    DRIFT = "drift"
    MODEL = "model"
    SOURCE = "source"
    FAILURE = "failure"


# Of Apprise 1.13.1; http and https are addresses as the services give them out. A test compares them.
_KNOWN = """
    46elks apprise apprises aprs atalk azure bark barks blink1 bluesky brevo bsky bulksms bulkvs burstsms
    chanify chime clickatell clicksend d7sms dapnet dbus dingtalk discord dot eight00com elks emby embys
    enigma2 enigma2s evolution evolutions exotel fcm feishu flock flowtriq flowtriqs fluxer fluxers form
    forms freemobile gchat gio glib gnome gotify gotifys groupme growl guilded hassio hassios http https
    httpsms humhub humhubs ifttt irc ircs jellyfin jellyfins jira join json jsons kavenegar kde kodi kodis
    kook kumulos lametric lametrics lark lauther line macosx mailersend mailgun mailto mailtos mastodon
    mastodons matrix matrixs misskey misskeys mmost mmosts mqtt mqtts msg91 msgbird ncloud nclouds nctalk
    nctalks nexmo notica noticas notifiarr notifico notificos notifyre ntfy ntfys o365 octopush onesignal
    opsgenie pagerduty pagertree parsep parseps pbul pinglet pinglets pingram pjet pjets plivo postmark
    pover prowl psafer psafers push pushdeer pushdeers pushed pushme pushplus pushward pushy qq qt reddit
    resend revolt ringc rocket rockets rsyslog ryver schan sendgrid sendpulse serwersms ses session sessions
    seven sfr signal signalgrid signals signl4 sinch slack smpp smpps smsc smseagle smseagles smsmanager
    smsmgr smtp2go sns sogs sparkpost spike splunk spugpush spush stackfield strmlabs synology synologys
    syslog tgram threema toot toots trigv trigvs tweet twilio twist twitter vapid viber victorops voipms
    vonage webex wechat wecom wecombot whatsapp windows workflow workflows wxpusher wxteams x xbmc xbmcs xml
    xmls xmpp xmpps zoom zulip
"""
SCHEMES = frozenset(_KNOWN.split())
# As Apprise does: a comma or blank ends a URL only where the next one begins, since URLs may have commas.
_BETWEEN = re.compile(r"[\s,]+(?=[a-z0-9]{1,32}://)", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z0-9]{1,32})://(.+)", re.IGNORECASE)
_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})")


def notifiers(text: str) -> dict[str, str]:
    """The URLs of NOTIFY_URLS by names that show nothing of them: `slack`, `json`, `json 2`.

    Raises:
        ValueError: one cannot be used; the message names it by place and scheme.
    """
    urls, seen = {}, Counter[str]()
    for place, url in enumerate(_BETWEEN.split(text.strip(" \t\r\n,")), start=1):
        scheme = _checked(place, url)
        seen[scheme] += 1
        urls[scheme if seen[scheme] == 1 else f"{scheme} {seen[scheme]}"] = url
    return urls


def _checked(place: int, url: str) -> str:
    """The scheme of a URL."""
    found = _SCHEME.fullmatch(url)
    if found is None and re.search(r"\s", url) is None:
        raise ValueError(f"URL {place} does not begin with a scheme; expected e.g. slack://… or mailtos://…")
    scheme = url.partition("://")[0].lower()
    if re.search(r"[\s\x00-\x1f]", url):
        raise ValueError(
            f"URL {place} has a blank, or text that is no URL follows it; write a blank in a URL as %20"
        )
    if scheme not in SCHEMES:
        near = difflib.get_close_matches(scheme, SCHEMES, n=1)
        raise ValueError(
            f"URL {place} begins with {scheme}://, which Apprise does not know"
            + (f"; did you mean {near[0]}://?" if near else "; docs/notifications.md has examples")
        )
    return scheme


@dataclass(frozen=True)
class QuietHours:
    """Local hours in which only what is urgent is sent: from `start` until `end`, over midnight or not."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """From `22-7`.

        Raises:
            ValueError: it is written in another way.
        """
        found = _HOURS.fullmatch(text.replace(" ", ""))
        start, end = (int(found[1]), int(found[2]) % 24) if found else (24, 24)
        if start > 23 or (found and int(found[2]) > 24) or start == end:
            raise ValueError(f"{text!r} are not hours of the day; expected e.g. 22-7")
        return cls(start, end)

    def until(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """When the quiet hours that `now` falls into end, in UTC; None outside of them.

        An hour that the clocks skip ends at the jump, one that comes twice with its first end.

        >>> from zoneinfo import ZoneInfo
        >>> QuietHours(22, 7).until(datetime(2025, 3, 9, 3, tzinfo=UTC), ZoneInfo("America/New_York"))
        datetime.datetime(2025, 3, 9, 11, 0, tzinfo=datetime.timezone.utc)
        """
        local = now.astimezone(zone)
        over_midnight = self.start > self.end
        if over_midnight:
            quiet = local.hour >= self.start or local.hour < self.end
        else:
            quiet = self.start <= local.hour < self.end
        if not quiet:
            return None
        day = local.date() + timedelta(days=int(over_midnight and local.hour >= self.start))
        return datetime.combine(day, time(self.end), tzinfo=zone).astimezone(UTC)
