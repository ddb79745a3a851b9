"""The lists of names that a stored model depends on, compared with those of this version. Pure.

A stage reads its columns by position, so a model whose lists differ from the code's must never serve. Each
list is a key of the manifest or is read from the model's files; `own_lists` has what the code would write.
"""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING

from energy_demand.data.weather_path import MAIN, PATH_COLUMNS, REST
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.model.distribution import CENTRAL_LEVELS
from energy_demand.model.intervals import LEVELS
from energy_demand.model.stages import error_stage, residual_stage
from energy_demand.model.stages.adaptive_regression import CLOCK_HOURS, RegressionRecipe
from energy_demand.model.stages.response_features import response_columns
from energy_demand.model.stages.special_days import SPECIAL_DAYS
from energy_demand.model.weather.issues import CORRECTED, CORRECTION, feature_names
from energy_demand.model.weather.radiation import radiation_feature_names
from energy_demand.registry.manifest import ModelRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CORRECTIONS = "weather_corrections"
SHOWN = 6  # names of a difference


@lru_cache(maxsize=1)
def own_lists() -> Mapping[str, tuple[str, ...]]:
    """Each list as this version has it."""
    columns, weather = response_columns(), feature_names()
    return {
        "features": BOOSTER_COLUMNS,
        "responses": tuple(name for name, _ in columns),
        "response_groups": tuple(f"{group}:{name}" for name, group in columns),
        "special_days": SPECIAL_DAYS,
        "error_features": error_stage.NAMES,
        "residual_features": residual_stage.NAMES,
        "weather_columns": PATH_COLUMNS,
        "weather_guesses": (MAIN, REST),
        CORRECTIONS: CORRECTED,
        "climate": (MAIN, REST),
        "main_guess_features": weather[MAIN],
        "rest_guess_features": weather[REST],
        "correction_features": weather[CORRECTION],
        "radiation_features": radiation_feature_names(),
        "interval_levels": tuple(str(level) for level in CENTRAL_LEVELS),
        "base_interval_levels": tuple(str(level) for level in LEVELS),
        "clock_hours": tuple(str(hour) for hour in range(CLOCK_HOURS)),
        "regression_recipe": tuple(item.name for item in fields(RegressionRecipe)),
    }


def check_lists(stored: Mapping[str, object]) -> None:
    """Compare every list that is in `stored` with the code's.

    Raises:
        ModelRefusedError: one differs.
    """
    for name, own in own_lists().items():
        found = stored.get(name)
        if found is not None:
            _check(name, [str(each) for each in found] if isinstance(found, (list, tuple)) else [], own)


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Compare how many names a list has, for boosters that keep no names of their own.

    Raises:
        ModelRefusedError: a size differs.
    """
    for name, size in sizes.items():
        own = len(own_lists()[name])
        if size != own:
            raise ModelRefusedError(
                f"the model does not fit this version: its list `{name}` has {size} names in place of {own}; "
                "run `energy-demand train`"
            )


def check_sites(stored: Sequence[str], own: Sequence[str]) -> None:
    """Compare the weather sites of a model with those of the settings.

    Raises:
        ModelRefusedError: they differ.
    """
    if stored:  # models that were stored before the sites were kept have none
        _check("sites", stored, own)


def _check(name: str, stored: Sequence[str], own: Sequence[str]) -> None:
    optional = name == CORRECTIONS  # a model with few weather runs corrects nothing
    if list(stored) == list(own) or (optional and set(stored) <= set(own)):
        return
    missing = [] if optional else [each for each in own if each not in set(stored)]
    unknown = [each for each in stored if each not in set(own)]
    differences = []
    if missing:
        differences.append(f"lacks {_named(missing)}")
    if unknown:
        differences.append(f"has the unknown {_named(unknown)}")
    raise ModelRefusedError(
        f"the model does not fit this version: its list `{name}` "
        f"{' and '.join(differences) or 'has another order'}; run `energy-demand train`"
    )


def _named(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more
