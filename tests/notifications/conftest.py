"""Servers that take messages, and settings that name them."""

from __future__ import annotations

import pytest

from support import make_settings
from webhook import webhook


@pytest.fixture
def hook(processes):
    with webhook() as server:
        yield server


@pytest.fixture
def other_hook(processes):
    with webhook() as server:
        yield server


@pytest.fixture
def settings_of(settings):
    """Settings of this test's database with these given too."""

    def given(**more: object):
        kept = {name: getattr(settings, name) for name in ("database_url", "energy_demand_home")}
        return make_settings(**kept, **more)

    return given
