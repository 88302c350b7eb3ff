"""One way through a shard: this file reads on whatever happens, tells every gap, and repeats nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import anyio

from poller.engine.surroundings import Surroundings
from poller.errors import PositionLost, SourceGone
from poller.events import MappingTroubled, PositionTrimmed
from poller.model import TRIM_HORIZON, Position, ShardId
from poller.records import Page
from poller.rules.pacing import backoff_seconds

Read = Callable[[ShardId, Position], AsyncGenerator[Page, None]]
"""`poller.ports.Source.read`, or its ``reread``."""

_GONE_SECONDS_MAX = 30.0
"""The longest wait before looking again for a stream that is gone or may not be read (R-STATE-8, R-STATE-10)."""


class Cursor:
    """Reads from ``start`` on; ``read_to`` is where the page that was given last begins."""

    def __init__(self, here: Surroundings, read: Read, start: Position) -> None:
        self._here = here
        self._read = read
        self.read_to = start
        self._lost: PositionLost | None = None
        self._told = False
        self._refusals = 0

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Pages in order, until one has ended; close it with `aclosing`."""
        ended = False
        while not ended:
            try:
                async with aclosing(self._answers()) as answers:
                    async for page in answers:
                        yield page
                        ended = page.ended
                        self._move_on(page)
            except PositionLost as problem:
                if problem.shard_gone:
                    self._tell_gap(problem, Page(()))
                    yield Page((), ended=True)
                    return
                self._told = self._lost is not None and self._told
                self._lost = problem
            except SourceGone as problem:
                self._here.observer(MappingTroubled(self._here.mapping, str(problem), problem.said))
                jitter = self._here.random.random()
                await anyio.sleep(backoff_seconds(self._refusals, jitter, base=1.0, cap=_GONE_SECONDS_MAX))
                self._refusals += 1

    async def _answers(self) -> AsyncGenerator[Page, None]:
        """What the source answers, without what was read before: going back to the oldest record repeats nothing."""
        # A starting moment is never lost itself, and the oldest record may be long before it.
        start = TRIM_HORIZON if self._lost and self.read_to.timestamp is None else self.read_to
        async with aclosing(self._read(self._here.shard, start)) as answers:
            async for answer in answers:
                self._refusals = 0
                page = _after(answer, self.read_to)
                self._look_for_gap(page)
                yield page

    def _move_on(self, page: Page) -> None:
        if page.end is not None and self.read_to.place <= page.end.place:
            self.read_to = page.end

    def _look_for_gap(self, page: Page) -> None:
        if self._lost and (page.records or page.ended):
            self._tell_gap(self._lost, page)
            self._lost = None
        elif self._lost and page.caught_up and not self._told:
            # Nothing follows yet: say so now, and again with the gap's end when it is known.
            self._tell_gap(self._lost, page)
            self._told = True

    def _tell_gap(self, problem: PositionLost, page: Page) -> None:
        resumed_at = page.records[0].sequence_number if page.records else None
        gap = PositionTrimmed(self._here.mapping, self._here.shard, self.read_to, resumed_at, str(problem))
        self._here.observer(gap)


def _after(page: Page, read_to: Position) -> Page:
    if not page.records or read_to.place < page.records[0].place:
        return page
    return replace(page, records=tuple(record for record in page.records if read_to.place < record.place))
