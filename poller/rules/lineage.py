"""Which shards there are to read, and which of them now: this file is the family tree of shards.

Parents come first. What decides is in the store, never in a worker's memory, so that a restart or another worker
comes to the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from poller.mapping import EventSourceMapping
from poller.model import SHARD_END, TRIM_HORIZON, Checkpoint, Listing, Position, Row, Shard, ShardId

FORGET_AFTER_SECONDS = 2 * 24 * 3600.0
"""How long the row of a finished shard outlives its last save; far beyond any disagreement of listings."""


SAME_STREAM_SECONDS = 1.0
"""Moments of creation that are no further apart are one; no stream can be deleted and made again so quickly."""


def unknown(listing: Listing, rows: Sequence[Row]) -> list[Shard]:
    """Listed shards that have no row yet."""
    known = {row.shard for row in rows}
    return [shard for shard in listing.shards if shard.id not in known]


def of_another_stream(rows: Sequence[Row], created_at: float | None) -> list[Row]:
    """Rows of a stream that was deleted: a later one of its name, with shards of the same names, is there now.

    It was ``created_at`` (epoch seconds; ``None`` if nobody knows). A row that was made while its stream's age was not
    to be had is of a stream that was there when it was saved last.
    """
    if created_at is None:
        return []
    return [row for row in rows if created_at - (row.stream_created_at or row.saved_at) > SAME_STREAM_SECONDS]


def starting_checkpoint(shard: Shard, mapping: EventSourceMapping, now: float, *, first_start: bool) -> Checkpoint:
    """Where to begin with a shard that has no row.

    The starting position counts for the shards that exist when a mapping starts; those found later are read from
    their beginning (R-POS-1). LATEST becomes the moment ``now`` (epoch seconds), so that a crash before the first
    record loses nothing (R-POS-3).
    """
    if not first_start or mapping.starting_position == "TRIM_HORIZON":
        return Checkpoint(TRIM_HORIZON)
    if mapping.starting_position == "LATEST":
        return Checkpoint(SHARD_END if shard.closed else Position.at_timestamp(now))
    assert mapping.starting_timestamp is not None, "AT_TIMESTAMP was checked to have a timestamp"
    return Checkpoint(Position.at_timestamp(mapping.starting_timestamp))


def readable(rows: Sequence[Row], listing: Listing) -> list[Row]:
    """The unfinished shards whose parents are done (R-SHARD-1, R-SHARD-2).

    A parent is done when its row says so, or when it has neither a row nor a place in the listing (R-SHARD-3). An
    unfinished row that has left the listing is still read: only the source can say that it is gone.
    """
    finished = {row.shard for row in rows if row.finished}
    present = {row.shard for row in rows} | {shard.id for shard in listing.shards}

    def done(parent: ShardId) -> bool:
        return parent in finished or parent not in present

    return [row for row in rows if not row.finished and all(done(parent) for parent in row.parents)]


def forgettable(rows: Sequence[Row], listing: Listing, now: float) -> list[ShardId]:
    """Rows that nothing needs any more; never the last one, which tells a restart from a first start."""
    listed = {shard.id for shard in listing.shards}
    old = [
        row.shard
        for row in rows
        if row.finished and row.shard not in listed and row.saved_at + FORGET_AFTER_SECONDS < now
    ]
    return old if len(old) < len(rows) else old[1:]
