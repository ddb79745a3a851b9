"""uvicorn's parent of worker processes, which notices at once that a worker has died."""

from __future__ import annotations

from uvicorn.supervisors import Multiprocess


class Workers(Multiprocess):
    """Closes its copy of each worker's end of the pipe that health checks are sent through.

    With that copy open, the death of a worker that is being asked does not end the wait for its answer: for
    `timeout_worker_healthcheck` seconds no worker is replaced and no signal is handled.
    """

    def init_processes(self) -> None:
        """Start the workers."""
        super().init_processes()
        self._close_their_ends()

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have died or do not answer."""
        super().keep_subprocess_alive()
        self._close_their_ends()

    def _close_their_ends(self) -> None:
        for process in self.processes:
            process.child_conn.close()
