"""Mistakes about shards and their parents: this file is bugs of lineage and of where to begin."""

from __future__ import annotations

from dataclasses import replace

from poller.engine import shard
from poller.model import Listing, Position
from poller.rules import lineage
from tests.simulation.source import SimSource


def children_do_not_wait(patch):
    """artie #422, FLINK-35660."""
    patch.setattr(lineage, "readable", lambda rows, listing: [row for row in rows if not row.finished])


def children_wait_for_one_parent_only(patch):
    """async-kinesis, vmware-go-kcl, lifion-kinesis."""

    def one(rows, listing):
        finished = {row.shard for row in rows if row.finished}
        return [r for r in rows if not r.finished and (not r.parents or finished & set(r.parents))]

    patch.setattr(lineage, "readable", one)


def children_wait_for_parents_that_are_gone(patch):
    """spanner tool #347: a child that is blocked for ever."""

    def blocked(rows, listing):
        finished = {row.shard for row in rows if row.finished}
        return [row for row in rows if not row.finished and finished.issuperset(row.parents)]

    patch.setattr(lineage, "readable", blocked)


def children_begin_at_the_newest_record(patch):
    """The mapping's starting position, LATEST, used for shards that are found later."""
    begin = lineage.starting_checkpoint

    def late(found, mapping, now, *, first_start):
        if first_start:
            return begin(found, mapping, now, first_start=True)
        return replace(begin(found, mapping, now, first_start=False), position=Position.at_timestamp(now))

    patch.setattr(lineage, "starting_checkpoint", late)


def closed_shards_are_never_opened(patch):
    """Redpanda Connect #2649."""
    unknown = lineage.unknown
    patch.setattr(lineage, "unknown", lambda listing, rows: [s for s in unknown(listing, rows) if not s.closed])


def rows_of_finished_shards_are_forgotten_at_once(patch):
    """DynamoDB Streams adapter up to 1.4: the family is read again from its beginning."""

    def forgettable(rows, listing, now):
        return [row.shard for row in rows if row.finished]

    patch.setattr(lineage, "forgettable", forgettable)


def only_the_first_page_of_a_listing(patch):
    """Redpanda Connect, Camel."""
    whole = SimSource.listing

    async def listing(self):
        found = await whole(self)
        return Listing(found.shards[:4], found.retention_seconds, found.stream_created_at)

    patch.setattr(SimSource, "listing", listing)


def a_stream_made_anew_taken_for_the_old_one(patch):
    """Rows keyed by the name alone: what the old stream's shards had done counts for the new one's."""
    patch.setattr(lineage, "of_another_stream", lambda rows, listing: [])


def the_newest_records_are_where_a_mapping_starts_each_time(patch):
    """LATEST that is not pinned: a crash before the first record loses what came meanwhile."""
    run = shard.ShardReader.run

    async def unpinned(self, scope):
        for each in self._checkpointer.progress.lanes:
            if each.taken_to.timestamp is not None:
                each.taken_to = each._settled_to = Position.at_timestamp(self._here.clock.now())
        await run(self, scope)

    patch.setattr(shard.ShardReader, "run", unpinned)
