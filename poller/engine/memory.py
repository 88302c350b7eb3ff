"""How much may wait in memory, over all shards: this file counts it, and says when it is more than it should be.

Nobody waits for room here, so that no shard that is stuck holds up another, and nothing holds up a renewal. While there
is too much, a shard reads on only when nothing of it waits, and less at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

ON_THE_WAY_BYTES = 14 * 1024 * 1024
"""What an answer counts as until it is there, as nobody knows: the most is ten MiB of data, as base64 (R-KIN-2)."""


class Budget:
    """``bytes_max`` of records, in their form in an event, for all shards of the process."""

    def __init__(self, bytes_max: float = float("inf")) -> None:
        self._bytes_max = bytes_max
        self._asked_bytes = 0
        self.held_bytes = 0

    @contextmanager
    def asked(self, few: int) -> Iterator[int | None]:
        """While open, an answer is on its way. Gives how many records it may hold: ``None`` for all, or ``few``.

        What others have asked for counts as if it were there, or the first answers of many shards with a backlog would
        come all at once.
        """
        if self.held_bytes + self._asked_bytes >= self._bytes_max:
            yield few
            return
        self._asked_bytes += ON_THE_WAY_BYTES
        try:
            yield None
        finally:
            self._asked_bytes -= ON_THE_WAY_BYTES

    @property
    def is_short(self) -> bool:
        return self.held_bytes >= self._bytes_max


class Holding:
    """What one shard holds of a budget, from when its records are taken in until they are done.

    An answer may stay in memory whole until its last record is done, so a shard may hold one answer more than is
    counted here.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held_bytes = 0

    @property
    def is_short(self) -> bool:
        """Whether all shards together hold too much."""
        return self._budget.is_short

    def take(self, size_bytes: int) -> None:
        """Takes in as much, or gives it back if it is less than nothing."""
        self._held_bytes += size_bytes
        self._budget.held_bytes += size_bytes

    def close(self) -> None:
        """Gives back all."""
        self.take(-self._held_bytes)
