"""Which version the champion's alias names, asked without MLflow's client, whose import takes seconds.

A server is asked by its REST API, a database by the tables of MLflow's store. Only reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_demand.config import CHAMPION_ALIAS
from energy_demand.registry.home_store import sqlite_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREVIOUS_TAG = "previous_champion"
TIMEOUT_SECONDS = 10.0
_NOT_THERE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


@dataclass(frozen=True)
class ChampionAlias:
    """What the alias names: a version, its run, and the champion before it."""

    version: str
    run_id: str
    previous: str | None


class AliasUnknownError(Exception):
    """The store does not answer this way; MLflow's client has to be asked."""


def read_alias(uri: str, model: str) -> ChampionAlias | None:
    """The champion of a registered model in the store at `uri`; None before the first promotion.

    Raises:
        AliasUnknownError: the store wants a login or is of another kind.
        ConnectionError, sqlalchemy.exc.SQLAlchemyError: it cannot be reached.
    """
    scheme = uri.partition(":")[0]
    if scheme in {"http", "https"}:
        return _from_server(uri, model)
    if scheme.partition("+")[0] in {"sqlite", "postgresql"}:
        return _from_database(uri, model)
    raise AliasUnknownError(uri)


def _from_server(uri: str, model: str) -> ChampionAlias | None:
    import httpx  # noqa: PLC0415

    try:
        answer = httpx.get(
            f"{uri.rstrip('/')}/api/2.0/mlflow/registered-models/alias",
            params={"name": model, "alias": CHAMPION_ALIAS},
            timeout=TIMEOUT_SECONDS,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConnectionError(str(error) or type(error).__name__) from error
    try:
        body: dict[str, Any] = answer.json()
    except ValueError:
        raise AliasUnknownError(f"HTTP {answer.status_code} without JSON") from None
    if answer.status_code == 200 and "model_version" in body:
        found = body["model_version"]
        tags = {each["key"]: each["value"] for each in found.get("tags", [])}
        return ChampionAlias(str(found["version"]), found["run_id"], tags.get(PREVIOUS_TAG))
    if body.get("error_code") in _NOT_THERE:
        return None
    raise AliasUnknownError(f"HTTP {answer.status_code}")


def _from_database(uri: str, model: str) -> ChampionAlias | None:
    import sqlalchemy as sa  # noqa: PLC0415

    engine = sa.create_engine(uri, poolclass=sa.NullPool)
    try:
        if engine.dialect.name == "sqlite" and not _file(engine).exists():
            if not _file(engine).parent.is_dir():
                raise AliasUnknownError(uri)
            return None  # nothing was ever registered; a connection would make an empty file
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table("registered_model_aliases"):
                return None
            return _row(connection, {"name": model, "alias": CHAMPION_ALIAS})
    finally:
        engine.dispose()


def _file(engine: Any) -> Path:
    return sqlite_file(engine.url.database or "")


def _row(connection: Any, key: Mapping[str, str]) -> ChampionAlias | None:
    import sqlalchemy as sa  # noqa: PLC0415

    found = connection.execute(
        sa.text(
            "SELECT v.version, v.run_id, t.value FROM registered_model_aliases a "
            "JOIN model_versions v ON v.name = a.name AND v.version = a.version "
            "LEFT JOIN model_version_tags t ON t.name = v.name AND t.version = v.version AND t.key = :tag "
            "WHERE a.name = :name AND a.alias = :alias"
        ),
        {**key, "tag": PREVIOUS_TAG},
    ).first()
    return None if found is None else ChampionAlias(str(found[0]), str(found[1]), found[2])
