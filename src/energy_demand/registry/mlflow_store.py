"""One MLflow address and its client; every failure becomes one error of ours, in one line."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from energy_demand.config import forget_foreign_mlflow, opt_out_of_telemetry
from energy_demand.errors import UserError
from energy_demand.logs import redact
from energy_demand.registry.home_store import (
    ARTIFACTS_FOLDER,
    DATABASE_FILE,
    MLFLOW_FOLDER,
    follow_home,
    sqlite_address,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow import MlflowClient

    from energy_demand.config import Settings


_KINDS: tuple[type[Exception], ...] = (SQLAlchemyError, OSError)


class RegistryUnavailableError(UserError, RuntimeError):
    """MLflow cannot be reached or refuses; the champion is what it was."""


class MlflowStore:
    """The tracking store and model registry of the settings: a server, or a store in the home folder.

    Attributes:
        uri: its address.
        label: the same for people, without a password.
        artifact_location: where a new experiment keeps its files; None: the server decides.
    """

    def __init__(self, settings: Settings) -> None:
        home = settings.home / MLFLOW_FOLDER
        given = settings.mlflow_tracking_uri
        self.uri = sqlite_address(home / DATABASE_FILE) if given is None else _with_driver(given)
        self.label = redact(self.uri)
        self.artifact_location: str | None = None
        self._home: Path | None = None
        if settings.mlflow_tracking_uri is None:
            try:
                home.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RegistryUnavailableError(
                    f"MLflow's folder {home} cannot be made ({error.strerror or error}); make it writable, "
                    "or set ENERGY_DEMAND_HOME or MLFLOW_TRACKING_URI"
                ) from error
            self._home = home
            self.artifact_location = (home / ARTIFACTS_FOLDER).as_uri()

    def prepare(self) -> None:
        """Let a store in the home folder, which may have been copied or moved, name its own files.

        Raises:
            RegistryUnavailableError: the store is damaged, or cannot be written.
        """
        if self._home is not None:
            with self.failures(sqlite3.Error):
                follow_home(self._home)

    @contextmanager
    def client(self) -> Iterator[MlflowClient]:
        """A client for the length of a `with` block.

        Raises:
            RegistryUnavailableError: MLflow cannot be reached, or refuses.
        """
        self.prepare()
        opt_out_of_telemetry()  # read when MLflow is imported
        forget_foreign_mlflow()
        import mlflow  # noqa: PLC0415  (importing MLflow takes seconds)
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        with self.failures(MlflowException):
            yield mlflow.MlflowClient(self.uri, self.uri)

    @contextmanager
    def failures(self, *kinds: type[Exception]) -> Iterator[None]:
        """Turn failures of the store, and those of `kinds`, into `RegistryUnavailableError`."""
        try:
            yield
        except _KINDS + kinds as error:
            reason = (redact(str(error)).splitlines() or [type(error).__name__])[0]
            raise RegistryUnavailableError(
                f"MLflow at {self.label} failed: {reason}; the champion is unchanged. "
                "Check that MLflow runs and that MLFLOW_TRACKING_URI is right"
            ) from error


def _with_driver(uri: str) -> str:
    """The address, with our driver if it is PostgreSQL's without one.

    Raises:
        RegistryUnavailableError: an @ in its password ends it, and what follows would be shown as its host.
    """
    scheme, separator, rest = uri.partition("://")
    if scheme.startswith("postgres"):
        try:
            url = make_url(uri)
            broken = "@" in (url.host or "") or "@" in (url.database or "")
        except (SQLAlchemyError, ValueError):
            broken = True
        if broken:
            raise RegistryUnavailableError(
                "MLFLOW_TRACKING_URI is not a valid URL; expected e.g. postgresql://user@host:5432/mlflow, "
                "with :password after the user and its special characters percent-encoded (%40 for @)"
            )
    if scheme in {"postgres", "postgresql"}:
        return f"postgresql+psycopg{separator}{rest}"
    return uri
