"""The models of the dashboard: pages run in threads, and one booster never computes in two of them."""

from __future__ import annotations

import ast
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import dashboard
from dashboard import store
from energy_demand.model.base.booster import BOOSTER_COLUMNS
from energy_demand.timeaxis import local_day
from support import PRESENT, make_settings

THREADS = 6


class Booster:
    """Stands for LightGBM: notes when a second thread comes in while one computes."""

    def __init__(self) -> None:
        self._inside = threading.Lock()
        self.together = False
        self.calls = 0

    def compute(self) -> None:
        if not self._inside.acquire(blocking=False):
            self.together = True
            return
        threading.Event().wait(0.02)
        self.calls += 1
        self._inside.release()

    def feature_importance(self, importance_type: str) -> list[float]:
        assert importance_type == "gain"
        self.compute()
        return [1.0] * len(BOOSTER_COLUMNS)


@pytest.fixture
def booster(monkeypatch) -> Booster:
    """What every version is made of, with nothing behind it."""
    booster = Booster()

    def contributions(rows: pd.DataFrame) -> pd.DataFrame:
        booster.compute()
        return rows

    def forecast_stored(*_: object) -> str:
        booster.compute()
        return "forecast"

    forecaster = SimpleNamespace(base=SimpleNamespace(contributions=contributions), booster=booster)
    monkeypatch.setattr(store, "_model", lambda _region, _version: SimpleNamespace(forecaster=forecaster))
    monkeypatch.setattr(store, "forecast_stored", forecast_stored)
    monkeypatch.setattr(store, "settings", make_settings)
    monkeypatch.setattr(store, "database", lambda: None)
    return booster


def test_a_booster_is_asked_by_one_thread_at_a_time(booster):
    tomorrow = local_day(PRESENT.replace(day=PRESENT.day + 1), make_settings().region.zone)
    asked = [
        lambda: store._forecast.__wrapped__("NY", PRESENT, tomorrow, "1"),
        lambda: store._contributions.__wrapped__("NY", "1", pd.DataFrame()),
        lambda: store._importance.__wrapped__("NY", "1", "gain"),
    ] * THREADS
    with ThreadPoolExecutor(len(asked)) as pool:
        for answer in [pool.submit(each) for each in asked]:
            answer.result()
    assert not booster.together
    assert booster.calls == len(asked)


def test_the_importance_of_each_column_is_named(booster):
    assert store._importance.__wrapped__("NY", "1", "gain") == dict.fromkeys(BOOSTER_COLUMNS, 1.0)


def test_no_page_takes_a_model_out_of_the_store():
    folder = Path(dashboard.__file__).parent
    for file in folder.rglob("*.py"):
        if file.name in {"store.py", "server.py"}:
            continue
        names = {
            node.attr if isinstance(node, ast.Attribute) else node.id
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, (ast.Attribute, ast.Name))
        }
        assert not names & {"_model", "forecaster", "booster"}, file
