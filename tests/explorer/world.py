"""What there is to explore: this file is the small worlds, in which every rule of poller can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from poller.invocation import Chunk, Outcome, Verdict
from poller.mapping import FailurePolicy
from poller.model import Checkpoint, Listing, Row, Shard, ShardId
from poller.records import Record
from poller.rules import failure, lineage
from poller.rules.leasing import LeaseTimes
from poller.rules.ordering import Progress
from poller.stores.memory import MemoryStore
from tests import builders

WORKERS = ("A", "B")

COARSE = LeaseTimes(ttl=1, margin=0)
"""One tick is a whole lease time, for which a lease was not renewed: its owner leaves at once, or stood still."""
FINE = LeaseTimes(ttl=3, margin=1)
"""Three ticks, two of which the owner trusts its lease for; an answer may take one."""


@dataclass(frozen=True, eq=False)
class World:
    """Two workers and the shards of ``family`` (each with its parents), each with one record for each of ``keys``.

    ``lanes`` are those of each worker, which differ while a setting is rolled out. ``faults_max`` limits how many
    faults there are; ``None``: any number. ``late_ticks`` is how late a running process may be at most; one that is
    later stood still. ``renews``: leases may be renewed, and the answers take time.
    """

    name: str
    family: dict[str, tuple[str, ...]]
    keys: tuple[str, ...] = ("k", "k")
    batch_size: int = 2
    lanes: tuple[int, int] = (1, 1)
    policy: FailurePolicy = field(default_factory=lambda: FailurePolicy(retries_max=0, bisect=True))
    times: LeaseTimes = COARSE
    late_ticks: int = 0
    renews: bool = False
    faults_max: int | None = None

    # The rules, as they are; and what the engine does about them.
    readable: Callable[[Sequence[Row], Listing], list[Row]] = lineage.readable
    judge: Callable[[Chunk, Outcome, FailurePolicy, float], Verdict] = failure.judge
    progress: Callable[[Checkpoint, int], Progress] = Progress
    store: type[MemoryStore] = MemoryStore
    trusts_from_answer: bool = False
    reads_row_again: bool = True
    waits_for_store: bool = True

    @property
    def stood_still_at(self) -> int:
        """From this age of its lease on, an owner that goes on must have stood still."""
        return int(self.times.trusted) + self.late_ticks

    @property
    def answer_ticks_max(self) -> int:
        return int(self.times.margin)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        return tuple(builders.record(number, key=key) for number, key in enumerate(self.keys, 1))

    @cached_property
    def listing(self) -> Listing:
        shards = [
            Shard(ShardId(shard), tuple(ShardId(parent) for parent in parents), closed=True)
            for shard, parents in self.family.items()
        ]
        return Listing(tuple(shards))
