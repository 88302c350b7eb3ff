"""One shard's checkpoint: this file is its only writer, which moves forward only and is fenced by the lease."""

from __future__ import annotations

from dataclasses import replace

import anyio

from poller.engine.surroundings import Surroundings
from poller.errors import Unavailable
from poller.events import CheckpointFailed, CheckpointSaved
from poller.model import SHARD_END, Checkpoint, Lease, precedes
from poller.ports import Store
from poller.rules.ordering import Progress
from poller.rules.pacing import backoff_seconds


class Checkpointer:
    """Saves how far a shard is done, which ``progress`` knows at any moment.

    While the store is away a save is tried again and again, and the shard with it stands still; the lease's end
    is what ends that. `LeaseLost` comes through. What several lanes settle while a save is under way goes into the
    next one, together.
    """

    def __init__(
        self, here: Surroundings, *, store: Store, lease: Lease, saved: Checkpoint, progress: Progress
    ) -> None:
        self._here = here
        self._store = store
        self._lease = lease
        self._saved = saved
        self._saving = anyio.Lock()
        self._asked = 0
        self._answered = 0
        self.progress = progress

    @property
    def saved(self) -> Checkpoint:
        """What the store holds."""
        return self._saved

    async def settle(self, outcome: str) -> None:
        """Returns when the progress of now is saved; ``outcome`` is the last word on a batch, for operators."""
        self._asked += 1
        mine = self._asked
        async with self._saving:
            if self._answered < mine:
                asked = self._asked
                await self._save(self.progress.checkpoint(outcome))
                self._answered = asked

    async def note(self, outcome: str) -> None:
        """The shard stands still, and this is why; saved only when it is news."""
        if outcome != self._saved.last_outcome:
            await self.settle(outcome)

    async def finish(self) -> None:
        """The shard is closed and all of it is done; its children may be read."""
        async with self._saving:
            await self._save(replace(self._saved, position=SHARD_END, lanes=(), earlier=(), window=None))

    async def _save(self, checkpoint: Checkpoint) -> None:
        position = checkpoint.position
        assert not precedes(position, self._saved.position), f"the checkpoint {self._saved.position} went to {position}"
        failures = 0
        while True:
            try:
                await self._store.save(self._lease, checkpoint)
                break
            except Unavailable as problem:
                self._here.observer(CheckpointFailed(self._here.mapping, self._here.shard, str(problem)))
                await anyio.sleep(backoff_seconds(failures, self._here.random.random(), cap=5.0))
                failures += 1
        self._saved = checkpoint
        self._here.observer(CheckpointSaved(self._here.mapping, self._here.shard, position))
