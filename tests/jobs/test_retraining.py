"""Retraining: one at a time, safe to kill anywhere, and never a worse champion than before."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from children import held_at, run_and_kill, run_job
from short import NOTHING_LISTENS, SHORT, poisoned

from energy_demand.database.job_runs import Job, JobRunningError
from energy_demand.evaluation.contest import compared, day_ahead, unseen_days
from energy_demand.evaluation.promotion import judge
from energy_demand.jobs.retraining import KILLED, run_retraining
from energy_demand.model.base.training import TooFewRowsError
from energy_demand.model.train import fit
from energy_demand.monitoring.reference import read_reference
from energy_demand.monitoring.retraining_policy import Trigger
from energy_demand.registry.mlflow_store import RegistryUnavailableError
from energy_demand.registry.registry import Registry
from logged import away
from records import QUICK, synthetic_record
from support import PRESENT

PROMOTE = "energy_demand.registry.registry:Registry.apply_verdict"
# What runs right before a version is registered, and before it is promoted.
REGISTER = "energy_demand.jobs.training:_holdout_metrics"
PROMOTED_BY = "energy_demand.database.decisions:note_version"
END = "energy_demand.database.decisions:end_retraining"


@pytest.mark.usefixtures("_worse_serves")
def test_a_better_model_serves_and_the_log_has_its_version_and_verdict(
    database, settings, registry, retrainings
):
    few = settings.model_copy(update={"model_versions_kept": 2})
    outcome = run_retraining(
        database, registry, few, PRESENT, trigger=Trigger.CONCEPT, reason="a chart alarmed", recipe=SHORT
    )
    (row,) = retrainings()
    assert outcome.training.verdict.promoted
    assert (row.outcome, row.trigger, row.reason) == ("promoted", "concept", "a chart alarmed")
    assert (row.model_version, row.run_id) == ("3", outcome.training.version.run_id)
    assert (row.started_at, row.finished_at, row.error) == (PRESENT, PRESENT, None)
    assert row.verdict["reason"] == outcome.training.verdict.reason
    assert row.verdict["days"] == 17
    assert row.verdict["challenger"]["mape"] < row.verdict["champion"]["mape"]
    assert (registry.champion_version(), registry.champion().previous) == ("3", "2")
    assert read_reference(settings.reference_path).version == "3"
    assert outcome.pruned == ("1",)
    # The names that callers look for, of the holdout, in the answer and on the run in MLflow.
    measured = registry.champion().metrics
    assert {
        name: outcome.training.metrics[name] for name in ("mae", "rmse", "r2", "mape")
    }.items() <= measured.items()
    assert [measured[name] for name in ("mae", "rmse", "mape")] == [
        measured[f"test_{name}"] for name in ("mae", "rmse", "mape")
    ]
    assert 0 < measured["r2"] < 1


@pytest.mark.usefixtures("_worse_serves")
def test_of_two_retrainings_at_once_only_one_runs(database, settings, registry, retrainings):
    with held_at(Job.RETRAIN, settings, ("before", PROMOTE)) as first:
        with pytest.raises(JobRunningError, match="another retrain job for NY is already running"):
            run_job(Job.RETRAIN, database, settings)
        assert [row.outcome for row in retrainings()] == ["running"]
        assert registry.champion_version() == "2"
    assert first.exitcode == 0
    assert [(row.outcome, row.model_version) for row in retrainings()] == [("promoted", "3")]
    assert registry.champion_version() == "3"


@pytest.mark.slow
@pytest.mark.usefixtures("_worse_serves")
@pytest.mark.parametrize("point", [REGISTER, PROMOTED_BY], ids=["before registering", "before promoting"])
def test_one_that_lost_its_lock_to_another_promotes_nothing(
    database, settings, registry, retrainings, database_url, point
):
    with held_at(Job.RETRAIN, settings, ("before", point)) as first:
        with away(database_url):
            pass  # its connections end, and the lock with them
        run_job(Job.RETRAIN, database, settings)
        serves = registry.champion_version()
    assert first.exitcode == 1
    lost, other = retrainings()
    assert (lost.outcome, other.outcome) == ("failed", "promoted")
    assert "lost its lock" in lost.error
    assert other.model_version == serves == registry.champion_version()
    assert lost.model_version == (None if point == REGISTER else "3")


@pytest.mark.slow
@pytest.mark.usefixtures("_worse_serves")
def test_one_that_takes_its_lock_again_promotes_once(database, settings, registry, retrainings, database_url):
    with held_at(Job.RETRAIN, settings, ("before", REGISTER)) as first, away(database_url):
        pass
    assert first.exitcode == 0
    assert [(row.outcome, row.model_version) for row in retrainings()] == [("promoted", "3")]
    assert registry.champion_version() == "3"


@pytest.mark.slow
@pytest.mark.usefixtures("_worse_serves")
def test_one_killed_before_promotion_left_the_champion_and_is_logged_as_failed_by_the_next(
    database, settings, registry, retrainings
):
    run_and_kill(Job.RETRAIN, settings, ("before", PROMOTE))
    assert registry.champion_version() == "2"
    assert [(row.outcome, row.model_version) for row in retrainings()] == [("running", "3")]
    run_job(Job.RETRAIN, database, settings)
    killed, after = retrainings()
    assert (killed.outcome, killed.error, killed.finished_at) == ("failed", KILLED, PRESENT)
    assert (after.outcome, after.model_version) == ("promoted", "4")
    assert (registry.champion_version(), registry.champion().previous) == ("4", "2")


@pytest.mark.slow
@pytest.mark.usefixtures("_worse_serves")
def test_one_killed_after_promotion_is_logged_as_promoted(database, settings, registry, retrainings):
    run_and_kill(Job.RETRAIN, settings, ("before", END))
    assert registry.champion_version() == "3"
    assert [(row.outcome, row.model_version) for row in retrainings()] == [("running", "3")]
    again = run_job(Job.RETRAIN, database, settings)
    assert not again.training.verdict.decided  # no day that neither model has seen
    assert [(row.outcome, row.error) for row in retrainings()] == [("promoted", None), ("shadow", None)]
    assert (registry.champion_version(), registry.champion().previous) == ("3", "2")
    assert read_reference(settings.reference_path).version == "3"


def test_without_mlflow_the_champion_stays_and_the_log_has_the_reason(
    database, settings, registry, retrainings, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = settings.model_copy(update={"mlflow_tracking_uri": NOTHING_LISTENS})
    with pytest.raises(RegistryUnavailableError, match="the champion is unchanged"):
        run_retraining(database, Registry(away), away, PRESENT, trigger=Trigger.AGE, recipe=SHORT)
    (row,) = retrainings()
    assert (row.outcome, row.model_version, row.verdict) == ("failed", None, None)
    assert f"MLflow at {NOTHING_LISTENS} failed" in row.error
    assert registry.champion_version() == "1"


@pytest.mark.usefixtures("_worse_serves")
def test_where_mlflow_goes_away_before_the_promotion_the_champion_stays(
    database, settings, registry, retrainings
):
    store = settings.home / "mlflow"
    elsewhere = store.with_name("elsewhere")

    def store_is_lost(_version):
        store.rename(elsewhere)
        store.write_text("no folder")

    with pytest.raises(RegistryUnavailableError):
        run_retraining(
            database,
            registry,
            settings,
            PRESENT,
            trigger=Trigger.MANUAL,
            recipe=SHORT,
            progress=lambda step: store_is_lost(step) if step == "registering" else None,
        )
    store.unlink()
    elsewhere.rename(store)
    (row,) = retrainings()
    assert row.outcome == "failed"
    assert "the champion is unchanged" in row.error
    assert Registry(settings).champion_version() == "2"


@pytest.fixture(scope="module")
def duel():
    """A challenger whose last month of training was 30 % too high, its champion, and the right record."""
    right = synthetic_record(days=180, runs=False)
    return fit(poisoned(right), QUICK).judged, fit(right, QUICK).judged, right


@pytest.mark.parametrize("refit", [True, False], ids=["as a refit", "as a remedy"])
def test_a_challenger_trained_on_poisoned_data_is_not_promoted(refit, duel):
    challenger, champion, right = duel
    days = unseen_days(right, challenger, champion)
    verdict = judge(
        compared(day_ahead(challenger, right, days), day_ahead(champion, right, days), right), refit=refit
    )
    assert verdict.days == 16
    assert not verdict.promoted
    assert verdict.challenger["mape"] > 1.5 * verdict.champion["mape"]
    assert verdict.reason.startswith("worse than the champion")


def test_with_too_few_rows_nothing_is_trained(database, settings, registry, retrainings):
    with database.transaction() as connection:
        connection.execute(sa.text("DELETE FROM raw_demand WHERE period < '2025-02-25'"))
    with pytest.raises(TooFewRowsError):
        run_job(Job.RETRAIN, database, settings)
    (row,) = retrainings()
    assert (row.outcome, row.model_version) == ("skipped", None)
    assert "are too few to train on" in row.error
    assert registry.champion_version() == "1"
