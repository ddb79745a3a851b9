"""`python -m energy_demand.pipeline STAGE`: what `dvc.yaml` runs, in the project's folder.

Exit status: 0 done, 1 failed with one line that says why, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from typing import TYPE_CHECKING

from energy_demand.errors import UserError
from energy_demand.logs import configure_logging, redact
from energy_demand.pipeline import files
from energy_demand.pipeline.params import read_params
from energy_demand.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

# Each stage and the sections of the parameters that it needs.
STAGES = {
    "ingest": ("data",),
    "features": ("forecast",),
    "train": ("forecast", "train"),
    "evaluate": ("forecast", "evaluate"),
}
# The files that it writes last.
OUTPUTS = {
    "ingest": (files.SERVED_DEMAND, files.DAILY, files.WEATHER, files.WEATHER_FORECASTS, files.ABOUT),
    "features": (files.SCREENED_DEMAND, files.FEATURES),
    "train": (files.FORECASTER / "manifest.json", files.REFERENCE),
    "evaluate": (files.METRICS, files.BACKTEST, files.PLOTS / "mape_by_hour.csv"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m energy_demand.pipeline", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    name = parser.parse_args(arguments).stage
    configure_logging()
    sys.excepthook = _redacted_traceback
    try:
        params = read_params(files.PARAMS)
        files.check_outputs(OUTPUTS[name])
        # Import only the stage's own modules: LightGBM and Evidently take seconds to load.
        stage = importlib.import_module(f"energy_demand.pipeline.{name}")
        summary = stage.run(*(getattr(params, section) for section in STAGES[name]))
    except (UserError, SandboxError) as error:
        sys.stderr.write(f"error: {name}: {redact(str(error))}\n")
        return 1
    sys.stderr.write(f"{name}: {summary}\n")
    return 0


def _redacted_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


if __name__ == "__main__":
    sys.exit(main())
