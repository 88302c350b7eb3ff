"""One lane of a shard: this file gathers its records into batches and delivers one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import anyio

from poller.engine.bell import Bell
from poller.engine.delivery import Delivery
from poller.engine.stopping import StopScope
from poller.invocation import Chunk, Closing
from poller.mapping import BatchPolicy
from poller.model import Position, ShardId, precedes
from poller.ports import Clock
from poller.records import Page, Record
from poller.rules.batching import Batcher
from poller.rules.caught_up import CaughtUp
from poller.rules.envelope import frame_bytes, window_tail
from poller.rules.ordering import LaneProgress, Progress
from poller.rules.windows import due_closing, window_for


@dataclass(slots=True)
class Front:
    """How far a shard was read."""

    read_to: Position
    ended: bool = False
    caught_up: CaughtUp = field(default_factory=CaughtUp)

    def reached(self, page: Page, end: Position, now: float) -> None:
        """The reading has come to ``end`` with a page, at the moment ``now``."""
        self.read_to, self.ended = end, page.ended
        self.caught_up.hear(page, now)


class TumblingWindows:
    """The windows of a shard: which one is open, and what it asks of the batches; without them nothing is asked."""

    def __init__(self, seconds: int, shard: ShardId, source_arn: str, progress: Progress) -> None:
        self._seconds = seconds
        self._shard = shard
        self._source_arn = source_arn
        self._progress = progress
        if not seconds:
            progress.window = None

    def closing(self, head: Record | None, front: Front, now: float) -> Closing | None:
        """What must be invoked before the batch that begins with ``head``; ``now`` is epoch seconds."""
        if not self._seconds:
            return None
        return due_closing(self._progress.window, head, now, ended=front.ended, caught_up_at=front.caught_up.at)

    def fit(self, batcher: Batcher) -> None:
        """Opens the window of the oldest record that waits, and makes its batch fit in."""
        head = batcher.head
        if self._seconds and head is not None:
            self._progress.window = window = window_for(head, self._progress.window, self._seconds)
            batcher.fit(frame_bytes(window_tail(self._shard, self._source_arn, window)), window.end)


class Lane:
    """Takes its share of the pages that are read, and delivers it.

    ``expires_in`` says in how many seconds a record is too old, which does not wait for a batch (R-BATCH-8).
    """

    def __init__(
        self,
        *,
        batch: BatchPolicy,
        ahead_records: int,
        progress: LaneProgress,
        delivery: Delivery,
        windows: TumblingWindows,
        front: Front,
        bell: Bell,
        clock: Clock,
        expires_in: Callable[[Record], float],
    ) -> None:
        self._batcher = Batcher(batch)
        self._payload_bytes_max = batch.payload_bytes_max
        self._ahead_records = ahead_records
        self._progress = progress
        self._delivery = delivery
        self._windows = windows
        self._front = front
        self._bell = bell
        self._clock = clock
        self._expires_in = expires_in
        self._delivering = False

    @property
    def taken_to(self) -> Position:
        return self._progress.taken_to

    @property
    def is_behind(self) -> bool:
        """Whether the shard was read further than this lane could take."""
        return precedes(self.taken_to, self._front.read_to)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that no more should be taken."""
        return len(self._batcher) >= self._ahead_records or self._batcher.size_bytes >= self._payload_bytes_max

    @property
    def is_idle(self) -> bool:
        """Whether all that it took is done."""
        return self._progress.oldest is None

    @property
    def is_hungry(self) -> bool:
        """Whether it only waits for more records: nothing of it is under way, and no batch is full."""
        return self.is_idle or not (self._delivering or self._batcher.is_full)

    def take(self, wanted: Sequence[Record], to: Position) -> int:
        """The shard was read up to ``to``, with these records of this lane; how many bytes they have."""
        self._progress.take(wanted, to)
        return self._batcher.add(wanted, anyio.current_time())

    def pass_by(self, missed: Sequence[Record], to: Position) -> None:
        """The shard was read up to ``to``, with these records of this lane, which must be read for it once more."""
        self._progress.pass_by(missed, to)

    async def run(self, scope: StopScope) -> None:
        """Returns when the reading has ended and all of the lane is done."""
        while True:
            closing = self._windows.closing(self._batcher.head, self._front, self._clock.now())
            if closing is not None:
                await self._deliver(Chunk((), closing=closing), scope)
                continue
            self._windows.fit(self._batcher)
            over = self._front.ended and not self.is_behind
            batch = self._batcher.take(anyio.current_time(), flush=over or self._head_expires_in() <= 0)
            if batch:
                await self._deliver(Chunk(batch), scope)
            elif over:
                return
            else:
                due_in = self._batcher.due_at() - anyio.current_time()
                await self._bell.wait(min(due_in, self._head_expires_in()))

    async def _deliver(self, chunk: Chunk, scope: StopScope) -> None:
        """The batching window of what comes next begins when this is over (R-BATCH-4)."""
        self._delivering = True
        await self._delivery.deliver(chunk, scope)
        self._delivering = False
        self._batcher.reopen(anyio.current_time())
        self._bell.ring()  # there is room again

    def _head_expires_in(self) -> float:
        head = self._batcher.head
        return self._expires_in(head) if head else float("inf")
