"""Asks each upstream one small real question, and compares the answer with what the clients expect."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from energy_demand.doctor import questions
from energy_demand.doctor.asking import Answer, Asker, NoAnswerError
from energy_demand.doctor.checks import (
    Area,
    Check,
    Finding,
    age,
    failure,
    not_checked,
    ok,
    warning,
)
from energy_demand.doctor.contract import (
    Comparison,
    compare_eia,
    compare_file,
    compare_operator,
    compare_weather,
)
from energy_demand.doctor.machine import SOCKS_REMEDY
from energy_demand.doctor.questions import EIA, NYISO, OPEN_METEO, Question, Topic
from energy_demand.doctor.refusals import Refused, parsed, refusal
from energy_demand.timeaxis import MAX_LEAD_HOURS

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.config import Settings

TIMEOUT_SECONDS = 15.0
LIMIT_SECONDS = 40.0
SLOW_SECONDS = 5.0
# How old the newest value may be; beyond the second figure it is a failure.
EIA_LAG = (timedelta(hours=3), timedelta(hours=48))
DAILY_LAG = (timedelta(days=3), timedelta(days=7))
FILE_LAG = (timedelta(days=3), timedelta(days=30))
ARCHIVE_LAG = (timedelta(days=7), timedelta(days=30))
# A day's file is posted between 07:05 and 07:45 on the day before.
OPERATOR_LAG = (timedelta(hours=26), timedelta(days=7))
OPERATOR_FILES_TRIED = 2
RUNS_TRIED = 3
SKEW_WARNING, SKEW_FAILURE = timedelta(seconds=30), timedelta(minutes=5)

REMEDIES = {
    Refused.KEY: "The key is mistyped or was withdrawn: correct {key}. A new one is free at "
    "https://www.eia.gov/opendata/",
    Refused.LIMIT: "Wait until the limit is over (the next minute, hour or UTC day, as the text says), "
    "and ask less at once; all machines behind one address share it. A paid plan has none "
    "(OPEN_METEO_API_KEY)",
    Refused.MISSING_RUN: "Nothing: 1 to 5 % of model runs are missing, and an older run is used",
    Refused.BUSY: "Try again later; stored data is used meanwhile. See the upstream's status page",
    Refused.NOT_FOUND: "Check {address}: the path is not known there any more",
    Refused.MOVED: "Check {address}: the upstream sends callers elsewhere",
    Refused.PAGE: "A web page instead of data: a proxy or a login page of the network is in between, or the "
    "upstream is down. Open {address} in a browser",
    Refused.BROKEN: "Try again later; if it stays, a proxy cuts answers off, or the upstream changed",
    Refused.REQUEST: "The upstream does not understand the question any more: upgrade energy-demand, or "
    "report this line with the files of `energy-demand doctor --record DIR`",
}
CHANGED = (
    "The upstream changed: upgrade energy-demand, or report this line with the files of "
    "`energy-demand doctor --only upstreams --record DIR`"
)
UNREACHABLE = "Check the network, the name server and the proxy settings (HTTPS_PROXY, ALL_PROXY, NO_PROXY)"
INCOMPLETE = "Nothing now: an incomplete answer is asked for again later. If it stays for a day, report it"
ADDRESSES = {
    Topic.EIA_HOURLY: "EIA_BASE_URL",
    Topic.EIA_DAILY: "EIA_BASE_URL",
    Topic.EIA_FILE: "EIA_BULK_URL",
    Topic.ARCHIVE: "OPEN_METEO_HISTORICAL_URL",
    Topic.FORECAST: "OPEN_METEO_FORECAST_URL",
    Topic.RUN: "OPEN_METEO_SINGLE_RUNS_URL",
    Topic.OPERATOR: "NYISO_FORECAST_URL",
}


def checks(settings: Settings, now: datetime, asker: Asker) -> list[Check]:
    """The questions to the upstreams; to the grid operator where its forecast is switched on."""
    asked: dict[str, Callable[[], list[Finding]]] = {
        Topic.EIA_HOURLY: partial(_eia, settings, asker, now, Topic.EIA_HOURLY),
        Topic.EIA_DAILY: partial(_eia, settings, asker, now, Topic.EIA_DAILY),
        Topic.EIA_FILE: partial(_file, settings, asker, now),
        Topic.ARCHIVE: partial(_archive, settings, asker, now),
        Topic.FORECAST: partial(_forecast, settings, asker, now),
        Topic.RUN: partial(_run, settings, asker, now),
    }
    if settings.operator_forecast is not None:
        asked[Topic.OPERATOR] = partial(_operator, settings, asker, now)
    return [Check(Area.UPSTREAMS, str(name), run, LIMIT_SECONDS) for name, run in asked.items()]


def asker_of(settings: Settings) -> Asker:
    """Keeps to the paces of the settings."""
    paces = {
        EIA: settings.eia_request_interval_seconds,
        OPEN_METEO: settings.open_meteo_request_interval_seconds,
        NYISO: settings.nyiso_request_interval_seconds,
    }
    return Asker(min(TIMEOUT_SECONDS, settings.http_timeout_seconds), paces)


def clock(answers: dict[str, Answer]) -> Finding:
    """This machine's clock against those of the servers; the nearest server counts."""
    skews = [answer.skew for answer in answers.values() if answer.skew is not None]
    if not skews:
        return not_checked("clock", "no server sent its time")
    skew = min(skews, key=abs)
    found = (
        f"{abs(skew).total_seconds():.0f} s {'ahead of' if skew > timedelta() else 'behind'} the upstreams"
    )
    expected = f"within {SKEW_WARNING.total_seconds():.0f} s"
    remedy = "Set this machine's clock: `sudo timedatectl set-ntp true`, or start your time service"
    if abs(skew) <= SKEW_WARNING:
        return ok("clock", found, expected)
    return (failure if abs(skew) > SKEW_FAILURE else warning)("clock", found, expected, remedy)


