"""The pipeline: a real `dvc repro` in a fresh clone, and invalid parameters."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from energy_demand.config import Settings
from energy_demand.monitoring.reference import read_reference
from energy_demand.pipeline import files
from energy_demand.pipeline.__main__ import OUTPUTS, STAGES, main
from energy_demand.pipeline.params import ParamsError, read_params

pytestmark = pytest.mark.usefixtures("processes")

PROJECT = Path(__file__).resolve().parents[2]
CLONED = (".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore", "dvc.lock", "dvc.yaml")
CLONED += ("metrics.json", "params.yaml", "pyproject.toml", "src")
SMALL = {
    "data": {"source": "sandbox", "seed": 1, "respondent": "NY", "start": "2024-07-01", "end": "2024-12-20"},
    "forecast": {"protocol": "day-ahead", "weather": "as_issued", "test_days": 10},
    "train": {
        "seed": 1,
        "base_trees": 40,
        "guess_trees": 15,
        "correction_trees": 15,
        "residual_trees": 20,
        "warm_up_days": 40,
        "calibration_days": 40,
    },
    "evaluate": {"shown_days": 3},
}
CUT = pd.Timestamp("2024-12-10T14:00Z")  # 09:00 in New York before the first of the ten test days
TEST_HOURS = 240


class Clone:
    """A checkout with `.venv/` in it, in which commands run with nothing of the developer's environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ours = {name.upper() for name in Settings.model_fields}
        self.environment = {name: value for name, value in os.environ.items() if name.upper() not in ours}
        self.environment |= {
            "PYTHONPATH": str(folder / "src"),  # not the checkout that is installed
            "DVC_SITE_CACHE_DIR": str(folder.with_name("dvc-site")),
            "DVC_GLOBAL_CONFIG_DIR": str(folder.with_name("dvc-global")),
            "OMP_NUM_THREADS": "1",
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, capture_output=True, check=False
        )

    def dvc(self, *arguments: str) -> str:
        done = self.run(".venv/bin/python", "-m", "dvc", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self) -> list[str]:
        """The stages that ran."""
        return re.findall(r"Running stage '(\w+)'", self.dvc("repro"))

    def stage(self, name: str) -> subprocess.CompletedProcess[str]:
        return self.run(".venv/bin/python", "-m", "energy_demand.pipeline", name)

    def set(self, section: str, name: str, value: object) -> None:
        params = json.loads(json.dumps(SMALL))
        params[section][name] = value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params))

    def texts(self) -> dict[str, str]:
        stored = sorted((self.folder / "data/processed/forecaster").iterdir())
        return {path.name: path.read_text() for path in stored}


