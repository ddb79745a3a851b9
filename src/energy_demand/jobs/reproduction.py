"""Makes a logged forecast again from database and registry, and compares it bit for bit.

Data is read as it was stored when the forecast was made. An ingestion stamps its rows with the time of its
start, and a forecast may be made before it ends: the digests that were logged tell which ingestions the
forecast had seen, of demand, of observed weather and of weather forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from energy_demand.code_identity import code_identity
from energy_demand.data.feature_engineering import WARM_UP
from energy_demand.data.record_store import WHENEVER, NoDemandError, StoredBy, load_recent
from energy_demand.database import predictions, repository
from energy_demand.errors import UserError
from energy_demand.jobs.fallback_ladder import earliest_needed
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.model.forecast import CHAMPION, HOUR_COLUMNS, LAST_WEEK, PREVIOUS, WITHOUT_WEATHER
from energy_demand.model.predict import ForecastError, Question, by_base_booster, by_forecaster, by_last_week
from energy_demand.model.provenance import DATA_PARTS, DEMAND, FORECASTS, OBSERVED, SINCE, data_digests
from energy_demand.registry.manifest import ModelRefusedError
from energy_demand.registry.registry import NoVersionError
from energy_demand.timeaxis import utc_index, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from energy_demand.arrays import Floats
    from energy_demand.config import Settings
    from energy_demand.data.record import Record
    from energy_demand.database.engine import Database
    from energy_demand.model.forecast import Forecast
    from energy_demand.registry.champion import Champion
    from energy_demand.registry.registry import Registry

SAME, DIFFERS, UNKNOWN = "same", "differs", "unknown"
# An ingestion that was still at work when the forecast was made began no longer before it than this.
INGESTING = timedelta(days=2)
MOST_LOOKS = 12
_LOGGED = ("predicted_demand", "lower_80", "upper_80", "lower_95", "upper_95")


class NotLoggedError(UserError, LookupError):
    """No such forecast is in the log."""


@dataclass(frozen=True)
class Reproduction:
    """A logged forecast, compared with the same forecast made again.

    Attributes:
        request_id: of the logged forecast.
        issued_at: when it was issued,
        model_version: by which version,
        quality: and by which step of the fallback ladder.
        rows: how many rows of it are logged.
        agrees: whether every point forecast and bound is the same to the last bit.
        largest_difference_mwh: of all of them; None where nothing could be computed.
        parts: version, code, settings, data and state, each `SAME`, `DIFFERS` or `UNKNOWN`.
        reason: why it does not agree or could not be made again; None if it agrees.
    """

    request_id: str
    issued_at: datetime
    model_version: str
    quality: str
    rows: int
    agrees: bool
    largest_difference_mwh: float | None
    parts: dict[str, str]
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {**self.__dict__, "issued_at": utc_text(self.issued_at)}


def reproduce(
    database: Database,
    registry: Registry,
    settings: Settings,
    *,
    request_id: str | None = None,
    period: datetime | None = None,
) -> Reproduction:
    """Make a logged forecast again: that of `request_id`, or the one that counts for the hour `period`.

    Raises:
        NotLoggedError: no such forecast is logged.
        RegistryUnavailableError: MLflow cannot be reached.
    """
    respondent = settings.region.respondent
    with database.transaction() as connection:
        if request_id is None and period is not None:
            request_id = predictions.request_of_hour(connection, respondent, period)
        rows = predictions.read_request(connection, respondent, request_id) if request_id else []
    if not rows:
        what = f"request {request_id!r}" if period is None else f"the hour {utc_text(period)}"
        days = settings.prediction_log_retention_days
        moved = "" if days is None else f"; those of more than {days} days ago were moved to files"
        raise NotLoggedError(
            f"no forecast of {respondent} is logged for {what}; `energy-demand forecasts` lists what is"
            f"{moved}"
        )
    return _Logged(rows).again(database, registry, settings)


class _Logged:
    """The rows of one request."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.first = rows, rows[0]
        self.provenance: Mapping[str, str] = next(
            (row["provenance"] for row in rows if row["provenance"]), {}
        )
        self.version, self.quality = str(self.first["model_version"]), str(self.first["quality"])
        self.parts = dict.fromkeys(("version", "code", "settings", *DATA_PARTS, "state"), UNKNOWN)

    @property
    def values(self) -> Floats:
        """Rows × point forecast and bounds, MWh."""
        return np.array([[row[name] for name in _LOGGED] for row in self.rows], dtype=float)

    @property
    def of_caller(self) -> bool:
        """Whether a caller brought the features, as to `/predict`: they are logged, and nothing was read."""
        return not self.provenance and set(self.first["features_json"] or ()) == set(BOOSTER_COLUMNS)

    def again(self, database: Database, registry: Registry, settings: Settings) -> Reproduction:
        """The comparison."""
        model: Champion | None = None
        if self.quality != LAST_WEEK:
            try:
                model = registry.load(self.version)
            except (NoVersionError, ModelRefusedError) as error:
                self.parts["version"] = "missing"
                return self._result(None, str(error))
            self.parts["version"] = SAME
        self._compare("code", "sources", code_identity())
        self._compare("code", "libraries", code_identity())
        if self.of_caller and model is not None:
            for part in ("settings", *DATA_PARTS, "state"):
                self.parts.pop(part)
            features = pd.DataFrame([row["features_json"] for row in self.rows])
            answered = model.forecaster.base.predict(features.astype(float))
            return self._result(answered[list(HOUR_COLUMNS)].to_numpy(), None)
        try:
            forecast = self._forecast(database, settings, model)
        except (ForecastError, NoDemandError) as error:
            return self._result(None, str(error))
        return self._result(forecast.hours[list(HOUR_COLUMNS)].to_numpy(), None)

    def _forecast(self, database: Database, settings: Settings, model: Champion | None) -> Forecast:
        issued_at = self.first["issued_at"]
        periods = utc_index(pd.DatetimeIndex([row["timestamp"] for row in self.rows]))
        question = Question(issued_at, periods, settings.availability)
        known = self._as_it_was(database, settings, model, question)
        if model is None:
            forecast = by_last_week(known, question)
        elif self.quality in {CHAMPION, WITHOUT_WEATHER, PREVIOUS}:
            forecast = by_forecaster(known, model.forecaster, self.version, question)
        else:
            forecast = by_base_booster(known, model.forecaster, self.version, question)
        made = forecast.provenance or {}
        for part in ("settings", *DATA_PARTS, "state"):
            if part in made or part in self.provenance:
                self._compare(part, part, made)
            else:
                self.parts.pop(part)
        return forecast

    def _as_it_was(
        self, database: Database, settings: Settings, model: Champion | None, question: Question
    ) -> Record:
        """The record that the forecast was made from, as near to its digests as what is stored can be cut."""
        if SINCE in self.provenance:
            start = datetime.fromisoformat(self.provenance[SINCE])
        else:
            start = question.issued_at - WARM_UP if model is None else earliest_needed(model, question)

        def cut(by: StoredBy) -> Record:
            return load_recent(database, settings, start, question.issued_at, by)

        if not self.provenance:
            return cut(WHENEVER)
        found: dict[str, datetime | None] = {}
        for moment in self._moments(database, settings):
            try:
                digests = data_digests(cut(StoredBy(moment, moment, moment)))
            except NoDemandError:  # nothing had been stored by then
                continue
            for part in DATA_PARTS:
                if digests[part] == self.provenance[part]:
                    found.setdefault(part, moment)
            if len(found) == len(DATA_PARTS):
                break
        by = {part: found.get(part, self.first["prediction_made_at"]) for part in DATA_PARTS}
        return cut(StoredBy(by[DEMAND], by[OBSERVED], by[FORECASTS]))

    def _moments(self, database: Database, settings: Settings) -> Iterator[datetime | None]:
        """Moments to cut at: when it was made, before each ingestion that began by then, none (None)."""
        made_at: datetime = self.first["prediction_made_at"]
        yield made_at
        sites = [site.name for site in settings.region.sites]
        with database.transaction() as connection:
            times = repository.storing_times(
                connection, settings.region.respondent, sites, made_at, INGESTING
            )
        yield from (moment - timedelta(microseconds=1) for moment in times[:MOST_LOOKS])
        yield None  # the clock of the jobs was set back, as in a replay

    def _compare(self, part: str, name: str, now: Mapping[str, str]) -> None:
        if name not in self.provenance:
            return
        same = self.provenance[name] == now.get(name) and self.parts[part] != DIFFERS
        self.parts[part] = SAME if same else DIFFERS

    def _result(self, made: Floats | None, reason: str | None) -> Reproduction:
        logged = self.values
        agrees = made is not None and np.array_equal(made, logged)
        difference = None if made is None else float(np.abs(made - logged).max())
        if reason is None and not agrees:
            reason = self._why()
        return Reproduction(
            request_id=str(self.first["request_id"]),
            issued_at=self.first["issued_at"].astimezone(UTC),
            model_version=self.version,
            quality=self.quality,
            rows=len(self.rows),
            agrees=agrees,
            largest_difference_mwh=difference,
            parts=self.parts,
            reason=reason,
        )

    def _why(self) -> str:
        """What is no longer as it was, in a sentence."""
        other = [name.replace("_", " ") for name, verdict in self.parts.items() if verdict == DIFFERS]
        if "code" in other:
            was = f"energy-demand {self.provenance['package']} ({self.provenance['sources']})"
            return f"it was made by other code: {was}, {self.provenance['libraries']}"
        if other:
            return f"no longer as it was: {', '.join(other)}"
        if not self.provenance:
            return "it was logged without digests, so which part has changed is not known"
        return "every part is as it was; another kind of processor can compute other last bits"
