"""The models that served last, on this machine's disk, so that a start does not need MLflow to be there.

Each is kept as the texts that the registry holds, with their checksums, and verified again when it is read.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import orjson

from energy_demand.registry.registry import Champion
from energy_demand.registry.serialization import ModelRefusedError, from_texts, to_texts

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 2

_log = logging.getLogger(__name__)


class ChampionCache:
    """The newest models that served, in one folder for all processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, champion: Champion) -> None:
        """Keep a model that serves now; what cannot be written is told and does no harm."""
        file = self._folder / f"{champion.version}.json"
        try:
            if file.exists():  # a version never changes
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
                        "texts": to_texts(champion.forecaster),
                    }
                )
            )
            unfinished.replace(file)
            for old in self._newest_first()[KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("version %s is not kept for a start without MLflow: %s", champion.version, error)

    def newest(self) -> Champion | None:
        """The model that served last, or None where none is kept whole."""
        for file in self._newest_first():
            try:
                kept = orjson.loads(file.read_bytes())
                forecaster = from_texts(kept["texts"])
                return Champion(
                    kept["version"], kept["run_id"], forecaster, kept["metrics"], kept["previous"]
                )
            except (OSError, KeyError, TypeError, ValueError, ModelRefusedError) as error:
                _log.warning("%s is of no use: %s", file, error)
        return None

    def _newest_first(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
