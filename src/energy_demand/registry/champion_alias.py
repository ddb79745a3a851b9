"""Which version the champion's alias names, asked without MLflow's client, whose import takes seconds.

A server is asked by its REST API, a database by the tables of MLflow's store. Only reads.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from energy_demand.config import CHAMPION_ALIAS
from energy_demand.registry.home_store import sqlite_file, tables_of

if TYPE_CHECKING:
    from collections.abc import Sequence

PREVIOUS_TAG = "previous_champion"
TIMEOUT_SECONDS = 10.0
TABLE = "registered_model_aliases"
QUERY = (
    f"SELECT v.version, v.run_id, t.value FROM {TABLE} a "  # noqa: S608  (a constant)
    "JOIN model_versions v ON v.name = a.name AND v.version = a.version "
    "LEFT JOIN model_version_tags t ON t.name = v.name AND t.version = v.version AND t.key = :tag "
    "WHERE a.name = :name AND a.alias = :alias"
)
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
    kind = scheme.partition("+")[0]
    if kind == "sqlite":
        return _from_sqlite(uri, model)
    if kind == "postgresql":
        return _from_postgresql(uri, model)
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


def _from_sqlite(uri: str, model: str) -> ChampionAlias | None:
    file = sqlite_file(uri.partition(":///")[2].partition("?")[0]).absolute()
    if not file.parent.is_dir():
        raise AliasUnknownError(uri)
    if not file.exists():
        return None  # nothing was ever registered; a connection would make an empty file
    try:
        with tables_of(file, TIMEOUT_SECONDS) as (store, tables):
            if TABLE not in tables:
                return None
            found = store.execute(QUERY, _key(model)).fetchone()
    except sqlite3.Error as error:
        raise ConnectionError(f"{file}: {error}") from error
    return _alias(found)


def _from_postgresql(uri: str, model: str) -> ChampionAlias | None:
    import sqlalchemy as sa  # noqa: PLC0415

    engine = sa.create_engine(uri, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table(TABLE):
                return None
            return _alias(connection.execute(sa.text(QUERY), _key(model)).first())
    finally:
        engine.dispose()


def _key(model: str) -> dict[str, str]:
    return {"name": model, "alias": CHAMPION_ALIAS, "tag": PREVIOUS_TAG}


def _alias(row: Sequence[Any] | None) -> ChampionAlias | None:
    return None if row is None else ChampionAlias(str(row[0]), str(row[1]), row[2])
