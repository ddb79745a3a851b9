"""Where the independent parts of a job run: in this process, on a local Dask cluster, or on one elsewhere.

Dask schedules, retries and moves the work. What all parts read is sent once, compressed, with the task that
unpacks it, so that a worker that joins or replaces another gets it from the scheduler and needs no database.
"""

from __future__ import annotations

import logging
import pickle
import warnings
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from energy_demand.errors import UserError
from energy_demand.jobs.fan_out.kept_parts import code_digest
from energy_demand.parallel import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from distributed import Client

    Tell = Callable[[object], None]

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")
CONNECT_SECONDS = 10
QUICK = 1  # zlib's level; a higher one takes longer than the network saves


class WorkersError(UserError):
    """The cluster cannot be used, or was lost; the message says what to do."""


class Workers(Protocol):
    """Something that runs the parts of a job."""

    def each(
        self,
        function: Callable[[Shared, Task, Tell], Result],
        shared: Shared,
        tasks: Mapping[int, Task],
        tell: Tell,
    ) -> Iterator[tuple[int, Result]]:
        """Number and result of `function(shared, task, tell)` for each task, as they are finished.

        Args:
            function: of a module, so that a worker can import it.
            shared: what every task reads.
            tasks: by number.
            tell: called by the function with each step of a task; in another process it is not.
        """


def silent(step: object) -> None:
    """Tells nobody."""


class ThisProcess:
    """Runs one part after the other."""

    def each(
        self,
        function: Callable[[Shared, Task, Tell], Result],
        shared: Shared,
        tasks: Mapping[int, Task],
        tell: Tell,
    ) -> Iterator[tuple[int, Result]]:
        """See `Workers`."""
        for number, task in tasks.items():
            yield number, function(shared, task, tell)


THIS_PROCESS = ThisProcess()


@dataclass(frozen=True)
class OnDask:
    """Runs the parts on a Dask cluster.

    A part that a lost worker was at is run again by another. An error of a part is raised here.
    """

    client: Client
    where: str

    def each(
        self,
        function: Callable[[Shared, Task, Tell], Result],
        shared: Shared,
        tasks: Mapping[int, Task],
        tell: Tell,  # noqa: ARG002  (cannot be called from another process)
    ) -> Iterator[tuple[int, Result]]:
        """See `Workers`."""
        from distributed import as_completed  # noqa: PLC0415  (half a second)
        from distributed.client import FutureCancelledError  # noqa: PLC0415
        from distributed.comm.core import CommClosedError  # noqa: PLC0415
        from distributed.scheduler import KilledWorker  # noqa: PLC0415

        if not tasks:
            return
        with warnings.catch_warnings():
            # It is sent once for all parts, and with the task on purpose.
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            known = self.client.submit(_unpacked, packed(shared), pure=False)
        numbers = {
            self.client.submit(function, known, task, silent, pure=False): number
            for number, task in tasks.items()
        }
        left = len(numbers)
        try:
            for future in as_completed(list(numbers), loop=self.client.loop):
                yield numbers[future], future.result()
                left -= 1
        except KilledWorker as error:
            raise WorkersError(
                f"{self.where}: the same part ended several workers (no memory left?); {_kept(left, tasks)}"
            ) from error
        except (FutureCancelledError, CommClosedError, TimeoutError) as error:
            raise WorkersError(f"{self.where}: the scheduler was lost; {_kept(left, tasks)}") from error


@contextmanager
def workers_of(count: int | None = None, address: str | None = None) -> Iterator[Workers]:
    """This process, a local cluster of `count` workers, or the cluster of the scheduler at `address`.

    Raises:
        WorkersError: there is no such scheduler, it has no worker, or a worker has other code.
    """
    if address is None and count is None:
        yield THIS_PROCESS
        return
    import distributed  # noqa: PLC0415  (half a second)

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if address is None:
        where = f"Dask on this machine with {count} workers"
        threads = str(max(1, cores() // (count or 1)))
        with (
            distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                env={"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
                silence_logs=logging.CRITICAL,
            ) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            yield OnDask(client, where)
        return
    where = f"Dask at {address}"
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise WorkersError(
            f"{where}: no scheduler answers; start one with `dask scheduler`, or use --workers instead"
        ) from error
    with client:
        _check(client, where)
        yield OnDask(client, where)


def _check(client: Client, where: str) -> None:
    """Scheduler and workers have this code."""
    try:
        found = {"the scheduler": client.run_on_scheduler(code_digest), **client.run(code_digest)}
    except ImportError as error:
        raise WorkersError(f"{where}: energy-demand is not installed there; install this version") from error
    if len(found) == 1:
        raise WorkersError(f"{where}: it has no worker; start one with `dask worker ADDRESS`")
    others = [who for who, digest in found.items() if digest != code_digest()]
    if others:
        raise WorkersError(
            f"{where}: another version of energy-demand is at {others[0]}"
            f"{f' and {len(others) - 1} more' if others[1:] else ''}; install this one and start it again"
        )


def packed(shared: object) -> bytes:
    """An object, compressed, as a task of the cluster takes it."""
    return zlib.compress(pickle.dumps(shared, protocol=5), QUICK)


def _unpacked(shared: bytes) -> Any:
    return pickle.loads(zlib.decompress(shared))  # noqa: S301  (packed by the client of the same cluster)


def _kept(left: int, tasks: Mapping[int, Any]) -> str:
    return f"{len(tasks) - left} of {len(tasks)} parts are finished and kept; give the same command again"
