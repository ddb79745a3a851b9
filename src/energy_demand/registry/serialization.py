"""The forecaster as text and JSON, and back. Pure: file name → text.

Never a pickle. Files that were changed after training, or that depend on other lists of names than this
version has (`feature_lists`), are refused.
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
from energy_demand.data.weather_path import MAIN, RADIATION, REST
from energy_demand.model.base.booster import BaseBooster
from energy_demand.model.distribution import ErrorDistribution
from energy_demand.model.expected_errors import ExpectedErrors
from energy_demand.model.forecaster import Forecaster
from energy_demand.model.intervals import ConformalIntervals
from energy_demand.model.stages.adaptive_regression import (
    CLOCK_HOURS,
    AdaptiveRegression,
    Filter,
    RegressionRecipe,
)
from energy_demand.model.stages.error_spread import REMEMBERED_SCORES
from energy_demand.model.stages.error_stage import ErrorStage
from energy_demand.model.stages.residual_stage import ResidualStage
from energy_demand.model.stages.response_features import SPECIAL_DAY
from energy_demand.model.weather.climate import Climate, climate_basis
from energy_demand.model.weather.outlook import Outlook
from energy_demand.model.weather.radiation import RadiationGuess
from energy_demand.registry.feature_lists import CORRECTIONS, check_lists, check_sizes, own_lists
from energy_demand.registry.manifest import BASE_FILE, MANIFEST_FILE, ModelRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_demand.arrays import Floats


FORMAT = 6
RESIDUAL_FILE = "residual_booster.txt"
REGRESSION_FILE = "adaptive_regression.json"
OUTLOOK_FILE = "outlook.json"
SMALL_PARTS_FILE = "errors_and_intervals.json"
_GUESS, _CORRECTION, _RADIATION = "guess", "correction", "radiation"
_OTHERS = "other_corrections"


def to_texts(forecaster: Forecaster) -> dict[str, str]:
    """File name → text. The manifest holds the lists of names and every other file's checksum.

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
                _RADIATION: sorted(outlook.radiation.boosters),
                "places": {name: list(place) for name, place in outlook.radiation.places.items()},
                **_others_to_dict(outlook),
            }
        ),
        SMALL_PARTS_FILE: json.dumps(
            {
                "errors": forecaster.errors.to_dict(),
                "shrink": forecaster.residual.shrink,
                "distribution": forecaster.distribution.to_dict(),
                "base_intervals": forecaster.base.intervals.to_dict(),
                "expected_errors": forecaster.expected_errors.to_dict(),
            }
        ),
    }
    for kind, boosters in (
        (_GUESS, outlook.guesses),
        (_CORRECTION, outlook.corrections),
        (_RADIATION, outlook.radiation.boosters),
        *((_other(number), boosters) for number, boosters in enumerate(outlook.others.values(), start=2)),
    ):
        texts |= {_booster_file(kind, name): each.model_to_string() for name, each in boosters.items()}
    manifest = {
        "format": FORMAT,
        **{name: list(names) for name, names in own_lists().items()},
        **_lists_of_regression(forecaster.regression),
        CORRECTIONS: sorted(outlook.corrections),
        "sites": list(forecaster.sites),
        "respondent": forecaster.respondent,
        "trained_through": forecaster.trained_through.isoformat(),
        "publication_delay_hours": forecaster.publication_delay_hours,
        "sha256": {name: _checksum(text) for name, text in texts.items()},
    }
    return {**texts, MANIFEST_FILE: json.dumps(manifest, indent=1)}


