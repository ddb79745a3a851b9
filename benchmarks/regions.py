"""Scores the product on recorded regions, beside the operator's forecast that EIA publishes as `DF`.

    .venv/bin/python benchmarks/regions.py --json
    .venv/bin/python benchmarks/regions.py --json --region ISNE --start 2018-01-01 --end 2018-12-31

Each region goes the product's own way: the sandbox serves its folder, `backfill` stores it in an embedded
PostgreSQL, `backtest` walks through the window: `day-ahead` at 09:00 of the day before, observed weather,
refits on earlier data only. The operator's forecast is scored on the same hours, as published and with its
bias removed by errors known at each issue; when it was published is not on record. The whole input is checked
before anything is computed.

What was computed is kept in `--work`, a folder for each region, under a digest of the region's files, the
options and the product's source, so that a run that was stopped goes on with the next region.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from answers import answer_alone
from energy_demand.config import load_settings, settings_of
from energy_demand.data.clocks import forecast_clock
from energy_demand.data.ingestion.ingest import backfill_span
from energy_demand.data.record_store import load_record
from energy_demand.data.screening import screen, truth_flags
from energy_demand.database import repository
from energy_demand.database.embedded import EmbeddedServer
from energy_demand.database.engine import opened
from energy_demand.evaluation.combination import combined
from energy_demand.evaluation.schedule import Protocol
from energy_demand.jobs.backtest import run_backtest
from energy_demand.jobs.fan_out.kept_parts import code_digest, digest_of
from energy_demand.jobs.ingestion import run_ingestion
from energy_demand.recorded_data import authorities
from energy_demand.region import Region, Site
from energy_demand.sandbox.app import create_app
from energy_demand.sandbox.errors import SandboxDataError
from energy_demand.sandbox.server import serving
from energy_demand.sandbox.worlds.recorded_regions import (
    DEMAND_FILE,
    OBSERVED_FILE,
    RecordedRegions,
    recorded_sites,
    region_folders,
)
from energy_demand.timeaxis import HOUR, days_periods, utc_index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from energy_demand.config import Settings
    from energy_demand.database.engine import Database

SCRIPT = Path(__file__).read_text(encoding="utf-8")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FLAGS_FILE = "screened_hours.csv"
START, END = date(2018, 1, 1), date(2019, 12, 31)
REFIT_DAYS = 180
COVERED = 0.9  # of the window's hours must have temperature
DAYS_BEFORE = 366  # of demand and of temperature before the window
PERCENT = 100.0


class InputError(Exception):
    """The input cannot be used; one line for each fault."""


@dataclass(frozen=True)
class Input:
    """A region that can be scored.

    Attributes:
        folder: of its files, named by its code.
        site: whose weather is used.
        first: its first day of demand.
        region: with this site alone.
    """

    folder: Path
    site: Site
    first: date
    region: Region

    @property
    def code(self) -> str:
        """The respondent."""
        return self.folder.name


def main() -> None:
    """Check, compute what is not there yet, and print one JSON object."""
    options = arguments()
    with answer_alone():
        code_digest()  # of the source as it is when the run begins
        try:
            inputs = checked(options)
        except InputError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(2)
        work = options.work or load_settings().home / "regions"
        answer = {
            "protocol": Protocol.DAY_AHEAD.value,
            "weather": "observed",
            "window": {"start": options.start.isoformat(), "end": options.end.isoformat()},
            "refit_days": options.refit_days,
            "regions": {each.code: scored_region(each, options, work) for each in inputs},
        }
    print(json.dumps(answer, indent=1))


def arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object, as without it")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the regions' folders")
    parser.add_argument(
        "--region", action="append", metavar="CODE", help="this region alone; may be repeated"
    )
    parser.add_argument("--start", type=date.fromisoformat, default=START)
    parser.add_argument("--end", type=date.fromisoformat, default=END)
    parser.add_argument("--refit-days", type=int, default=REFIT_DAYS)
    parser.add_argument(
        "--work", type=Path, help="where results are kept; default: regions/ in the home folder"
    )
    return parser.parse_args(arguments)


def checked(options: argparse.Namespace) -> list[Input]:
    """The regions to score, after a look at all of their files.

    Raises:
        InputError: naming every fault.
    """
    if options.end < options.start or options.refit_days < 1:
        raise InputError("--end must not be before --start, and --refit-days must be at least 1")
    folders = {folder.name: folder for folder in region_folders(options.data)}
    if not folders:
        raise InputError(f"{options.data}: no folder of a region with {DEMAND_FILE}; give --data")
    codes = sorted(set(options.region or folders))
    faults, inputs = [], []
    for code in codes:
        if code not in folders:
            faults.append(f"{code}: no such region; {options.data} has {', '.join(folders)}")
            continue
        try:
            inputs.append(input_of(folders[code], options.start, options.end))
        except (InputError, SandboxDataError) as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join(faults))
    return inputs


def input_of(folder: Path, start: date, end: date) -> Input:
    """A region's folder, checked.

    Raises:
        InputError: it cannot be scored in the window.
        SandboxDataError: a file cannot be read.
    """
    authority = authorities().get(folder.name)
    if authority is None:
        raise InputError(f"{folder}: no region has this code; name the folder by EIA's code")
    RecordedRegions([folder], {folder.name: authority})  # reads both files
    demand = pd.read_parquet(folder / DEMAND_FILE)
    periods = utc_index(demand["period"])
    window = days_periods(start, end, authority.zone)
    for column in ("demand_mwh", "day_ahead_forecast_mwh"):
        known = periods[demand[column].notna().to_numpy()]
        if window.isin(known).mean() < 0.5:
            raise InputError(f"{folder / DEMAND_FILE}: {column}: less than half of {start} to {end} is there")
    first = periods.min().tz_convert(authority.zone).date()
    if first > start - timedelta(days=DAYS_BEFORE):
        raise InputError(f"{folder / DEMAND_FILE}: begins on {first}; start a year later or more")
    site = used_site(folder, start, end)
    return Input(folder, site, first, Region(folder.name, authority.zone, "US", (site,)))


def used_site(folder: Path, start: date, end: date) -> Site:
    """The first recorded site that covers the window: the mean by population where there is one.

    On 2017-05 … 2017-12 this mean alone was as good as any mixture with the other sites in the mean of ISNE,
    PJM, ERCO and SWPP (2.04 % against 2.05 to 2.06 %).

    Raises:
        InputError: there is none.
    """
    authority = authorities()[folder.name]
    window = days_periods(start, end, authority.zone)
    weather = pd.read_parquet(folder / OBSERVED_FILE)
    known = weather[weather["temperature_2m"].notna()]
    hours = {str(site): utc_index(rows["time"]) for site, rows in known.groupby("site", observed=True)}
    for site in recorded_sites(folder, authority):
        times = hours.get(site.name, window[:0])
        if window.isin(times).mean() >= COVERED and (times < window[0]).sum() >= DAYS_BEFORE * 24:
            latitude, longitude = site.place
            return Site(name=site.name, latitude=latitude, longitude=longitude, weight=1.0)
    span = f"{start} to {end} and {DAYS_BEFORE} days before"
    raise InputError(f"{folder / OBSERVED_FILE}: no site has temperature of {span}")


def scored_region(region: Input, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The scores of a region: as kept, or computed now."""
    folder = work / region.code
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / f"scores-{digest(region, options)}.json"
    if result.is_file():
        say(f"{region.code}: kept from an earlier run")
        return dict(json.loads(result.read_text()))
    say(f"{region.code}: weather of {region.site.name}")
    scores = computed(region, options, folder, result.with_suffix(".parquet"))
    written = result.with_suffix(".part")
    written.write_text(json.dumps(scores, indent=1))
    written.replace(result)
    return scores


