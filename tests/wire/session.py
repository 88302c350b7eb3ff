"""The network under the real client: this file takes the SDK's signed requests, and gives bytes or broken connections.

Clients are costly to make and hold nothing of a world, so all worlds of a process share them; whose request it is, the
task knows that makes it.
"""

from __future__ import annotations

import asyncio
import os
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import aiohttp
import anyio
from aiobotocore.awsrequest import AioAWSResponse
from botocore import useragent
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from poller.aws import Aws

REGION = "us-east-1"
FUNCTION_TIMEOUT_SECONDS = 65.0
"""The clients' patience with a function, which is a quarter of an hour in production."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back; ``cut`` says that the connection broke in the middle of ``body``."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/x-amz-json-1.1"})
    cut: bool = False


class Refused(Exception):
    """No connection was made."""


class TimedOut(Exception):
    """None was made in time."""


class Reset(Exception):
    """It broke before the answer began."""


class Line(Protocol):
    """One worker's way to the services."""

    async def ask(self, request: AWSPreparedRequest) -> Reply:
        """Raises `Refused`, `TimedOut` or `Reset`."""
        ...


LINE: ContextVar[Line] = ContextVar("line")


class WireSession:
    """Stands where aiobotocore has its session of aiohttp, and raises what that one raises."""

    def __init__(self, *, timeout, **_more) -> None:
        _, self._read_timeout = timeout

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_what) -> None:
        await self.close()

    async def close(self) -> None:
        """There is nothing to close."""

    async def send(self, request: AWSPreparedRequest) -> AioAWSResponse:
        url = request.url
        reply = None
        try:
            with anyio.move_on_after(self._read_timeout):
                reply = await LINE.get().ask(request)
        except Refused as error:
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        except TimedOut as error:
            raise ConnectTimeoutError(endpoint_url=url, error=error) from error
        except Reset as error:
            # Both are heard, by where in its life the connection was.
            if str(error):
                raise ConnectionClosedError(endpoint_url=url, request=request, error=error) from error
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        if reply is None:
            raise ReadTimeoutError(endpoint_url=url, error="no answer in time")
        response = AioAWSResponse(url, reply.status, reply.headers, _Raw(reply, url))
        if not request.stream_output:
            if reply.cut:
                error = aiohttp.ClientPayloadError("Response payload is not completed")
                raise ConnectionClosedError(endpoint_url=url, request=request, error=error)
            response._content = reply.body
        return response


class _Raw:
    """An answer of aiohttp that is read while it comes."""

    def __init__(self, reply: Reply, url: str) -> None:
        self._rest, self._cut = reply.body, reply.cut
        self.url = url
        self.content = self

    async def read(self, amount: int = -1) -> bytes:
        part, self._rest = (self._rest, b"") if amount < 0 else (self._rest[:amount], self._rest[amount:])
        if not part and self._cut:
            raise aiohttp.ClientPayloadError("Response payload is not completed")
        return part

    def at_eof(self) -> bool:
        return not self._rest

    def close(self) -> None:
        """There is nothing to close."""


_clients: Aws | None = None


def clients() -> Aws:
    """The door to AWS for all worlds, with every client made, for the first world must be like the later ones."""
    global _clients
    if _clients is None:
        user = dict(os.environ)
        for name in [each for each in user if each.startswith("AWS_")]:
            del os.environ[name]  # whatever the user's own are, they stay out of it
        os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
        try:
            _clients = Aws(region=REGION, http_session_cls=WireSession)
            asyncio.run(_make(_clients))
        finally:
            del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
            os.environ.update(user)
    return _clients


async def _make(aws: Aws) -> None:
    # A pure function, called ninety times for each request, which takes an eighth of a world's time.
    if not hasattr(useragent.sanitize_user_agent_string_component, "cache_info"):
        useragent.sanitize_user_agent_string_component = cache(useragent.sanitize_user_agent_string_component)
    for service in ("kinesis", "dynamodbstreams", "sqs"):
        await aws.client(service, REGION)
    await aws.client("lambda", REGION, read_timeout_seconds=FUNCTION_TIMEOUT_SECONDS)
