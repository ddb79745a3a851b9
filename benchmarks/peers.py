"""Scores other forecasting libraries beside the product, on the same hours, weather and issue times.

Every peer gets the same table of inputs (`peer_inputs`), runs in an environment of its own that this script
makes, and is scored on the same hours (`peer_scores`): day-ahead at 09:00 New York time of the day before,
publication delay 1 h, refits on earlier data only. Reads the database of the settings, which must be
backfilled; nothing of the peers is among the project's requirements.

    .venv/bin/python benchmarks/peers.py --json --start 2023-08-01 --end 2024-07-31 --refit-days 120
    .venv/bin/python benchmarks/peers.py --json --peers ridges,skforecast --ours backtest.parquet

`--ours` is the file of hours that `backtest --output` wrote for the same window; without it the product is
fitted here. A peer that cannot be run is reported as `not run` with the reason. What a peer has computed is
kept in `--cache` under a digest of its inputs, its adapter and its requirements, fit by fit, so a run that
was stopped goes on where it was. The last row is the plain mean of two others.

The pins are made, one file for each peer, by

    uv pip compile requirements_NAME.in --python-version 3.11 --generate-hashes --no-emit-index-url
        --no-emit-find-links --no-header --no-annotate -o requirements_NAME.txt
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from answers import answer_alone
from energy_demand.config import load_settings
from energy_demand.data.record_store import load_record
from energy_demand.database.engine import opened
from energy_demand.evaluation.schedule import Protocol
from energy_demand.jobs.backtest import run_backtest
from energy_demand.jobs.past_days import check_past_days
from peer_inputs import Inputs, peer_inputs, refits
from peer_scores import common_hours, mean_of, scored

if TYPE_CHECKING:
    from collections.abc import Iterable

    from energy_demand.data.record import Record

FOLDER = Path(__file__).with_name("peers")
SINCE = date(2019, 1, 1)  # the first day on which every weather column is on record
OURS, MEAN, OF_MEAN = "ours", "mean of ridges and skforecast", ("ridges", "skforecast")


@dataclass(frozen=True)
class Peer:
    """One row.

    Attributes:
        adapter: its script is `adapter_NAME.py`.
        requirements: its pins are `requirements_NAME.txt`.
        python: the version its environment needs.
        variant: last argument of the adapter.
        refit_days: refits at least as often as this.
    """

    adapter: str
    requirements: str
    python: str = "3.11"
    variant: str = ""
    refit_days: int | None = None

    @property
    def script(self) -> Path:
        """The adapter."""
        return FOLDER / f"adapter_{self.adapter}.py"

    @property
    def pins(self) -> Path:
        """The pinned requirements with hashes."""
        return FOLDER / f"requirements_{self.requirements}.txt"


PEERS = {
    "ridges": Peer("ridges", "ridges"),
    "skforecast": Peer("skforecast", "skforecast"),
    "mlforecast": Peer("mlforecast", "mlforecast"),
    "statsforecast": Peer("statsforecast", "statsforecast", refit_days=30),
    "openstef": Peer("openstef", "openstef", "3.12", "large"),
    "openstef-ensemble": Peer("openstef", "openstef", "3.12", "ensemble"),
    "openstef-shipped": Peer("openstef", "openstef", "3.12", "shipped"),
}


class NotRunError(Exception):
    """A peer cannot be run; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """The forecasts of one side, by period, and what they took."""

    hours: pd.DataFrame
    facts: dict[str, Any]


def compared(options: argparse.Namespace) -> dict[str, Any]:
    """All rows, scored on the hours that every side forecast."""
    settings = load_settings()
    cache = options.cache or settings.home / "peers"
    with opened(settings) as database:
        now = settings.present()
        record = load_record(database, settings, now, with_vintages=True)
        check_past_days(record, options.start, options.end, options.weather)
        inputs = peer_inputs(
            record,
            options.start,
            options.end,
            weather=options.weather,
            refit_days=options.refit_days,
            since=SINCE,
        )
        sides, missing = peers_outcomes(inputs, options, cache)
        if options.ours:
            hours = pd.read_parquet(options.ours).set_index("period")
            sides = {OURS: Outcome(hours, {"fit_s": None, "forecast_s": None, "fits": None}), **sides}
        else:
            sides = {OURS: our_outcome(database, settings, now, options), **sides}
    return table(record, inputs, sides, missing, options)


