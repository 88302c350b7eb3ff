"""Checkpoints and leases in this process alone: this file is the shortest store that keeps the whole contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio.lowlevel

from poller.errors import LeaseLost
from poller.mapping import MappingStatus
from poller.model import Checkpoint, Lease, MappingId, Row, Shard, ShardId, WorkerId, first_token
from poller.ports import Clock


class MemoryStore:
    """All rows of all mappings; gone when the process ends. See `poller.ports.Store`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[tuple[MappingId, ShardId], Row] = {}
        self._statuses: dict[MappingId, MappingStatus] = {}

    async def rows(self, mapping: MappingId) -> Sequence[Row]:
        await anyio.lowlevel.checkpoint()
        return [row for (of, _), row in self._rows.items() if of == mapping]

    async def create(
        self,
        mapping: MappingId,
        shards: Sequence[tuple[Shard, Checkpoint]],
        *,
        stream_created_at: float | None = None,
        replacing: Sequence[Row] = (),
    ) -> None:
        await anyio.lowlevel.checkpoint()
        for old in replacing:
            row = self._rows.get((mapping, old.shard))
            if row is not None and row.stream_created_at == old.stream_created_at:
                del self._rows[mapping, old.shard]
        for shard, checkpoint in shards:
            lease = Lease(mapping, shard.id, owner=None, token=first_token(stream_created_at))
            row = Row(lease, shard.parents, checkpoint, self._clock.now(), stream_created_at)
            self._rows.setdefault((mapping, shard.id), row)

    async def take(self, lease: Lease, owner: WorkerId) -> Lease | None:
        await anyio.lowlevel.checkpoint()
        row = self._rows.get((lease.mapping, lease.shard))
        if row is None or (row.lease.token, row.lease.counter) != (lease.token, lease.counter):
            return None
        return self._move(row, replace(row.lease, owner=owner, token=row.lease.token + 1))

    async def renew(self, lease: Lease) -> Lease | None:
        await anyio.lowlevel.checkpoint()
        row = self._row_of(lease)
        return None if row is None else self._move(row, replace(row.lease, counter=row.lease.counter + 1))

    async def release(self, lease: Lease) -> None:
        await anyio.lowlevel.checkpoint()
        row = self._row_of(lease)
        if row is not None:
            self._move(row, replace(row.lease, owner=None))

    async def save(self, lease: Lease, checkpoint: Checkpoint) -> None:
        await anyio.lowlevel.checkpoint()
        row = self._row_of(lease)
        if row is None:
            raise LeaseLost(f"{lease.owner} is no longer the owner of {lease.shard}")
        key = (lease.mapping, lease.shard)
        self._rows[key] = replace(row, checkpoint=checkpoint, saved_at=self._clock.now())

    async def forget(self, mapping: MappingId, shards: Sequence[ShardId]) -> None:
        await anyio.lowlevel.checkpoint()
        for shard in shards:
            self._rows.pop((mapping, shard), None)

    async def status(self, mapping: MappingId) -> MappingStatus | None:
        await anyio.lowlevel.checkpoint()
        return self._statuses.get(mapping)

    async def report(self, status: MappingStatus) -> None:
        await anyio.lowlevel.checkpoint()
        self._statuses[status.mapping] = status

    async def aclose(self) -> None:
        """Nothing to do."""

    def _row_of(self, lease: Lease) -> Row | None:
        """The row, if the lease is still its owner's."""
        row = self._rows.get((lease.mapping, lease.shard))
        if row is None or (row.lease.owner, row.lease.token) != (lease.owner, lease.token):
            return None
        return row

    def _move(self, row: Row, lease: Lease) -> Lease:
        self._rows[lease.mapping, lease.shard] = replace(row, lease=lease)
        return lease
