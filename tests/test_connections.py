"""Connections of our own beside the SDK's session: the same answers, the same errors, over real sockets."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
from contextlib import aclosing, asynccontextmanager

import anyio
import pytest
import trustme
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

from poller import connections as module
from poller.aws import Aws
from poller.connections import Connections
from poller.http_line import Line
from poller.keepalive import keep_alive
from tests.circles import circles
from tests.http_endpoint import breaking_off, endpoint, saying, unreachable


@asynccontextmanager
async def ours(verify=True, connect=5.0, read=5.0, unused=12.0):
    made = Connections(verify=verify, connect_seconds=connect, read_seconds=read, unused_seconds=unused)
    try:
        yield made
    finally:
        made.close()


@asynccontextmanager
async def the_sdks(verify=True, connect=5.0, read=5.0):
    async with AIOHTTPSession(verify=verify, timeout=(connect, read)) as session:
        yield session


@pytest.fixture(params=[ours, the_sdks])
def sessions(request):
    """What must behave alike."""
    return request.param


def post(url, body=b"{}", stream=False, **headers):
    return AWSPreparedRequest("POST", url, headers, body, stream)


async def echo(request):
    body = await request.read()
    answered = {"X-Length": str(len(body)), "X-Given": request.headers.get("X-Given", ""), "X-Path": request.path_qs}
    return web.Response(body=body, headers=answered, status=int(request.headers.get("X-Status", 200)))


@pytest.mark.parametrize("size", [0, 2, 1000, 65_536, 65_537, 3_000_000])
async def test_bodies_of_every_size_go_and_come(sessions, size):
    body = bytes(range(250)) * (size // 250) + b"x" * (size % 250)
    async with endpoint(echo) as url, sessions() as session:
        for stream in (False, True):
            response = await session.send(post(f"{url}/a%2Fb?c=d", body, stream, **{"X-Given": "this"}))
            assert response.status_code == 200
            assert {name: response.headers[name] for name in ("x-length", "x-given", "x-path")} == {
                "x-length": str(size),
                "x-given": "this",
                "x-path": "/orders/a%2Fb?c=d",
            }
            assert await response.content == body


@pytest.mark.parametrize("status", [201, 301, 400, 404, 500, 503])
async def test_every_status_is_an_answer(sessions, status):
    async with endpoint(echo) as url, sessions() as session:
        response = await session.send(post(url, b"why", **{"X-Status": str(status)}))
        assert (response.status_code, await response.content) == (status, b"why")


async def in_chunks(request):
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(50):
        await response.write(b"0123456789" * 5000)
    return response


async def test_an_answer_in_chunks(sessions):
    async with endpoint(in_chunks) as url, sessions() as session:
        for stream in (False, True):
            response = await session.send(post(url, stream=stream))
            assert await response.content == b"0123456789" * 250_000


@asynccontextmanager
async def without_length(*, reset=False):
    """The place of a server whose answer lasts until the connection ends, in order or by a reset."""

    async def answer(stream):
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\n\r\n0123456789")
            await anyio.sleep(0.1)
            if reset:
                raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with anyio.create_task_group() as tasks:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        tasks.start_soon(listener.serve, answer)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/"
        tasks.cancel_scope.cancel()


async def test_an_answer_without_a_length_ends_with_its_connection(sessions):
    async with without_length() as url, sessions() as session:
        for stream in (False, True):
            response = await session.send(post(url, stream=stream))
            assert await response.content == b"0123456789"


async def test_a_network_that_is_gone_is_no_answer_that_took_too_long(sessions, monkeypatch):
    """To a function the one is an attempt and the other none; to Python both are a `TimeoutError` (R-INV-4)."""
    lines, connected = [], anyio.Event()
    for protocol in (Line, ResponseHandler):

        def note(self, transport, made=protocol.connection_made):
            made(self, transport)
            lines.append(self)
            connected.set()

        monkeypatch.setattr(protocol, "connection_made", note)
    async with saying(b"") as place, sessions() as session, anyio.create_task_group() as tasks:

        async def part():
            await connected.wait()
            await anyio.sleep(0.1)
            lines[0].connection_lost(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))

        tasks.start_soon(part)
        with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
            await session.send(post(f"http://{place}/"))


async def test_but_not_if_that_was_reset():
    """The SDK's session takes that for a whole answer, which an invocation might take for a success."""
    async with without_length(reset=True) as url, ours() as session:
        with pytest.raises(ConnectionClosedError):
            await session.send(post(url))


async def cut(request):
    await request.read()
    request.transport.abort()


async def never(request):
    await anyio.sleep(30)


