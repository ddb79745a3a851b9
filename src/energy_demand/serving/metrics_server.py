"""The metrics endpoint: the sum of all workers' metrics, and the data and drift metrics of the database."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from energy_demand.monitoring.state_metrics import StateCollector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

    from energy_demand.config import Settings

_PROCESS_OF = re.compile(r"_(\d+)\.db$")


class WorkersCollector:
    """Adds up the metrics of all workers; leaves out the gauges of ended ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """The metrics of all processes."""
        for file in self._folder.glob("gauge_live*.db"):
            found = _PROCESS_OF.search(file.name)
            if found and not _lives(int(found[1])):
                file.unlink(missing_ok=True)
        # Not its `collect`, which takes a `[` in the folder's name for a pattern.
        files = [str(file) for file in self._folder.glob("*.db")]
        metrics: Iterable[Metric] = MultiProcessCollector.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
        return metrics


@contextmanager
def serving_metrics(settings: Settings, folder: Path) -> Iterator[None]:
    """Answer scrapes on `PROMETHEUS_PORT` for the length of a `with` block, in threads.

    Raises:
        OSError: the port is taken or not permitted.
    """
    state = StateCollector(settings)
    registry = CollectorRegistry()
    registry.register(WorkersCollector(folder))
    registry.register(state)
    server, thread = start_http_server(settings.prometheus_port, settings.api_host, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        state.close()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
