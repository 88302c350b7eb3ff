"""What comes back from an HTTP endpoint, over a real socket (R-PORT-4)."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from contextlib import aclosing

import anyio
import pytest
from aiohttp import ClientOSError, web

from poller.http_errors import told
from poller.invocation import UNHANDLED, FunctionFailed, NotInvoked, PayloadTooLarge, Response, Succeeded
from poller.targets.answers import ANSWER_BYTES_MAX, TOO_LARGE
from poller.targets.http import HttpTarget
from tests.builders import invocation
from tests.http_endpoint import answering_and_working_on, breaking_off, endpoint, saying, unreachable

INVOCATION = invocation("request-1")


async def invoke(answer, timeout_seconds=5.0):
    async def give(request):
        return answer if isinstance(answer, web.Response) else await answer(request)

    async with endpoint(give) as url, aclosing(HttpTarget(url, timeout_seconds=timeout_seconds)) as target:
        return await target.invoke(INVOCATION)


async def test_the_event_is_posted_as_json_with_its_request_id():
    """R-INV-5; R-PORT-10: what was measured is what is sent."""
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
        (503, {"X-Amz-Function-Error": "Unhandled"}, FunctionFailed),
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
    """R-PORT-4."""
    assert isinstance(await invoke(web.Response(status=status, headers=headers)), kind)


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_an_answer_tells_its_status_and_leaves_the_request_id_to_the_batch(status):
    """R-PORT-6, R-INV-5."""
    outcome = await invoke(web.Response(status=status, headers={"X-Amzn-RequestId": "another"}))
    assert outcome == Succeeded(b"", Response(status, "$LATEST", None, ""))


@pytest.mark.parametrize(
    ("status", "headers", "response"),
    [
        (500, {}, Response(500, "$LATEST", "Unhandled")),
        (404, {"X-Amz-Executed-Version": "7"}, Response(404, "7", "Unhandled")),
        (502, {"X-Amz-Function-Error": "Handled"}, Response(502, "$LATEST", "Handled")),
        (200, {"X-Amz-Function-Error": "Handled"}, Response(200, "$LATEST", "Handled")),
        (200, {"X-Amz-Function-Error": ""}, Response(200, "$LATEST", "Unhandled")),
        (200, {"X-Amz-Function-Error": "Unhandled", "X-Amz-Executed-Version": "7"}, Response(200, "7", "Unhandled")),
    ],
)
async def test_a_failure_tells_its_status_and_lambdas_word_for_it(status, headers, response):
    """R-PORT-4, R-PORT-6, R-DEST-23."""
    outcome = await invoke(web.Response(status=status, headers=headers))
    assert isinstance(outcome, FunctionFailed)
    assert outcome.response == response


async def test_headers_that_are_no_text_can_be_told_and_stored():
    async def answer(request):
        head = b"X-Amz-Function-Error: \xff\r\nX-Amz-Executed-Version: \xfe\r\nContent-Length: 0\r\n"
        request.transport.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        request.transport.close()
        return web.Response()

    assert await invoke(answer) == FunctionFailed(r"\udcff", Response(200, r"\udcfe", r"\udcff"))


async def test_an_endpoint_may_tell_the_version_that_ran():
    """R-DEST-23."""
    outcome = await invoke(web.Response(text="{}", headers={"X-Amz-Executed-Version": "7"}))
    assert outcome == Succeeded(b"{}", Response(200, "7"))


@pytest.mark.parametrize("body", [b"", b"null", b"[", b"\xff"])
async def test_any_answer_with_a_good_status_is_handed_on(body):
    """R-PBR-3: what it means is not the target's to say."""
    assert await invoke(web.Response(body=body)) == Succeeded(body)


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
    """R-PORT-4."""
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
    assert outcome.response == UNHANDLED


async def test_a_connection_that_does_not_come_about_does_not_count_however_short_the_time_is():
    """R-INV-4."""
    with unreachable() as url:
        async with aclosing(HttpTarget(url, timeout_seconds=0.4)) as target:
            outcome = await target.invoke(INVOCATION)
    assert isinstance(outcome, NotInvoked)
    assert "could not reach" in outcome.error


async def test_a_connection_that_is_refused_or_cut_does_not_count():
    async def cut(request):
        request.transport.abort()

    assert isinstance(await invoke(cut), NotInvoked)
    async with aclosing(HttpTarget("http://127.0.0.1:1/", timeout_seconds=2.0)) as target:
        assert isinstance(await target.invoke(INVOCATION), NotInvoked)


@pytest.mark.parametrize(
    ("status", "kind"), [(200, FunctionFailed), (500, FunctionFailed), (413, PayloadTooLarge), (503, NotInvoked)]
)
async def test_the_status_decides_even_if_the_rest_breaks_off(status, kind):
    """R-PORT-4: with a good status the function has run, so the attempt counts."""
    outcome = await invoke(breaking_off(status=status, after=b'{"batchItem'))
    assert isinstance(outcome, kind)
    assert "broke off" in outcome.error
    if isinstance(outcome, FunctionFailed):
        assert outcome.response == Response(status, "$LATEST", "Unhandled")


