"""An HTTP endpoint as a function: this file is the POST of an event and the meaning of what comes back (R-PORT-4)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import aiohttp
from multidict import CIMultiDictProxy

from poller.invocation import FunctionFailed, Invocation, NotInvoked, Outcome, PayloadTooLarge, Succeeded

ANSWER_BYTES_MAX = 6 * 1024 * 1024
"""Lambda's cap on an answer, here on the bytes after decompression, so that no small answer can fill the memory."""

CONNECT_SECONDS_MAX = 10.0
_EXCERPT = 200


class HttpTarget:
    """Posts events to ``url``; see `poller.ports.Target`. ``timeout_seconds`` is for the whole exchange.

    A request whose end is unknown counts as an attempt only if it timed out (R-INV-4): with connections that break,
    not counting loses least.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def invoke(self, invocation: Invocation) -> Outcome:
        headers = {"Content-Type": "application/json", "X-Amzn-RequestId": invocation.request_id}
        try:
            async with self._open_session().post(
                self._url, data=invocation.payload, headers=headers, allow_redirects=False
            ) as response:
                body = await _read(response)
                return _outcome(response, body)
        except aiohttp.ConnectionTimeoutError as error:
            return NotInvoked(f"could not reach {self._url}: {error}")
        except TimeoutError:
            return FunctionFailed(f"no answer from {self._url} within {self._timeout_seconds:g} seconds")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return NotInvoked(f"could not post to {self._url}: {type(error).__name__}: {error}")

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        """Made at the first use, since aiohttp wants a running loop."""
        if self._session is None:
            connect = min(CONNECT_SECONDS_MAX, self._timeout_seconds)
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds, sock_connect=connect),
                connector=aiohttp.TCPConnector(limit=0),  # one connection per shard, if need be
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body after decompression; ``None`` if it is larger than an answer may be."""
    body = bytearray()
    async for part in response.content.iter_chunked(64 * 1024):
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            response.close()
            return None
    return bytes(body)


def _outcome(response: aiohttp.ClientResponse, body: bytes | None) -> Outcome:
    status = response.status
    if status in (429, 503):
        return NotInvoked(f"HTTP {status}{_excerpt(body)}", retry_after_seconds(response.headers))
    if status == 413:
        return PayloadTooLarge(f"HTTP 413{_excerpt(body)}")
    if not 200 <= status < 300:
        return FunctionFailed(f"HTTP {status}{_excerpt(body)}")
    if "X-Amz-Function-Error" in response.headers:
        return FunctionFailed(f"{response.headers['X-Amz-Function-Error']}{_excerpt(body)}")
    if body is None:
        return FunctionFailed(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
    return Succeeded(body)


def retry_after_seconds(headers: CIMultiDictProxy[str]) -> float | None:
    """The wish in ``Retry-After``, seconds or a date; a date is measured against the answer's own ``Date``."""
    wish = headers.get("Retry-After", "").strip()
    if wish.isascii() and wish.isdigit():
        return float(wish)
    try:
        until, sent = parsedate_to_datetime(wish), parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (until - sent).total_seconds())
    except (ValueError, TypeError):
        return None


def _excerpt(body: bytes | None) -> str:
    text = " ".join((body or b"")[:_EXCERPT].decode(errors="replace").split())
    return f": {text}" if text else ""
