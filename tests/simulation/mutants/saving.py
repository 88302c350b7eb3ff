"""Mistakes about what is done: this file is bugs of checkpoints."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import anyio
import anyio.lowlevel

from poller.engine import delivery, lane, shard, stopping, supervisor
from poller.engine.checkpointing import Checkpointer
from poller.errors import Unavailable
from poller.model import precedes
from poller.rules import ordering


def checkpoint_before_the_function_is_called(patch):
    """node-KCL #10, lifion-kinesis, kinsumer."""
    attempt = delivery.Delivery._attempt

    async def early(self, chunk, request_id):
        if chunk.records and precedes(self._checkpointer.saved.position, chunk.records[-1].position):
            await self._checkpointer._save(replace(self._checkpointer.saved, position=chunk.records[-1].position))
        return await attempt(self, chunk, request_id)

    patch.setattr(delivery.Delivery, "_attempt", early)


def what_was_read_taken_for_done(patch):
    """Pulsar #8192: the checkpoint of what was fetched, not of what was processed."""
    patch.setattr(ordering.LaneProgress, "done_to", property(lambda self: self.taken_to))


def two_saves_at_a_time(patch):
    """The older one may land last."""

    async def settle(self, outcome):
        await self._save(self.progress.checkpoint(outcome))

    patch.setattr(Checkpointer, "settle", settle)


def a_save_that_failed_taken_for_done(patch):
    """The store was away, and nobody tries again."""

    async def hopeful(self, checkpoint):
        with suppress(Unavailable):
            await self._store.save(self._lease, checkpoint)
        self._saved = checkpoint

    patch.setattr(Checkpointer, "_save", hopeful)


def the_checkpoint_is_read_before_the_lease_is_taken(patch):
    """The owner before may have moved it meanwhile."""

    async def take(self, rows, shards):
        rows = list(rows)
        trusted_until = anyio.current_time() + self._times.trusted
        for row in rows:
            mine = await self._store.take(row.lease, self._owner)
            if mine is not None:
                held = self._held[row.shard] = supervisor.Held(mine, stopping.StopScope(trusted_until))
                shards.start_soon(self._hold, row, held)

    patch.setattr(supervisor.Supervisor, "_take", take)


def shard_end_saved_while_records_wait(patch):
    """fs2-aws #436, zio-kinesis #555."""

    async def run(self, scope):
        await self._checkpointer.finish()
        await straight(self, scope)

    straight = shard.ShardReader.run
    patch.setattr(shard.ShardReader, "run", run)


def shard_end_saved_while_a_lane_is_behind(patch):
    patch.setattr(lane.Lane, "is_behind", property(lambda self: False))


def shard_end_is_never_saved(patch):
    """Graylog #102, SPARK-18020: the children never start."""

    async def finish(self):
        pass

    patch.setattr(Checkpointer, "finish", finish)
