"""Finds names of settings that are mistyped, in `.env` and in the environment. Pure.

A false alarm would keep a command from running, so names of other programs must pass: in the environment
only a name that is very near one of ours is taken for one.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# A variable with one of these prefixes that no setting knows is a typing error: in `.env` for certain, in the
# environment, where others may use them too, if a setting is near.
OWN_PREFIXES = (
    "EIA_",
    "ENERGY_DEMAND_",
    "OPEN_METEO_",
    "NYISO_",
    "OPERATOR_",
    "WEATHER_",
    "SANDBOX_",
    "PUBLICATION_",
    "PREDICTION_",
    "RETRAIN_",
    "DASHBOARD_",
    "NOTIFY_",
)
NOBODY_ELSES_PREFIX = "ENERGY_DEMAND_"
# Likewise one without such a prefix that is written nearly like a setting. How near, as difflib measures it:
# in `.env`, which is ours alone; in the environment, where short names are anybody's.
FAR_PREFIXED, NEAR_PREFIXED, NEAR_IN_FILE, NEAR_IN_ENVIRONMENT = 0.6, 0.75, 0.8, 0.9
SHORTEST_NEAR_IN_ENVIRONMENT = 10
# What `.env` holds for Compose alone.
COMPOSE_VARIABLES = frozenset(
    {
        "ALERT_CONTACT",
        "ALERT_EMAIL",
        "ALERT_SMTP_FROM",
        "ALERT_SMTP_HOST",
        "ALERT_SMTP_PASSWORD",
        "ALERT_SMTP_USER",
        "ALERT_WEBHOOK_URL",
        "APP_DB_PASSWORD",
        "COMPOSE_PROFILES",
        "COMPOSE_SANDBOX_URL",
        "GRAFANA_ADMIN_PASSWORD",
        "GRAFANA_DB_PASSWORD",
        "MLFLOW_DB_PASSWORD",
        "POSTGRES_PASSWORD",
        "PREFECT_DB_PASSWORD",
    }
)
# Other programs' names that happen to be near.
OTHERS_VARIABLES = frozenset(
    {
        "APP_KEY",
        "DATABASE_URI",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_TRACKING_USERNAME",
    }
)


def mistyped(
    settings: set[str], in_file: Iterable[str], in_environment: Iterable[str]
) -> dict[str, str | None]:
    """Names that nobody knows, each with the one that was probably meant, or None.

    Args:
        settings: the known names, in capitals.
        in_file: names in `.env`.
        in_environment: names of environment variables.
    """
    unknown: dict[str, str | None] = {}
    for names, near_of in ((in_file, _near_in_file), (in_environment, _near_in_environment)):
        for name in names:
            if name.upper() not in settings | COMPOSE_VARIABLES | OTHERS_VARIABLES:
                unknown |= near_of(name, settings)
    return unknown


def _near_in_file(name: str, settings: set[str]) -> dict[str, str | None]:
    """A name that the file does not mean for anybody else, with the known one that is near; or nothing."""
    own = name.startswith(OWN_PREFIXES)
    near = _nearest(name, settings | COMPOSE_VARIABLES, FAR_PREFIXED if own else NEAR_IN_FILE)
    return {name: near} if own or near else {}


def _near_in_environment(name: str, settings: set[str]) -> dict[str, str | None]:
    """A name that is nearly one of ours; anything else there may be another program's."""
    prefix = next((each for each in OWN_PREFIXES if name.startswith(each)), None)
    if prefix is None:
        meant, cutoff = (
            {each for each in settings if len(each) >= SHORTEST_NEAR_IN_ENVIRONMENT},
            NEAR_IN_ENVIRONMENT,
        )
    else:
        meant, cutoff = {each for each in settings if each.startswith(prefix)}, NEAR_PREFIXED
    near = _nearest(name, meant, cutoff)
    return {name: near} if near or prefix == NOBODY_ELSES_PREFIX else {}


def _nearest(name: str, known: set[str], cutoff: float) -> str | None:
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return found[0] if found else None
