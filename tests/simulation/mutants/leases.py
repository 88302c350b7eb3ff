"""Mistakes about who owns a shard: this file is bugs of leases and fences."""

from __future__ import annotations

from dataclasses import replace

import anyio
import anyio.lowlevel

from poller.engine import stopping, supervisor
from poller.rules import leasing
from poller.stores.memory import MemoryStore


def no_fence_in_the_store(patch):
    """vmware-go-kcl, lifion-kinesis, Harlow's consumer, async-kinesis: a zombie commits."""
    patch.setattr(MemoryStore, "_row_of", lambda self, lease: self._rows.get((lease.mapping, lease.shard)))


def the_fence_is_looked_at_before_the_write(patch):
    """Read, then write: the lease may be lost between."""
    save = MemoryStore.save

    async def late(self, lease, checkpoint):
        if self._row_of(lease) is None:
            await save(self, lease, checkpoint)
        await anyio.sleep(1)
        key = (lease.mapping, lease.shard)
        self._rows[key] = replace(self._rows[key], checkpoint=checkpoint)

    patch.setattr(MemoryStore, "save", late)


def giving_back_wipes_the_new_owner(patch):
    """async-kinesis on DynamoDB."""

    async def release(self, lease):
        row = self._rows.get((lease.mapping, lease.shard))
        if row is not None:
            self._move(row, replace(row.lease, owner=None))

    patch.setattr(MemoryStore, "release", release)


def a_lease_is_taken_although_its_owner_lives(patch):
    """Bento #1012: workers steal from each other, and from themselves."""
    patch.setattr(leasing.LeaseWatch, "_is_free", lambda self, row, now: True)


def a_lease_is_trusted_for_ever(patch):
    """A worker that was cut off goes on although another one has its shard."""

    async def never(self):
        await anyio.sleep_forever()

    begin = stopping.StopScope.__init__
    patch.setattr(stopping.StopScope, "__init__", lambda self, until: begin(self, float("inf")))
    patch.setattr(supervisor.Supervisor, "_renew_for_ever", never)