def computed(region: Input, options: argparse.Namespace, folder: Path, hours_file: Path) -> dict[str, Any]:
    """Backfill where that was not done yet, and backtest."""
    home = folder / "home"
    try:
        backfill_s = stored(region, options, folder, home)
        settings = settings_for(region, options, folder, home)
        with opened(settings) as database:
            began = time.perf_counter()
            backtest = run_backtest(
                database,
                settings,
                settings.present(),
                protocol=Protocol.DAY_AHEAD,
                weather="observed",
                start=options.start,
                end=options.end,
                refit_days=options.refit_days,
                progress=lambda _what, done, total: progress(region.code, done, total),
            )
            backtest_s = time.perf_counter() - began
            backtest.write(hours_file)
            scores = of_operator(database, settings, region, backtest.hours)
    finally:
        EmbeddedServer(home).stop()
    body = backtest.body
    return {
        "mape": rounded(body["model"]["mape"]),
        "bias_percent": rounded(body["model"]["bias_percent"]),
        "hours": body["n_hours"],
        "operator_published_mape": rounded(body["operator"]["mape"]),
        "operator_corrected_mape": rounded(body["operator_bias_corrected"]["mape"]),
        **scores,
        "base_booster_mape": rounded(body["base_booster"]["mape"]),
        "coverage_80": rounded(body["coverage_80"]),
        "coverage_95": rounded(body["coverage_95"]),
        "site": region.site.name,
        "fits": body["fits"],
        "fit_s": body["seconds_per_fit"],
        "backtest_s": round(backtest_s, 1),
        "backfill_s": backfill_s,
        "screening": screening(region),
    }


