"""One shard: read, deal out, deliver, to its end: this file is the straight way of its records."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import anyio

from poller.engine.bell import Bell
from poller.engine.checkpointing import Checkpointer
from poller.engine.delivery import Delivery, Wiring
from poller.engine.lane import Front, Lane, TumblingWindows
from poller.engine.lanes import Lanes
from poller.engine.reading import Cursor
from poller.engine.reporting import Reporting
from poller.engine.stopping import StopScope
from poller.engine.surroundings import Surroundings
from poller.events import ShardFinished
from poller.invocation import Chunk
from poller.mapping import BatchPolicy
from poller.model import precedes
from poller.ports import Source
from poller.records import Record
from poller.rules.failure import seconds_to_expiry
from poller.rules.filtering import Filters
from poller.rules.ordering import Progress


@dataclass(frozen=True, slots=True)
class Plan:
    """What a mapping wants done with the records of its shards."""

    filters: Filters
    batch: BatchPolicy
    lanes: int = 1
    tumbling_window_seconds: int = 0


class ShardReader:
    """Reads one shard from its checkpoint on and delivers it, until the shard ends or the scope stops it."""

    def __init__(
        self,
        here: Surroundings,
        *,
        source: Source,
        plan: Plan,
        wiring: Wiring,
        reporting: Reporting,
        checkpointer: Checkpointer,
    ) -> None:
        self._here = here
        self._source = source
        self._plan = plan
        self._wiring = wiring
        self._reporting = reporting
        self._checkpointer = checkpointer

    async def run(self, scope: StopScope) -> None:
        """Returns when the shard is finished. Raises `LeaseLost`, in a group with what else failed."""
        progress = self._checkpointer.progress
        front, bell = Front(progress.position), Bell()
        lanes = [self._lane(number, progress, front, bell) for number in range(len(progress.lanes))]
        dealer = Lanes(self._here, lanes, progress=progress, front=front, bell=bell, filters=self._plan.filters)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read_front, dealer, progress, scope)
                if len(lanes) > 1:
                    tasks.start_soon(self._read_behind, dealer)
                for lane in lanes:
                    tasks.start_soon(lane.run, scope)
        finally:
            self._here.memory.close()
        if not dealer.is_done:  # to cancel a task from outside ends its group in silence
            raise RuntimeError("a part of the shard's work ended before the shard did")
        async with scope.finish():
            await self._checkpointer.finish()
        self._here.observer(ShardFinished(self._here.mapping, self._here.shard))

    async def _read_front(self, dealer: Lanes, progress: Progress, scope: StopScope) -> None:
        """Reads to the shard's end, while there is room."""
        cursor = Cursor(self._here, self._source.read, progress.position)
        async with aclosing(cursor.pages()) as pages:
            async for page in pages:
                dealer.front_reached(page, page.end or cursor.read_to)
                dealer.take_in(page, cursor.read_to)
                await self._settle_idle(progress, scope)
                await dealer.room_at_the_front()

    async def _read_behind(self, dealer: Lanes) -> None:
        """Reads again what lanes missed that were full when the front came by."""
        while (start := await dealer.someone_behind()) is not None:
            cursor = Cursor(self._here, self._source.reread, start)
            async with aclosing(cursor.pages()) as pages:
                async for page in pages:
                    dealer.take_in(page, cursor.read_to)
                    if not dealer.goes_on_behind(page, page.end or cursor.read_to):
                        break

    async def _settle_idle(self, progress: Progress, scope: StopScope) -> None:
        """Saves how far the shard was read if nothing waits any more: nobody wanted the last of it (R-FILT-2)."""
        if progress.oldest_at is None and precedes(self._checkpointer.saved.position, progress.position):
            async with scope.finish():
                await self._checkpointer.settle("filtered")

    def _lane(self, number: int, progress: Progress, front: Front, bell: Bell) -> Lane:
        batch, several = self._plan.batch, len(progress.lanes) > 1
        windows = TumblingWindows(
            self._plan.tumbling_window_seconds, self._here.shard, self._wiring.source_arn, progress
        )
        return Lane(
            batch=batch,
            ahead_records=max(batch.batch_size, batch.ahead_records) if several else batch.batch_size,
            progress=progress.lanes[number],
            delivery=Delivery(
                self._here, self._wiring, lane=number, reporting=self._reporting, checkpointer=self._checkpointer
            ),
            windows=windows,
            front=front,
            bell=bell,
            clock=self._here.clock,
            expires_in=self._expires_in,
        )

    def _expires_in(self, record: Record) -> float:
        return seconds_to_expiry(Chunk((record,)), self._here.clock.now(), self._wiring.policy, None)