def table(
    record: Record,
    inputs: Inputs,
    sides: dict[str, Outcome],
    missing: dict[str, str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """The rows of the sides that were run, of the mean, and of those that were not run."""
    sides = dict(sides)
    if set(OF_MEAN) <= set(sides):
        sides[MEAN] = Outcome(mean_of([sides[name].hours for name in OF_MEAN]), {})
    truth = pd.Series(record.truth_mwh, index=record.periods)
    truth = truth[truth.index.isin(inputs.horizon.loc[inputs.horizon["target"], "period"])]
    hours = common_hours({name: side.hours for name, side in sides.items()}, truth)
    rows = {
        name: {"status": "run", **side.facts, **scored(side.hours, truth, hours, record.region.zone)}
        for name, side in sides.items()
    }
    return {
        "protocol": Protocol.DAY_AHEAD.value,
        "publication_delay_hours": Protocol.DAY_AHEAD.availability.delay_hours,
        "weather": options.weather,
        "start": options.start.isoformat(),
        "end": options.end.isoformat(),
        "refit_days": options.refit_days,
        "history_since": SINCE.isoformat(),
        "columns": len(inputs.columns),
        "hours": len(hours),
        "rows": rows | {name: {"status": "not run", "reason": reason} for name, reason in missing.items()},
    }


def our_outcome(database: Any, settings: Any, now: Any, options: argparse.Namespace) -> Outcome:
    """The product's own backtest of the same days."""
    backtest = run_backtest(
        database,
        settings,
        now,
        protocol=Protocol.DAY_AHEAD,
        weather=options.weather,
        start=options.start,
        end=options.end,
        refit_days=options.refit_days,
    )
    body, days = backtest.body, (options.end - options.start).days + 1
    fit_s = body["seconds_per_fit"]
    forecast_s = (body["seconds"] - fit_s * body["fits"]) / days
    facts = {"fit_s": fit_s, "forecast_s": round(forecast_s, 3), "fits": body["fits"]}
    return Outcome(backtest.hours.set_index("period"), facts)


def peers_outcomes(
    inputs: Inputs, options: argparse.Namespace, cache: Path
) -> tuple[dict[str, Outcome], dict[str, str]]:
    """Run the peers that were asked for; and why others of them could not be."""
    sides, missing = {}, {}
    for name in options.peers:
        peer = PEERS[name]
        print(f"{name} ...", flush=True)
        try:
            sides[name] = outcome(peer, inputs, options.refit_days, cache)
        except NotRunError as error:
            missing[name] = str(error)
            print(f"{name} was not run: {error}", flush=True)
    return sides, missing


def outcome(peer: Peer, inputs: Inputs, refit_days: int, cache: Path) -> Outcome:
    """The forecasts of one peer, computed or kept.

    Raises:
        NotRunError: its environment cannot be made, or the adapter fails.
    """
    days = min(refit_days, peer.refit_days or refit_days)
    folder = write_inputs(refits(inputs, days), cache / "inputs")
    results = cache / "results" / f"{peer.adapter}{peer.variant}-{results_digest(peer, folder.name)}"
    if not (results / "complete").exists():
        python = environment(peer, cache / "environments")
        command = [python, peer.script, folder, results, *([peer.variant] if peer.variant else [])]
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        finished = subprocess.run(command, env=own, stderr=subprocess.PIPE, text=True, check=False)
        if finished.returncode:
            raise NotRunError(f"the adapter failed: {last_line(finished.stderr)}")
        (results / "complete").touch()
    blocks = sorted(results.glob("block_*.parquet"))
    hours = pd.concat([pd.read_parquet(block) for block in blocks]).set_index("period")
    seconds = [json.loads(block.with_suffix(".json").read_text()) for block in blocks]
    forecasts = sum(each["forecasts"] for each in seconds)
    facts = {
        "fit_s": round(sum(each["fit_s"] for each in seconds) / len(seconds), 2),
        "forecast_s": round(sum(each["forecast_s"] * each["forecasts"] for each in seconds) / forecasts, 3),
        "fits": len(seconds),
        "refit_days": days,
        "python": peer.python,
        "versions": versions(peer.pins.read_text(), peer.requirements),
    }
    return Outcome(hours, facts)


def write_inputs(inputs: Inputs, parent: Path) -> Path:
    """The inputs as files, in a folder named by their digest."""
    parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    frames = {"history": inputs.history, "horizon": inputs.horizon, "issues": inputs.issues}
    for frame in frames.values():
        digest.update(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
        digest.update(",".join(frame).encode())
    folder = parent / digest.hexdigest()[:16]
    if not folder.exists():
        unfinished = folder.with_suffix(f".{os.getpid()}")
        unfinished.mkdir()
        for name, frame in frames.items():
            frame.to_parquet(unfinished / f"{name}.parquet", index=name == "history")
        unfinished.rename(folder)
    return folder


def results_digest(peer: Peer, inputs: str) -> str:
    """Of everything that a peer's forecasts depend on."""
    digest = hashlib.sha256(f"{inputs} {peer.variant} {peer.python}".encode())
    for script in (peer.script, FOLDER / "peer_protocol.py"):
        digest.update(without_words(script.read_text()).encode())
    digest.update(peer.pins.read_bytes())
    return digest.hexdigest()[:16]


def without_words(source: str) -> str:
    """A script without comments and docstrings: a better word must not throw away an hour of fits."""
    module = ast.parse(source)
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(module)


def environment(peer: Peer, parent: Path) -> Path:
    """The Python of the peer's own environment, made if it is not there.

    Raises:
        NotRunError: there is no interpreter of its version, or a package cannot be installed.
    """
    pins = hashlib.sha256(peer.pins.read_bytes() + peer.python.encode()).hexdigest()[:16]
    folder = parent / f"{peer.requirements}-{pins}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    base = interpreter(peer.python)
    if base is None:
        raise NotRunError(f"no Python {peer.python} was found on this machine")
    shutil.rmtree(folder, ignore_errors=True)
    parent.mkdir(parents=True, exist_ok=True)
    uv = Path(sys.executable).with_name("uv")
    requirements = ["--require-hashes", "--requirement", peer.pins]
    if uv.exists():
        steps = [[uv, "venv", "--quiet", "--python", base, folder]]
        steps += [[uv, "pip", "install", "--quiet", "--python", python, *requirements]]
    else:
        steps = [[base, "-m", "venv", folder], [python, "-m", "pip", "install", "--quiet", *requirements]]
    for step in steps:
        done = subprocess.run(step, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise NotRunError(f"its environment cannot be made: {last_line(done.stderr)}")
    (folder / "complete").touch()
    return python


def interpreter(version: str) -> str | None:
    """An interpreter of this version that runs: this one, one on the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [sys.executable, shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, found):
        try:
            done = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.returncode == 0 and done.stdout.strip() == version:
            return str(candidate)
    return None


def versions(pins: str, name: str) -> dict[str, str]:
    """The pinned versions that a reader asks for: of the library itself and of what learns in it."""
    asked = {name, "lightgbm", "xgboost-cpu", "openstef-meta", "numpy"}
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ \\;]+)", pins, flags=re.MULTILINE)
    return {package: version for package, version in found if package in asked}


def last_line(text: str) -> str:
    """The last line that says something; a failure's reason."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def chosen(text: str) -> list[str]:
    """Names of peers, parted by commas, in the order of the table.

    Raises:
        argparse.ArgumentTypeError: a name is not one of them.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = sorted(set(names) - set(PEERS))
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; the peers are {', '.join(PEERS)}")
    return [name for name in PEERS if name in names]


def arguments(words: Iterable[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object (also the default)")
    parser.add_argument("--start", type=date.fromisoformat, default=date(2023, 8, 1))
    parser.add_argument("--end", type=date.fromisoformat, default=date(2024, 7, 31))
    parser.add_argument("--refit-days", type=int, default=120)
    parser.add_argument("--weather", choices=("observed", "as_issued"), default="observed")
    parser.add_argument("--peers", type=chosen, default=list(PEERS), help=f"of {','.join(PEERS)}")
    parser.add_argument("--ours", type=Path, help="hours of `backtest --output`, in place of a backtest here")
    parser.add_argument("--cache", type=Path, help="what is kept; `peers` in ENERGY_DEMAND_HOME by default")
    return parser.parse_args(None if words is None else list(words))


def main() -> None:
    """Run all and print one JSON object."""
    options = arguments()
    with answer_alone():
        body = compared(options)
    print(json.dumps(body))


if __name__ == "__main__":
    main()
