"""What poller's own rules and store say, asked once for each question: this file is all that the explorer has of them.

Each answer is a frozen value; what a rule keeps (`Progress`, `LeaseWatch`, the rows of a store) is made anew for each
question, from all that led to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from poller.errors import LeaseLost
from poller.invocation import Chunk, Outcome, Verdict
from poller.model import Checkpoint, Lease, MappingId, Position, Row, Shard, ShardId, WorkerId, precedes
from poller.records import Record
from poller.rules.failure import expire
from poller.rules.leasing import LeaseWatch
from poller.rules.ordering import Progress, by_lane
from tests.explorer.world import World
from tests.virtual import EPOCH

MAPPING = MappingId("mapping")
SHARD = ShardId("shard")
"""All shards live alike, under one name."""
LOST = "the lease is lost"
ENDLESS = 1e9
"""Seconds after which any record is too old."""

_LOOP = asyncio.new_event_loop()


class Still:
    """A clock that stands still: nothing that is explored asks for the wall time of a save."""

    def now(self) -> float:
        return EPOCH


# The store


@cache
def asked(world: World, row: Row, verb: str, *arguments: object) -> tuple[Lease | str | None, Row]:
    """What the store answers that holds ``row``, and the row it holds then."""
    store = world.store(Still())
    store._rows[MAPPING, SHARD] = row  # no verb makes a row that has an owner
    try:
        answer = _LOOP.run_until_complete(getattr(store, verb)(*arguments))
    except LeaseLost:
        answer = LOST
    return answer, store._rows[MAPPING, SHARD]


def created(world: World, checkpoint: Checkpoint) -> Row:
    """The row that a store makes for a shard that is new."""
    store = world.store(Still())
    _LOOP.run_until_complete(store.create(MAPPING, [(Shard(SHARD), checkpoint)]))
    return store._rows[MAPPING, SHARD]


@cache
def free_in(world: World, me: WorkerId, row: Row, seen: int | None) -> int:
    """In how many ticks the lease is free for a worker that looks at it now.

    ``seen``: the same at its last look, counted down since; ``None`` if the lease has moved since then.
    """
    ttl = int(world.times.ttl)
    watch = LeaseWatch(me, ttl)
    if seen is not None:
        watch.observe([row], seen - ttl)
    watch.observe([row], 0)
    return next((ticks for ticks in range(ttl) if watch.takeable([row], (), ticks)), ttl)


# Records


class Did(NamedTuple):
    """What a lane took (``records``, and how far it is read) or, without ``to``, how many of them are done."""

    lane: int
    records: tuple[Record, ...] = ()
    to: Position | None = None
    done: int = 0


@cache
def checkpoint(world: World, lanes: int, begun: Checkpoint, did: tuple[Did, ...]) -> Checkpoint:
    return _progress(world, lanes, begun, did).checkpoint("")


@cache
def all_done(world: World, lanes: int, begun: Checkpoint, did: tuple[Did, ...]) -> bool:
    """Whether nothing that was taken is left to do."""
    return not any(lane.oldest for lane in _progress(world, lanes, begun, did).lanes)


@cache
def next_page(
    world: World, lanes: int, begun: Checkpoint, did: tuple[Did, ...]
) -> tuple[tuple[Record, ...], list[Did]]:
    """What is read next, empty at the end of the shard, and what each lane would take of it."""
    progress = _progress(world, lanes, begun, did)
    front = min(lane.taken_to.place for lane in progress.lanes)
    page = tuple(record for record in world.records if record.place > front)[: world.batch_size]
    takes = []
    for number, fresh in enumerate(_fresh(progress, page)):
        if page and precedes(progress.lanes[number].taken_to, page[-1].position):
            takes.append(Did(number, tuple(fresh), page[-1].position))
    return page, takes


@cache
def passed(world: World, lanes: int, saved: Checkpoint) -> frozenset[int]:
    """The records that a worker which begins at a checkpoint would never deliver."""
    rest = {record for share in _fresh(world.progress(saved, lanes), world.records) for record in share}
    return frozenset(number(record) for record in world.records if record not in rest)


def _progress(world: World, lanes: int, begun: Checkpoint, did: Sequence[Did]) -> Progress:
    """The real value, which is told again what was done."""
    progress = world.progress(begun, lanes)
    for lane, records, to, done in did:
        if to is not None:
            progress.lanes[lane].take(records, to)
        for _ in range(done):
            progress.settle(lane, [progress.lanes[lane].oldest])
    return progress


def _fresh(progress: Progress, records: Sequence[Record]) -> list[Sequence[Record]]:
    """Of each lane's share what it has not taken before."""
    shares = zip(progress.lanes, by_lane(records, len(progress.lanes)), strict=True)
    return [
        progress.without_done([record for record in share if record.place > lane.taken_to.place])
        for lane, share in shares
    ]


@cache
def verdict(world: World, chunk: Chunk, outcome: Outcome) -> Verdict:
    return world.judge(chunk, outcome, world.policy, 0.0)


@cache
def too_old(world: World, chunk: Chunk) -> Verdict | None:
    """The verdict if endless time has passed; ``None`` if records do not grow too old."""
    return expire(chunk, EPOCH + ENDLESS, world.policy, None)


def number(record: Record) -> int:
    return int(record.sequence_number)
