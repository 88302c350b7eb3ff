"""The loop of subscriptions to a shard that pushes: this file is its pace, and the care that none loses or repeats.

The same care as in `poller.sources.polling`. A subscription is only moved on by an answer that was understood, and the
next one starts where the last answer ended. The end of a shard is believed when the service proves it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, MutableMapping
from contextlib import aclosing
from random import Random
from typing import Protocol

import anyio

from poller.aws_errors import BadArgument, Expired, InUse, NotFound
from poller.errors import PositionLost, Unavailable
from poller.events import Polled
from poller.model import Position, Shard, ShardId
from poller.ports import Clock, Observer
from poller.records import Page
from poller.rules.in_step import InStep
from poller.rules.pacing import SubscriptionPace, backoff_seconds
from poller.sources.polling import Answer
from poller.sources.read_to import ReadTo

_BACKOFF_SECONDS_MAX = 10.0
"""A shard that is throttled must not fall silent for a minute."""


class Answers(Protocol):
    """One subscription; close it."""

    async def answer(self) -> Answer | None:
        """What is pushed next, its ``iterator`` being where to go on from; ``None`` once the service has ended it.

        Raises as the calls of `SubscriptionCalls`.
        """
        ...

    async def aclose(self) -> None: ...


class SubscriptionCalls(Protocol):
    """What a service must bring; each call raises `Unavailable` or one of its kinds, `SourceGone` or `PositionLost`."""

    async def subscribe(self, shard: ShardId, position: Position, continuation: str | None) -> Answers:
        """From ``continuation`` on, or from ``position`` if there is none; what was read before may come again."""
        ...

    async def find(self, shard: ShardId) -> Shard | None:
        """The shard as the service lists it now, ``None`` if it does not."""
        ...

    async def is_closed(self, shard: ShardId) -> bool:
        """Whether the service lists the shard as closed."""
        ...

    def was_closed(self, shard: ShardId) -> bool:
        """Whether the last listing, made for whatever reason, said so; costs no call."""
        ...

    def reread(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        """See `poller.ports.Source`."""
        ...


class ShardSubscribing:
    """Reads one shard from ``position`` on.

    ``due`` holds when the next call for a shard may be made, so that one reading minds the calls of the one before.
    """

    def __init__(
        self,
        calls: SubscriptionCalls,
        shard: ShardId,
        position: Position,
        *,
        pace: SubscriptionPace,
        due: MutableMapping[ShardId, float],
        mapping: str,
        observer: Observer,
        clock: Clock,
        random: Random,
    ) -> None:
        self._calls = calls
        self._shard = shard
        self._read_to = ReadTo(position)
        self._pace = pace
        self._due = due
        self._mapping = mapping
        self._observer = observer
        self._clock = clock
        self._random = random
        self._answers: Answers | None = None
        self._continuation: str | None = None
        self._asked_at = 0.0
        self._ends_at = 0.0
        self._in_step = InStep()
        self._end_unproven = False
        self._failures = 0
        self._missed = 0
        self._orphaned = 0

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Pages, empty ones too, until one has ``ended``. Raises `PositionLost` or `SourceGone`."""
        try:
            # Shards that start together must not all call in the same instant.
            await anyio.sleep(self._random.random() * self._pace.call_seconds)
            while not self._end_unproven:
                page = await self._next()
                if page is not None:
                    yield page
                    if page.ended:
                        return
        finally:
            await self._unsubscribe()
        # The shard is closed, but the service does not name its children, as emulators do not: iterators prove the end.
        async with aclosing(self._calls.reread(self._shard, self._read_to.position)) as rest:
            async for page in rest:
                yield page

    async def _next(self) -> Page | None:
        """What is pushed next; ``None`` if the subscription is over, which is told if it is a trouble."""
        self._asked_at = anyio.current_time()
        try:
            answer = await self._answer(self._answers or await self._subscribe())
        except (BadArgument, PositionLost) as problem:
            self._refused(problem)
        except Unavailable as problem:
            self._failed(problem)
        except NotFound as problem:
            await self._look_for_shard(problem)
        else:
            if answer is not None:
                # What this raises ends the reading, for the page was taken over by then, yet will not be given.
                return await self._page(answer)
        await self._unsubscribe()
        return None

    async def _subscribe(self) -> Answers:
        """Waits for its time and calls; a call that is accepted bars the next one for a while (R-EFO-2)."""
        await anyio.sleep(max(0.0, self._due.get(self._shard, 0.0) - anyio.current_time()))
        self._asked_at = anyio.current_time()
        self._due[self._shard] = self._asked_at + self._pace.call_seconds
        with anyio.move_on_after(self._pace.silence_seconds):
            self._answers = await self._calls.subscribe(self._shard, self._read_to.position, self._continuation)
            accepted_at = anyio.current_time()
            self._in_step.begin(accepted_at)
            self._due[self._shard] = accepted_at + self._pace.takeover_seconds
            self._ends_at = accepted_at + self._pace.life_seconds
            return self._answers
        raise self._silence()

    async def _answer(self, answers: Answers) -> Answer | None:
        """``None`` at the end of the subscription's life, be it that the consumer held us for so long."""
        seconds_left = self._ends_at - anyio.current_time()
        if seconds_left > 0:
            with anyio.move_on_after(min(self._pace.silence_seconds, seconds_left)):
                answer = await answers.answer()
                if answer is None:
                    raise Expired(f"the service ended the subscription to {self._shard} early")
                return answer
            if anyio.current_time() < self._ends_at:
                raise self._silence()
        return None

    def _silence(self) -> Unavailable:
        return Unavailable(f"could not read {self._shard}: nothing came for {self._pace.silence_seconds:g} s")

    async def _page(self, answer: Answer) -> Page:
        """Takes over what was read, and moves the subscription on."""
        self._tell("empty" if answer.empty else "records")
        self._failures = self._missed = self._orphaned = 0
        self._continuation = answer.iterator
        age = self._age_seconds(answer)
        records, read_to = self._read_to.unread(answer.records), self._read_to.beyond(answer.read_to)
        if answer.iterator is None and not answer.ended:
            await self._unsubscribe()
            self._end_unproven = await self._is_closed()
        elif answer.empty and answer.behind_seconds == 0:
            self._end_unproven = self._calls.was_closed(self._shard)
        return Page(records, answer.behind_seconds, answer.ended, read_to, age)

    def _age_seconds(self, answer: Answer) -> float:
        """How old an answer may be that says that nothing more is there, else 0."""
        now = anyio.current_time()
        newest_at = answer.records[-1].arrived_at if answer.records else float("-inf")  # all of it was dropped
        newest_age = None if answer.empty else self._clock.now() - newest_at
        age = self._in_step.age(now, waited_seconds=now - self._asked_at, newest_age=newest_age)
        return 0.0 if answer.behind_seconds else age

    async def _is_closed(self) -> bool:
        """Whether a missing continuation may mean the end, which the service proves by naming the children."""
        try:
            if await self._calls.is_closed(self._shard):
                return True
            self._failed(Unavailable(f"the service ended {self._shard}, yet names no children and lists it as open"))
        except Unavailable as problem:
            self._failed(problem)
        return False

    def _refused(self, problem: BadArgument | PositionLost) -> None:
        """A continuation can be done without; a refused position is lost, unless it is no place in the shard."""
        if self._continuation is None and self._read_to.position.sequence_number is not None:
            raise PositionLost(str(problem)) from problem
        self._continuation = None
        self._failed(Unavailable(str(problem)))

    async def _look_for_shard(self, problem: NotFound) -> None:
        """Tells a shard that has left its stream from a stream or a consumer that is gone, by a listing.

        Raises `SourceGone` if it is one of those. A listing may lag behind, hence all must be missed twice.
        """
        try:
            found = await self._calls.find(self._shard)
        except Unavailable as trouble:
            self._failed(trouble)
            return
        self._missed, self._orphaned = (0, self._orphaned + 1) if found else (self._missed + 1, 0)
        if self._missed > 1:
            raise PositionLost(str(problem), shard_gone=True) from problem
        if self._orphaned > 1:
            raise problem
        self._failed(Unavailable(str(problem)))

    def _failed(self, problem: Unavailable) -> None:
        """Tells it and sets the time of the next call."""
        in_use, expired = isinstance(problem, InUse), isinstance(problem, Expired)
        result = "expired" if expired else "throttled" if problem.throttled or in_use else "error"
        self._tell(result, str(problem))
        if in_use:  # someone else was accepted just now, or still is: theirs can be taken over after a while
            pause = self._pace.takeover_seconds + self._random.random() * self._pace.call_seconds
        elif expired:
            pause = 0.0
        else:
            pause = backoff_seconds(self._failures, self._random.random(), cap=_BACKOFF_SECONDS_MAX)
            self._failures += 1
        self._due[self._shard] = max(self._due.get(self._shard, 0.0), anyio.current_time() + pause)

    def _tell(self, result: str, problem: str = "") -> None:
        seconds = anyio.current_time() - self._asked_at
        self._observer(Polled(self._mapping, self._shard, result, seconds, problem))

    async def _unsubscribe(self) -> None:
        answers, self._answers = self._answers, None
        if answers is not None:
            await answers.aclose()
