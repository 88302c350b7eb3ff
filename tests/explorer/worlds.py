"""The worlds that are explored, and the counter-examples: this file is what the tests and the command line run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from poller.invocation import Verdict
from poller.mapping import FailurePolicy
from poller.model import Checkpoint
from poller.rules import lineage
from poller.rules.leasing import LeaseTimes
from poller.rules.ordering import Progress
from poller.stores.memory import MemoryStore
from tests.explorer.world import FINE, World

ALONE = {"shard": ()}
CHAIN = {"parent": (), "child": ("parent",)}
SPLIT = {"parent": (), "left": ("parent",), "right": ("parent",)}
MERGE = {"one": (), "two": (), "child": ("one", "two")}

ONE = ("k",)
TWO = ("k", "k")
TWO_LANES = ("a", "d")
"""Keys of different lanes, where there are two."""
CAREFUL = FailurePolicy(retries_max=1, bisect=True, report_item_failures=True, age_seconds_max=60)


def lease_world(name: str, **changes) -> World:
    """One record and much time: what matters is who may work on it."""
    return World(name, ALONE, **{"keys": ONE, "times": FINE, "late_ticks": 1, "renews": True, **changes})


SMALL = [
    World("one shard, any number of faults", ALONE, keys=ONE),
    lease_world("a lease in ticks, one fault", faults_max=1),
    World("a parent and a child, one fault", CHAIN, keys=TWO, faults_max=1),
    World("a split, no fault", SPLIT, keys=TWO, faults_max=0),
    World("a merge, no fault", MERGE, keys=TWO, faults_max=0),
    World("two lanes, one fault", CHAIN, keys=TWO_LANES, lanes=(2, 2), faults_max=1),
    World("one worker has a lane, the other two", ALONE, keys=("a", "d", "a"), lanes=(1, 2), faults_max=1),
    World("retries, partial failures and ages", ALONE, keys=TWO, policy=CAREFUL, faults_max=1),
]
"""Explored whole within seconds."""

LARGE = [
    World("one shard of two records, any number of faults", ALONE, keys=TWO),
    lease_world("a lease in ticks, any number of faults"),
    World("a parent and a child, any number of faults", CHAIN, keys=ONE),
    World("a merge, one fault", MERGE, keys=ONE, faults_max=1),
    World("a split, one fault", SPLIT, keys=TWO, faults_max=1),
    World("a split, four records a shard, three faults", SPLIT, keys=TWO * 2, faults_max=3),
    World("a rolling change of lanes over a split", SPLIT, keys=TWO_LANES, lanes=(1, 2), faults_max=1),
    World("retries, partial failures and ages over a parent", CHAIN, keys=TWO, policy=CAREFUL, faults_max=2),
]


class Unfenced(MemoryStore):
    """Does what any lease asks for."""

    def _row_of(self, lease):
        return self._rows.get((lease.mapping, lease.shard))


class Unasking(MemoryStore):
    """Gives a lease to whoever asks, whatever became of the one that was seen."""

    async def take(self, lease, owner):
        return await super().take(self._rows[lease.mapping, lease.shard].lease, owner)


class ReadIsDone(Progress):
    """Takes for done what was read, as those do that save where their iterator stands."""

    def checkpoint(self, outcome: str) -> Checkpoint:
        read_to = min((lane.taken_to for lane in self.lanes), key=lambda position: position.place)
        return replace(super().checkpoint(outcome), position=read_to, lanes=())


def ungated(rows, listing):
    return [row for row in rows if not row.finished]


def first_shards_only(rows, listing):
    return [row for row in lineage.readable(rows, listing) if not row.parents]


def pleased(chunk, outcome, policy, jitter):
    return Verdict(settled=chunk.records)


@dataclass(frozen=True, slots=True)
class CounterExample:
    """A world with one rule that is wrong, and the promise it is found to break."""

    world: World
    promise: str


COUNTER_EXAMPLES = [
    CounterExample(World("without the fence", ALONE, keys=TWO, faults_max=1, store=Unfenced), "back"),
    CounterExample(World("without the gate of the parents", SPLIT, faults_max=0, readable=ungated), "parent"),
    CounterExample(World("with what is read taken for done", ALONE, faults_max=0, progress=ReadIsDone), "lost"),
    CounterExample(World("with every answer taken for success", ALONE, faults_max=0, judge=pleased), "lost"),
    CounterExample(World("with the row as it was before the take", ALONE, faults_max=1, reads_row_again=False), "back"),
    CounterExample(World("with a take that compares nothing", ALONE, faults_max=0, store=Unasking), "exclusion"),
    CounterExample(lease_world("without a margin", faults_max=0, times=LeaseTimes(ttl=3, margin=0)), "exclusion"),
    CounterExample(lease_world("with trust from the answer on", faults_max=0, trusts_from_answer=True), "exclusion"),
    CounterExample(World("with saves that overtake each other", ALONE, faults_max=1, waits_for_store=False), "back"),
    CounterExample(World("with children that nobody reads", CHAIN, faults_max=0, readable=first_shards_only), "end"),
]
