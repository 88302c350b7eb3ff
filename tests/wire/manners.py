"""What a service sees of a worker's manners: this file judges the promise I11 by the service's own tally.

I11 manners: a worker calls a shard no more often than the service allows, at the base rate when there is nothing to
   read, and lists no more often than it may.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

MOST_A_SECOND = {
    ("kinesis", "GetRecords"): 5,
    ("kinesis", "GetShardIterator"): 5,
    ("kinesis", "DescribeStreamSummary"): 20,
    ("kinesis", "ListShards"): 100,
    ("dynamodb", "DescribeStream"): 10,
}
"""The services' limits, here for one worker alone; for one shard if a shard is asked for. Of listings the first page
counts, for real pages hold them all; a thousand calls are allowed for a stream, and a worker is to need far less."""

IDLE_SECONDS = {"kinesis": 1.0, "dynamodb": 0.25}
IDLE_POLLS = 5
"""So many are judged together: readings that take turns come a little early or late."""
SLACK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Idle:
    """How often a reading was told that there is nothing, and when it asked for the first time."""

    polls: int
    since: float


@dataclass(slots=True)
class Manners:
    violations: list[str] = field(default_factory=list)
    most: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    _calls: dict[tuple[str, str, str, str], deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _idle: dict[str, _Idle] = field(default_factory=dict)

    def asked(self, worker: str, service: str, operation: str, shard: str, at: float) -> None:
        """``shard`` is empty for what concerns all of them."""
        most = MOST_A_SECOND.get((service, operation))
        if most is None:
            return
        calls = self._calls[worker, service, operation, shard]
        while calls and calls[0] <= at - 1 + 1e-6:
            calls.popleft()
        calls.append(at)
        self.most[service, operation] = max(self.most[service, operation], len(calls))
        if len(calls) > most:
            self.violations.append(f"{at:.3f} I11 {shard}: {worker} called {operation} {len(calls)} times in a second")

    def read(self, worker: str, service: str, iterator: str, at: float) -> None:
        """A reading goes on with ``iterator``."""
        idle, pause = self._idle.get(iterator), IDLE_SECONDS[service]
        if idle is not None and idle.polls >= IDLE_POLLS and at - idle.since < idle.polls * pause - SLACK_SECONDS:
            told = f"{idle.polls} polls in {at - idle.since:.2f} s although there was nothing"
            self.violations.append(f"{at:.3f} I11 {worker}: {told}")

    def nothing(self, iterator: str, following: str, at: float) -> None:
        """The answer was that there is nothing for now, and ``following`` is the iterator to go on with."""
        idle = self._idle.pop(iterator, None)
        self._idle[following] = _Idle(1, at) if idle is None else _Idle(idle.polls + 1, idle.since)
