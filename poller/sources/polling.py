"""The loop of calls for records that Kinesis and DynamoDB share: this file is its pace and the care for its iterator.

What can go wrong here has gone wrong in public, so the rules are few and strict. An iterator is only moved on by an
answer that was understood. A new iterator starts after the last record read, never at the start of the mapping. The
end of a shard is believed when the answer or a listing confirms it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from random import Random
from typing import Protocol

import anyio

from poller.aws_errors import BadArgument, Expired, NotFound
from poller.errors import PositionLost, Unavailable
from poller.events import Polled
from poller.model import Position, Shard, ShardId
from poller.ports import Observer
from poller.records import Page, Record
from poller.rules.pacing import Pace, backoff_seconds
from poller.sources.read_to import ReadTo

_BACKOFF_SECONDS_MAX = 10.0
"""A shard that is throttled by other consumers must not fall silent for a minute."""

_ITERATOR_FAILURES_MAX = 3
"""After so many errors in a row the iterator itself is under suspicion."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One understood answer. ``iterator`` is ``None`` at the end; ``ended`` says that the answer itself proves it.

    ``read_to`` is how far it reaches if that is beyond its last record; ``None`` if it is not. ``size_bytes`` is what
    the service counts, where it sets a limit.
    """

    records: tuple[Record, ...]
    iterator: str | None
    behind_seconds: float | None = None
    ended: bool = False
    read_to: Position | None = None
    size_bytes: int = 0

    @property
    def empty(self) -> bool:
        """Whether the stream had nothing to give: records that were dropped also count as something."""
        return not self.records and self.read_to is None


class ShardCalls(Protocol):
    """What a service must bring; each call raises `Unavailable` or one of its kinds, `SourceGone` or `PositionLost`."""

    async def iterator(self, shard: ShardId, position: Position) -> str:
        """An iterator at ``position``."""
        ...

    async def records(self, shard: ShardId, iterator: str) -> Answer:
        """What the iterator points at. Raises `PositionLost` if that has been trimmed."""
        ...

    async def find(self, shard: ShardId) -> Shard | None:
        """The shard as the service lists it now, ``None`` if it does not."""
        ...

    async def is_closed(self, shard: ShardId) -> bool:
        """Whether the service lists the shard as closed."""
        ...


class ShardPolling:
    """Reads one shard from ``position`` on.

    Records that arrived before ``skip_before`` (epoch seconds) are left out until the first one that did not.
    """

    def __init__(
        self,
        calls: ShardCalls,
        shard: ShardId,
        position: Position,
        *,
        pace: Pace,
        mapping: str,
        observer: Observer,
        random: Random,
        skip_before: float | None = None,
    ) -> None:
        self._calls = calls
        self._shard = shard
        self._read_to = ReadTo(position, skip_before)
        self._pace = pace
        self._mapping = mapping
        self._observer = observer
        self._random = random
        self._iterator: str | None = None
        self._iterator_at = 0.0
        self._asked_at = 0.0
        self._due_at = 0.0
        self._closed = False
        self._failures = 0
        self._missed = 0

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Pages, empty ones too, until one has ``ended``. Raises `PositionLost` or `SourceGone`."""
        # Shards that start together must not poll in the same instant for ever.
        await anyio.sleep(self._random.random() * self._pace.idle_seconds)
        while True:
            page = await self._poll()
            if page is not None:
                yield page
                if page.ended:
                    return
            await anyio.sleep(max(0.0, self._due_at - anyio.current_time()))

    async def _poll(self) -> Page | None:
        """One call for records; ``None`` if there was no answer, which is told and sets a later time."""
        self._asked_at = anyio.current_time()
        try:
            answer = await self._ask()
        except Unavailable as problem:
            self._failed(problem)
        except NotFound as problem:
            await self._look_for_shard(problem)
        except PositionLost as problem:
            if self._read_to.position.sequence_number is not None:
                raise
            # There is nothing older to go to: the oldest record went while it was fetched, or what was left out did.
            self._iterator = None
            self._read_to.start_anew()
            self._failed(Unavailable(str(problem)))
        else:
            return await self._page(answer)
        return None

    async def _ask(self) -> Answer:
        if self._iterator is not None and self._asked_at - self._iterator_at > self._pace.iterator_seconds:
            self._iterator = None  # the consumer held us so long that it is about to expire (R-KIN-3)
        if self._iterator is None:
            try:
                self._iterator = await self._calls.iterator(self._shard, self._read_to.iterator_at)
            except BadArgument as problem:  # no place in this shard, and it will never be one
                raise PositionLost(str(problem)) from problem
            self._iterator_at = self._asked_at
            self._asked_at = anyio.current_time()
        return await self._calls.records(self._shard, self._iterator)

    async def _page(self, answer: Answer) -> Page:
        """Takes over what was read, and moves the iterator on."""
        self._tell("empty" if answer.empty else "records")
        self._due_at = self._pace.due_at(self._asked_at, len(answer.records), answer.behind_seconds)
        # One that leads to where it was asked from may be the one before, given twice.
        sent_at = self._iterator_at if answer.iterator == self._iterator else self._asked_at
        self._iterator, self._iterator_at = answer.iterator, self._asked_at
        records, read_to = self._read_to.unread(answer.records), self._read_to.beyond(answer.read_to)
        # Without proof in it, a missing iterator is the end only of a shard that was known to be closed before this
        # call was made: what came before the closing is then in the answer, or there is nothing.
        ended = answer.iterator is None and (answer.ended or (self._closed and answer.empty))
        if answer.iterator is None and answer.empty and not ended:
            self._closed = await self._is_closed()
        if ended or answer.iterator is not None:
            self._failures = self._missed = 0
        took = anyio.current_time() - sent_at
        return Page(records, answer.behind_seconds, ended, read_to, took, self._read_to.left_out_at)

    async def _is_closed(self) -> bool:
        """Whether a missing iterator may mean the end: it is known to be missing from answers for open shards too."""
        try:
            if await self._calls.is_closed(self._shard):
                return True
            self._failed(Unavailable("the service gave no next iterator, yet lists the shard as open"))
        except Unavailable as problem:
            self._failed(problem)
        return False

    async def _look_for_shard(self, problem: NotFound) -> None:
        """Tells a shard that has left its stream from a stream that is gone, by a listing.

        Raises `SourceGone` if it is the stream. A listing may lag behind, hence the shard must be missed twice.
        """
        self._iterator = None
        try:
            found = await self._calls.find(self._shard)
        except Unavailable as trouble:
            self._failed(trouble)
            return
        self._missed = 0 if found else self._missed + 1
        if self._missed > 1:
            raise PositionLost(str(problem), shard_gone=True) from problem
        self._failed(Unavailable(str(problem)))

    def _failed(self, problem: Unavailable) -> None:
        """Tells it and sets the time of the next try."""
        expired = isinstance(problem, Expired)
        self._tell("expired" if expired else "throttled" if problem.throttled else "error", str(problem))
        suspect = self._failures >= _ITERATOR_FAILURES_MAX - 1 and not problem.throttled
        if expired or suspect or isinstance(problem, BadArgument):
            self._iterator = None
        pause = backoff_seconds(self._failures, self._random.random(), cap=_BACKOFF_SECONDS_MAX)
        self._due_at = anyio.current_time() + pause
        self._failures += 1

    def _tell(self, result: str, problem: str = "") -> None:
        seconds = anyio.current_time() - self._asked_at
        self._observer(Polled(self._mapping, self._shard, result, seconds, problem))
