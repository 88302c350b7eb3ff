"""An answer by HTTP/1.1, as its bytes come in: this file knows when its head has come, and when all of it.

A parser reads heads and chunks. A body whose length is known then comes to its place without passing through it.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

BODY_BYTES_MAX = 64 * 1024 * 1024
"""No answer of AWS is a third of that."""


class Broken(Exception):
    """No answer by HTTP, or it ended too soon."""


class Answer:
    """Pass what comes to `feed`; while `room` is not ``None``, put it there instead and say so to `filled`.

    ``headers`` are in lower case. ``keeps_alive``: another request may follow. One that is ``streamed`` makes no room,
    as what it has of a body may be taken before it is whole.
    """

    def __init__(self, *, streamed: bool = False) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_head = False
        self.is_whole = False
        self.keeps_alive = False
        self.room: memoryview | None = None
        self._streamed = streamed
        self._body: bytearray | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._length: int | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    def feed(self, data: memoryview) -> None:
        """Raises `Broken`. What comes after the end belongs to no request, and ends the use of the connection."""
        if self._parser is None:
            self.keeps_alive = False
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.is_whole:
                raise Broken(f"not an answer by HTTP: {error}") from error
            self.keeps_alive = False
        if self.is_whole:
            self._parser = None  # which holds this answer in a circle
        if self._size > BODY_BYTES_MAX or (self._length or 0) > BODY_BYTES_MAX:
            raise Broken(f"an answer of more than {BODY_BYTES_MAX} bytes")
        if self.has_head and not self.is_whole and self._length is not None and not self._streamed:
            self._body = bytearray(self._length)
            self._body[: self._size] = self._taken_parts()
            self.room = memoryview(self._body)[self._size :]

    def filled(self, size: int) -> None:
        """So much of `room`."""
        assert self.room is not None
        self.room = self.room[size:]
        if not self.room:
            self.room, self.is_whole, self._parser = None, True, None

    def end(self) -> None:
        """The connection has ended, which for some answers is their end. Raises `Broken` for all others."""
        self.keeps_alive = False
        if self.is_whole:
            return
        if not self.has_head or self._length is not None or "transfer-encoding" in self.headers:
            raise Broken("the connection was closed")
        self.is_whole, self._parser = True, None

    @property
    def has_more(self) -> bool:
        """Whether something of the body has come that was not taken yet, of one that is streamed."""
        return bool(self._parts)

    def take(self) -> bytes | bytearray:
        """All that has come of the body, and was not taken yet."""
        if self._body is None:
            return self._taken_parts()
        body, self._body = self._body, None
        return body

    def _taken_parts(self) -> bytes:
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # What the parser tells

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            return  # a trailer, or of another answer, for which nobody asks
        self.headers[name.lower().decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self.has_head:
            return
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        if self.status < 200:  # there is another one to come
            return
        self.has_head, self.keeps_alive = True, self._parser.should_keep_alive()
        if "content-length" in self.headers:
            self._length = int(self.headers["content-length"])

    def on_body(self, part: bytes) -> None:
        if self.is_whole:
            return
        self._size += len(part)
        if self._size <= BODY_BYTES_MAX:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        if self.is_whole:
            return
        if not self.has_head:
            self.headers.clear()
            self._parts.clear()
            self._size = 0
            return
        self.is_whole = True

    def on_message_begin(self) -> None:
        if self.is_whole:
            self.keeps_alive = False
