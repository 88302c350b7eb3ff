"""The batcher against a plain list: counts, bytes, the batching window, and the borders of tumbling windows."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from poller.mapping import BatchPolicy
from poller.rules.batching import Batcher
from poller.rules.envelope import render
from tests.builders import record
from tests.machines.running import profile

NO_BORDER = float("inf")
RECORDS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 30, 400]), st.sampled_from([5, 9, 10, 11])), max_size=4)
"""Sizes of data and moments of arrival, which need not rise."""

TAILS = st.sampled_from([b"]}", b'],"state":{}}', b'],"state":{"n":' + b"1" * 100 + b"}}"])


class Batching(RuleBasedStateMachine):
    """Records go in and come out once and in order, in batches that are as large as they may be, and not too late."""

    @initialize(
        batch_size=st.sampled_from([1, 3, 7, 50]),
        window=st.sampled_from([0.0, 5.0, 60.0]),
        limit=st.sampled_from([250, 1_000, 10**6]),
    )
    def begin(self, batch_size, window, limit):
        self.policy = BatchPolicy(batch_size, window, limit)
        self.batcher = Batcher(self.policy)
        self.waiting = []
        self.opened_at = 0.0
        self.tail, self.border = b"]}", NO_BORDER
        self.now = 0.0
        self.count = 0

    @rule(given=RECORDS)
    def add(self, given):
        new = [record(self.count + n, size=size, arrived_at=at) for n, (size, at) in enumerate(given, 1)]
        self.count += len(new)
        if not self.waiting:
            self.opened_at = self.now
        self.batcher.add(new, self.now)
        self.waiting += new

    @rule(seconds=st.sampled_from([0.1, 4.9, 5.0, 55.0, 60.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.waiting)
    @rule(tail=TAILS, border=st.sampled_from([10.0, 10.0, NO_BORDER]))
    def fit(self, tail, border):
        """A border lies behind the arrival of the head, for its window is the one that is open."""
        self.tail, self.border = tail, border if self.waiting[0].arrived_at < border else NO_BORDER
        self.batcher.fit(len(render((), self.tail)), self.border)

    @rule()
    def reopen(self):
        self.batcher.reopen(self.now)
        self.opened_at = self.now

    @rule(flush=st.booleans())
    def take(self, flush):
        batch, due = self.batcher.take(self.now, flush=flush), self.due()
        if not batch:
            assert not self.waiting or not (flush or due)
            return
        assert flush or due
        assert list(batch) == self.waiting[: len(batch)], "a record came, went, or lost its place"
        self.waiting = self.waiting[len(batch) :]
        assert self.may_go(batch)
        assert not self.waiting or not self.may_go([*batch, self.waiting[0]]), "more would have gone"

    def may_go(self, batch):
        """Whether Lambda would send these together (R-BATCH-2, R-BATCH-7, R-WIN-3)."""
        return len(batch) == 1 or (
            len(batch) <= self.policy.batch_size
            and len(render(batch, self.tail)) <= self.policy.payload_bytes_max
            and all(each.arrived_at < self.border for each in batch[1:])
        )

    def due(self):
        """All that waits cannot be one batch, or it is one by its count, or it waited long enough."""
        return bool(self.waiting) and (
            len(self.waiting) >= self.policy.batch_size
            or len(render(self.waiting, self.tail)) > self.policy.payload_bytes_max
            or any(each.arrived_at >= self.border for each in self.waiting)
            or self.now >= self.opened_at + self.policy.window_seconds
        )

    @invariant()
    def it_knows_what_waits(self):
        if not hasattr(self, "batcher"):
            return
        assert len(self.batcher) == len(self.waiting)
        assert self.batcher.head is (self.waiting[0] if self.waiting else None)
        assert self.batcher.size_bytes == sum(len(each.body) + 1 for each in self.waiting)
        assert (self.batcher.due_at() <= self.now) is self.due()


TestBatcher = Batching.TestCase
TestBatcher.settings = profile(300, 30)
