"""Calls to AWS that are made again and again: this file makes them at a fifth of what they cost the SDK.

The first time the SDK makes a call. From then on its request is signed and sent again, with another body, over the
same connections. Where an answer is not plainly good the SDK reads it, so that errors mean what they always mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from botocore import xform_name
from botocore.awsrequest import AWSPreparedRequest

from poller.aws import Aws
from poller.ports import Clock
from poller.signing import SignedRequest, learned

_DOUBTFUL = frozenset({301, 302, 307, 308, 401, 403})
"""Answers after which the SDK shall make the next call anew: another place, another moment, other credentials."""


@dataclass(slots=True)
class _Asking:
    """A call by the SDK that is under way: the answer that it is to read, and the request that it has made."""

    answer: Any
    request: Any = None


_asking: ContextVar[_Asking | None] = ContextVar("asking", default=None)


class RepeatedCall:
    """One operation on one thing, as the GetRecords of a stream; ``operation`` as AWS spells it.

    ``streamed`` answers are given before their bodies are read.
    """

    def __init__(
        self,
        aws: Aws,
        service: str,
        operation: str,
        *,
        region: str | None,
        clock: Clock,
        read_timeout_seconds: float = 30.0,
        streamed: bool = False,
    ) -> None:
        self._aws = aws
        self._client = service, region, read_timeout_seconds
        self._operation = operation
        self._method = xform_name(operation)
        self._clock = clock
        self._streamed = streamed
        self._seen: Any = None
        self._request: SignedRequest | None = None

    async def send(self, body: bytes) -> Any:
        """The response, of any status; ``None`` if the SDK must `ask`, as it must the first time. Raises as the SDK."""
        if self._request is None and self._seen is None:
            return None
        credentials = await self._aws.credentials()
        if self._request is None and self._seen is not None:  # another call may have come first meanwhile
            self._request, self._seen = _learned(self._seen, credentials), None
        if self._request is None:
            return None
        headers: Any = self._request.sign(body, credentials, self._clock.now())
        session = await self._aws.connections(*self._client)
        response = await session.send(AWSPreparedRequest("POST", self._request.url, headers, body, self._streamed))
        if response.status_code in _DOUBTFUL:
            self._request = None
        return response

    async def ask(self, question: Mapping[str, Any], response: Any = None) -> dict[str, Any]:
        """The SDK's own call, or its own reading of a ``response`` that has come already. Raises as the SDK."""
        client = await self._aws.client(*self._client)
        event = f"before-send.{client.meta.service_model.service_id.hyphenize()}.{self._operation}"
        client.meta.events.register(event, _before_send, unique_id=event)
        asking = _Asking(response)
        before = _asking.set(asking)
        try:
            answer: dict[str, Any] = await getattr(client, self._method)(**question)
        finally:
            _asking.reset(before)
            if response is None:
                self._seen = asking.request
        return answer


def _before_send(request: Any, **_: Any) -> Any:
    """Called by the SDK with the request that it is about to send, unless it gets an answer here."""
    asking = _asking.get()
    if asking is None:
        return None
    asking.request = request
    return asking.answer


def _learned(request: Any, credentials: Any) -> SignedRequest | None:
    headers = {name: value if isinstance(value, str) else value.decode() for name, value in request.headers.items()}
    return learned(request.method, request.url, headers, request.body or b"", credentials)
