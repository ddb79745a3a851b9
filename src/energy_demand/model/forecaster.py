"""The model itself: the base booster with its intervals. Pure: feature rows in, forecasts out.

It becomes text and JSON and comes back from them, never from a pickle; what was changed on the way, or
was made for other features, refuses to load.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from energy_demand.columns import BASE_COLUMNS, LEAD
from energy_demand.errors import UserError
from energy_demand.model.intervals import ConformalIntervals

if TYPE_CHECKING:
    import numpy.typing as npt

FORMAT = 1
BOOSTER_COLUMNS = (*BASE_COLUMNS, LEAD)

BOOSTER_FILE = "base_booster.txt"
MANIFEST_FILE = "manifest.json"
INTERVALS = "intervals"


class ModelRefusedError(UserError, RuntimeError):
    """Stored model files that are damaged or made for another program; nothing was loaded."""


@dataclass(frozen=True)
class Forecaster:
    """Forecasts MWh for feature rows of any lead.

    Attributes:
        booster: LightGBM on the twenty base columns and `lead_hours`, in MWh.
        intervals: half-widths from held-out hours.
        respondent: the region it was trained for.
        trained_through: the newest period it was fitted on.
        publication_delay_hours: the delay its training rows were built with.
    """

    booster: lgb.Booster
    intervals: ConformalIntervals
    respondent: str
    trained_through: datetime
    publication_delay_hours: int

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Point forecast and intervals of each feature row.

        Args:
            rows: the columns of `build_features`; weather may be missing (NaN).

        Returns:
            `predicted_demand_mwh`, `lower_80`, `upper_80`, `lower_95`, `upper_95` in MWh, with the index
            of `rows`.
        """
        predicted = self.predict_point(rows)
        leads = rows[LEAD].to_numpy(dtype=np.int64)
        hours = rows["hour_of_day"].to_numpy(dtype=np.int64)
        bounds = self.intervals.bounds(predicted, leads, hours)
        return pd.DataFrame({"predicted_demand_mwh": predicted, **bounds}, index=rows.index)

    def predict_point(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        """The point forecast of each row (MWh)."""
        matrix = rows.loc[:, list(BOOSTER_COLUMNS)].to_numpy(dtype=float)
        predicted: npt.NDArray[np.float64] = np.asarray(self.booster.predict(matrix), dtype=float)
        return predicted

    def to_texts(self) -> dict[str, str]:
        """File name → text. The manifest holds the feature list and the booster's checksum."""
        booster = self.booster.model_to_string()
        intervals = self.intervals.to_dict()
        manifest = {
            "format": FORMAT,
            "features": list(BOOSTER_COLUMNS),
            "sha256": {BOOSTER_FILE: _checksum(booster), INTERVALS: _checksum(json.dumps(intervals))},
            "respondent": self.respondent,
            "trained_through": self.trained_through.isoformat(),
            "publication_delay_hours": self.publication_delay_hours,
            INTERVALS: intervals,
        }
        return {BOOSTER_FILE: booster, MANIFEST_FILE: json.dumps(manifest, indent=1)}

    @classmethod
    def from_texts(cls, texts: dict[str, str]) -> Forecaster:
        """The inverse of `to_texts`.

        Raises:
            ModelRefusedError: a file is missing, damaged, or belongs to other features or another format.
        """
        try:
            manifest = json.loads(texts[MANIFEST_FILE])
            booster = texts[BOOSTER_FILE]
            _check(manifest, booster)
            return cls(
                booster=lgb.Booster(model_str=booster),
                intervals=ConformalIntervals.from_dict(manifest[INTERVALS]),
                respondent=manifest["respondent"],
                trained_through=datetime.fromisoformat(manifest["trained_through"]),
                publication_delay_hours=int(manifest["publication_delay_hours"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ModelRefusedError(f"the model files are damaged ({reason}); train again") from error


def _check(manifest: dict[str, Any], booster: str) -> None:
    if manifest["format"] != FORMAT:
        raise ModelRefusedError(
            f"the model files have format {manifest['format']}, this program reads {FORMAT}; train again"
        )
    if manifest["features"] != list(BOOSTER_COLUMNS):
        differing = sorted(set(manifest["features"]) ^ set(BOOSTER_COLUMNS)) or ["their order"]
        raise ModelRefusedError(
            f"the model was trained on other features (differing: {', '.join(differing)}); train again"
        )
    for name, text in ((BOOSTER_FILE, booster), (INTERVALS, json.dumps(manifest[INTERVALS]))):
        if manifest["sha256"][name] != _checksum(text):
            raise ModelRefusedError(f"{name} does not match its checksum; it was changed after training")


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
