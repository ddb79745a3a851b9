"""The model that serves in this process: load → verify → warm → swap, and never without one that answers.

A new champion is loaded beside the old one, must answer a known row and forecast trial hours, and only then
takes over. Whatever goes wrong leaves the old one in place and is reported in `problem`. A process without a
model takes one that is kept on this machine meanwhile.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import numpy as np

from energy_demand.errors import UserError
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.model.base.single_row import SingleRow
from energy_demand.model.intervals import LEVELS
from energy_demand.model.trial import try_out
from energy_demand.registry.champion import NoChampionError
from energy_demand.registry.feature_lists import check_sites
from energy_demand.registry.manifest import BASE_FILE, ModelRefusedError
from energy_demand.registry.mlflow_store import RegistryUnavailableError
from energy_demand.serving.schemas import EXAMPLE, FeatureRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from energy_demand.arrays import Floats
    from energy_demand.model.base.booster import BaseBooster
    from energy_demand.region import Region
    from energy_demand.registry.champion import Champion
    from energy_demand.registry.local_cache import ChampionCache
    from energy_demand.registry.registry import Registry

    Numbers = tuple[float, float, float, float, float]

# A version or a kept model that was refused is tried again after this many looks: it may have been mended.
LOOKS_UNTIL_RETRY = 30
HOUR_POSITION = BOOSTER_COLUMNS.index("hour_of_day")

_log = logging.getLogger(__name__)


class ReloadInProgressError(UserError, RuntimeError):
    """A reload is under way already."""


class ServedModel:
    """A champion, ready to answer.

    LightGBM's boosters are not safe under two threads at once, so each thread that predicts has its own:
    `one` belongs to the event loop, `many` to the batch thread, `champion.forecaster` to the forecast thread.
    """

    def __init__(self, champion: Champion, previous: Champion | None, loaded_at: datetime) -> None:
        self.champion = champion
        self.previous = previous
        self.loaded_at = loaded_at
        base = champion.forecaster.base
        text = champion.texts.get(BASE_FILE) or base.booster.model_to_string()
        self._intervals = base.intervals
        self._row = SingleRow(text, len(BOOSTER_COLUMNS))
        self._batch = _copy(base, text)

    @property
    def version(self) -> str:
        """The registered version."""
        return self.champion.version

    def one(self, values: list[float]) -> Numbers:
        """Predict one row of `FeatureRow.values`; for the event loop's thread.

        Returns:
            Prediction, lower 80, upper 80, lower 95, upper 95 (MWh).
        """
        predicted = self._row(values)
        narrow, wide = self._intervals.half_widths_at(int(values[-1]), int(values[HOUR_POSITION]))
        narrow, wide = narrow * predicted, wide * predicted  # in the order of `bounds`: the same bits
        return predicted, predicted - narrow, predicted + narrow, predicted - wide, predicted + wide

    def many(self, values: Floats) -> Floats:
        """Predict rows of `FeatureRow.values`; for the batch thread.

        Returns:
            The same numbers, a row each.
        """
        predicted = np.asarray(self._batch.booster.predict(values, num_threads=1), dtype=float)
        leads = values[:, -1].astype(np.int64)
        hours = values[:, HOUR_POSITION].astype(np.int64)
        bounds = self._batch.intervals.bounds(predicted, leads, hours)
        names = [f"{side}_{level}" for level in LEVELS for side in ("lower", "upper")]
        return np.stack([predicted, *(bounds[name] for name in names)], axis=1)

    def warm(self, region: Region) -> None:
        """Answer a known row and forecast trial hours on every path, so that no caller meets a broken one.

        Takes 0.2 s, on the thread that loads; the boosters are nobody else's until the model serves.

        Raises:
            ModelRefusedError: a path raises, or its answer is no demand; or the model is another region's.
        """
        values = FeatureRow.model_validate(EXAMPLE).values()
        answers = np.array([self.one(values)[0], self.many(np.array([values]))[0, 0]])
        if not (np.isfinite(answers).all() and (answers > 0).all()):
            raise ModelRefusedError(f"version {self.version} predicts {answers[0]} MWh for the example row")
        forecaster = self.champion.forecaster
        check_sites(forecaster.sites, [site.name for site in region.sites])
        try:
            try_out(forecaster, region)
        except Exception as error:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            advice = "" if "energy-demand train" in reason else "; run `energy-demand train`"
            raise ModelRefusedError(
                f"version {self.version} cannot forecast trial hours ({reason}){advice}"
            ) from error


class ModelHolder:
    """Holds the model that serves, and follows the champion alias.

    Invariant: `served` changes only to a model that has answered; never back to None.

    Args:
        registry: where models come from.
        kept: the models that served last, for a start while the registry is away.
        clock: when a model was loaded.
        region: that it has to forecast.
    """

    def __init__(
        self, registry: Registry, kept: ChampionCache, clock: Callable[[], datetime], region: Region
    ) -> None:
        self._registry = registry
        self._kept = kept
        self._clock = clock
        self._region = region
        self._loading = threading.Lock()
        self._refused: str | None = None
        self._looks = 0
        self._looks_until_kept = 0
        self._is_copy, self._without_previous = False, False
        self.served: ServedModel | None = None
        self.problem: str | None = None

    @property
    def version(self) -> str | None:
        """Which version serves."""
        return None if self.served is None else self.served.version

    def reload(self) -> tuple[ServedModel, str | None]:
        """Let the present champion serve.

        Returns:
            What serves now, and the version that it replaced (None: the same, or there was none).

        Raises:
            ReloadInProgressError: another one is under way.
            NoChampionError: none was promoted yet.
            ModelRefusedError: its files are damaged or do not fit; the old model, or a kept one, serves on.
            RegistryUnavailableError: MLflow cannot be reached; the old model, or a kept one, serves on.
        """
        if not self._loading.acquire(blocking=False):
            raise ReloadInProgressError("a reload is in progress in this process; try again shortly")
        self._looks_until_kept = 0
        try:
            before = self.served
            served = self._load(self._registry.champion_version())
        except NoChampionError as error:
            self.problem = str(error)
            raise
        except ModelRefusedError as error:
            self._take_kept(error)
            self.problem = f"{error}; {self._who_serves()}"
            raise ModelRefusedError(self.problem) from error
        except UserError as error:
            self._take_kept(error)
            self.problem = str(error)
            raise
        finally:
            self._loading.release()
        replaced = before.version if before is not None and before is not served else None
        return served, replaced

    def look(self) -> bool:
        """Follow the alias if it has moved; True where another model serves now. Never raises."""
        if not self._loading.acquire(blocking=False):
            return False  # a reload sees to it
        try:
            before = self.served
            wanted = self._registry.champion_version()
            if wanted is not None and wanted == self._refused and self._looks < LOOKS_UNTIL_RETRY:
                self._looks += 1
                return False
            return self._load(wanted) is not before
        except NoChampionError:
            return False
        except (ModelRefusedError, RegistryUnavailableError) as error:
            taken = self._take_kept(error)
            refused = isinstance(error, ModelRefusedError)
            problem = f"{error}; {self._who_serves()}" if refused else str(error)
            if problem != self.problem:  # logged once, not at every look
                _log.error("the champion could not be loaded: %s; %s", error, self._who_serves())
            self.problem = problem
            return taken
        finally:
            self._loading.release()

    def _take_kept(self, why: UserError) -> bool:
        """Where no model serves: serve what served last, if it is kept whole; not at every look."""
        if self.served is not None:
            return False
        if self._looks_until_kept > 0:
            self._looks_until_kept -= 1
            return False
        self._looks_until_kept = LOOKS_UNTIL_RETRY
        reachable = not isinstance(why, RegistryUnavailableError)
        for champion in self._kept.whole():
            model = ServedModel(champion, self._previous(champion) if reachable else None, self._clock())
            try:
                model.warm(self._region)
            except ModelRefusedError as error:
                _log.error("the locally cached model was refused: %s", error)
                continue
            self.served, self._is_copy, self._without_previous = model, True, not reachable
            _log.warning("%s; serving the locally cached version %s", why, model.version)
            return True
        return False

    def _load(self, version: str | None) -> ServedModel:
        if version is None:
            raise self._registry.no_champion()
        if self.served is not None and self.served.version == version and self._refused != version:
            self.problem, self._refused = None, None
            if self._without_previous:  # it was kept; now the registry can give the one before it, too
                champion = self.served.champion
                self.served = ServedModel(champion, self._previous(champion), self.served.loaded_at)
                self._without_previous = False
            return self.served
        try:
            champion = self._registry.load(version)
            model = ServedModel(champion, self._previous(champion), self._clock())
            model.warm(self._region)
        except (ModelRefusedError, ValueError) as error:
            self._refused, self._looks = version, 0
            raise ModelRefusedError(str(error)) from error
        self.served, self.problem, self._refused = model, None, None
        self._is_copy, self._without_previous = False, False
        self._kept.keep(champion)
        _log.info("version %s serves now", version, extra={"model_version": version})
        return model

    def _previous(self, champion: Champion) -> Champion | None:
        """The champion before, or None: a rung of the ladder that is missing must not keep a model out."""
        served = self.served
        if served is not None and champion.previous == served.version:
            return served.champion
        try:
            return self._registry.previous(champion)
        except (ModelRefusedError, RegistryUnavailableError) as error:
            _log.warning("the previous champion could not be loaded: %s", error)
            return None

    def _who_serves(self) -> str:
        if self.served is None:
            return "no model serves"
        copy = "this machine's copy of " if self._is_copy else ""
        return f"{copy}version {self.served.version} keeps serving"


def _copy(base: BaseBooster, text: str) -> BaseBooster:
    from energy_demand.boosting import lgb  # noqa: PLC0415

    return type(base)(lgb.Booster(model_str=text), base.intervals)
