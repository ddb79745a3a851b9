"""Looks at MLflow and the champion, without MLflow's client, whose import takes seconds. Only reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from energy_demand.doctor.checks import Finding, age, failure, not_checked, ok, warning
from energy_demand.registry.home_store import tables_of

if TYPE_CHECKING:
    from energy_demand.config import Settings

HTTP_SECONDS = 5.0


@dataclass(frozen=True)
class _Registered:
    """What a store of MLflow's has; `experiment` is `active`, `deleted` or None."""

    experiment: str | None
    version: str | None
    run_id: str | None


def look_at_mlflow(settings: Settings, now: datetime) -> list[Finding]:
    """The store or server, its experiment, and the champion with its copy on this machine."""
    uri = settings.mlflow_tracking_uri
    expected = "MLflow, reachable"
    if uri is None:
        file = settings.home / "mlflow" / "mlflow.db"
        label = str(file)
        if not file.is_file():
            found = f"the store {file} is not there yet"
            return [not_checked("MLflow", found, "Run `energy-demand train` once there is data; it makes it")]
        registered = _from_sqlite(file, settings.model_name)
    else:
        from energy_demand.registry.champion_alias import AliasUnknownError  # noqa: PLC0415

        label = uri
        try:
            found_there = _from_address(uri, settings.model_name)
        except AliasUnknownError as error:
            remedy = "Check MLFLOW_TRACKING_URI, and the login if the server wants one"
            return [failure("MLflow", f"{label}: {error}", expected, remedy)]
        except OSError as error:
            remedy = "Start MLflow, or correct MLFLOW_TRACKING_URI; unset, a store in the home folder is used"
            return [failure("MLflow", f"{label} cannot be reached: {error}", expected, remedy)]
        if found_there is None:
            return [not_checked("MLflow", f"{label} is of a kind that is not looked into")]
        registered = found_there
    return [_experiment(label, registered), *_champion(settings, registered, now)]


def _experiment(label: str, registered: _Registered) -> Finding:
    from energy_demand.config import MLFLOW_EXPERIMENT_NAME  # noqa: PLC0415

    expected = f"the experiment {MLFLOW_EXPERIMENT_NAME}"
    if registered.experiment == "deleted":
        remedy = "Restore it on MLflow's pages, or with `mlflow experiments restore --experiment-id ID`"
        return failure("MLflow", f"{label}, its experiment is deleted", expected, remedy)
    if registered.experiment is None:
        return warning("MLflow", f"{label}, no experiment yet", expected, "Run `energy-demand train`")
    return ok("MLflow", f"{label}, experiment {MLFLOW_EXPERIMENT_NAME}", expected)


def _champion(settings: Settings, registered: _Registered, now: datetime) -> list[Finding]:
    from energy_demand.registry.local_cache import ChampionCache  # noqa: PLC0415
    from energy_demand.registry.manifest import ModelRefusedError  # noqa: PLC0415
    from energy_demand.timeaxis import parse_moment  # noqa: PLC0415

    name, version, run_id = "champion", registered.version, registered.run_id
    expected = "a model that serves"
    if version is None or run_id is None:
        return [warning(name, "none yet", expected, "Run `energy-demand train`")]
    cached = ChampionCache(settings.models_folder).find(version, run_id)
    if cached is None:
        remedy = "`energy-demand status` loads it from MLflow and keeps a copy"
        return [not_checked(name, f"version {version}; no copy of it on this machine", remedy)]
    try:
        cached.load()
    except ModelRefusedError as error:
        remedy = f"Delete {settings.models_folder / (version + '.json')}; if that does not help, "
        remedy += "`energy-demand train`, or `energy-demand rollback`"
        return [failure(name, f"version {version}: {error}", "files that fit this version", remedy)]
    trained = parse_moment(cached.trained_through)
    old, most = now - trained, timedelta(days=settings.retrain_max_age_days)
    found = f"version {version}, its copy can be loaded, trained through {trained:%Y-%m-%dT%H:%MZ}"
    if old > most + timedelta(days=7):  # the nightly check retrains it; a week is time enough for that
        remedy = "Run `energy-demand drift`, which retrains where that is due, or `energy-demand retrain`"
        return [warning(name, f"{found}, {age(old.total_seconds())} ago", f"{most.days} days", remedy)]
    return [ok(name, f"{found}, {age(old.total_seconds())} ago", expected)]


