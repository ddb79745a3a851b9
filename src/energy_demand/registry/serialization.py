"""The forecaster as text and JSON, and back. Pure: file name → text.

Never a pickle. Files that were changed after training, or that need other features, are refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from energy_demand.boosting import lgb
from energy_demand.model.base.booster import BOOSTER_COLUMNS, BaseBooster
from energy_demand.model.expected_errors import ExpectedErrors
from energy_demand.model.forecaster import Forecaster
from energy_demand.model.intervals import ConformalIntervals, ScaledIntervals
from energy_demand.model.stages import residual_stage
from energy_demand.model.stages.adaptive_regression import AdaptiveRegression, Filter, RegressionRecipe
from energy_demand.model.stages.error_stage import ErrorStage
from energy_demand.model.stages.residual_stage import ResidualStage
from energy_demand.model.weather.climate import Climate
from energy_demand.model.weather.outlook import Outlook
from energy_demand.registry.manifest import BASE_FILE, MANIFEST_FILE, ModelRefusedError

if TYPE_CHECKING:
    from energy_demand.arrays import Floats


FORMAT = 4
RESIDUAL_FILE = "residual_booster.txt"
REGRESSION_FILE = "adaptive_regression.json"
OUTLOOK_FILE = "outlook.json"
SMALL_PARTS_FILE = "errors_and_intervals.json"
_GUESS, _CORRECTION = "guess", "correction"


def to_texts(forecaster: Forecaster) -> dict[str, str]:
    """File name → text. The manifest holds the feature lists and every other file's checksum.

    Raises:
        ValueError: a stage was left out; such a forecaster is for backtests alone.
    """
    if forecaster.errors is None or forecaster.residual is None:
        raise ValueError("a forecaster without all its stages is not stored")
    outlook = forecaster.outlook
    texts = {
        BASE_FILE: forecaster.base.booster.model_to_string(),
        RESIDUAL_FILE: forecaster.residual.booster.model_to_string(),
        REGRESSION_FILE: json.dumps(_regression_to_dict(forecaster.regression)),
        OUTLOOK_FILE: json.dumps(
            {
                "zone": outlook.zone.key,
                "climate": {name: values.tolist() for name, values in outlook.climate.coefficients.items()},
                "slope": outlook.climate.slope,
                _GUESS: sorted(outlook.guesses),
                _CORRECTION: sorted(outlook.corrections),
            }
        ),
        SMALL_PARTS_FILE: json.dumps(
            {
                "errors": forecaster.errors.to_dict(),
                "shrink": forecaster.residual.shrink,
                "intervals": forecaster.intervals.to_dict(),
                "base_intervals": forecaster.base.intervals.to_dict(),
                "expected_errors": forecaster.expected_errors.to_dict(),
            }
        ),
    }
    for kind, boosters in ((_GUESS, outlook.guesses), (_CORRECTION, outlook.corrections)):
        texts |= {_booster_file(kind, name): each.model_to_string() for name, each in boosters.items()}
    manifest = {
        "format": FORMAT,
        "features": list(BOOSTER_COLUMNS),
        "responses": list(forecaster.regression.names),
        "residual_features": list(residual_stage.NAMES),
        "respondent": forecaster.respondent,
        "trained_through": forecaster.trained_through.isoformat(),
        "publication_delay_hours": forecaster.publication_delay_hours,
        "sha256": {name: _checksum(text) for name, text in texts.items()},
    }
    return {**texts, MANIFEST_FILE: json.dumps(manifest, indent=1)}


def from_texts(texts: dict[str, str]) -> Forecaster:
    """The inverse of `to_texts`.

    Raises:
        ModelRefusedError: a file is missing, damaged, or belongs to other features or another format.
    """
    try:
        manifest = json.loads(texts[MANIFEST_FILE])
        _check(manifest, texts)
        small, outlook = json.loads(texts[SMALL_PARTS_FILE]), json.loads(texts[OUTLOOK_FILE])
        regression = _regression_from_dict(json.loads(texts[REGRESSION_FILE]))
        return Forecaster(
            base=BaseBooster(
                lgb.Booster(model_str=texts[BASE_FILE]),
                ConformalIntervals.from_dict(small["base_intervals"]),
            ),
            outlook=Outlook(
                climate=Climate(
                    {name: np.array(values) for name, values in outlook["climate"].items()},
                    float(outlook["slope"]),
                ),
                guesses=_boosters(texts, _GUESS, outlook[_GUESS]),
                corrections=_boosters(texts, _CORRECTION, outlook[_CORRECTION]),
                zone=ZoneInfo(outlook["zone"]),
            ),
            regression=regression,
            errors=ErrorStage.from_dict(small["errors"]),
            residual=ResidualStage(lgb.Booster(model_str=texts[RESIDUAL_FILE]), float(small["shrink"])),
            intervals=ScaledIntervals.from_dict(small["intervals"]),
            expected_errors=ExpectedErrors.from_dict(small["expected_errors"]),
            respondent=manifest["respondent"],
            trained_through=datetime.fromisoformat(manifest["trained_through"]),
            publication_delay_hours=int(manifest["publication_delay_hours"]),
        )
    except (KeyError, TypeError, ValueError, lgb.basic.LightGBMError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelRefusedError(
            f"the model files are damaged ({reason}); run `energy-demand train`"
        ) from error


def _check(manifest: dict[str, Any], texts: dict[str, str]) -> None:
    if manifest["format"] != FORMAT:
        raise ModelRefusedError(
            f"the model files have format {manifest['format']}, but this version reads format {FORMAT}; "
            "run `energy-demand train`"
        )
    for key, expected in (
        ("features", BOOSTER_COLUMNS),
        ("residual_features", residual_stage.NAMES),
    ):
        if manifest[key] != list(expected):
            differing = sorted(set(manifest[key]) ^ set(expected)) or ["their order"]
            raise ModelRefusedError(
                f"the model was trained on other features (differing: {', '.join(differing)}); "
                "run `energy-demand train`"
            )
    for name, checksum in manifest["sha256"].items():
        if _checksum(texts[name]) != checksum:
            raise ModelRefusedError(
                f"{name} does not match its checksum: the file was changed after training; "
                "run `energy-demand train`"
            )


def _regression_to_dict(regression: AdaptiveRegression) -> dict[str, Any]:
    return {
        "names": regression.names,
        "groups": regression.groups,
        "centre": regression.centre.tolist(),
        "scale": regression.scale.tolist(),
        "reference": regression.reference,
        "through": regression.through.isoformat(),
        "innovations": [None if np.isnan(each) else each for each in regression.innovations.tolist()],
        "variance": regression.variance.tolist(),
        "recipe": asdict(regression.recipe),
        "filters": [
            {
                "coefficients": _packed(each.coefficients),
                "covariance": _packed(each.covariance),
                "noise": each.noise.tolist(),
                "walk": each.walk.tolist(),
            }
            for each in regression.filters
        ],
    }


def _regression_from_dict(read: dict[str, Any]) -> AdaptiveRegression:
    recipe = read["recipe"]
    return AdaptiveRegression(
        names=tuple(read["names"]),
        groups=tuple(read["groups"]),
        centre=np.array(read["centre"]),
        scale=np.array(read["scale"]),
        reference=float(read["reference"]),
        filters=tuple(
            Filter(
                coefficients=_unpacked(each["coefficients"]),
                covariance=_unpacked(each["covariance"]),
                noise=np.array(each["noise"]),
                walk=np.array(each["walk"]),
            )
            for each in read["filters"]
        ),
        through=pd.Timestamp(read["through"]).as_unit("us"),
        innovations=np.array([np.nan if each is None else each for each in read["innovations"]], dtype=float),
        variance=np.array(read["variance"]),
        recipe=RegressionRecipe(**{**recipe, "paces": tuple(recipe["paces"])}),
    )


def _packed(values: Floats) -> dict[str, Any]:
    """An array as JSON: its shape, and its little-endian doubles in base64."""
    data = base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")
    return {"shape": list(values.shape), "base64": data}


def _unpacked(read: dict[str, Any]) -> Floats:
    values = np.frombuffer(base64.b64decode(read["base64"]), dtype="<f8").reshape(read["shape"])
    return values.astype(float)


def _boosters(texts: dict[str, str], kind: str, names: list[str]) -> dict[str, lgb.Booster]:
    return {name: lgb.Booster(model_str=texts[_booster_file(kind, name)]) for name in names}


def _booster_file(kind: str, name: str) -> str:
    return f"{kind}_{name}.txt"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
