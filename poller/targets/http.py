"""An HTTP endpoint as a function: this file is the POST of an event and the meaning of what comes back (R-PORT-4)."""

from __future__ import annotations

import aiohttp

from poller.arns import url_host
from poller.http_errors import told
from poller.invocation import FunctionFailed, Invocation, NotInvoked, Outcome, PayloadTooLarge, Response, Succeeded
from poller.keepalive import kept_alive
from poller.rules.envelope import payload
from poller.targets.answers import PART_BYTES, Unreadable, in_short, read_answer, retry_after_seconds

CONNECT_SECONDS_MAX = 10.0


class HttpTarget:
    """Posts events to ``url``; see `poller.ports.Target`. ``timeout_seconds`` is for the whole exchange.

    A request without an answer counts as an attempt only if it timed out (R-INV-4): with connections that break, not
    counting loses least. Once there is a status, it decides, whatever becomes of the rest.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._url = url
        self._host = url_host(url)
        self._timeout_seconds = timeout_seconds
        self._connect_seconds = min(CONNECT_SECONDS_MAX, timeout_seconds / 2)  # seen for what it is before all is over
        self._session: aiohttp.ClientSession | None = None

    async def invoke(self, invocation: Invocation) -> Outcome:
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "gzip",
            "X-Amzn-RequestId": invocation.request_id,
        }
        try:
            async with self._open_session().post(
                self._url, data=payload(invocation), headers=headers, allow_redirects=False
            ) as response:
                return await _outcome(response)
        except aiohttp.ConnectionTimeoutError:
            return NotInvoked(f"could not reach {self._host} within {self._connect_seconds:g} seconds")
        except TimeoutError:
            return FunctionFailed(f"no answer from {self._host} within {self._timeout_seconds:g} seconds")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return NotInvoked(f"could not post to {self._host}: {in_short(told(error))}")

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        """Made at the first use, since aiohttp wants a running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds, connect=self._connect_seconds),
                # One connection per shard, if need be, however long its function is silent.
                connector=aiohttp.TCPConnector(limit=0, socket_factory=kept_alive),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # answers are unpacked up to their cap only
            )
        return self._session


async def _outcome(response: aiohttp.ClientResponse) -> Outcome:
    status, headers, body, flaw = response.status, response.headers, b"", ""
    try:
        body = await read_answer(response.content.iter_chunked(PART_BYTES), headers.get("Content-Encoding", ""))
    except Unreadable as problem:
        flaw = str(problem)
    said = in_short(body) or flaw
    in_words = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    version = in_short(headers.get("X-Amz-Executed-Version", "")) or "$LATEST"
    kind = in_short(headers["X-Amz-Function-Error"]) if "X-Amz-Function-Error" in headers else None
    failed = Response(status, version, kind or "Unhandled")
    if kind is not None:  # whatever the status: it says that the function was reached
        return FunctionFailed(": ".join(part for part in (kind, said) if part), failed)
    if status in (429, 503):
        return NotInvoked(in_words, retry_after_seconds(headers))
    if status == 413:
        return PayloadTooLarge(in_words)
    if not 200 <= status < 300:
        return FunctionFailed(in_words, failed)
    if flaw:
        return FunctionFailed(flaw, failed)
    return Succeeded(body, Response(status, version))
