"""The writer of one shard's checkpoint, in virtual time: lanes settle at once, and the store fails and is slow."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random

import anyio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from poller.engine.checkpointing import Checkpointer
from poller.engine.surroundings import Surroundings
from poller.errors import LeaseLost, Unavailable
from poller.model import SHARD_END, TRIM_HORIZON, Checkpoint, Lease, MappingId, Position, ShardId, WorkerId, precedes
from poller.rules.ordering import Progress, by_lane
from tests.builders import record
from tests.fakes import Heard
from tests.machines.running import profile
from tests.virtual import VirtualClock, VirtualLoop

LEASE = Lease(MappingId("m"), ShardId("shard-0"), WorkerId("w/1"), token=1)
FATES = st.lists(st.sampled_from(["saved", "refused", "answer lost", "saved"]), max_size=5)
SECONDS = st.sampled_from([0.0, 0.01, 0.3, 2.0, 10.0])


class FailingStore:
    """Saves as it is told, after a while; keeps all that was saved, in order."""

    def __init__(self):
        self.saved = [Checkpoint(TRIM_HORIZON)]
        self.fates = []
        self.seconds = 0.0
        self.lost = False
        self.under_way = 0

    async def save(self, lease, checkpoint):
        assert lease == LEASE
        self.under_way += 1
        assert self.under_way == 1, "two saves at once: the older may land last"
        try:
            await anyio.sleep(self.seconds)
            if self.lost:
                raise LeaseLost("another has it")
            fate = self.fates.pop(0) if self.fates else "saved"
            if fate != "refused":
                self.saved.append(checkpoint)
            if fate != "saved":
                raise Unavailable(fate)
            await anyio.sleep(self.seconds)
        finally:
            self.under_way -= 1


class Checkpointing(RuleBasedStateMachine):
    """Saves go forward only, a settle returns when what it stands for is saved, and nothing else is ever saved."""

    @initialize(lanes=st.integers(1, 3))
    def begin(self, lanes):
        self.loop = VirtualLoop()
        self.store = FailingStore()
        self.heard = Heard()
        self.progress = Progress(Checkpoint(TRIM_HORIZON), lanes)
        here = Surroundings("m", LEASE.shard, self.heard, VirtualClock(), Random(1))
        self.checkpointer = Checkpointer(
            here, store=self.store, lease=LEASE, saved=Checkpoint(TRIM_HORIZON), progress=self.progress
        )
        self.waiting = [[] for _ in range(lanes)]
        self.count = 0
        self.tasks = []
        self.returned = self.ended = 0

    @rule(keys=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5))
    def read(self, keys):
        page = [record(self.count + n, key=key, arrived_at=float(n)) for n, key in enumerate(keys, 1)]
        self.count += len(page)
        for number, share in enumerate(by_lane(page, len(self.waiting))):
            self.progress.lanes[number].take(share, page[-1].position)
            self.waiting[number] += share

    @rule(lane=st.integers(0, 2), size=st.integers(1, 3), outcome=st.sampled_from(["success", "boom"]))
    def settle(self, lane, size, outcome):
        lane %= len(self.waiting)
        done, self.waiting[lane] = self.waiting[lane][:size], self.waiting[lane][size:]
        self.progress.settle(lane, done)
        self.tasks.append(self.loop.create_task(self.settled(self.reached(), outcome)))

    async def settled(self, reached, outcome):
        """A settle with what it must have saved when it returns."""
        try:
            await self.checkpointer.settle(outcome)
        except LeaseLost:
            assert self.store.lost
            self.ended += 1
            return
        self.returned += 1
        saved = Progress(self.store.saved[-1], len(self.waiting))
        for wanted, lane in zip(reached, saved.lanes, strict=True):
            assert not precedes(lane.taken_to, wanted), "it returned before that was saved"

    def reached(self):
        return [lane.done_to for lane in self.progress.lanes]

    @rule(outcome=st.sampled_from(["success", "no function"]))
    def note(self, outcome):
        self.tasks.append(self.loop.create_task(self.noted(outcome)))

    async def noted(self, outcome):
        try:
            await self.checkpointer.note(outcome)
        except LeaseLost:
            assert self.store.lost
            self.ended += 1
        else:
            self.returned += 1

    @rule(fates=FATES, seconds=SECONDS)
    def the_store_will(self, fates, seconds):
        self.store.fates += fates
        self.store.seconds = seconds

    @rule(seconds=SECONDS)
    def time_passes(self, seconds):
        self.wait(asyncio.sleep(seconds))

    @precondition(lambda self: self.count > 3 and not self.store.lost)
    @rule()
    def another_takes_the_lease(self):
        self.store.lost = True
        self.saved_at_loss = len(self.store.saved)

    def wait(self, coroutine):
        self.loop.run_until_complete(coroutine)
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.remove(task)
            task.result()

    @invariant()
    def saves_go_forward_in_every_lane(self):
        if not hasattr(self, "store"):
            return
        lanes = [[lane.taken_to for lane in Progress(each, len(self.waiting)).lanes] for each in self.store.saved]
        for before, after in pairwise(lanes):
            assert not any(precedes(later, earlier) for earlier, later in zip(before, after, strict=True))
        assert not any(precedes(done, saved) for done, saved in zip(self.reached(), lanes[-1], strict=True))
        if self.store.lost:
            assert len(self.store.saved) == self.saved_at_loss

    def teardown(self):
        """In the end all who wait get their word, and the shard is finished."""
        if not hasattr(self, "store"):
            return
        for lane, waiting in enumerate(self.waiting):
            self.progress.settle(lane, waiting)
        self.tasks.append(self.loop.create_task(self.settled(self.reached(), "success")))
        self.wait(asyncio.sleep(3600))
        assert not self.tasks, "someone waits for ever"
        if not self.store.lost:
            self.store.fates = ["refused", "answer lost"]
            self.wait(self.checkpointer.finish())
            assert self.store.saved[-3].position == (Position(f"AFTER:{self.count}") if self.count else TRIM_HORIZON)
            assert self.store.saved[-1].position == SHARD_END
            assert self.checkpointer.saved == self.store.saved[-1]
        self.loop.close()


TestCheckpointer = Checkpointing.TestCase
TestCheckpointer.settings = profile(150, 30)