def stored(region: Input, options: argparse.Namespace, folder: Path, home: Path) -> float | None:
    """Backfill the region through the sandbox; None where that was done before."""
    mark = folder / f"backfilled-{digest_of_files(region)}-{options.end}"
    if mark.is_file() and home.is_dir():
        return None
    EmbeddedServer(home).stop()
    shutil.rmtree(home, ignore_errors=True)
    for old in folder.glob("backfilled-*"):
        old.unlink()
    known = {region.code: authorities()[region.code]}
    began = time.perf_counter()
    app = create_app(RecordedRegions([region.folder], known), now=present(options))
    with serving(app) as address:
        settings = settings_for(region, options, folder, home, sandbox_url=address)
        with opened(settings) as database:
            now = settings.present()
            span = backfill_span(settings, region.first, options.end, now)
            outcome = run_ingestion(database, settings, span, now, lambda *_: None)
            outcome.raise_failures()
    mark.touch()
    return round(time.perf_counter() - began, 1)


def settings_for(
    region: Input, options: argparse.Namespace, folder: Path, home: Path, **more: Any
) -> Settings:
    """Settings of the region alone, whatever the environment says."""
    file = folder / "regions.toml"
    site, zone = region.site, region.region.zone.key
    place = f"latitude = {site.latitude}, longitude = {site.longitude}, weight = {site.weight}"
    file.write_text(
        f'[[region]]\ncode = "{region.code}"\nname = "{region.code} by one site"\nzone = "{zone}"\n'
        f'sites = [{{ name = "{site.name}", {place} }}]\n'
    )
    return settings_of(
        energy_demand_home=home,
        eia_region=region.code,
        regions_file=file,
        energy_demand_now=present(options),
        **more,
    )


