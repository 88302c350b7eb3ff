"""What one world is like: this file draws its mapping, its stream, and how often things happen, from a seed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from random import Random

from poller.mapping import BatchPolicy, EventSourceMapping, FailurePolicy
from tests.builders import mapping
from tests.history.promises import Promises
from tests.simulation.stream import DYNAMODB, KINESIS, Kind
from tests.virtual import EPOCH

NEVER = 1e9

NOT_A_THIRD = json.dumps({"partitionKey": [{"anything-but": [f"k-{key}" for key in range(0, 30, 3)]}]})
"""A filter that leaves a third of the first thirty keys out; see `wanted`."""


def wanted(key: int) -> bool:
    return key >= 30 or key % 3 != 0


@dataclass(frozen=True, slots=True)
class Span:
    """How long a world has faults, and the mean seconds between what happens in it, to draw from.

    No shard is split while ``open_shards_max`` are open: each is polled once a second all day long.
    """

    faulty_seconds: float
    records_per_second: tuple[float, ...]
    chaos: tuple[float, ...]
    reshards: tuple[float, ...]
    outages: tuple[float, ...]
    retentions: tuple[float | None, ...]
    open_shards_max: float = float("inf")


MINUTES = Span(
    faulty_seconds=300.0,
    records_per_second=(0.3, 1.0, 2.5),
    chaos=(10.0, 40.0, NEVER),
    reshards=(20.0, 80.0, NEVER),
    outages=(60.0, NEVER, NEVER),
    retentions=(None, 60.0, 120.0),
)
DAY = Span(
    faulty_seconds=25.5 * 3600,
    records_per_second=(0.003, 0.01),
    chaos=(1200.0, 7200.0),
    reshards=(1800.0, 4 * 3600.0),
    outages=(3600.0, NEVER),
    retentions=(24 * 3600.0,),
    open_shards_max=6,
)


class Settings:
    """All that a seed decides before the world begins."""

    def __init__(self, random: Random, span: Span) -> None:
        pick = random.choice
        self.span = span
        self.kind: Kind = pick([KINESIS, KINESIS, DYNAMODB])
        self.mapping = _mapping(random, self.kind)
        self.keys = 1000 if not self.mapping.filter_patterns else 60
        self.shards = random.randint(1, 3)
        self.page_records = pick([1, 5, 30, 100])
        self.retention_seconds = pick(span.retentions)
        late = self.mapping.starting_position == "LATEST"
        self.skews = (0.0,) if late else pick([(0.0,), (0.0,), (0.0,), (0.0, 7.0, -600.0, 3600.0)])
        self.poison_rate = pick([0.0, 0.02, 0.1]) if self._gives_up_soon() else 0.0
        self.per_second = pick(span.records_per_second)
        self.chaos_seconds = pick(span.chaos)
        self.reshard_seconds = pick(span.reshards)
        self.outage_seconds = pick(span.outages)
        self.trim_seconds = pick([30.0, NEVER, NEVER]) if span is MINUTES else NEVER
        tumbling = self.mapping.tumbling_window_seconds > 0
        # No window survives that its stream or its state is replaced.
        self.remake_seconds = pick([100.0, *[NEVER] * 9]) if self.kind is KINESIS and not tumbling else NEVER
        self.restore_seconds = pick([60.0, *[NEVER] * 9]) if not tumbling and self.remake_seconds is NEVER else NEVER
        self.workers = random.randint(1, 3)
        self.lanes = (1,) if tumbling else pick([(1,), (2,), (4,), (1, 3, 10)])
        self.batch_sizes = (self.mapping.batch.batch_size, pick([self.mapping.batch.batch_size, 2, 50]))
        self.with_destination = pick([True, False])

    def begin_at_latest(self) -> None:
        """Whose clock is wrong cannot tell what is the latest."""
        self.mapping, self.skews = replace(self.mapping, starting_position="LATEST"), (0.0,)

    def _gives_up_soon(self) -> bool:
        """Whether a record that never succeeds lets the others pass before the world ends."""
        failure = self.mapping.failure
        by_age = failure.age_seconds_max is not None or (self.retention_seconds is not None and self.span is MINUTES)
        return failure.retries_max is not None or (by_age and self.skews == (0.0,))

    def promises(self) -> Promises:
        batch, failure = self.mapping.batch, self.mapping.failure
        most = max(self.batch_sizes)
        return Promises(
            by_key=self.lanes != (1,),
            windows=self.mapping.tumbling_window_seconds > 0,
            bisect=failure.bisect,
            retries_max=failure.retries_max,
            age_seconds_max=failure.age_seconds_max,
            epoch=EPOCH,
            clocks_agree=self.skews == (0.0,),
            ahead_records=most if self.lanes == (1,) else max(most, batch.ahead_records),
            page_records=100,
        )


def _mapping(random: Random, kind: Kind) -> EventSourceMapping:
    tumbling = random.choice([0, 0, 0, 7, 60])
    return mapping(
        name="m",
        starting_position=random.choice(["TRIM_HORIZON"] * 4 + ["LATEST"]) if kind is KINESIS else "TRIM_HORIZON",
        tumbling_window_seconds=tumbling,
        filter_patterns=() if tumbling else random.choice([(), (), (NOT_A_THIRD,)]),
        batch=BatchPolicy(
            batch_size=random.choice([1, 3, 10, 100]),
            window_seconds=random.choice([0.0, 0.0, 2.0, 20.0]),
            ahead_records=random.choice([1, 5, 1000]),
        ),
        failure=FailurePolicy(
            retries_max=random.choice([None, 0, 1, 3]),
            age_seconds_max=random.choice([None, None, 60.0]),
            bisect=random.choice([True, False]),
            report_item_failures=random.choice([True, False]),
        ),
    )