EXPERIMENT_QUERY = "SELECT lifecycle_stage FROM experiments WHERE name = {}"
ALIAS_QUERY = (
    "SELECT v.version, v.run_id FROM registered_model_aliases a JOIN model_versions v "
    "ON v.name = a.name AND v.version = a.version WHERE a.name = {} AND a.alias = {}"
)


def _from_sqlite(file: Path, model: str) -> _Registered:
    """From the file, opened for reading alone."""
    from energy_demand.config import CHAMPION_ALIAS, MLFLOW_EXPERIMENT_NAME  # noqa: PLC0415

    with tables_of(file, HTTP_SECONDS) as (store, tables):
        if not {"experiments", "registered_model_aliases", "model_versions"} <= tables:
            return _Registered(None, None, None)
        stage = store.execute(EXPERIMENT_QUERY.format("?"), [MLFLOW_EXPERIMENT_NAME]).fetchone()
        alias = store.execute(ALIAS_QUERY.format("?", "?"), [model, CHAMPION_ALIAS]).fetchone()
    return _registered(stage, alias)


def _registered(stage: Any, alias: Any) -> _Registered:
    version, run_id = (None, None) if alias is None else (str(alias[0]), str(alias[1]))
    return _Registered(None if stage is None else str(stage[0]), version, run_id)


def _from_address(uri: str, model: str) -> _Registered | None:
    """From a server or a database; None where it is of another kind."""
    scheme = uri.partition(":")[0]
    if scheme in {"http", "https"}:
        return _from_server(uri, model)
    if scheme.startswith("postgresql"):
        return _from_postgresql(uri, model)
    if scheme.startswith("sqlite"):
        file = _file_of(uri)
        if not file.is_file():
            raise FileNotFoundError(f"{file} is not there")
        return _from_sqlite(file.resolve(), model)
    return None


def _file_of(uri: str) -> Path:
    """The file of an SQLite address, which may be one of SQLite's own URIs."""
    import sqlalchemy as sa  # noqa: PLC0415

    name = sa.make_url(uri).database or ""
    return Path(unquote(name.removeprefix("file:")) if name.startswith("file:") else name)


def _from_server(uri: str, model: str) -> _Registered:
    import httpx  # noqa: PLC0415

    from energy_demand.config import MLFLOW_EXPERIMENT_NAME  # noqa: PLC0415
    from energy_demand.doctor.asking import client_for  # noqa: PLC0415
    from energy_demand.registry.champion_alias import read_alias  # noqa: PLC0415

    try:
        with client_for(uri, HTTP_SECONDS) as client:
            answer = client.get(
                f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name",
                params={"experiment_name": MLFLOW_EXPERIMENT_NAME},
            )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConnectionError(str(error) or type(error).__name__) from None
    try:
        experiment = answer.json().get("experiment") if answer.is_success else None
    except (ValueError, AttributeError):
        raise ConnectionError(f"HTTP {answer.status_code}, but not from MLflow") from None
    stage = None if experiment is None else experiment.get("lifecycle_stage", "active")
    alias = read_alias(uri, model)
    return _Registered(stage, *((None, None) if alias is None else (alias.version, alias.run_id)))


def _from_postgresql(uri: str, model: str) -> _Registered:
    import sqlalchemy as sa  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from energy_demand.config import CHAMPION_ALIAS, MLFLOW_EXPERIMENT_NAME  # noqa: PLC0415

    try:
        options = {"connect_timeout": int(HTTP_SECONDS), "options": "-c default_transaction_read_only=on"}
        url = sa.make_url(uri)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=options)
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table("registered_model_aliases"):
                return _Registered(None, None, None)
            named = {"experiment": MLFLOW_EXPERIMENT_NAME}
            stage = connection.execute(sa.text(EXPERIMENT_QUERY.format(":experiment")), named).first()
            named = {"model": model, "alias": CHAMPION_ALIAS}
            alias = connection.execute(sa.text(ALIAS_QUERY.format(":model", ":alias")), named).first()
    except SQLAlchemyError as error:
        raise ConnectionError(str(getattr(error, "orig", None) or error)) from None
    return _registered(stage, alias)