def _eia(settings: Settings, asker: Asker, now: datetime, topic: Topic) -> list[Finding]:
    hourly = topic is Topic.EIA_HOURLY
    if settings.eia_api_key is None and settings.sandbox_url is None:
        if not hourly:
            return [not_checked(topic, "needs EIA_API_KEY as well")]
        remedy = (
            "Get a free key at https://www.eia.gov/opendata/ and set EIA_API_KEY (export it, or write it "
            "into .env); history alone needs none: `energy-demand backfill --source bulk …`"
        )
        return [failure(topic, "not asked: EIA_API_KEY is not set", "a key", remedy)]
    question = (questions.eia_hourly if hourly else questions.eia_daily)(settings, now)
    frequency = "hourly" if hourly else "daily"

    answer = _asked(topic, question, asker)
    if isinstance(answer, Finding):
        return [answer]
    comparison = compare_eia(
        parsed(answer.body), frequency=frequency, respondent=settings.eia_region, series=("D", "DF")
    )
    shown = "newest hour ended" if hourly else "newest day began"
    return [_judged(topic, answer, comparison, now, EIA_LAG if hourly else DAILY_LAG, shown)]


def _file(settings: Settings, asker: Asker, now: datetime) -> list[Finding]:
    from energy_demand.data.eia_client import names_on_record  # noqa: PLC0415  (imports pandas)

    topic = Topic.EIA_FILE
    question = questions.eia_file(settings, now)
    answer = _asked(topic, question, asker, table=True)
    if isinstance(answer, Finding):
        return [answer]
    authority = names_on_record(settings.eia_region)[-1]
    comparison = compare_file(answer.body, authority, complete=answer.complete)
    _, grows = questions.half_year_of(now, settings.region.zone)
    lag = None
    if grows and "last-modified" in answer.headers:
        comparison.newest = parsedate_to_datetime(answer.headers["last-modified"])
        lag = FILE_LAG
    return [_judged(topic, answer, comparison, now, lag, "file written")]