async def test_what_goes_on_behind_the_answer_is_not_waited_for():
    """R-INV-8."""
    assert await invoke(answering_and_working_on) == Succeeded(b"{}")


async def test_an_answer_that_stops_in_the_middle_counts():
    """R-INV-4."""

    async def stop(request):
        response = web.StreamResponse(status=202)
        await response.prepare(request)
        await response.write(b"{")
        await anyio.sleep(30)

    outcome = await invoke(stop, timeout_seconds=0.3)
    assert outcome == FunctionFailed("the answer did not end in time", Response(202, "$LATEST", "Unhandled"))


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_an_answer_may_be_packed(encoding, pack):
    seen = {}

    async def answer(request):
        seen["accepted"] = request.headers["Accept-Encoding"]
        return web.Response(body=pack(b'{"batchItemFailures":[]}'), headers={"Content-Encoding": encoding})

    assert await invoke(answer) == Succeeded(b'{"batchItemFailures":[]}')
    assert seen["accepted"] == "gzip"


async def test_an_answer_that_nobody_can_unpack_is_no_success():
    answer = web.Response(body=b"\x0b\x01\x80{}\x03", headers={"Content-Encoding": "br"})
    outcome = await invoke(answer)
    assert outcome == FunctionFailed("the answer is packed in a way that nobody asked for: br", UNHANDLED)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_an_answer_above_lambdas_cap_is_a_function_error(encoding):
    """R-INV-1."""
    body = b"x" * (ANSWER_BYTES_MAX + 1)
    packed = body if encoding == "identity" else gzip.compress(body)
    outcome = await invoke(web.Response(body=packed, headers={"Content-Encoding": encoding}))
    assert outcome == FunctionFailed(TOO_LARGE, UNHANDLED)


async def test_a_bomb_does_not_fill_the_memory():
    packing = zlib.compressobj(level=9, wbits=zlib.MAX_WBITS + 16)
    bomb = b"".join(packing.compress(bytes(2**20)) for _ in range(200)) + packing.flush()
    tracemalloc.start()
    try:
        outcome = await invoke(web.Response(body=bomb, headers={"Content-Encoding": "gzip"}), timeout_seconds=60.0)
        assert outcome == FunctionFailed(TOO_LARGE, UNHANDLED)
        assert tracemalloc.get_traced_memory()[1] < 3 * ANSWER_BYTES_MAX
    finally:
        tracemalloc.stop()


async def test_an_endless_answer_is_not_read_to_its_end():
    async def pour(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(2**20))

    assert await invoke(pour) == FunctionFailed(TOO_LARGE, UNHANDLED)


async def test_one_connection_serves_many_invocations_until_an_answer_is_given_up():
    peers = []

    async def answer(request):
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(body=bytes(3 * ANSWER_BYTES_MAX if len(peers) == 3 else 10))

    async with endpoint(answer) as url, aclosing(HttpTarget(url, timeout_seconds=5.0)) as target:
        for _ in range(4):
            await target.invoke(INVOCATION)
    assert peers[0] == peers[1] == peers[2] != peers[3]


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


async def test_what_a_url_may_hide_is_in_no_message():
    """It goes to the log, into the store and to whoever asks for the mapping."""

    async def sleep(request):
        await anyio.sleep(60)

    async with endpoint(sleep) as url:
        for place in (url.split("/")[2], "127.0.0.1:9"):
            target = HttpTarget(f"http://bob:s3cret@{place}/hook?token=s3cret", timeout_seconds=0.2)
            async with aclosing(target):
                outcome = await target.invoke(INVOCATION)
            assert place in outcome.error
            assert "s3cret" not in outcome.error


@pytest.mark.parametrize(
    ("scheme", "said", "seconds"),
    [("https", b"", 2.0), ("http", b"HTTP/1.1 200 OK\r\nno header\x00\r\n\r\n", 20.0)],
)
async def test_what_a_url_may_hide_is_in_no_words_of_the_library(scheme, said, seconds):
    """aiohttp quotes the whole URL where TLS does not come about, and where an answer is no HTTP."""
    async with saying(said) as place:
        target = HttpTarget(f"{scheme}://{place}/s3cret?token=s3cret", timeout_seconds=seconds)
        async with aclosing(target):
            outcome = await target.invoke(INVOCATION)
    assert isinstance(outcome, NotInvoked)
    assert place in outcome.error
    assert "s3cret" not in outcome.error


def test_nor_in_those_that_only_a_race_brings_about():
    error = ClientOSError(None, "Can not write request body for https://h/s3cret?a=s3cret")
    assert told(error) == "ClientOSError: [Errno None] Can not write request body for ..."
