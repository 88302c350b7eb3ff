"""What counts as accepted by an HTTP endpoint, over a real socket."""

from __future__ import annotations

import anyio
import pytest
from aiohttp import web

from poller.destinations import http
from poller.destinations.http import HttpDestination
from poller.errors import Unavailable
from poller.rules.failure_document import failure_document
from tests.builders import failure_report
from tests.http_endpoint import endpoint, saying


async def test_the_document_is_posted_as_json():
    seen = {}

    async def answer(request):
        seen.update(
            method=request.method, kind=request.headers["Content-Type"], path=request.path_qs, body=await request.read()
        )
        return web.Response()

    async with endpoint(answer) as url:
        await HttpDestination(f"{url}?token=a%20b").send(failure_report())
    assert seen == {
        "method": "POST",
        "kind": "application/json",
        "path": "/orders?token=a%20b",
        "body": failure_document(failure_report(), with_payload=True),
    }


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_2xx_accepts(status):
    async def answer(request):
        return web.Response(status=status)

    async with endpoint(answer) as url:
        await HttpDestination(url).send(failure_report())


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 403, 404, 413, 429, 500, 503])
async def test_nothing_else_does_and_no_redirect_is_followed(status):
    asked = []

    async def answer(request):
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with endpoint(answer) as url:
        with pytest.raises(Unavailable, match=f"HTTP {status}$"):
            await HttpDestination(url).send(failure_report())
    assert asked == ["/orders"]


async def test_an_endpoint_that_does_not_answer_in_time_has_not_accepted(monkeypatch):
    async def answer(request):
        await request.read()
        await anyio.sleep(30)

    monkeypatch.setattr(http, "SECONDS_MAX", 0.2)
    async with endpoint(answer) as url:
        with pytest.raises(Unavailable, match="in time"):
            await HttpDestination(url).send(failure_report())


async def test_a_connection_that_is_cut_has_not_accepted():
    async def cut(request):
        request.transport.abort()

    async with endpoint(cut) as url:
        with pytest.raises(Unavailable, match="could not post a failure to"):
            await HttpDestination(url).send(failure_report())


@pytest.mark.parametrize("url", ["http://[", "http://a:99999/", "http:// /"])
async def test_a_url_that_is_none_is_unavailable(url):
    with pytest.raises(Unavailable):
        await HttpDestination(url).send(failure_report())


async def test_what_is_told_of_a_failure_holds_no_secret_of_the_url():
    with pytest.raises(Unavailable) as caught:
        await HttpDestination("http://user:secret@127.0.0.1:1/secret?token=secret").send(failure_report())
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_nor_what_the_library_says_of_an_answer_that_is_no_http():
    async with saying(b"HTTP/1.1 200 OK\r\nno header\x00\r\n\r\n") as place:
        with pytest.raises(Unavailable, match="could not post a failure") as caught:
            await HttpDestination(f"http://{place}/secret?token=secret").send(failure_report())
    assert "secret" not in str(caught.value)
