"""SubscribeToShard on the wire: this file is its call over HTTP/2 and the reading of its event stream.

The SDK for Python speaks no HTTP/2, which this call needs (R-EFO-2). So the SDK makes and signs the request, httpx
sends it, and the SDK's decoder reads what comes. The protocol is agreed on with the server; one without TLS or without
HTTP/2, as emulators are, is spoken to in HTTP/1.1.

Each subscription has a connection of its own, as httpx is not made for streams that stay open for minutes on a shared
one: those beyond the server's limit would wait without end, one that is given up is never reset and keeps filling the
connection's window, and one that nobody reads from would in the end hold up all the others.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any, cast

import anyio
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.eventstream import EventStreamBuffer, ParserError
from botocore.exceptions import ClientError
from botocore.httpsession import get_cert_path
from botocore.parsers import EventStreamJSONParser, create_parser
from botocore.serialize import create_serializer
from h2.exceptions import H2Error

from poller.aws import Aws, as_it_came
from poller.aws_errors import translated
from poller.errors import Unavailable
from poller.model import ShardId

_OPERATION = "SubscribeToShard"
_EVENT = "SubscribeToShardEvent"
_CONNECT_SECONDS_MAX = 5.0


class Subscriber:
    """Subscribes to the shards of a stream for one registered consumer."""

    def __init__(self, aws: Aws, consumer_arn: str) -> None:
        self._aws = aws
        self._arn = consumer_arn
        self._region = consumer_arn.split(":")[3]
        self._trust: ssl.SSLContext | None = None

    async def subscribe(self, shard: ShardId, start: Mapping[str, object]) -> Subscription:
        """An accepted call; ``start`` is its StartingPosition. Close what it gives.

        Raises `Unavailable` or one of its kinds in `poller.aws_errors`, or `SourceGone`.
        """
        doing = f"subscribe to {shard} of {self._arn}"
        question = {"ConsumerARN": self._arn, "ShardId": shard, "StartingPosition": start}
        about = (await self._aws.client("kinesis", self._region)).meta
        credentials = await self._aws.credentials()
        output = about.service_model.operation_model(_OPERATION).output_shape
        async with AsyncExitStack() as opened:
            with _wire_translated(doing):
                request = _signed(question, about, credentials)
                self._trust = self._trust or _trust(self._aws.ca_bundle)
                # Silence is minded by who waits for the answer and for each event.
                timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS_MAX)
                connection = httpx.AsyncClient(http2=True, verify=self._trust, timeout=timeout)
                opened.push_async_callback(_close, connection)
                response = await connection.send(request, stream=True)
                if response.status_code != httpx.codes.OK:
                    raise await _error(response, output)
            return Subscription(response, output.members["EventStream"], doing, opened.pop_all())


class Subscription:
    """What the service pushes after an accepted call, one event after another."""

    def __init__(self, response: httpx.Response, shape: Any, doing: str, opened: AsyncExitStack) -> None:
        self._shape = shape
        self._doing = doing
        self._opened = opened
        self._parser = EventStreamJSONParser(timestamp_parser=as_it_came, blob_parser=as_it_came)
        self._chunks = response.aiter_raw()
        self._decoder = EventStreamBuffer()
        self._undecoded = 0

    async def event(self) -> Mapping[str, Any] | None:
        """The next SubscribeToShardEvent, its numbers and base64 as they came; ``None`` once the service has ended it.

        Nothing is read while nobody asks, so that the service is held back. What was cut off or garbled is
        `Unavailable`, what the service says in place of an event is raised as if it had said so at once.
        """
        with _wire_translated(self._doing):
            while True:
                message: Any = next(self._decoder, None)
                if message is not None:
                    self._undecoded -= message.prelude.total_length
                    event = self._read(message)
                    if event is not None:
                        return event
                    continue
                chunk = await anext(self._chunks, None)
                if chunk is None:
                    break
                self._undecoded += len(chunk)
                self._decoder.add_data(chunk)
        if self._undecoded:
            raise Unavailable(f"could not {self._doing}: the last event was cut off")
        return None

    async def aclose(self) -> None:
        """Closes the connection, which ends the subscription on both sides."""
        await self._opened.aclose()

    def _read(self, message: Any) -> Mapping[str, Any] | None:
        """``None`` for what is no event of records, as the initial response, which emulators leave out."""
        parsed = self._parser.parse(message.to_response_dict(), self._shape)
        if "Error" in parsed:
            raise ClientError(parsed, _OPERATION)
        return cast("Mapping[str, Any] | None", parsed.get(_EVENT))


def _signed(question: Mapping[str, object], about: Any, credentials: Any) -> httpx.Request:
    """The call, ready to be sent, by the SDK's own serialiser and signer; ``about`` is what its client knows."""
    model = about.service_model
    call = create_serializer(model.resolved_protocol).serialize_to_request(question, model.operation_model(_OPERATION))
    user_agent = f"{about.config.user_agent} {about.config.user_agent_extra}"
    prepare_request_dict(call, endpoint_url=about.endpoint_url, user_agent=user_agent)
    request = create_request_object(call)
    SigV4Auth(credentials, model.signing_name, about.region_name).add_auth(request)
    signed = request.prepare()
    return httpx.Request(signed.method, signed.url, headers=list(signed.headers.items()), content=signed.body)


class _Http2First(ssl.SSLContext):
    """Offers HTTP/2 first: httpx names HTTP/1.1 first, which a server may take for a wish."""

    def set_alpn_protocols(self, alpn_protocols: object) -> None:
        super().set_alpn_protocols(["h2", "http/1.1"])


def _trust(ca_bundle: str | None) -> ssl.SSLContext:
    """What the SDK trusts for its own calls."""
    context = _Http2First(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_bundle or get_cert_path(verify=True))
    return context


async def _close(connection: httpx.AsyncClient) -> None:
    """Also when cancelled: a connection that is left open would keep the shard."""
    with anyio.CancelScope(shield=True):
        await connection.aclose()


async def _error(response: httpx.Response, output: Any) -> ClientError:
    """What the service answered in place of a stream, in the SDK's form."""
    answer = {
        "status_code": response.status_code,
        "headers": dict(response.headers),
        "body": await response.aread(),
    }
    return ClientError(create_parser("json").parse(answer, output), _OPERATION)


@contextmanager
def _wire_translated(doing: str) -> Iterator[None]:
    """As `poller.aws_errors.translated`, and for the errors of what the SDK does not do here."""
    try:
        with translated(doing):
            yield
    except (httpx.HTTPError, H2Error, ParserError, struct.error) as error:
        raise Unavailable(f"could not {doing}: {type(error).__name__}: {error}") from error
