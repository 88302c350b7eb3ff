"""One shard's checkpoint: this file is its only writer, which moves forward only and is fenced by the lease."""

from __future__ import annotations

from random import Random

import anyio

from poller.errors import Unavailable
from poller.events import CheckpointFailed, CheckpointSaved
from poller.model import SHARD_END, Checkpoint, Lease, Position, Record, precedes
from poller.ports import Observer, Store
from poller.rules.pacing import backoff_seconds


class Checkpointer:
    """Saves how far a shard is done.

    While the store is away a save is tried again and again, and the shard with it stands still; the lease's end
    is what ends that. `LeaseLost` comes through.
    """

    def __init__(
        self, *, store: Store, lease: Lease, checkpoint: Checkpoint, mapping: str, observer: Observer, random: Random
    ) -> None:
        self._store = store
        self._lease = lease
        self._checkpoint = checkpoint
        self._mapping = mapping
        self._observer = observer
        self._random = random

    @property
    def position(self) -> Position:
        return self._checkpoint.position

    async def settle(self, last: Record, outcome: str) -> None:
        """Everything up to and with ``last`` is done; ``outcome`` is the last word on a batch, for operators."""
        position = Position.after(last.sequence_number)
        assert precedes(self.position, position), f"checkpoint {self.position} would not move forward to {position}"
        await self._save(Checkpoint(position, last.arrived_at, outcome))

    async def note(self, outcome: str) -> None:
        """The shard stands still, and this is why; saved only when it is news."""
        if outcome != self._checkpoint.last_outcome:
            await self._save(Checkpoint(self.position, self._checkpoint.arrived_at, outcome))

    async def finish(self) -> None:
        """The shard is closed and all of it is done; its children may be read."""
        await self._save(Checkpoint(SHARD_END, self._checkpoint.arrived_at, self._checkpoint.last_outcome))

    async def _save(self, checkpoint: Checkpoint) -> None:
        failures = 0
        while True:
            try:
                await self._store.save(self._lease, checkpoint)
                break
            except Unavailable as problem:
                self._observer(CheckpointFailed(self._mapping, self._lease.shard, str(problem)))
                await anyio.sleep(backoff_seconds(failures, self._random.random(), cap=5.0))
                failures += 1
        self._checkpoint = checkpoint
        self._observer(CheckpointSaved(self._mapping, self._lease.shard, checkpoint.position))
