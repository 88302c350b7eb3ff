"""POST over connections that are kept: this file is as much HTTP as calls need that are made again and again.

A client for all of HTTP costs more than such a call itself. This one is used like the SDK's session and fails like it,
with one exception: an answer without a length that a reset cuts off is an error here. Behind a proxy the SDK's own
session is used.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import anyio
from aiobotocore.awsrequest import AioAWSResponse
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import get_cert_path

from poller.http_answer import Broken
from poller.http_line import Line, Until
from poller.keepalive import keep_alive

_ARRIVING_BYTES = 64 * 1024
_SWEEP_SECONDS = 3.0
_OTHER_ADDRESS_SECONDS = 0.25
_PORTS = {"http": 80, "https": 443}


class Connections:
    """The connections of one client; the last used is used next, so that those which nobody needs fall idle and go.

    ``verify`` is the SDK's: whether to, or the file of certificates to trust. Of an answer some byte must come in every
    ``read_seconds``; a connection is dropped when it was not used for ``unused_seconds``.
    """

    def __init__(
        self, *, verify: bool | str = True, connect_seconds: float, read_seconds: float, unused_seconds: float
    ) -> None:
        self._verify = verify
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._unused_seconds = unused_seconds
        self._unused: dict[str, list[Line]] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._trusting: ssl.SSLContext | None = None
        self._loading = anyio.Lock()
        self._arriving = memoryview(bytearray(_ARRIVING_BYTES))  # one will do: it is emptied as soon as it is filled

    async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
        """The answer, whose body is still to be read if ``request.stream_output``. Raises as the SDK's session."""
        url: str = request.url
        body: Any = request.body
        scheme, _, netloc, path = url.split("/", 3)
        head = _head(request, netloc, path, len(body))
        place = f"{scheme}//{netloc}"
        line = self._kept(place) or await self._connected(url)
        rest = _Rest(self, place, line)
        try:
            line.ask(head, body, streamed=request.stream_output)
            await rest.heard(Until.HEAD if request.stream_output else Until.WHOLE)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        headers: Any = line.answer.headers
        response = AioAWSResponse(url, line.answer.status, headers, rest)
        if not request.stream_output:
            content: Any = response.content
            await content
        return response

    def keep(self, place: str, line: Line) -> None:
        """For the next request to the same place, if the last answer permits."""
        if not line.usable:
            line.close()
            return
        self._unused.setdefault(place, []).append(line)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Drops all that are not in use."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for lines in self._unused.values():
            for line in lines:
                line.close()
        self._unused.clear()

    def _kept(self, place: str) -> Line | None:
        lines = self._unused.get(place)
        while lines:
            line = lines.pop()
            if line.usable:
                return line
            line.close()
        return None

    def _sweep(self) -> None:
        """Drops what has not been used for long."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._unused_seconds
        for place, lines in list(self._unused.items()):
            fresh = [line for line in lines if line.heard_at >= oldest]
            for line in lines:
                if line.heard_at < oldest:
                    line.close()
            if fresh:
                self._unused[place] = fresh
            else:
                del self._unused[place]
        self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep) if self._unused else None

    async def _connected(self, url: str) -> Line:
        """A new one. Raises as the SDK's session."""
        loop = asyncio.get_running_loop()
        scheme, _, netloc, _ = url.split("/", 3)
        host, port = _split(netloc)
        try:
            with anyio.fail_after(self._connect_seconds):
                transport, line = await loop.create_connection(
                    lambda: Line(loop, self._arriving, self._read_seconds),
                    host,
                    port or _PORTS[scheme[:-1]],
                    ssl=await self._context() if scheme == "https:" else None,
                    happy_eyeballs_delay=_OTHER_ADDRESS_SECONDS,
                )
        except TimeoutError as error:
            raise ConnectTimeoutError(endpoint_url=url, error=error) from error
        except ssl.SSLError as error:
            raise SSLError(endpoint_url=url, error=error) from error
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        keep_alive(transport.get_extra_info("socket"))
        return line

    async def _context(self) -> ssl.SSLContext:
        """Read from files, which takes a while."""
        async with self._loading:
            if self._trusting is None:
                self._trusting = await anyio.to_thread.run_sync(_trusting, self._verify)
            return self._trusting


class _Rest:
    """What is left of an answer, as the SDK's streams take it; a connection that is read to its end is kept."""

    def __init__(self, connections: Connections, place: str, line: Line) -> None:
        self._connections = connections
        self._place = place
        self._line: Line | None = line
        self.url = place

    @property
    def content(self) -> _Rest:
        """The stream in it. To hold itself would be a circle, and one of each call."""
        return self

    async def heard(self, until: Until) -> None:
        """Returns when so much has come. Raises `TimeoutError`, or what the SDK's session raises."""
        assert self._line is not None
        came = False
        try:
            await self._line.heard(until)
            came = True
        except Broken as error:
            raise ConnectionClosedError(endpoint_url=self.url, error=error) from error
        finally:
            if not came:
                self.close()

    async def read(self, size: int = -1) -> bytes | bytearray:
        """All that is left, or if a ``size`` is asked for what there is, whatever its size; at the end nothing."""
        line = self._line
        if line is None:
            return b""
        await self.heard(Until.WHOLE if size < 0 else Until.MORE)
        part = line.answer.take()
        if line.answer.is_whole:
            self._line = None
            self._connections.keep(self._place, line)
        return part

    def close(self) -> None:
        """Gives up what has not been read."""
        if self._line is not None:
            self._line.close()
            self._line = None


def _head(request: AWSPreparedRequest, netloc: str, path: str, length: int) -> bytes:
    headers = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
    return (
        f"POST /{path} HTTP/1.1\r\nHost: {netloc}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        f"{headers}Content-Length: {length}\r\n\r\n"
    ).encode()


def _split(netloc: str) -> tuple[str, int | None]:
    """Host and port; an IPv6 address is in brackets."""
    host, colon, port = netloc.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = netloc, ""
    return host.strip("[]"), int(port) if port else None


def _trusting(verify: Any) -> ssl.SSLContext:
    """As the SDK does it."""
    context = ssl.create_default_context(cafile=get_cert_path(verify) if verify else None)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
