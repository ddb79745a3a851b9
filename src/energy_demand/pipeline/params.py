"""The parameters of the pipeline: `params.yaml` as one typed object."""

from __future__ import annotations

from datetime import date  # noqa: TC003  (pydantic reads it)
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from energy_demand.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

FEWEST_DAYS_BEFORE = 120  # the test days, for a forecaster to learn from


class ParamsError(UserError, ValueError):
    """Parameters that cannot be used; the message names every one."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Section):
    """What is ingested.

    Attributes:
        source: `sandbox` (a synthetic one, started for the stage), the address of another sandbox, or `live`.
        seed: of the synthetic world.
        respondent: EIA's name of the region.
        start: first local day.
        end: last local day.
    """

    source: str = Field(pattern=r"^(sandbox|live|https?://\S+)$")
    seed: int = Field(ge=0)
    respondent: str = Field(pattern=r"^[A-Z0-9]+$")
    start: date
    end: date


class Forecast(_Section):
    """What a forecast is here.

    Attributes:
        protocol: when the forecast of an hour is issued.
        weather: `as_issued`, or `observed`, which flatters.
        test_days: newest local days, which nothing is trained on.
    """

    protocol: Literal["rolling-24h", "day-ahead"]
    weather: Literal["as_issued", "observed"]
    test_days: int = Field(ge=1)


class Train(_Section):
    """How the forecaster is made; `Recipe` has the meanings."""

    seed: int = Field(ge=0, lt=2**31)
    base_trees: int = Field(ge=1)
    guess_trees: int = Field(ge=1)
    correction_trees: int = Field(ge=1)
    residual_trees: int = Field(ge=4)  # a quarter of them sets the intervals
    warm_up_days: int = Field(ge=0)
    calibration_days: int = Field(ge=14)


class Evaluate(_Section):
    """What is shown of the test days; `shown_days` of hours."""

    shown_days: int = Field(ge=1)


class Params(_Section):
    """All sections of `params.yaml`."""

    data: Data
    forecast: Forecast
    train: Train
    evaluate: Evaluate

    @model_validator(mode="after")
    def _days_suffice(self) -> Self:
        days = (self.data.end - self.data.start).days + 1
        needed = self.forecast.test_days + FEWEST_DAYS_BEFORE
        if days < needed:
            raise ValueError(
                f"data.start to data.end are {days} days, but forecast.test_days and {FEWEST_DAYS_BEFORE} "
                f"training days need {needed}"
            )
        return self


def read_params(path: Path) -> Params:
    """The parameters.

    Raises:
        ParamsError: the file is not there or no YAML, or a parameter is missing, unknown or malformed.
    """
    try:
        read = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(
            f"{path} cannot be read ({error.strerror}); run this command in the project's folder"
        ) from None
    except (YAMLError, ValueError) as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return Params.model_validate(read)
    except ValidationError as error:
        problems = [_told(problem["loc"], problem["msg"]) for problem in error.errors()]
        raise ParamsError(f"{path}: {'; '.join(problems)}") from None


def _told(location: tuple[int | str, ...], message: str) -> str:
    name = ".".join(map(str, location))
    text = message.removeprefix("Value error, ")
    return f"{name}: {text}" if name else text
