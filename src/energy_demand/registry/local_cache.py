"""The models that served last, on this machine's disk: for a start without MLflow, and for quick commands.

Each is kept as the texts that the registry holds, byte for byte, and verified again when it is loaded.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from energy_demand.registry.champion import Champion
from energy_demand.registry.manifest import MANIFEST_FILE, ModelRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEPT = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CachedModel:
    """A kept model, not parsed yet."""

    version: str
    run_id: str
    metrics: Mapping[str, float]
    previous: str | None
    texts: Mapping[str, str]

    @property
    def trained_through(self) -> str:
        """The newest hour that the model was trained on, ISO."""
        return str(json.loads(self.texts[MANIFEST_FILE])["trained_through"])

    def load(self) -> Champion:
        """The whole model.

        Raises:
            ModelRefusedError: its files are damaged.
        """
        from energy_demand.registry.serialization import from_texts  # noqa: PLC0415  (imports LightGBM)

        forecaster = from_texts(dict(self.texts))
        return Champion(self.version, self.run_id, forecaster, self.metrics, self.previous, self.texts)


class ChampionCache:
    """The newest models that served, in one folder for all processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, champion: Champion) -> None:
        """Keep a model that serves now; what cannot be written is logged and does no harm."""
        file = self._folder / f"{champion.version}.json"
        try:
            cached = self.find(champion.version, champion.run_id)
            if cached is not None and cached.texts == champion.texts:
                os.utime(file)
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(f".{os.getpid()}.tmp")
            unfinished.write_bytes(
                orjson.dumps(
                    {
                        "version": champion.version,
                        "run_id": champion.run_id,
                        "metrics": dict(champion.metrics),
                        "previous": champion.previous,
                        "texts": dict(champion.texts),
                    }
                )
            )
            unfinished.replace(file)
            for old in self._newest_first()[KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("cannot cache version %s for a start without MLflow: %s", champion.version, error)

    def find(self, version: str, run_id: str) -> CachedModel | None:
        """A kept model; None where it is another registry's of the same number, damaged, or not kept."""
        cached = self._read(self._folder / f"{version}.json")
        return cached if cached is not None and cached.run_id == run_id else None

    def whole(self) -> Iterator[Champion]:
        """The models that served last and can be loaded, newest first; each is parsed when it is due."""
        for file in self._newest_first():
            cached = self._read(file)
            if cached is None:
                continue
            try:
                champion = cached.load()
            except ModelRefusedError as error:
                _log.warning("the cached model %s cannot be used: %s", file, error)
                continue
            yield champion

    def _read(self, file: Path) -> CachedModel | None:
        try:
            content = orjson.loads(file.read_bytes())
            return CachedModel(
                str(content["version"]),
                content["run_id"],
                dict(content["metrics"]),
                content["previous"],
                dict(content["texts"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError) as error:
            _log.warning("the cached model %s cannot be used: %s", file, error)
            return None

    def _newest_first(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