def from_texts(texts: dict[str, str]) -> Forecaster:
    """The inverse of `to_texts`.

    Raises:
        ModelRefusedError: a file is missing, damaged, of another format, or depends on other lists of names.
    """
    try:
        manifest = json.loads(texts[MANIFEST_FILE])
        _check(manifest, texts)
        small, outlook = json.loads(texts[SMALL_PARTS_FILE]), json.loads(texts[OUTLOOK_FILE])
        stored_regression = json.loads(texts[REGRESSION_FILE])
        check_lists(_lists_in_parts(stored_regression, small, outlook))
        base, residual = (lgb.Booster(model_str=texts[name]) for name in (BASE_FILE, RESIDUAL_FILE))
        check_lists({"features": base.feature_name(), "residual_features": residual.feature_name()})
        return Forecaster(
            base=BaseBooster(base, ConformalIntervals.from_dict(small["base_intervals"])),
            outlook=_outlook_from_dict(outlook, texts),
            regression=_regression_from_dict(stored_regression),
            errors=ErrorStage.from_dict(small["errors"]),
            residual=ResidualStage(residual, float(small["shrink"])),
            distribution=ErrorDistribution.from_dict(small["distribution"]),
            expected_errors=ExpectedErrors.from_dict(small["expected_errors"]),
            respondent=manifest["respondent"],
            trained_through=datetime.fromisoformat(manifest["trained_through"]),
            publication_delay_hours=int(manifest["publication_delay_hours"]),
            sites=tuple(manifest.get("sites", ())),
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
    check_lists(manifest)
    for name, checksum in manifest["sha256"].items():
        if _checksum(texts[name]) != checksum:
            raise ModelRefusedError(
                f"{name} does not match its checksum: the file was changed after training; "
                "run `energy-demand train`"
            )


def _lists_of_regression(regression: AdaptiveRegression) -> dict[str, list[str]]:
    return {
        "responses": list(regression.names),
        "response_groups": _grouped(regression.names, regression.groups),
        "special_days": [
            name
            for name, group in zip(regression.names, regression.groups, strict=True)
            if group == SPECIAL_DAY
        ],
    }


def _lists_in_parts(
    regression: dict[str, Any], small: dict[str, Any], outlook: dict[str, Any]
) -> dict[str, list[str]]:
    """The lists that are in the files themselves."""
    return {
        "responses": regression["names"],
        "response_groups": _grouped(regression["names"], regression["groups"]),
        "clock_hours": [str(hour) for hour in range(len(regression["variance"]))],
        "regression_recipe": list(regression["recipe"]),
        "error_features": small["errors"]["names"],
        "interval_levels": list(small["distribution"]["levels"]),
        "base_interval_levels": list(small["base_intervals"]),
        "climate": list(outlook["climate"]),
        "weather_guesses": outlook[_GUESS],
        CORRECTIONS: outlook[_CORRECTION],
    }


def _grouped(names: Sequence[str], of: Sequence[str]) -> list[str]:
    return [f"{group}:{name}" for name, group in zip(names, of, strict=True)]


def _outlook_from_dict(read: dict[str, Any], texts: dict[str, str]) -> Outlook:
    climate = {name: np.array(values, dtype=float) for name, values in read["climate"].items()}
    size = climate_basis(np.zeros(1), np.zeros(1)).shape[-1]
    _check_shapes({f"climate of {name}": (values, (size,)) for name, values in climate.items()})
    guesses = _boosters(texts, _GUESS, read[_GUESS])
    corrections = _boosters(texts, _CORRECTION, read[_CORRECTION])
    # LightGBM keeps no names for these.
    check_sizes(
        {
            "main_guess_features": guesses[MAIN].num_feature(),
            "rest_guess_features": guesses[REST].num_feature(),
        }
    )
    others = {
        str(model): _boosters(texts, _other(number), names)
        for number, (model, names) in enumerate(read.get(_OTHERS, ()), start=2)
    }
    for boosters in (corrections, *others.values()):
        check_lists({CORRECTIONS: sorted(boosters)})
        for booster in boosters.values():
            check_sizes({"correction_features": booster.num_feature()})
    zone = ZoneInfo(read["zone"])
    radiation = _boosters(texts, _RADIATION, read[_RADIATION])
    for booster in radiation.values():
        check_sizes({"radiation_features": booster.num_feature()})
    places = {name: (float(read["places"][name][0]), float(read["places"][name][1])) for name in RADIATION}
    return Outlook(
        Climate(climate, float(read["slope"])),
        guesses,
        corrections,
        RadiationGuess(places, radiation, zone),
        zone,
        others,
    )


def _others_to_dict(outlook: Outlook) -> dict[str, Any]:
    """The corrections of further weather models, in the order of their files; none with one model."""
    if not outlook.others:
        return {}
    return {_OTHERS: [[model, sorted(boosters)] for model, boosters in outlook.others.items()]}


def _other(number: int) -> str:
    """The kind of the corrections of the weather model with this number; the first has number 1."""
    return f"{_CORRECTION}_of_model_{number}"


def _regression_to_dict(regression: AdaptiveRegression) -> dict[str, Any]:
    return {
        "names": regression.names,
        "groups": regression.groups,
        "centre": regression.centre.tolist(),
        "scale": regression.scale.tolist(),
        "reference": regression.reference,
        "through": regression.through.isoformat(),
        "innovations": _listed(regression.innovations),
        "variance": regression.variance.tolist(),
        "scores": _listed(regression.scores),
        "regrets": regression.regrets.tolist(),
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
    regression = AdaptiveRegression(
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
        innovations=_array(read["innovations"]),
        variance=np.array(read["variance"]),
        scores=_array(read["scores"]),
        regrets=np.array(read["regrets"], dtype=float),
        recipe=RegressionRecipe(**{**recipe, "paces": tuple(recipe["paces"])}),
    )
    size = len(regression.names)
    shapes: dict[str, tuple[Floats, tuple[int, ...]]] = {
        "centre": (regression.centre, (size,)),
        "scale": (regression.scale, (size,)),
        "scores": (regression.scores, (REMEMBERED_SCORES,)),
        "regrets": (regression.regrets, (CLOCK_HOURS, len(regression.filters))),
    }
    for number, state in enumerate(regression.filters):
        shapes |= {
            f"coefficients of filter {number}": (state.coefficients, (CLOCK_HOURS, size)),
            f"covariance of filter {number}": (state.covariance, (CLOCK_HOURS, size, size)),
            f"noise of filter {number}": (state.noise, (CLOCK_HOURS,)),
            f"walk of filter {number}": (state.walk, (size,)),
        }
    _check_shapes(shapes)
    return regression


def _check_shapes(shapes: dict[str, tuple[Floats, tuple[int, ...]]]) -> None:
    for name, (values, needed) in shapes.items():
        if values.shape != needed:
            raise ValueError(f"the {name} have the shape {values.shape}; {needed} is needed")


def _packed(values: Floats) -> dict[str, Any]:
    """An array as JSON: its shape, and its little-endian doubles in base64."""
    data = base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")
    return {"shape": list(values.shape), "base64": data}


def _unpacked(read: dict[str, Any]) -> Floats:
    values = np.frombuffer(base64.b64decode(read["base64"]), dtype="<f8").reshape(read["shape"])
    return values.astype(float)


def _listed(values: Floats) -> list[float | None]:
    """An array as JSON, which has no NaN."""
    return [None if np.isnan(each) else each for each in values.tolist()]


def _array(read: list[float | None]) -> Floats:
    return np.array([np.nan if each is None else each for each in read], dtype=float)


def _boosters(texts: dict[str, str], kind: str, names: list[str]) -> dict[str, lgb.Booster]:
    return {name: lgb.Booster(model_str=texts[_booster_file(kind, name)]) for name in names}


def _booster_file(kind: str, name: str) -> str:
    return f"{kind}_{name}.txt"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
