"""The workflows: they fit their schema, hold to the rules of safety, and name only what is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
import yaml

from energy_demand import __version__
from energy_demand.cli import app
from energy_demand.evaluation.promotion import Decision, Verdict
from energy_demand.jobs.retraining import RetrainingOutcome
from energy_demand.jobs.training import TrainingOutcome
from energy_demand.monitoring.retraining_policy import Trigger
from energy_demand.registry.registry import Version
from energy_demand.terminal.console import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent
FORMS = GITHUB / "ISSUE_TEMPLATE"
ISSUE_FORMS = sorted(path for path in FORMS.glob("*.yml") if path.name != "config.yml")
READ = yaml.BaseLoader  # `on` is a word here, not a truth value


def workflow(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(), READ)


JOBS = [
    pytest.param(job, id=f"{path.stem} {name}")
    for path in WORKFLOWS
    for name, job in workflow(path)["jobs"].items()
]


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for job, body in workflow(path)["jobs"].items():
            for number, step in enumerate(body["steps"]):
                yield f"{path.stem} {job} {number} {step.get('name', '')}", step


SCRIPTS = [pytest.param(step["run"], id=name) for name, step in steps() if "run" in step]


def script(file: str, job: str, name: str) -> str:
    """What one step runs."""
    found = workflow(GITHUB / "workflows" / file)["jobs"][job]["steps"]
    return next(step["run"] for step in found if step.get("name") == name)


def bash(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", code],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def words(code: str) -> Iterator[list[str]]:
    """Each plain command of a script as its words; what stands in a command substitution too."""
    joined = re.sub(r"\\\n", " ", code)
    substituted = re.compile(r'"?\$\(([^()]*)\)"?')
    for piece in re.split(
        r"[\n;|]|&&", "\n".join([substituted.sub("_", joined), *substituted.findall(joined)])
    ):
        try:
            yield shlex.split(piece, comments=True)
        except ValueError:  # half of a quoted text: no command of ours
            continue


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("schema", "files"),
    [
        pytest.param("vendor.github-workflows", WORKFLOWS, id="workflows"),
        pytest.param("vendor.dependabot", [GITHUB / "dependabot.yml"], id="dependabot"),
        pytest.param("vendor.github-issue-forms", ISSUE_FORMS, id="issue forms"),
        pytest.param("vendor.github-issue-config", [FORMS / "config.yml"], id="issue config"),
        pytest.param("vendor.citation-file-format", [ROOT / "CITATION.cff"], id="citation"),
    ],
)
def test_each_file_fits_its_schema(schema, files):
    assert files
    done = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", schema, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("processes")
def test_zizmor_finds_nothing():
    done = subprocess.run(
        [BIN / "zizmor", "--offline", "--no-progress", GITHUB], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_each_action_is_pinned_to_a_commit_and_says_its_version():
    used = [
        line.strip()
        for path in WORKFLOWS
        for line in path.read_text().splitlines()
        if line.strip().startswith(("uses:", "- uses:"))
    ]
    assert used
    pinned = re.compile(r"(- )?uses: actions/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [line for line in used if not pinned.fullmatch(line)] == []


def test_an_action_has_one_version_everywhere():
    lines = {
        (repository, commit, version)
        for path in WORKFLOWS
        for repository, commit, version in re.findall(
            r"uses: (\w+/[\w-]+)\S*@(\w+) # (\S+)", path.read_text()
        )
    }
    assert len({repository for repository, _, _ in lines}) == len(lines)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_unless_a_job_says_more(path):
    assert workflow(path)["permissions"] == {"contents": "read"}
    assert workflow(path)["defaults"]["run"]["shell"] == "bash"
    assert "group" in workflow(path)["concurrency"]


@pytest.mark.parametrize("job", JOBS)
def test_each_job_is_bounded_and_says_what_it_may(job):
    assert 0 < int(job["timeout-minutes"]) <= 120
    writes = {name for name, level in job["permissions"].items() if level != "read"}
    if writes:
        assert job["environment"] == "production"  # which asks a person
        assert writes == {"contents", "packages"}
    for step in job["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("code", SCRIPTS)
def test_each_script_is_bash_and_holds_no_expression(code):
    # An expression would be pasted into the code, a secret among them; values come as variables.
    assert "${{" not in code
    checked = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("code", SCRIPTS)
def test_make_is_called_for_targets_that_are_there(code):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in words(code):
        if command[:1] == ["make"]:
            assert command[1] in targets


@pytest.mark.parametrize("code", SCRIPTS)
def test_our_command_is_called_as_it_can_be(code):
    for command in words(code):
        if "energy-demand" not in command:
            continue
        known = typer.main.get_command(app)
        for word in command[command.index("energy-demand") + 1 :]:
            if word.startswith(">"):
                break
            if word.startswith("--"):
                assert word in {option for each in known.params for option in each.opts}, command
            elif hasattr(known, "commands"):
                assert word in known.commands, command
                known = known.commands[word]


def test_the_commands_are_found_in_the_scripts():
    # The two tests above would pass on scripts that they cannot read.
    called = {
        " ".join(command[:2]) for _, step in steps() for command in words(step.get("run", "")) if command
    }
    assert {"make lint", "make test", "make demo", "make setup", "make env"} <= called
    ours = {f"energy-demand {name}" for name in ("ingest", "backfill", "drift", "retrain", "db", "doctor")}
    assert ours <= called


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_file_that_is_named_is_there(path):
    named = re.findall(r"(?<![\w./-])(?:infra|docs|src|tests|\.github)/[\w./*-]+", path.read_text())
    named += re.findall(r"[\w-]+\.txt", path.read_text())
    assert named
    missing = [name for name in named if not list(ROOT.glob(name)) and not list(GITHUB.glob(name))]
    assert missing == []


def retrained(*, promoted: bool) -> dict[str, Any]:
    moment = datetime(2025, 7, 31, 12, tzinfo=UTC)
    outcome = TrainingOutcome(
        version=Version("7", "run"),
        verdict=Verdict(Decision.PROMOTED if promoted else Decision.REFUSED, "it was judged"),
        metrics={},
        rows=1000,
        first=moment,
        trained_through=moment,
        seconds=1.0,
    )
    return RetrainingOutcome(Trigger.MANUAL, "asked for by hand", outcome).to_json()


@pytest.mark.usefixtures("processes")
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not on PATH (Debian: apt-get install jq)")
@pytest.mark.parametrize(
    ("body", "promoted", "tag", "said"),
    [
        pytest.param(retrained(promoted=True), "true", "model-v7-run-12", "is proven", id="promoted"),
        pytest.param(retrained(promoted=False), "false", "model-v7-run-12", "was refused", id="refused"),
        pytest.param(None, "false", "model-v-run-12", "Nothing was trained", id="nothing to do"),
    ],
)
def test_the_gate_reads_the_verdict(body, promoted, tag, said, tmp_path, capsys):
    print_json(body)
    (tmp_path / "outcome").mkdir()
    (tmp_path / "outcome/retraining.json").write_text(capsys.readouterr().out)
    (tmp_path / "outcome/drift.json").write_text(json.dumps({"reason": "nothing drifted"}))
    done = bash(
        script("retrain-deploy.yml", "gate", "Read the verdict"),
        tmp_path,
        REASON="$(a person's) `words`",
        GITHUB_RUN_NUMBER="12",
        GITHUB_OUTPUT=str(tmp_path / "output"),
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary"),
    )
    assert done.returncode == 0, done.stderr
    output = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert (output["promoted"], output["tag"]) == (promoted, tag)
    summary = (tmp_path / "summary").read_text()
    assert "Asked for: $(a person's) `words`" in summary
    assert "nothing drifted" in summary
    assert said in summary
    assert ("it was judged" in summary) == (body is not None)


def test_the_image_and_the_release_wait_for_a_promotion():
    jobs = workflow(GITHUB / "workflows/retrain-deploy.yml")["jobs"]
    assert "needs.gate.outputs.promoted == 'true'" in jobs["image"]["if"]
    assert "image" in jobs["release"]["needs"]
    assert "if" not in jobs["release"]  # a condition of its own could run it after an image that was skipped


def test_the_model_lies_where_the_image_looks_for_it():
    home = workflow(GITHUB / "workflows/retrain-deploy.yml")["env"]["ENERGY_DEMAND_HOME"]
    assert f"ENERGY_DEMAND_HOME={home}\n" in (ROOT / "infra/Dockerfile.api").read_text()


@pytest.mark.usefixtures("processes")
def test_exceptions_of_the_audit_are_read_and_have_a_reason(tmp_path):
    lines = [
        line
        for line in (GITHUB / "pip-audit-ignore.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert [line for line in lines if len(line.split()) < 4] == []
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github/pip-audit-ignore.txt").write_text("# a comment\n\nGHSA-1 package: why\n")
    stub = tmp_path / ".venv/bin/pip-audit"
    stub.parent.mkdir(parents=True)
    stub.write_text('#!/bin/sh\necho "$@"\n')
    stub.chmod(0o755)
    done = bash(script("ci.yml", "audit", "pip-audit"), tmp_path)
    assert done.stdout.split()[-2:] == ["--ignore-vuln", "GHSA-1"]


def released(changelog: str, version: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "infra/changelog_section.py", version],
        input=changelog,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("processes")
def test_a_release_has_the_changelog_s_section_of_its_version_alone():
    changelog = "## [Unreleased]\n\n## [1.2.0] - 2026-01-02\n\n### Fixed\n\n- One.\n\n## [1.1.0]\n\n- Two.\n"
    assert released(changelog, "1.2.0").stdout == "### Fixed\n\n- One.\n"
    assert released(changelog, "1.1.0").stdout == "- Two.\n"


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    ("version", "said"),
    [("Unreleased", "is empty"), ("1x2", "has no section [1x2]; rename [Unreleased] before the tag")],
)
def test_a_release_without_a_section_is_refused(version, said):
    done = released("## [Unreleased]\n\n## [1.2.0]\n\n- One.\n", version)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_the_citation_has_the_version_of_the_package():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_each_hook_before_a_commit_runs_something_that_is_there():
    (local,) = yaml.load((ROOT / ".pre-commit-config.yaml").read_text(), READ)["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        if hook["language"] == "system":
            program, _, name = hook["entry"].split()[0].rpartition("/")
            assert program == ".venv/bin"
            assert (BIN / name).is_file(), name