def fresh(folder: Path) -> Clone:
    folder.mkdir()
    for name in CLONED:
        source, target = PROJECT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copy(source, target)
    (folder / ".venv").symlink_to(sys.prefix)
    return Clone(folder)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A fresh clone in which `dvc repro` ran once, with small parameters."""
    checkout = fresh(tmp_path_factory.mktemp("pipeline") / "clone")
    (checkout.folder / "params.yaml").write_text(yaml.safe_dump(SMALL))
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    checkout.run("git", "init", "--quiet")
    checkout.run("git", "add", "--all")
    committed = checkout.run("git", *who, "commit", "--quiet", "--message", "clone")
    assert committed.returncode == 0, committed.stderr
    assert checkout.repro() == list(STAGES)
    return checkout


@pytest.mark.slow
def test_a_second_repro_does_nothing(clone):
    assert "up to date" in clone.dvc("status")
    assert clone.repro() == []


@pytest.mark.slow
def test_scores_of_synthetic_days_are_sane_and_better_than_naive(clone):
    shown = json.loads(clone.dvc("metrics", "show", "--json"))
    scores = shown[""]["data"]["metrics.json"]["data"]
    assert (scores["data"], scores["n_hours"]) == ("synthetic", TEST_HOURS)
    assert (scores["start"], scores["end"]) == ("2024-12-11", "2024-12-20")
    assert {scores[name]["n"] for name in ("model", "seasonal_naive_24", "operator")} == {TEST_HOURS}
    naive = min(scores["seasonal_naive_24"]["mape"], scores["seasonal_naive_168"]["mape"])
    assert 0.5 < scores["model"]["mape"] < naive
    assert 40 < scores["coverage_80"] < scores["coverage_95"] <= 100


@pytest.mark.slow
def test_training_ends_before_the_first_test_hour_is_forecast(clone):
    manifest = json.loads(clone.texts()["manifest.json"])
    hours = pd.read_parquet(clone.folder / "data/processed/backtest.parquet")
    assert hours["issued_at"].min() == CUT
    assert pd.Timestamp(manifest["trained_through"]) == CUT - pd.Timedelta(hours=1)
    assert (hours["issued_at"] < hours["period"]).all()


@pytest.mark.slow
def test_the_reference_is_what_monitoring_reads_and_no_champions(clone):
    reference = read_reference(clone.folder / "data/reference/reference_features.parquet")
    assert reference.version == "pipeline"
    assert reference.rows["timestamp"].max() == pd.Timestamp(reference.trained_through)


@pytest.mark.slow
def test_plots_are_drawn(clone):
    clone.dvc("plots", "show")  # it would fail on a table or a column that is not there
    page = (clone.folder / "dvc_plots/index.html").read_text()
    titles = re.findall(r'"title": {"text": "([^"]+)"', page)
    assert [title.split(",")[0] for title in titles] == [
        "MAPE by local hour",
        "MAPE by local day",
        "Actual and predicted demand of the newest hours",
    ]
    assert "seasonal_naive_168" in page
    assert "temporal" in page  # the template of the project's own


@pytest.mark.slow
def test_git_sees_only_what_is_small(clone):
    changed = clone.run("git", "status", "--porcelain").stdout.split("\n")
    assert {line[3:] for line in changed if line} <= {"dvc.lock", "metrics.json"}


@pytest.mark.slow
def test_a_parameter_runs_only_what_depends_on_it(clone):
    try:
        clone.set("train", "seed", 2)
        assert set(json.loads(clone.dvc("status", "--json"))) == {"train"}
        clone.set("evaluate", "shown_days", 2)
        before = clone.texts()
        assert clone.repro() == ["evaluate"]
        assert clone.texts() == before
        newest = pd.read_csv(clone.folder / "data/processed/plots/newest_hours.csv")
        assert len(newest) == 48
    finally:
        (clone.folder / "params.yaml").write_text(yaml.safe_dump(SMALL))


@pytest.mark.slow
def test_a_forecaster_trained_on_the_test_days_is_not_scored(clone):
    try:
        clone.set("forecast", "test_days", 20)
        refused = clone.stage("evaluate")
    finally:
        (clone.folder / "params.yaml").write_text(yaml.safe_dump(SMALL))
    assert refused.returncode == 1
    assert re.fullmatch(r"error: evaluate: .*includes test days.*\n", refused.stderr)


@pytest.mark.slow
def test_data_after_the_first_issue_changes_no_forecaster(clone, tmp_path):
    other = fresh(tmp_path / "clone")
    shutil.copy(clone.folder / "params.yaml", other.folder / "params.yaml")
    shutil.copytree(clone.folder / "data/raw", other.folder / "data/raw")
    raw = other.folder / "data/raw"
    demand = pd.read_parquet(raw / "demand.parquet")
    # Two days later: the look from both sides that training data gets reaches a day ahead.
    demand.loc[demand["period"] > CUT + pd.Timedelta(days=2), "value"] *= 1.02
    demand.to_parquet(raw / "demand.parquet", index=False)
    for name, column in (("weather", "timestamp"), ("weather_forecasts", "issued_at")):
        frame = pd.read_parquet(raw / f"{name}.parquet")
        frame.loc[frame[column] > CUT, "temperature_2m"] += 5.0
        frame.to_parquet(raw / f"{name}.parquet", index=False)
    for stage in ("features", "train"):
        done = other.stage(stage)
        assert done.returncode == 0, done.stderr
    assert other.texts() == clone.texts()


# What a developer's shell, `.env` and machine may hold.
HOSTILE = {
    **{name.upper(): "1" for name in Settings.model_fields},
    "SANDBOX_URL": "http://127.0.0.1:9",
    "EIA_BASE_URL": "http://127.0.0.1:9/",
    "EIA_REGION": "CAL",
    "WEATHER_TZ": "Asia/Tokyo",
    "WEATHER_FURTHER_SITES": "[]",
    "ENERGY_DEMAND_NOW": "2021-01-01T00:00Z",
    "DATABASE_ULR": "mistyped",
    "TZ": "Asia/Tokyo",
    "LC_ALL": "C",
    "PYTHONHASHSEED": "7",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_neither_environment_nor_env_file_changes_a_byte(clone, tmp_path):
    other = fresh(tmp_path / "clone")
    shutil.copy(clone.folder / "params.yaml", other.folder / "params.yaml")
    (other.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in HOSTILE.items()))
    other.environment |= HOSTILE
    for stage in ("ingest", "features"):
        done = other.stage(stage)
        assert done.returncode == 0, done.stderr
    assert bytes_below(other.folder / "data/raw") == bytes_below(clone.folder / "data/raw")
    for name in ("demand.parquet", "features.parquet"):
        stored = (folder / "data/processed" / name for folder in (other.folder, clone.folder))
        assert len({path.read_bytes() for path in stored}) == 1


def test_nothing_of_the_pipeline_reads_settings_but_the_key_of_live_data():
    """What is run above are two stages of four; the others are held to it here."""
    found = {
        (path.stem, name)
        for path in (PROJECT / "src/energy_demand/pipeline").glob("*.py")
        for name in re.findall(r"load_settings\(.*|Settings\(.*|os\.\w+.*", path.read_text())
    }
    assert found == {("ingest", "load_settings().eia_api_key, **region)")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_could_not_write_stops_before_it_works(tmp_path, monkeypatch, capsys, stage):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(SMALL))
    (tmp_path / "data").symlink_to("/proc/self")  # where not even root may write
    assert main([stage]) == 1
    assert re.fullmatch(rf"error: {stage}: \S+ cannot be written \(.*\); .*\n", capsys.readouterr().err)


@pytest.mark.parametrize("stage", STAGES)
def test_looking_at_what_will_be_written_leaves_nothing(tmp_path, monkeypatch, stage):
    monkeypatch.chdir(tmp_path)
    files.check_outputs(OUTPUTS[stage])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_every_file_of_a_stage_is_among_those_that_are_looked_at(clone):
    looked_at = {clone.folder / path for paths in OUTPUTS.values() for path in paths}
    assert all(path.is_file() for path in looked_at)
    written = {path for path in (clone.folder / "data").rglob("*") if path.is_file()} - looked_at
    assert {path.parent for path in written} <= {path.parent for path in looked_at} | {clone.folder / "data"}


@pytest.mark.parametrize("stage", STAGES)
def test_every_source_that_a_stage_loads_is_a_dependency(stage):
    listed = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"][stage]["deps"]
    code = (
        f"import sys, energy_demand.pipeline.{stage}\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'energy_demand'))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True).stdout
    paths = {str(Path(path).relative_to(PROJECT)) for path in loaded.split()}
    missing = {
        path for path in paths if not any(path == each or path.startswith(f"{each}/") for each in listed)
    }
    assert not missing


def test_the_projects_own_parameters_are_valid():
    assert read_params(PROJECT / "params.yaml").data.source == "sandbox"


@pytest.mark.parametrize(
    ("section", "name", "value", "message"),
    [
        pytest.param("data", "source", "disk", "data.source", id="an unknown source"),
        pytest.param("data", "end", "2025-13-01", "data.end", id="a day that is none"),
        pytest.param("data", "end", "2024-10-01", "130", id="too few days"),
        pytest.param("data", "respondent", "ny", "data.respondent", id="a respondent in small letters"),
        pytest.param("data", "strat", "2025-01-01", "data.strat", id="an unknown name"),
        pytest.param("forecast", "protocol", "hourly", "forecast.protocol", id="an unknown protocol"),
        pytest.param("forecast", "test_days", 0, "forecast.test_days", id="no test days"),
        pytest.param("train", "residual_trees", "many", "train.residual_trees", id="text for a number"),
    ],
)
def test_a_bad_parameter_is_one_line_that_names_it(tmp_path, section, name, value, message):
    params = json.loads(json.dumps(SMALL))
    params[section][name] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ParamsError) as caught:
        read_params(tmp_path / "params.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(None, "cannot be read", id="no file"),
        pytest.param("data: [", "is not valid YAML", id="broken YAML"),
        pytest.param("data: {}\ndata: {}", "is not valid YAML", id="a section twice"),
        pytest.param("", "params.yaml", id="an empty file"),
    ],
)
def test_a_stage_without_parameters_fails_in_one_line(tmp_path, monkeypatch, capsys, text, message):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "params.yaml").write_text(text)
    assert main(["ingest"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ingest: ")
    assert line.count("\n") == 1
    assert message in line


@pytest.mark.parametrize(
    ("given", "environment", "message"),
    [
        pytest.param({"source": "live"}, {}, "EIA_API_KEY not set", id="live without a key"),
        pytest.param(
            {"source": "live"},
            {"SANDBOX_URL": "http://127.0.0.1:9"},
            "EIA_API_KEY not set",
            id="live without a key, and a sandbox in the environment",
        ),
        pytest.param(
            {"source": "http://127.0.0.1:9"}, {}, "cannot be reached", id="a sandbox that does not run"
        ),
        pytest.param({"respondent": "AZPS"}, {}, "no demand of AZPS", id="a region that is not served"),
        pytest.param(
            {"respondent": "ZZ"},
            {},
            "data.respondent: ZZ is not in the catalogue",
            id="a region in no catalogue",
        ),
    ],
)
def test_a_failed_ingestion_writes_nothing(tmp_path, monkeypatch, capsys, given, environment, message):
    monkeypatch.setattr("energy_demand.config.project_root", lambda: tmp_path)  # no .env of a developer
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**SMALL, "data": {**SMALL["data"], **given}}))
    assert main(["ingest"]) == 1
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(failed) == 1
    assert message in failed[0]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("stage", ["features", "train", "evaluate"])
def test_a_stage_without_its_input_names_the_missing_file(tmp_path, monkeypatch, capsys, stage):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(SMALL))
    assert main([stage]) == 1
    assert re.fullmatch(r"error: \w+: data/raw/about.json cannot be read .*\n", capsys.readouterr().err)
