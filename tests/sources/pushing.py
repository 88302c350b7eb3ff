"""A Kinesis that pushes, on a real socket: this file speaks the event-stream encoding over HTTP/2 and HTTP/1.1."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import PingAckReceived, StreamEnded
from hypercorn.asyncio import serve
from hypercorn.config import Config

STREAM_ARN = "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"
CONSUMER_ARN = f"{STREAM_ARN}/consumer/lambda-consumer:1545084650"
SHARD_ID = "shardId-000000000006"
CHILDREN = [
    {
        "ShardId": f"shardId-00000000000{n}",
        "ParentShards": [SHARD_ID],
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
    }
    for n in (7, 8)
]

Push = Callable[[bytes], Awaitable[None]]
Subscription = Callable[[Push], Awaitable[None]]
"""What an accepted call pushes; it is over when this returns."""


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message of the encoding, all headers being text."""
    encoded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    return sealed(encoded, payload)


def sealed(headers: bytes, payload: bytes) -> bytes:
    """A message of encoded headers and a payload, with its lengths and checksums."""
    prelude = struct.pack("!II", len(headers) + len(payload) + 16, len(headers))
    body = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack("!I", zlib.crc32(body))


def initial_response() -> bytes:
    kind = {":event-type": "initial-response", ":content-type": "application/json", ":message-type": "event"}
    return message(kind, b"{}")


def event(*raws, to="0", behind=0, **more) -> bytes:
    """A SubscribeToShardEvent with the records ``raws``; ``to`` is its continuation."""
    told = {"Records": list(raws), "ContinuationSequenceNumber": to, "MillisBehindLatest": behind, **more}
    kind = {
        ":event-type": "SubscribeToShardEvent",
        ":content-type": "application/x-amz-json-1.1",
        ":message-type": "event",
    }
    return message(kind, json.dumps({key: value for key, value in told.items() if value is not ...}).encode())


def exception(code: str, text: str = "said so") -> bytes:
    kind = {":exception-type": code, ":content-type": "application/json", ":message-type": "exception"}
    return message(kind, json.dumps({"message": text}).encode())


def raw(number, *, key="1", data="SGVsbG8=", at=1545084650.987):
    return {
        "SequenceNumber": str(number),
        "ApproximateArrivalTimestamp": at,
        "Data": data,
        "PartitionKey": key,
        "EncryptionType": "KMS",
    }


def pushes(*chunks: bytes | float) -> Subscription:
    """An initial response, then ``chunks`` one after another, a number being a pause in seconds; then it is over."""

    async def subscription(push: Push) -> None:
        await push(initial_response())
        for chunk in chunks:
            if isinstance(chunk, bytes):
                await push(chunk)
            else:
                await anyio.sleep(chunk)

    return subscription


def stays(*chunks: bytes | float) -> Subscription:
    """As `pushes`, but it is never over, and says nothing more."""
    return pushes(*chunks, float("inf"))


@dataclass
class Asked:
    """One request, as it came."""

    operation: str
    question: dict
    http_version: str
    method: str
    headers: dict[str, str]
    body: bytes