def _archive(settings: Settings, asker: Asker, now: datetime) -> list[Finding]:
    answer = _asked(Topic.ARCHIVE, questions.archive(settings, now), asker)
    if isinstance(answer, Finding):
        return [answer]
    comparison = compare_weather(
        parsed(answer.body),
        sites=settings.region.sites,
        first=_midnight(now) - timedelta(days=questions.ARCHIVE_DAYS),
        hours=24 * questions.ARCHIVE_DAYS,
        may_end_early=True,
    )
    return [_judged(Topic.ARCHIVE, answer, comparison, now, ARCHIVE_LAG, "newest hour with temperature")]


def _forecast(settings: Settings, asker: Asker, now: datetime) -> list[Finding]:
    answer = _asked(Topic.FORECAST, questions.forecast(settings), asker)
    if isinstance(answer, Finding):
        return [answer]
    comparison = compare_weather(
        parsed(answer.body),
        sites=settings.region.sites,
        first=_midnight(now),
        hours=24 * questions.FORECAST_DAYS,
    )
    return [_judged(Topic.FORECAST, answer, comparison, now, None, "to")]


def _run(settings: Settings, asker: Asker, now: datetime) -> list[Finding]:
    """The newest published run, or an older one where that is missing, as happens."""
    missing: list[datetime] = []
    for run in _runs(settings, now):
        question = questions.single_run(settings, run)
        answer = _asked(Topic.RUN, question, asker)
        if isinstance(answer, Finding):
            if answer.remedy != REMEDIES[Refused.MISSING_RUN]:
                return [answer]
            missing.append(run)
            continue
        comparison = compare_weather(
            parsed(answer.body),
            sites=settings.region.sites,
            first=run,
            hours=1 + MAX_LEAD_HOURS,  # whether the days are counted from midnight or from the run
            skip_first=True,
        )
        if missing:
            absent = ", ".join(f"{each:%Y-%m-%dT%H:%MZ}" for each in missing)
            comparison.doubts.insert(0, f"not on record: {absent}")
        return [_judged(Topic.RUN, answer, comparison, now, None, f"run {run:%Y-%m-%dT%H:%MZ}, to")]
    return [
        failure(
            Topic.RUN,
            f"none of {RUNS_TRIED} runs is on record, the newest of {missing[0]:%Y-%m-%dT%H:%MZ}",
            "a run that was published by now",
            "Forecasts use older weather meanwhile; see https://open-meteo.com/en/docs/model-updates",
        )
    ]


def _operator(settings: Settings, asker: Asker, now: datetime) -> list[Finding]:
    """The newest file that is usually posted by now, or that of the day before where it is late."""
    from energy_demand.columns import SYSTEM  # noqa: PLC0415
    from energy_demand.data.issued_operator import NEW_YORK, usually_posted_by  # noqa: PLC0415  (imports pandas)
    from energy_demand.data.operator_client import ZONES  # noqa: PLC0415

    topic, address = Topic.OPERATOR, ADDRESSES[Topic.OPERATOR]
    absent = REMEDIES[Refused.NOT_FOUND].format(address=address)
    tomorrow = now.astimezone(NEW_YORK).date() + timedelta(days=1)
    newest = tomorrow if usually_posted_by(tomorrow) <= now else tomorrow - timedelta(days=1)
    days = [newest - timedelta(days=back) for back in range(OPERATOR_FILES_TRIED)]
    for day in days:
        answer = _asked(topic, questions.operator(settings, day), asker, table=True)
        if isinstance(answer, Finding):
            if answer.remedy != absent:
                return [answer]
            continue
        comparison = compare_operator(answer.body, day, ZONES, SYSTEM)
        if "last-modified" in answer.headers:
            comparison.newest = parsedate_to_datetime(answer.headers["last-modified"])
        if day != newest:
            comparison.doubts.insert(0, f"the file of {newest} is not posted yet")
            return [_judged(topic, answer, comparison, now, None, f"file of {day}, posted")]
        lag = None if comparison.newest is None else OPERATOR_LAG
        return [_judged(topic, answer, comparison, now, lag, f"file of {day}, posted")]
    return [failure(topic, f"neither file is there: {days[0]}, {days[1]}", "a file posted by now", absent)]


