"""One shard: read, batch, deliver, to its end: this file is the straight way of its records."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from random import Random

import anyio

from poller.engine.checkpointing import Checkpointer
from poller.engine.delivery import Delivery
from poller.engine.readahead import PageSlot
from poller.engine.stopping import StopScope
from poller.errors import PositionLost
from poller.events import PageRead, PositionTrimmed, RecordsFiltered, ShardFinished
from poller.invocation import Chunk
from poller.mapping import BatchPolicy, FailurePolicy
from poller.model import TRIM_HORIZON, Page, Position, Record, ShardId, precedes
from poller.ports import Clock, Observer, Source, Target
from poller.rules.batching import Batcher
from poller.rules.failure import seconds_to_expiry
from poller.rules.filtering import Filters


class ShardReader:
    """Reads one shard from a position and delivers it, until the shard ends or the scope stops it."""

    def __init__(
        self,
        *,
        mapping: str,
        shard: ShardId,
        source: Source,
        target: Target,
        filters: Filters,
        batch: BatchPolicy,
        failure: FailurePolicy,
        retention_seconds: Callable[[], float | None],
        checkpointer: Checkpointer,
        observer: Observer,
        clock: Clock,
        random: Random,
    ) -> None:
        self._mapping = mapping
        self._shard = shard
        self._source = source
        self._failure = failure
        self._checkpointer = checkpointer
        self._observer = observer
        self._clock = clock
        self._filters = filters
        self._unwanted_to: Record | None = None
        self._batcher = Batcher(batch)
        self._delivery = Delivery(
            mapping=mapping,
            shard=shard,
            target=target,
            policy=failure,
            payload_bytes_max=batch.payload_bytes_max,
            retention_seconds=retention_seconds,
            checkpointer=checkpointer,
            observer=observer,
            clock=clock,
            random=random,
        )

    async def run(self, scope: StopScope) -> None:
        """Returns when the shard is finished. Raises `LeaseLost`, `SourceGone`, in a group with what else failed."""
        pages = PageSlot()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, pages)
            await self._deliver(pages, scope)
            async with scope.finish():
                await self._checkpointer.finish()
        self._observer(ShardFinished(self._mapping, self._shard))

    async def _read(self, pages: PageSlot) -> None:
        """Puts every page into ``pages``, the ended one last; at most one page ahead of the delivery."""
        read_to = self._checkpointer.position
        lost: PositionLost | None = None
        told = ended = False
        while not ended:
            start = TRIM_HORIZON if lost else read_to
            try:
                async with aclosing(self._source.read(self._shard, start)) as answers:
                    async for answer in answers:
                        page = _after(answer, read_to)
                        if lost and (page.records or page.ended):
                            self._tell_gap(read_to, lost, page)
                            lost = None
                        elif lost and page.behind_seconds == 0 and not told:
                            # Nothing follows yet: say so now, and again with the gap's end when it is known.
                            self._tell_gap(read_to, lost, page)
                            told = True
                        if page.records:
                            read_to = Position.after(page.records[-1].sequence_number)
                        await pages.put(page)
                        ended = ended or page.ended
            except PositionLost as problem:
                if problem.shard_gone:
                    self._tell_gap(read_to, problem, Page(()))
                    await pages.put(Page((), ended=True))
                    return
                lost, told = problem, lost is not None and told

    async def _deliver(self, pages: PageSlot, scope: StopScope) -> None:
        """Batches what ``pages`` brings and delivers it; the wait for a page ends when a batch is due."""
        ended = False
        while not ended or self._batcher.head:
            batch = self._batcher.take(anyio.current_time(), flush=ended or self._head_expires_in() <= 0)
            if batch:
                await self._delivery.deliver(batch, scope, self._batcher.head)
                self._batcher.reopen(anyio.current_time())
                await self._settle_unwanted(scope)
                continue
            due_in = min(self._batcher.due_at() - anyio.current_time(), self._head_expires_in())
            page = await pages.get(due_in)
            if page is not None:
                self._take_in(page)
                ended = page.ended
                await self._settle_unwanted(scope)

    def _take_in(self, page: Page) -> None:
        """Filters come before batching: only wanted records count for a batch (R-FILT-2, R-BATCH-10)."""
        wanted = [record for record in page.records if self._filters.wants(record)]
        self._batcher.add(wanted, anyio.current_time())
        self._tell_page(page)
        if page.records:
            ends_wanted = bool(wanted) and wanted[-1] is page.records[-1]
            self._unwanted_to = None if ends_wanted else page.records[-1]
        if len(wanted) < len(page.records):
            self._observer(RecordsFiltered(self._mapping, self._shard, len(page.records) - len(wanted)))

    async def _settle_unwanted(self, scope: StopScope) -> None:
        """Moves the checkpoint over unwanted records once nothing before them waits any more."""
        if self._unwanted_to is not None and self._batcher.head is None:
            async with scope.finish():
                await self._checkpointer.settle(self._unwanted_to, "filtered")
            self._unwanted_to = None

    def _head_expires_in(self) -> float:
        """Seconds until the oldest waiting record is too old, which does not wait for a window (R-BATCH-8)."""
        head = self._batcher.head
        return seconds_to_expiry(Chunk((head,)), self._clock.now(), self._failure, None) if head else float("inf")

    def _tell_page(self, page: Page) -> None:
        head = self._batcher.head
        self._observer(
            PageRead(
                self._mapping,
                self._shard,
                records=len(page.records),
                size_bytes=sum(len(record.body) for record in page.records),
                behind_seconds=page.behind_seconds,
                oldest_at=head.arrived_at if head else None,
            )
        )

    def _tell_gap(self, after: Position, problem: PositionLost, page: Page) -> None:
        resumed_at = page.records[0].sequence_number if page.records else None
        self._observer(PositionTrimmed(self._mapping, self._shard, after, resumed_at, str(problem)))


def _after(page: Page, read_to: Position) -> Page:
    """The page without what was read before: a source that goes back to the oldest record must not repeat the rest."""
    if read_to.sequence_number is None or not page.records:
        return page
    if precedes(read_to, Position.after(page.records[0].sequence_number)):
        return page
    fresh: tuple[Record, ...] = tuple(
        record for record in page.records if precedes(read_to, Position.after(record.sequence_number))
    )
    return Page(fresh, page.behind_seconds, page.ended)
