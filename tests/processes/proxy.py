"""A faulty line between a worker and a server: this file is a TCP proxy with what Toxiproxy calls toxics.

One line serves one port; it runs in a thread of its own. Changing the toxic breaks what is connected, except where a
toxic is about connections that stay.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from tests.integration.servers import free_ports

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Toxic:
    """What is wrong with the line; ``kind`` is in Toxiproxy's words.

    ``latency`` and ``jitter`` delay each piece by ``seconds``; ``bandwidth`` lets ``amount`` bytes a second through;
    ``slicer`` cuts into pieces of ``amount`` bytes; ``limit_data`` closes after ``amount`` bytes of an answer;
    ``reset_peer`` resets after ``seconds``; ``timeout`` swallows all, and ``half_open`` does so for ever with what was
    connected before; ``refuse`` takes no connection.
    """

    kind: str = ""
    seconds: float = 0.0
    amount: int = 0


CLEAR = Toxic()


class FaultyLine:
    """Listens at ``port`` and passes on to ``to_port``; use it in a ``with`` block."""

    def __init__(self, to_port: int) -> None:
        (self.port,) = free_ports(1)
        self.connections = 0
        self._to_port = to_port
        self._toxic = CLEAR
        self._random = Random(1)
        self._over = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._dead: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> FaultyLine:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_what: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, toxic: Toxic) -> None:
        """From now on the line has this fault and no other."""
        self._do(self._set(toxic))

    def _do(self, work: Awaitable[None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    async def _end(self) -> None:
        await self._refuse()
        self._over.set()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _set(self, toxic: Toxic) -> None:
        if toxic.kind == "half_open":
            self._dead |= self._writers
        else:
            for writer in self._writers - self._dead:
                writer.close()
        self._toxic = toxic
        if toxic.kind == "refuse":
            await self._refuse()
        elif self._server is None:
            await self._listen()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            _reset(writer)
            self._tasks.discard(task)
            return
        pair = {writer, back}
        self._writers |= pair
        try:
            if self._toxic.kind == "reset_peer":
                await asyncio.sleep(self._toxic.seconds)
                _reset(writer)
                return
            ways = [self._pass(reader, back, pair), self._pass(there, writer, pair)]
            _, still = await asyncio.wait([asyncio.ensure_future(way) for way in ways], return_when="FIRST_COMPLETED")
            for way in still:
                way.cancel()
            await asyncio.gather(*still, return_exceptions=True)
        finally:
            self._writers -= pair
            self._tasks.discard(task)
            for each in pair:
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: set) -> None:
        """One direction, until one side ends it."""
        passed = 0
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if pair <= self._dead or self._toxic.kind == "timeout":
                    continue  # nobody is told
                passed += len(data)
                if self._toxic.kind == "limit_data" and passed > self._toxic.amount:
                    writer.write(data[: max(0, self._toxic.amount - passed + len(data))])
                    await writer.drain()
                    return
                await self._send(data, writer)
        if pair <= self._dead:
            await self._over.wait()

    async def _send(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        toxic = self._toxic
        pieces, pause = [data], 0.0
        match toxic.kind:
            case "latency":
                await asyncio.sleep(toxic.seconds)
            case "jitter":
                await asyncio.sleep(toxic.seconds * self._random.random())
            case "bandwidth":
                pieces, pause = _cut(data, max(1, toxic.amount // 20)), 0.05
            case "slicer":
                pieces = _cut(data, toxic.amount)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST."""
    made: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):  # it has ended meanwhile
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.close()
