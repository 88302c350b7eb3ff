"""Every store against a dictionary: several owners with leases old and new, on one file through two connections."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule

from poller.errors import LeaseLost
from poller.mapping import MappingStatus, State
from poller.model import Checkpoint, Lease, MappingId, Position, Shard, ShardId, Window, WorkerId, first_token
from poller.stores.memory import MemoryStore
from poller.stores.sqlite import SqliteStore
from tests.machines.running import profile

MAPPINGS = st.sampled_from([MappingId("orders"), MappingId("items")])
SHARDS = st.sampled_from([Shard(ShardId("s-1")), Shard(ShardId("s-2"), (ShardId("s-1"), ShardId("s-0")))])
OWNERS = {WorkerId("a/1"): 0, WorkerId("b/2"): 1, WorkerId("c 3"): 1}
"""Each owner, and the connection that its worker has."""

POSITIONS = st.sampled_from(["TRIM_HORIZON", "AT_TIMESTAMP:7.000", "AFTER:9", "AFTER:10:2", "SHARD_END"]).map(Position)
CHECKPOINTS = st.builds(
    Checkpoint,
    POSITIONS,
    st.none() | st.sampled_from([0.0, 1_700_000_000.123]),
    st.sampled_from(["", "success", "größe\n"]),
    st.lists(POSITIONS, max_size=3).map(tuple),
    st.lists(st.lists(POSITIONS, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple),
    st.none()
    | st.builds(Window, st.just(60), st.just(90), st.sampled_from([b"{}", '{"ü":1}'.encode()]), st.booleans()),
)
STATUSES = st.builds(
    MappingStatus, MAPPINGS, st.sampled_from(State), st.text("aü", max_size=2), st.text(max_size=2), st.just(1.5)
)


@dataclass
class Row:
    """A row as it must be."""

    lease: Lease
    parents: tuple
    checkpoint: Checkpoint
    saved_at: float
    stream_created_at: float | None


class Stores(RuleBasedStateMachine):
    """What a store answers is what the dictionary says, at each step."""

    seen = Bundle("seen")
    """Leases as somebody saw or got them, however long ago."""

    old = Bundle("old")
    """Rows as somebody saw them."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.time = 100.0
        self.rows: dict[tuple[MappingId, ShardId], Row] = {}
        self.statuses: dict[MappingId, MappingStatus] = {}
        self.dead: set[WorkerId] = set()
        self.stores = self.opened()

    def now(self):
        return self.time

    def do(self, coroutine):
        return self.runner.run(coroutine)

    def of(self, owner):
        return self.stores[OWNERS[owner]]

    def teardown(self):
        for store in self.stores:
            self.do(store.aclose())
        self.runner.close()

    def held(self, lease):
        """The row of a lease, if it is still its owner's."""
        row = self.rows.get((lease.mapping, lease.shard))
        return row if row and (row.lease.owner, row.lease.token) == (lease.owner, lease.token) else None

    @rule(seconds=st.sampled_from([0.0, 0.25, 30.0]))
    def time_passes(self, seconds):
        self.time += seconds

    @initialize(target=seen, mapping=MAPPINGS, shard=SHARDS)
    def begin(self, mapping, shard):
        self.create(mapping, [(shard, Checkpoint(Position("TRIM_HORIZON")))], None, [])
        return self.rows[mapping, shard.id].lease

    @rule(
        mapping=MAPPINGS,
        shards=st.lists(st.tuples(SHARDS, CHECKPOINTS), max_size=2),
        created_at=st.sampled_from([None, 1e9, 2e9]),
        replaced=st.lists(old, max_size=2),
    )
    def create(self, mapping, shards, created_at, replaced):
        self.do(self.stores[0].create(mapping, shards, stream_created_at=created_at, replacing=replaced))
        for row in replaced:
            there = self.rows.get((mapping, row.shard))
            if there and there.stream_created_at == row.stream_created_at:
                del self.rows[mapping, row.shard]
        for shard, checkpoint in shards:
            lease = Lease(mapping, shard.id, None, first_token(created_at))
            new = Row(lease, shard.parents, checkpoint, self.time, created_at)
            self.rows.setdefault((mapping, shard.id), new)

    @rule(target=old, mapping=MAPPINGS, number=st.sampled_from([0, 1]))
    def look(self, mapping, number):
        return multiple(*self.compare(mapping, self.stores[number]))

    @rule(target=seen, mapping=MAPPINGS, number=st.sampled_from([0, 1]))
    def see(self, mapping, number):
        return multiple(*(row.lease for row in self.compare(mapping, self.stores[number])))

    def compare(self, mapping, store):
        found = self.do(store.rows(mapping))
        gone = {row.lease.owner for (of, _), row in self.rows.items() if of == mapping} & self.dead
        for row in self.rows.values():  # of all mappings: who is dead is dead
            if row.lease.owner in gone:
                row.lease = replace(row.lease, owner=None)
        self.dead -= gone
        wanted = {shard: row for (of, shard), row in self.rows.items() if of == mapping}
        assert {row.shard: Row(row.lease, *_others(row)) for row in found} == wanted
        assert len(found) == len(wanted)
        return found

    @rule(target=seen, lease=seen, owner=st.sampled_from(sorted(OWNERS)))
    def take(self, lease, owner):
        got = self.do(self.of(owner).take(lease, owner))
        self.dead.discard(owner)
        row = self.rows.get((lease.mapping, lease.shard))
        if row is None or (row.lease.token, row.lease.counter) != (lease.token, lease.counter):
            assert got is None
            return multiple()
        row.lease = replace(row.lease, owner=owner, token=row.lease.token + 1)
        assert got == row.lease
        return got

    @rule(target=seen, lease=seen.filter(lambda lease: lease.owner))
    def renew(self, lease):
        got = self.do(self.of(lease.owner).renew(lease))
        row = self.held(lease)
        if row is None:
            assert got is None
            return multiple()
        row.lease = replace(row.lease, counter=row.lease.counter + 1)
        assert got == row.lease, "a renewal that does not move the counter is none for those who watch it"
        return got

    @rule(lease=seen.filter(lambda lease: lease.owner))
    def release(self, lease):
        self.do(self.of(lease.owner).release(lease))
        if row := self.held(lease):
            row.lease = replace(row.lease, owner=None)

    @rule(lease=seen.filter(lambda lease: lease.owner), checkpoint=CHECKPOINTS)
    def save(self, lease, checkpoint):
        row = self.held(lease)
        lost = True
        with suppress(LeaseLost):
            self.do(self.of(lease.owner).save(lease, checkpoint))
            lost = False
        assert lost is (row is None)
        if row is not None:
            row.checkpoint, row.saved_at = checkpoint, self.time

    @rule(mapping=MAPPINGS, shards=st.lists(SHARDS, max_size=2))
    def forget(self, mapping, shards):
        self.do(self.stores[0].forget(mapping, [shard.id for shard in shards]))
        for shard in shards:
            self.rows.pop((mapping, shard.id), None)

    @rule(status=STATUSES)
    def report(self, status):
        self.do(self.stores[0].report(status))
        self.statuses[status.mapping] = status

    @rule(mapping=MAPPINGS)
    def status(self, mapping):
        assert self.do(self.stores[1].status(mapping)) == self.statuses.get(mapping)


