"""What comes back from an HTTP endpoint, over a real socket (R-PORT-4)."""

from __future__ import annotations

import gzip
from contextlib import aclosing

import anyio
import pytest
from aiohttp import web

from poller.invocation import FunctionFailed, Invocation, NotInvoked, PayloadTooLarge, Succeeded
from poller.targets import http
from poller.targets.http import HttpTarget
from tests.http_endpoint import endpoint

INVOCATION = Invocation("request-1", b'{"Records":[]}')


async def invoke(answer, timeout_seconds=5.0):
    async def give(request):
        return answer if isinstance(answer, web.Response) else await answer(request)

    async with endpoint(give) as url, aclosing(HttpTarget(url, timeout_seconds=timeout_seconds)) as target:
        return await target.invoke(INVOCATION)


async def test_the_event_is_posted_as_json_with_its_request_id():
    seen = {}

    async def answer(request):
        seen.update(method=request.method, body=await request.read(), headers=dict(request.headers))
        return web.json_response({"batchItemFailures": []})

    assert await invoke(answer) == Succeeded(b'{"batchItemFailures": []}')
    assert (seen["method"], seen["body"]) == ("POST", b'{"Records":[]}')
    assert seen["headers"]["Content-Type"] == "application/json"
    assert seen["headers"]["X-Amzn-RequestId"] == "request-1"


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (200, {}, Succeeded),
        (204, {}, Succeeded),
        (200, {"X-Amz-Function-Error": "Unhandled"}, FunctionFailed),
        (302, {"Location": "/elsewhere"}, FunctionFailed),
        (400, {}, FunctionFailed),
        (404, {}, FunctionFailed),
        (413, {}, PayloadTooLarge),
        (429, {}, NotInvoked),
        (500, {}, FunctionFailed),
        (502, {}, FunctionFailed),
        (503, {}, NotInvoked),
    ],
)
async def test_the_status_says_what_became_of_the_batch(status, headers, kind):
    assert isinstance(await invoke(web.Response(status=status, headers=headers)), kind)


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("7", 7.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-5", None),
    ],
)
async def test_a_wish_to_retry_later_is_read_in_both_forms(wish, seconds):
    headers = {"Retry-After": wish, "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    outcome = await invoke(web.Response(status=503, headers=headers, text="busy"))
    assert outcome == NotInvoked("HTTP 503: busy", seconds)


async def test_a_time_out_counts_since_the_function_may_have_run():
    """R-INV-4."""

    async def answer(request):
        await anyio.sleep(30)

    outcome = await invoke(answer, timeout_seconds=0.2)
    assert isinstance(outcome, FunctionFailed)
    assert "within 0.2 seconds" in outcome.error


async def test_a_connection_that_is_refused_or_cut_does_not_count():
    async def cut(request):
        request.transport.abort()

    assert isinstance(await invoke(cut), NotInvoked)
    async with aclosing(HttpTarget("http://127.0.0.1:1/", timeout_seconds=2.0)) as target:
        assert isinstance(await target.invoke(INVOCATION), NotInvoked)


async def test_an_answer_that_unpacks_to_more_than_lambdas_cap_is_a_function_error(monkeypatch):
    monkeypatch.setattr(http, "ANSWER_BYTES_MAX", 100_000)
    packed = gzip.compress(b"x" * 10_000_000)
    assert len(packed) < 50_000
    outcome = await invoke(web.Response(body=packed, headers={"Content-Encoding": "gzip"}))
    assert isinstance(outcome, FunctionFailed)
    assert "larger" in outcome.error


async def test_garbage_instead_of_http_does_not_count():
    async def garbage(stream):
        async with stream:
            await stream.receive()
            await stream.send(b"\x00\x01 nothing like HTTP\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, garbage)
        async with aclosing(HttpTarget(f"http://127.0.0.1:{port}/", timeout_seconds=2.0)) as target:
            assert isinstance(await target.invoke(INVOCATION), NotInvoked)
        tasks.cancel_scope.cancel()