async def begins(request):
    response = web.StreamResponse()
    response.content_length = 100
    await response.prepare(request)
    await response.write(b"{")
    await anyio.sleep(30)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (cut, ConnectionClosedError),
        (breaking_off(after=b"{"), ConnectionClosedError),
        (never, ReadTimeoutError),
        (begins, ReadTimeoutError),
    ],
)
async def test_an_answer_that_does_not_come_or_not_whole(sessions, answer, error):
    async with endpoint(answer) as url, sessions(read=0.3) as session:
        with pytest.raises(error):
            await session.send(post(url))


async def test_what_speaks_no_http_is_an_error_of_the_network(sessions):
    async def nonsense(stream):
        async with stream:
            await stream.receive()
            await stream.send(b"\x00\x01 nothing like HTTP\r\n\r\n")

    async with anyio.create_task_group() as tasks:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        tasks.start_soon(listener.serve, nonsense)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with sessions() as session:
            with pytest.raises((HTTPClientError, EndpointConnectionError)):
                await session.send(post(f"http://127.0.0.1:{port}/"))
        tasks.cancel_scope.cancel()


async def test_a_place_where_nobody_is(sessions):
    async with sessions() as session:
        for url in ("http://127.0.0.1:1/", "http://no-such-host.invalid/"):
            with pytest.raises(EndpointConnectionError):
                await session.send(post(url))


async def test_a_connection_that_does_not_come_about(sessions):
    with unreachable() as url:
        async with sessions(connect=0.1) as session:
            with pytest.raises(ConnectTimeoutError):
                await session.send(post(url))


