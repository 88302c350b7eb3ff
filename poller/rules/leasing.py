"""When leases are renewed and taken: this file is the observation that lets an owner's silence become its absence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from poller.model import Row, ShardId, WorkerId

_AT_ONCE = 50
_PARTS_MAX = 40

PART_SECONDS = 0.025
"""Thousands of renewals at once would hold up the polls of as many shards; in parts all have begun within a second."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """All in seconds. An owner trusts its lease for ``ttl - margin`` from the start of its last renewal, and no longer.

    Others wait for ``ttl`` without a change, on their own clocks, so no two clocks need agree.
    """

    ttl: float = 15.0
    renew_every: float = 5.0
    margin: float = 3.0
    scan_every: float = 5.0
    list_every: float = 30.0

    @property
    def trusted(self) -> float:
        return self.ttl - self.margin


def in_parts(shards: Sequence[ShardId]) -> list[Sequence[ShardId]]:
    """Those whose leases are renewed together: most workers have one part, and none has more than forty."""
    size = max(_AT_ONCE, ceil(len(shards) / _PARTS_MAX))
    return [shards[start : start + size] for start in range(0, len(shards), size)]


class LeaseWatch:
    """What this worker has seen of the leases of others, on a clock that only goes forward."""

    def __init__(self, me: WorkerId, ttl: float) -> None:
        self._me = me
        self._ttl = ttl
        self._seen: dict[ShardId, tuple[int, int, float]] = {}

    def observe(self, rows: Sequence[Row], now: float) -> None:
        """Notes when each lease last moved; forgets rows that are no more."""
        seen = {}
        for row in rows:
            lease = row.lease
            token, counter, since = self._seen.get(row.shard, (-1, -1, now))
            moved = (token, counter) != (lease.token, lease.counter)
            seen[row.shard] = (lease.token, lease.counter, now if moved else since)
        self._seen = seen

    def takeable(self, readable: Iterable[Row], busy: Iterable[ShardId], now: float) -> list[Row]:
        """The shards to take now: readable, free, and neither held nor resting here (``busy``)."""
        not_now = set(busy)
        return [row for row in readable if row.shard not in not_now and self._is_free(row, now)]

    def _is_free(self, row: Row, now: float) -> bool:
        """Given back, ours by a take whose answer was lost, or not renewed for a whole lease time."""
        if row.lease.owner is None or row.lease.owner == self._me:
            return True
        return now - self._seen[row.shard][2] >= self._ttl
