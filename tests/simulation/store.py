"""The store of all simulated workers, and one worker's way to it: this file writes what it holds into the history."""

from __future__ import annotations

import asyncio

import anyio
from anyio.abc import TaskGroup

from poller.errors import LeaseLost, Unavailable
from poller.model import Checkpoint, Lease, Row
from poller.stores.memory import MemoryStore
from tests.history import entries
from tests.history.log import History
from tests.simulation.faults import Faults
from tests.simulation.life import Life
from tests.virtual import VirtualClock


class OpenStore(MemoryStore):
    """The real memory store, which the harness can look into, copy, and put an older copy of in its place."""

    def __init__(self, history: History) -> None:
        super().__init__(VirtualClock())
        self._history = history
        self._known: dict[tuple[str, str], float | None] = {}

    def all(self) -> list[Row]:
        return list(self._rows.values())

    def row(self, mapping: str, shard: str) -> Row:
        return self._rows[mapping, shard]

    def copy(self) -> tuple[dict, dict]:
        return dict(self._rows), dict(self._known)

    def restore(self, copy: tuple[dict, dict]) -> None:
        self._rows, self._known = dict(copy[0]), dict(copy[1])
        positions = tuple((row.shard, str(row.checkpoint.position)) for row in self.all())
        self._history.add(entries.Restored(_now(), positions))

    async def create(self, mapping, shards, **more) -> None:
        await super().create(mapping, shards, **more)
        for shard, _ in shards:
            row = self._rows[mapping, shard.id]
            if self._known.get((mapping, shard.id), "none") != row.stream_created_at:
                self._known[mapping, shard.id] = row.stream_created_at
                self._history.add(entries.Began(_now(), shard.id, str(row.checkpoint.position), row.stream_created_at))

    async def save(self, lease: Lease, checkpoint: Checkpoint) -> None:
        await super().save(lease, checkpoint)
        position = str(checkpoint.position)
        self._history.add(entries.Saved(_now(), lease.owner or "", lease.shard, position, lease.token))

    async def forget(self, mapping, shards) -> None:
        await super().forget(mapping, shards)
        for shard in shards:
            self._known.pop((mapping, shard), None)

    def _move(self, row: Row, lease: Lease) -> Lease:
        if lease.owner is None:
            self._history.add(entries.Released(_now(), row.lease.owner or "", row.shard, row.lease.token))
        elif lease.token != row.lease.token:
            self._history.add(entries.Leased(_now(), lease.owner, row.shard, lease.token))
        return super()._move(row, lease)


class SimStore:
    """One worker's way to the store of all; see `poller.ports.Store`.

    What a paused worker has sent stays in the ``network``, and lands although the worker may have given up.
    """

    def __init__(self, shared: OpenStore, life: Life, faults: Faults, network: TaskGroup) -> None:
        self._shared = shared
        self._life = life
        self._faults = faults
        self._network = network

    async def _call(self, verb, *arguments, **more):
        await self._life.takes_time("store slow")
        if self._faults.is_away("store"):
            raise Unavailable("the store cannot be reached")
        if self._life.strikes("store unavailable"):
            raise Unavailable("the store is away")
        if self._life.strikes("store call held"):
            answer = await self._late(verb, arguments, more)
        else:
            answer = await verb(*arguments, **more)
        await self._life.takes_time("store slow")
        if self._life.strikes("store answer lost"):
            raise Unavailable("the answer of the store was lost")
        return answer

    async def _late(self, verb, arguments, more):
        """The call lands some time later, whether the worker still waits for it or not."""
        landed, answers, lost = anyio.Event(), [], []
        restored = self._faults.seen["store restored"]

        async def land():
            await anyio.sleep(self._life.seconds_held())
            if restored != self._faults.seen["store restored"]:
                return  # it went to the store that was there before
            try:
                answers.append(await verb(*arguments, **more))
            except (LeaseLost, Unavailable) as error:
                lost.append(error)
            landed.set()

        self._network.start_soon(land)
        await landed.wait()
        if lost:
            raise lost[0]
        return answers[0]

    async def rows(self, mapping):
        return await self._call(self._shared.rows, mapping)

    async def create(self, mapping, shards, *, stream_created_at=None, replacing=()):
        created_at = None if stream_created_at is None else float(stream_created_at)
        await self._call(self._shared.create, mapping, shards, stream_created_at=created_at, replacing=replacing)

    async def take(self, lease, owner):
        return await self._call(self._shared.take, lease, owner)

    async def renew(self, lease):
        return await self._call(self._shared.renew, lease)

    async def release(self, lease):
        await self._call(self._shared.release, lease)

    async def save(self, lease, checkpoint):
        await self._call(self._shared.save, lease, checkpoint)

    async def forget(self, mapping, shards):
        await self._call(self._shared.forget, mapping, shards)

    async def status(self, mapping):
        return await self._call(self._shared.status, mapping)

    async def report(self, status):
        await self._call(self._shared.report, status)

    async def aclose(self):
        pass


def _now() -> float:
    return asyncio.get_running_loop().time()