@dataclass
class PushingKinesis:
    """Plays ``subscriptions`` one after another; one that is a (status, dict) refuses. The last one plays again.

    ``answers`` are those to other calls, by operation.
    """

    subscriptions: list = field(default_factory=list)
    answers: dict = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    open: int = 0
    opened: int = 0
    pushed: int = 0

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        asked = await _asked(scope, receive)
        self.asked.append(asked)
        if asked.operation != "SubscribeToShard":
            await _answer(send, *_status_of(self.answers[asked.operation]))
            return
        subscription = self.choose(asked.question["StartingPosition"])
        if isinstance(subscription, tuple):
            await _answer(send, *subscription)
            return
        await self._push(subscription, receive, send)

    def choose(self, start: Mapping) -> Subscription | tuple:
        """What a call that wants to begin at ``start`` gets."""
        return self.subscriptions.pop(0) if len(self.subscriptions) > 1 else self.subscriptions[0]

    async def _push(self, subscription: Subscription, receive, send) -> None:
        kind = [(b"content-type", b"application/vnd.amazon.eventstream")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        self.open += 1
        self.opened += 1

        async def push(chunk: bytes) -> None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self.pushed += 1

        async def end_when_the_client_goes() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(end_when_the_client_goes)
                await subscription(push)
                await send({"type": "http.response.body"})
                tasks.cancel_scope.cancel()
        finally:
            self.open -= 1

    def questions(self, operation: str = "SubscribeToShard") -> list[dict]:
        return [asked.question for asked in self.asked if asked.operation == operation]

    @property
    def starts(self) -> list[dict]:
        return [question["StartingPosition"] for question in self.questions()]


async def _asked(scope, receive) -> Asked:
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part.get("body", b""), part.get("more_body", False)
    headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
    operation = headers["x-amz-target"].rpartition(".")[2]
    return Asked(operation, json.loads(body), scope["http_version"], scope["method"], headers, body)


def _status_of(answer) -> tuple[int, dict]:
    return answer if isinstance(answer, tuple) else (200, answer)


async def _answer(send, status: int, answer: dict | bytes) -> None:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    kind = [(b"content-type", b"application/x-amz-json-1.1"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": kind})
    await send({"type": "http.response.body", "body": body})


class OneHolder(PushingKinesis):
    """Keeps the service's rule: after a success others are refused for a while, and then take over (R-EFO-2).

    The next one is refused in any case, however long a busy machine took to ask. Record n is pushed as the n-th, ten a
    second.
    """

    BARRED_SECONDS = 0.5

    def __init__(self) -> None:
        super().__init__()
        self._accepted_at = float("-inf")
        self._refused = True
        self._holder: Subscription | None = None

    def choose(self, start: Mapping) -> Subscription | tuple:
        if anyio.current_time() - self._accepted_at < self.BARRED_SECONDS or not self._refused:
            self._refused = True
            return 400, {"__type": "ResourceInUseException", "message": "another active subscription"}

        async def hold(push: Push) -> None:
            number = int(start.get("SequenceNumber", 1))
            while self._holder is hold:
                await push(event(raw(number), to=str(number)))
                number += 1
                await anyio.sleep(0.1)
            await push(exception("ResourceInUseException", "taken over"))

        self._accepted_at, self._holder, self._refused = anyio.current_time(), hold, False
        return hold


class Cable:
    """What lies between a client and a server, and can be cut."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._port = 0
        self._ends: list[asyncio.StreamWriter] = []

    async def lay(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)

    def to(self, endpoint: str) -> str:
        """The URL of this end, for a server at ``endpoint``."""
        assert self._server is not None
        base, _, port = endpoint.rpartition(":")
        self._port = int(port)
        return f"{base}:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def aclose(self) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends += [writer, back]
        await asyncio.gather(self._pour(reader, back), self._pour(there, writer))

    async def _pour(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.close()


class Certificates:
    """An authority and a server's certificate from it, as files in ``directory``."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        server = authority.issue_cert("127.0.0.1", "localhost")
        self.authority, self.chain, self.key = (directory / name for name in ("ca.pem", "chain.pem", "key.pem"))
        authority.cert_pem.write_to_path(self.authority)
        server.private_key_pem.write_to_path(self.key)
        for part in server.cert_chain_pems:
            part.write_to_path(self.chain, append=True)


@asynccontextmanager
async def breaking_http_2(tls: Certificates, *answers: bytes) -> AsyncIterator[str]:
    """The endpoint URL of a server that gives each connection the next of ``answers``, and then breaks the protocol."""
    left = list(answers)

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        answer = left.pop(0)
        while chunk := await reader.read(65536):
            for happened in connection.receive_data(chunk):
                if isinstance(happened, StreamEnded):
                    connection.send_headers(happened.stream_id, [(":status", "200")])
                    connection.send_data(happened.stream_id, answer)
                    connection.ping(b"received")
                elif isinstance(happened, PingAckReceived):
                    writer.write(bytes(9))  # data of no stream
            writer.write(connection.data_to_send())
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.chain, tls.key)
    context.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def serving(app, *, tls: Certificates | None = None) -> AsyncIterator[str]:
    """The endpoint URL of ``app``: HTTP/2 if ``tls`` is given and the client can, else HTTP/1.1."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]
    config.errorlog = None
    config.graceful_timeout = 0.1
    if tls is not None:
        config.certfile, config.keyfile = str(tls.chain), str(tls.key)
    over = asyncio.Event()
    server = asyncio.create_task(serve(app, config, shutdown_trigger=over.wait))
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        over.set()
        await server
