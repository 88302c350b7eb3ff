"""A connection on which one request follows the other: this file sends it, and waits for its answer with patience."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Any

from poller.http_answer import Answer, Broken

_TOGETHER_BYTES_MAX = 64 * 1024
"""Up to this size a body is sent in one piece with its head; a larger one costs more to copy than to send by itself."""

_PART_BYTES = 256 * 1024
"""A larger body is sent in parts, as the event loop copies what the network does not take at once."""


class Until(Enum):
    """What of an answer is waited for: its head, something of its body or its end, or all of it."""

    HEAD = auto()
    MORE = auto()
    WHOLE = auto()


class Line(asyncio.BufferedProtocol):
    """One connection, on which one request follows the other.

    What comes goes to ``arriving``, or where the answer has room for it. ``heard_at`` is when it was used last.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, arriving: memoryview, read_seconds: float) -> None:
        self._loop = loop
        self._arriving = arriving
        self._read_seconds = read_seconds
        self._transport: Any = None
        self._waiting: asyncio.Future[None] | None = None
        self._until = Until.HEAD
        self._timer: asyncio.TimerHandle | None = None
        self._problem: Exception | None = None
        self._unsent = memoryview(b"")
        self._may_send = True
        self.answer = Answer()
        self.heard_at = loop.time()

    @property
    def usable(self) -> bool:
        """Whether it waits for a request; not if one was answered before it was all sent."""
        is_done = self.answer.keeps_alive and self.answer.is_whole and not self._unsent
        return is_done and not self._transport.is_closing()

    def ask(self, head: bytes, body: bytes, *, streamed: bool) -> None:
        """Sends a request, whose answer is ``streamed`` if it is to be taken as it comes."""
        self.answer, self._problem = Answer(streamed=streamed), None
        if self._transport.is_closing():
            self._problem = Broken("the connection was closed")
            return
        self.heard_at = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._read_seconds, self._look)
        if len(body) <= _TOGETHER_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._unsent = memoryview(body)
            self._send_on()

    async def heard(self, until: Until) -> None:
        """Returns when so much of the answer has come. Raises `Broken` or `TimeoutError`."""
        self._until = until
        if not self._enough and self._problem is None:
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        if not self._enough:
            # Kept here or in ``self`` it would be in a circle with this frame, as would the request in those above.
            problem, self._problem = self._problem, Broken("the connection was closed")
            assert problem is not None
            try:
                raise problem
            finally:
                del problem

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unsent = memoryview(b"")
        self._transport.abort()

    @property
    def _enough(self) -> bool:
        answer = self.answer
        if self._until is Until.HEAD:
            return answer.has_head
        return answer.is_whole or (self._until is Until.MORE and answer.has_more)

    def _send_on(self) -> None:
        while self._unsent and self._may_send:
            part, self._unsent = self._unsent[:_PART_BYTES], self._unsent[_PART_BYTES:]
            self._transport.write(part)

    def _look(self) -> None:
        """Whether an answer has failed to come for too long; one timer serves request after request."""
        self._timer = None
        if self.answer.is_whole:
            return
        silent_seconds = self._loop.time() - self.heard_at
        if silent_seconds >= self._read_seconds:
            self._fail(TimeoutError(f"no answer in {self._read_seconds:g} s"))
        else:
            self._timer = self._loop.call_later(self._read_seconds - silent_seconds, self._look)

    def _fail(self, problem: Exception) -> None:
        if self._problem is None:
            self._problem = problem
        self.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def pause_writing(self) -> None:
        self._may_send = False

    def resume_writing(self) -> None:
        self._may_send = True
        self._send_on()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._arriving if self.answer.room is None else self.answer.room

    def buffer_updated(self, nbytes: int) -> None:
        self.heard_at = self._loop.time()
        answer = self.answer
        try:
            if answer.room is not None:
                answer.filled(nbytes)
            else:
                answer.feed(self._arriving[:nbytes])
        except Broken as problem:
            self._fail(problem)
        if self._enough:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self.answer.is_whole:
            # To be broken off is the end of no answer, not even of one without a length. And it is no patience that
            # has ended, although a network that is gone is told as a `TimeoutError`, too.
            self._fail(Broken(f"the connection broke: {exc}"))
            return
        try:
            self.answer.end()
            self._wake()
        except Broken as problem:
            self._fail(problem)
