"""Servers of a test's own on free ports: this file is how tests play the other side of a socket."""

from __future__ import annotations

import socket
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

import anyio
from aiohttp import web


@asynccontextmanager
async def endpoint(answer, *, context=None):
    """A server whose every answer is ``answer(request)``; with a ``context`` it speaks TLS."""
    application = web.Application(client_max_size=10_000_000)

    async def give(request):
        return await answer(request)

    application.router.add_route("*", "/{any:.*}", give)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}/orders"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def saying(words):
    """The host and port of a server that says ``words`` to all that connect, and waits."""

    async def speak(stream):
        async with stream:
            await stream.receive()
            if words:
                await stream.send(words)
            await anyio.sleep(30)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, speak)
        yield f"127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


@contextmanager
def unreachable():
    """The URL of a server to which no connection comes about: those who wait already fill its queue."""
    with ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/orders"


async def answering_and_working_on(request):
    """Answers with an empty object, and does not end for long."""
    response = web.StreamResponse()
    response.content_length = 2
    await response.prepare(request)
    await response.write(b"{}")
    await response.write_eof()
    await anyio.sleep(30)
    return response


def breaking_off(*, after=b"", **head):
    """An answer whose connection is cut when its head and ``after`` have been sent."""

    async def answer(request):
        response = web.StreamResponse(**head)
        response.content_length = 1000
        await response.prepare(request)
        await response.write(after)
        request.transport.close()  # sends what is buffered, then ends the connection
        return response

    return answer
