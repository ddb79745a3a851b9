"""The command `energy-demand dashboard`."""

from __future__ import annotations

import socket

import pytest

from dashboard import server
from energy_demand.errors import UserError
from support import make_settings

pytestmark = pytest.mark.usefixtures("processes")


def test_a_port_that_is_taken_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("ENERGY_DEMAND_NOW", "2025-03-12T13:00Z")  # set by the command; put back afterwards
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = make_settings(energy_demand_home=tmp_path, dashboard_port=port)
        with pytest.raises(UserError, match=rf"cannot listen on 127.0.0.1:{port}: .* DASHBOARD_PORT"):
            server.run(settings)


def test_it_says_where_it_is_and_ends_when_told(served):
    assert f"http://127.0.0.1:{served.port}" in served.log()
    assert "Traceback" not in served.log()