@asynccontextmanager
async def over_tls(folder, answer=echo):
    """The URL of a server, and the file of the authority that vouches for it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    async with endpoint(answer, context=context) as url:
        yield url, str(folder / "authority.pem")


async def test_tls_is_trusted_as_the_sdk_trusts_it(sessions, tmp_path):
    async with over_tls(tmp_path) as (url, authority):
        for trust in (authority, False):
            async with sessions(verify=trust) as session:
                for body in (b"{}", b"x" * 2_000_000):
                    assert await (await session.send(post(url, body))).content == body
        async with sessions() as session:
            with pytest.raises((SSLError, EndpointConnectionError), match=r"SSL|CERTIFICATE"):
                await session.send(post(url))


async def test_another_name_than_the_certificates_is_not_trusted(sessions, tmp_path):
    async with over_tls(tmp_path) as (url, authority), sessions(verify=authority) as session:
        with pytest.raises((SSLError, EndpointConnectionError)):
            await session.send(post(url.replace("127.0.0.1", "localhost")))


# Which connections are used


class Visitors:
    """Counts connections; answers ``status``, and what else it is told."""

    def __init__(self):
        self.seen = []

    async def __call__(self, request):
        await request.read()
        self.seen.append(request.transport.get_extra_info("peername"))
        return web.Response(text="{}")

    @property
    def connections(self):
        return len(set(self.seen))


async def test_one_connection_serves_one_request_after_another_and_more_serve_those_at_once():
    visitors = Visitors()
    async with endpoint(visitors) as url, ours() as session:
        for _ in range(5):
            await session.send(post(url))
        assert visitors.connections == 1
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(session.send, post(url))
        assert visitors.connections == 5
        for _ in range(5):
            await session.send(post(url))
        assert visitors.connections == 5, "those that are there"
        assert len(set(visitors.seen[-5:])) == 1, "and of them the last one"


async def test_a_call_leaves_nothing_in_a_circle():
    """Thousands of idle shards make thousands of calls a second, and circles are looked for seldom."""
    async with endpoint(echo) as url, ours() as session:
        await session.send(post(url))
        with circles() as look:
            for _ in range(3):
                await session.send(post(url))
            found = look()
    assert [each for each in found if type(each).__module__.startswith(("poller", "aiobotocore"))] == []


@pytest.mark.parametrize("answer", [cut, breaking_off(after=b"{"), never])
async def test_a_call_that_fails_leaves_its_request_in_no_circle(answer):
    """It may be a payload of megabytes."""
    async with endpoint(answer) as url, ours(read=0.1) as session:
        with circles() as look:
            for _ in range(2):
                with pytest.raises((ConnectionClosedError, ReadTimeoutError)):
                    await session.send(post(url))
            found = look()
    assert [each for each in found if isinstance(each, AWSPreparedRequest)] == []


async def test_a_peer_that_is_silent_is_asked_for_a_sign_of_life(monkeypatch):
    """Functions work for long without a word, and gateways forget silent connections."""
    sockets = []

    def watched(made):
        keep_alive(made)
        sockets.append(made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    monkeypatch.setattr(module, "keep_alive", watched)
    async with endpoint(echo) as url, ours() as session:
        await session.send(post(url))
    assert sockets == [1]


async def test_a_connection_that_the_server_closed_is_not_used():
    visitors = Visitors()
    async with ours() as session:
        async with endpoint(visitors) as url:
            await session.send(post(url))
        await anyio.sleep(0.05)
        with pytest.raises(EndpointConnectionError):
            await session.send(post(url))


async def test_a_connection_with_something_left_on_it_is_not_used():
    peers, left = [], []

    async def talks_on(stream):
        peers.append(stream)
        async with stream:
            while True:
                try:
                    await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    left.append(stream)
                    return
                await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await anyio.sleep(0.05)
                await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")

    async with anyio.create_task_group() as tasks:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        tasks.start_soon(listener.serve, talks_on)
        url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/"
        async with ours() as session:
            for _ in range(2):
                assert await (await session.send(post(url))).content == b"{}"
                await anyio.sleep(0.2)
            assert (len(peers), left) == (2, peers[:1]), "and the first one is closed"
        tasks.cancel_scope.cancel()


async def test_a_connection_on_which_an_answer_came_before_all_was_sent_is_not_used():
    visitors = Visitors()

    async def hasty(request):
        visitors.seen.append(request.transport.get_extra_info("peername"))
        return web.Response(status=413, text="too large")

    async with endpoint(hasty) as url, ours() as session:
        for _ in range(2):
            response = await session.send(post(url, b"x" * 9_000_000))
            assert (response.status_code, await response.content) == (413, b"too large")
    assert visitors.connections == 2


async def test_who_gives_up_leaves_no_answer_for_the_next():
    transports = []

    async def slow_at_first(request):
        transports.append(request.transport)
        if (await request.read()) == b"slow":
            await anyio.sleep(0.3)
            return web.Response(text="slow")
        return web.Response(text="quick")

    async with endpoint(slow_at_first) as url, ours() as session:
        with anyio.move_on_after(0.1) as gave_up:
            await session.send(post(url, b"slow"))
        assert gave_up.cancelled_caught
        await anyio.sleep(0.05)
        assert transports[0].is_closing()
        for _ in range(3):
            assert await (await session.send(post(url, b"quick"))).content == b"quick"
            await anyio.sleep(0.15)


async def test_a_stream_that_is_closed_before_its_end_is_not_used_again():
    visitors = Visitors()

    async def both(request):
        return await (begins(request) if request.path == "/begins" else visitors(request))

    async with endpoint(both) as url, ours() as session:
        await session.send(post(url))
        response = await session.send(post(url.replace("/orders", "/begins"), stream=True))
        response.raw.close()
        await session.send(post(url))
    assert visitors.connections == 2


async def test_a_connection_without_a_request_may_be_silent_for_longer_than_an_answer():
    visitors = Visitors()
    async with endpoint(visitors) as url, ours(read=0.2) as session:
        for _ in range(2):
            await session.send(post(url))
            await anyio.sleep(0.5)
    assert visitors.connections == 1


async def test_a_slow_answer_is_waited_for_as_long_as_something_comes():
    async def drips(request):
        response = web.StreamResponse()
        response.content_length = 6
        await response.prepare(request)
        for _ in range(6):
            await anyio.sleep(0.2)
            await response.write(b"x")
        return response

    async with endpoint(drips) as url, ours(read=0.5) as session:
        assert await (await session.send(post(url))).content == b"x" * 6


async def test_each_request_has_all_the_patience_whatever_the_one_before_took_of_it():
    async def slow(request):
        await request.read()
        await anyio.sleep(0.35)
        return web.Response(text="{}")

    async def silent_at_last(request):
        return await (never(request) if request.path == "/never" else slow(request))

    async with endpoint(silent_at_last) as url, ours(read=0.5) as session:
        for _ in range(4):
            await session.send(post(url))
        before = anyio.current_time()
        with pytest.raises(ReadTimeoutError):
            await session.send(post(url.replace("/orders", "/never")))
        assert 0.5 <= anyio.current_time() - before < 0.9


async def test_what_nobody_needs_any_more_is_closed(monkeypatch):
    monkeypatch.setattr(module, "_SWEEP_SECONDS", 0.05)
    gone = []

    async def watched(request):
        gone.append(request.transport)
        return await echo(request)

    async with endpoint(watched) as url, ours(unused=0.2) as session:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(session.send, post(url))
        await anyio.sleep(0.1)
        assert not any(transport.is_closing() for transport in gone)
        await anyio.sleep(0.4)
        assert all(transport.is_closing() for transport in gone)
        assert len(gone) == 3


# Who gets them


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, Connections), ({"HTTPS_PROXY": "http://127.0.0.1:3128"}, AIOHTTPSession)],
)
async def test_where_there_is_a_proxy_the_sdks_session_is_used(monkeypatch, environment, expected):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", **environment}.items():
        monkeypatch.setenv(name, value)
    async with aclosing(Aws(region="eu-west-1")) as aws:
        assert isinstance(await aws.connections("kinesis"), expected)
