"""Asks the services that run on this machine, or that are set, how they are. Only reads."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from energy_demand.doctor.checks import Area, Check, Finding, failure, not_checked, ok, warning
from energy_demand.doctor.machine import fetched, ports

if TYPE_CHECKING:
    from energy_demand.config import Settings

SECONDS = 5.0


def checks(settings: Settings, prefect_api: str | None) -> list[Check]:
    """The checks of API, dashboard, Prefect and, where they are set, the services that messages go to."""
    messages = [Check(Area.SERVICES, "messages", partial(_messages, settings))] if settings.notifiers else []
    return [
        Check(Area.SERVICES, "API", partial(_api, settings)),
        Check(Area.SERVICES, "dashboard", partial(_dashboard, settings)),
        Check(Area.SERVICES, "Prefect", partial(_prefect, prefect_api)),
        *messages,
    ]


def _api(settings: Settings) -> list[Finding]:
    port = settings.api_port
    health = fetched(port, "/health", SECONDS)
    if health is None:
        start = "`energy-demand serve` starts it, `energy-demand local` all services"
        return [not_checked("API", f"nothing answers on port {port}", start)]
    if _body(health).get("status") != "healthy":
        remedy = "Free the port, or set API_PORT to another one"
        return [failure("API", f"port {port} is of another program", "our API", remedy)]
    ready = _body(fetched(port, "/ready", SECONDS))
    if ready.get("status") == "ready":
        return [ok("API", f"ready on port {port}, serves version {ready.get('model_version')}")]
    reason = ready.get("detail") or "it does not say why"
    remedy = "Run `energy-demand train` if there is no model yet; otherwise see its log and the lines above"
    return [failure("API", f"alive on port {port}, not ready: {reason}", "ready", remedy)]


def _dashboard(settings: Settings) -> list[Finding]:
    port = next(each for each in ports(settings) if each.service == "dashboard")
    text = fetched(port.number, port.path, SECONDS)
    if text is None:
        start = "`energy-demand dashboard` starts it"
        return [not_checked("dashboard", f"nothing answers on port {port.number}", start)]
    if port.mark(text):
        return [ok("dashboard", f"healthy on port {port.number}")]
    remedy = "Free the port, or set DASHBOARD_PORT to another one"
    return [warning("dashboard", f"port {port.number} is of another program", "our dashboard", remedy)]


def _prefect(address: str | None) -> list[Finding]:
    import httpx  # noqa: PLC0415

    from energy_demand.doctor.asking import client_for  # noqa: PLC0415

    if address is None:
        found = "PREFECT_API_URL is not set"
        remedy = "Only `energy-demand worker` needs it; `energy-demand local` starts Prefect and sets it"
        return [not_checked("Prefect", found, remedy)]
    try:
        with client_for(address, SECONDS) as client:
            answer = client.get(f"{address.rstrip('/')}/health")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        found = f"{address} cannot be reached ({type(error).__name__}: {error})"
        remedy = "Start it with `prefect server start` or `energy-demand local`, or correct PREFECT_API_URL"
        return [failure("Prefect", found, "an answer", remedy)]
    if answer.is_success and answer.text.strip() == "true":
        return [ok("Prefect", f"{address} is healthy")]
    remedy = "Correct PREFECT_API_URL (it ends in /api), or see the log of the server"
    return [failure("Prefect", f"{address} answers HTTP {answer.status_code}", "HTTP 200", remedy)]


def _messages(settings: Settings) -> list[Finding]:
    """Whether Apprise accepts each URL; nothing is sent."""
    from energy_demand.notifications.sending import NotInstalledError, invalid  # noqa: PLC0415

    urls = settings.notifiers
    try:
        wrong = invalid(urls)
    except NotInstalledError as error:
        return [failure("messages", str(error), "Apprise is installed", "Install the extra `notify`")]
    if not wrong:
        found = f"Apprise accepts {', '.join(urls)}; `energy-demand notify test` sends a trial message"
        return [ok("messages", found)]
    return [
        failure("messages", f"NOTIFY_URLS: {name}: {why}", "a URL of Apprise", "Correct NOTIFY_URLS")
        for name, why in wrong.items()
    ]


def _body(text: str | None) -> dict[str, object]:
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
