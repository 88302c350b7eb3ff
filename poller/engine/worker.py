"""One process: the supervisors of all mappings, from start to drain: this file is the whole worker."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from poller.engine.supervisor import Supervisor
from poller.events import WorkerDraining, WorkerStarted, WorkerStopped
from poller.model import WorkerId
from poller.ports import Observer


class Worker:
    """Runs all supervisors until told to stop."""

    def __init__(
        self, *, owner: WorkerId, supervisors: Sequence[Supervisor], observer: Observer, drain_seconds: float
    ) -> None:
        self._owner = owner
        self._supervisors = supervisors
        self._observer = observer
        self._drain_seconds = drain_seconds

    async def run(self, stop: anyio.Event) -> None:
        """Returns when ``stop`` is set and every shard has come to rest; records above a checkpoint are read again.

        The drain takes ``drain_seconds`` at most, plus the moment that giving back a lease may take.
        """
        self._observer(WorkerStarted(self._owner, len(self._supervisors)))
        async with anyio.create_task_group() as tasks:
            for supervisor in self._supervisors:
                tasks.start_soon(supervisor.run)
            await stop.wait()
            self._observer(WorkerDraining(self._drain_seconds))
            for supervisor in self._supervisors:
                supervisor.stop(self._drain_seconds)
        self._observer(WorkerStopped(drained=all(supervisor.drained for supervisor in self._supervisors)))