def _runs(settings: Settings, now: datetime) -> list[datetime]:
    return list(islice(settings.weather_models[0].runs_before(now), RUNS_TRIED))


def _midnight(now: datetime) -> datetime:
    return datetime.combine(now.date(), time(0), tzinfo=UTC)


def _asked(topic: Topic, question: Question, asker: Asker, *, table: bool = False) -> Answer | Finding:
    """The answer, or the line of the table that says why there is none."""
    address = ADDRESSES[topic]
    try:
        answer = asker.ask(question)
    except NoAnswerError as error:
        if "socksio" in str(error):
            return failure(topic, f"{error}", "an answer", SOCKS_REMEDY)
        own = "" if _is_public(question) else f", and {address}"
        return failure(topic, f"{error}", "an answer", UNREACHABLE + own)
    refused = refusal(answer.status, answer.body, table=table)
    if refused is None:
        return answer
    remedy = REMEDIES[refused.kind]
    if topic.source == OPEN_METEO and refused.kind is Refused.KEY:
        remedy = "Correct OPEN_METEO_API_KEY, or leave it out (free use); check {address} where that is set"
    remedy = remedy.format(address=address, key="EIA_API_KEY")
    # A limit is over by itself, and a table says so; everything else is not.
    kind = warning if refused.kind is Refused.LIMIT and "Daily" not in refused.text else failure
    where = f" to {answer.headers.get('location')}" if refused.kind is Refused.MOVED else ""
    return kind(topic, f"{refused.text}{where} ({answer.seconds:.1f} s)", "data", remedy)


def _is_public(question: Question) -> bool:
    from energy_demand.config import PUBLIC_URLS  # noqa: PLC0415

    return question.url.startswith(tuple(PUBLIC_URLS.values()))


def _judged(
    topic: Topic,
    answer: Answer,
    comparison: Comparison,
    now: datetime,
    lag: tuple[timedelta, timedelta] | None,
    shown: str,
) -> Finding:
    expected = "shape, names and units as the clients expect"
    facts = [f"{answer.seconds:.1f} s"]
    kind = answer.headers.get("x-sandbox-data")
    if kind:
        facts.append(f"{kind} data of a sandbox")
    facts.append(f"{comparison.rows:,} rows" if topic.source == EIA else f"{comparison.rows:,} hours")
    if comparison.newest is not None:
        when = f"{shown} {comparison.newest:%Y-%m-%dT%H:%MZ}"
        facts.append(when if lag is None else f"{when}, {age((now - comparison.newest).total_seconds())} ago")
    found = ", ".join(facts)
    if comparison.problems:
        return failure(topic, f"{'; '.join(comparison.problems[:4])} ({found})", expected, CHANGED)
    late = now - comparison.newest if lag and comparison.newest else timedelta()
    if lag and comparison.newest is None and topic is not Topic.EIA_FILE:
        return failure(topic, f"no value at all ({found})", "values", REMEDIES[Refused.BUSY])
    if lag and late > lag[0]:
        line = failure if late > lag[1] else warning
        remedy = (
            "The upstream is late. Nothing to do: ingestion goes on by itself when it publishes again. "
            "Check this machine's clock (`date -u`)"
        )
        return line(topic, found, f"not older than {age(lag[0].total_seconds())}", remedy)
    if comparison.doubts:
        return warning(topic, f"{'; '.join(comparison.doubts[:4])} ({found})", expected, INCOMPLETE)
    if answer.seconds > SLOW_SECONDS:
        remedy = "Look at the network; HTTP_TIMEOUT_SECONDS is how long the clients wait"
        return warning(topic, found, f"an answer within {SLOW_SECONDS:g} s", remedy)
    return ok(topic, found, expected)
