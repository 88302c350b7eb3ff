"""When records become a batch: this file is Lambda's count, window and payload limits (R-BATCH-2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from poller.mapping import BatchPolicy
from poller.records import Record
from poller.rules.envelope import frame_bytes, shares_bytes, size_bytes

_NO_BORDER = float("inf")


class Batcher:
    """The records of one lane that wait to be delivered, in order. ``now`` is any clock that only goes forward."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._frame_bytes = frame_bytes()
        self._border = _NO_BORDER
        self._opened_at = 0.0

    @property
    def head(self) -> Record | None:
        """The oldest record that waits."""
        return self._waiting[0] if self._waiting else None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size_bytes(self) -> int:
        return self._bytes

    @property
    def is_full(self) -> bool:
        """Whether what waits is a whole batch, or more."""
        return (
            len(self._waiting) >= self._policy.batch_size
            or self._frame_bytes + self._bytes - 1 > self._policy.payload_bytes_max
            or (self._border < _NO_BORDER and any(each.arrived_at >= self._border for each in self._waiting))
        )

    def fit(self, frame_bytes: int, border: float) -> None:
        """From now on a batch leaves room for so many bytes, and holds no record that arrived at ``border`` or later.

        Both are those of the tumbling window: its state is in the event, and no batch mixes windows (R-WIN-3).
        """
        self._frame_bytes = frame_bytes
        self._border = border

    def add(self, records: Sequence[Record], now: float) -> int:
        """Takes records in, and says how many bytes they have; the window opens with the first one (R-BATCH-4)."""
        if not self._waiting:
            self._opened_at = now
        self._waiting.extend(records)
        size = size_bytes(records)
        self._bytes += shares_bytes(size, len(records))
        return size

    def due_at(self) -> float:
        """The moment at which what waits must go; ``inf`` if nothing waits, a moment gone by if the batch is full."""
        if not self._waiting:
            return float("inf")
        return self._opened_at if self.is_full else self._opened_at + self._policy.window_seconds

    def take(self, now: float, *, flush: bool = False) -> tuple[Record, ...]:
        """The next batch, empty if it is not due; ``flush`` takes what is there (R-SHARD-5).

        A record that alone exceeds the payload limit is a batch of its own (R-BATCH-7).
        """
        if not flush and now < self.due_at():
            return ()
        count = self._fitting()
        if count == len(self._waiting):
            batch = tuple(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            return batch
        batch = tuple(islice(self._waiting, count))
        for _ in batch:
            self._waiting.popleft()
        self._bytes -= shares_bytes(size_bytes(batch), count)
        return batch

    def reopen(self, now: float) -> None:
        """A new window for what was left over, once the previous invocation is complete (R-BATCH-4, R-BATCH-5)."""
        self._opened_at = now

    def _fitting(self) -> int:
        """How many of those that wait make the next batch; mostly their bytes need not be counted."""
        count, most = min(len(self._waiting), self._policy.batch_size), self._policy.payload_bytes_max
        size = self._frame_bytes - 1  # as the first record has no comma
        if size + self._bytes <= most and self._border == _NO_BORDER:
            return count
        for number, record in enumerate(islice(self._waiting, count)):
            size += shares_bytes(record.size_bytes, 1)
            if number and (size > most or record.arrived_at >= self._border):
                return number
        return count