def of_operator(database: Database, settings: Settings, region: Input, hours: pd.DataFrame) -> dict[str, Any]:
    """The combination of both forecasts, and the operator's moved to the clock that fits."""
    zone = region.region.zone
    record = load_record(database, settings, settings.present())
    first, last = record.periods[0].to_pydatetime(), record.periods[-1].to_pydatetime()
    with database.transaction() as connection:
        rows = repository.read_demand(connection, region.code, "DF", first, last, settings.present())
    published = pd.Series(rows["value"].to_numpy(dtype=float), index=utc_index(rows["period"]))
    demand = pd.Series(record.truth_mwh, index=record.periods)
    faults = forecast_clock(published, demand, zone)
    known = hours[hours["actual_mwh"].notna()]
    availability = Protocol.DAY_AHEAD.availability
    both = combined(hours, "predicted_mwh", "operator_corrected_mwh", zone, availability).loc[known.index]
    moved = published.copy()
    months = (moved.index - pd.Timedelta(HOUR)).tz_convert(zone).strftime("%Y-%m")
    for fault in faults:
        there = (months >= fault.first) & (months <= fault.last)
        shifted = published.set_axis(published.index + fault.hours * HOUR)
        moved[there] = shifted.reindex(moved.index[there])
    scores = {
        "combination_mape": rounded(mape(both["combined_mwh"], known["actual_mwh"])),
        "operator_clock": [str(fault) for fault in faults],
    }
    if faults:
        there = moved.reindex(pd.DatetimeIndex(known["period"])).set_axis(known.index)
        scores["operator_moved_mape"] = rounded(mape(there, known["actual_mwh"]))
    return scores


def screening(region: Input) -> dict[str, int] | None:
    """How many of the published flags our screening finds, and how many hours it flags beside them.

    None where no flags were published.
    """
    file = region.folder / FLAGS_FILE
    if not file.is_file():
        return None
    published = utc_index(pd.to_datetime(pd.read_csv(file)["period"], utc=True))
    served = pd.read_parquet(region.folder / DEMAND_FILE)[["period", "demand_mwh"]]
    # Their screen went as far as the published forecast.
    forecast = (
        pd.read_parquet(region.folder / DEMAND_FILE).dropna(subset="day_ahead_forecast_mwh")["period"].max()
    )
    served = served[served["period"] <= forecast]
    causal, two_sided = (screen(served, two_sided=each, region=region.region) for each in (False, True))
    periods = utc_index(causal["period"])
    theirs = periods.isin(published)
    ours = truth_flags(causal, two_sided).notna().to_numpy()
    at_once = causal["flag"].notna().to_numpy()
    return {
        "hours": len(periods),
        "published": int(theirs.sum()),
        "found": int((theirs & ours).sum()),
        "found_causally": int((theirs & at_once).sum()),
        "further": int((ours & ~theirs).sum()),
        "further_causally": int((at_once & ~theirs).sum()),
    }


def mape(forecast: pd.Series, actual: pd.Series) -> float:
    """Percent, of the hours that the forecast has."""
    return float(PERCENT * ((forecast - actual).abs() / actual).mean())


def rounded(value: float) -> float:
    """Three decimals."""
    return round(float(value), 3)


def present(options: argparse.Namespace) -> datetime:
    """When the last hour of the window is known."""
    return datetime.combine(options.end, datetime.min.time(), tzinfo=UTC) + timedelta(days=8, hours=12)


def digest(region: Input, options: argparse.Namespace) -> str:
    """Of all that a region's scores depend on."""
    window = f"{options.start} {options.end} {options.refit_days}"
    return digest_of(digest_of_files(region), repr(region.site), window, SCRIPT)


def digest_of_files(region: Input) -> str:
    """Of the region's files."""
    names = (DEMAND_FILE, OBSERVED_FILE)
    content = b"".join(hashlib.sha256((region.folder / name).read_bytes()).digest() for name in names)
    return hashlib.sha256(content).hexdigest()[:16]


_reported: dict[str, int] = {}


def progress(code: str, done: int, total: int) -> None:
    """A line for each tenth of the days."""
    tenth = 10 * done // max(total, 1)
    if _reported.get(code) != tenth:
        _reported[code] = tenth
        say(f"{code}: {done} of {total} days")


def say(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