def _others(row):
    return row.parents, row.checkpoint, row.saved_at, row.stream_created_at


class InMemory(Stores):
    """One store for all."""

    def opened(self):
        return [MemoryStore(self)] * 2


class InOneFile(Stores):
    """Two workers of one host, each with its connection; they close and open it, or die."""

    def opened(self):
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.path = Path(self.folder.name) / "poller.db"
        return [SqliteStore(self.path, self), SqliteStore(self.path, self)]

    def teardown(self):
        super().teardown()
        self.folder.cleanup()

    @rule(number=st.sampled_from([0, 1]))
    def close_and_open(self, number):
        self.do(self.stores[number].aclose())
        self.stores[number] = SqliteStore(self.path, self)

    @rule(number=st.sampled_from([0, 1]))
    def die_and_come_back(self, number):
        """The system drops the locks of a dead process, and leaves its files."""
        locks = self.stores[number]._owners
        self.dead |= set(locks._held)
        for handle in locks._held.values():
            os.close(handle)
        locks._held.clear()
        self.do(self.stores[number].aclose())
        self.stores[number] = SqliteStore(self.path, self)


TestMemory = InMemory.TestCase
TestMemory.settings = profile(60)
TestSqlite = InOneFile.TestCase
TestSqlite.settings = profile(25, 40)
