"""The SDK's own way from the bytes of an answer to its parsed form, without a network: this file answers GetRecords."""

from __future__ import annotations

from functools import cache

from botocore import parsers

from poller.aws import Aws
from poller.model import ShardId
from tests.virtual import VirtualLoop

SHARD = ShardId("shardId-000000000006")
HALF = (0, (1 << 127) - 1)
"""The hash keys of the shard."""

_LISTED = {
    "ShardId": SHARD,
    "HashKeyRange": {"StartingHashKey": str(HALF[0]), "EndingHashKey": str(HALF[1])},
    "SequenceNumberRange": {"StartingSequenceNumber": "1"},
}


_waiting: list[Response] = []


class Enough(BaseException):
    """The one answer was given, and another one was asked for."""


@cache
def loop() -> VirtualLoop:
    """In virtual time, so that no pause costs any."""
    return VirtualLoop()


@cache
def client(service: str):
    """The client that the worker would use; where it would go to the network, it gets what `OneAnswer` has to give."""
    made = loop().run_until_complete(Aws(region="us-east-1").client(service))
    service_id = made.meta.service_model.service_id.hyphenize()
    made.meta.events.register(f"before-send.{service_id}.GetRecords", lambda request, **more: _waiting.pop())
    return made


@cache
def output_shape(service: str):
    return client(service).meta.service_model.operation_model("GetRecords").output_shape


def plainly_parsed(service: str, body: bytes):
    """What botocore's own parser, not the asynchronous one, makes of the body of a good answer."""
    parser = parsers.create_parser("json")
    parser._timestamp_parser = parser._blob_parser = lambda value: value
    return parser.parse({"headers": {}, "status_code": 200, "body": body}, output_shape(service))


class Response:
    """What a connection gives to the SDK."""

    raw = None

    def __init__(self, status_code: int, body: bytes) -> None:
        self.status_code = status_code
        self.headers: dict[str, str] = {}
        self._body = body

    @property
    def content(self):
        return self._content()

    async def _content(self) -> bytes:
        return self._body


class _Request:
    method, url, headers, body = "POST", "", {}, b""


class OneAnswer:
    """Stands for `Aws`, its client and the call for records: gives one answer to GetRecords.

    It comes through the SDK's own reading of it, unless it is ``sent``: then the source looks at its bytes first.
    """

    def __init__(self, service: str, status_code: int, body: bytes, *, sent: bool = False) -> None:
        self.status_code = status_code
        self._sent = sent
        self._real = client(service)
        self._response: Response | None = Response(status_code, body)

    async def client(self, service, region):
        return self

    async def get_shard_iterator(self, **question):
        return {"ShardIterator": "it"}

    async def list_shards(self, **question):
        return {"Shards": [_LISTED]}

    async def describe_stream(self, **question):
        return {"StreamDescription": {"Shards": [_LISTED]}}

    async def send(self, body):
        if not self._sent:
            return None
        if self._response is None:
            raise Enough
        response, self._response = self._response, None
        return response

    async def ask(self, question, response):
        """As the SDK's client does it, but for the signing."""
        if response is None:
            response, self._response = self._response, None
        if response is None:
            raise Enough
        _waiting[:] = [response]
        model = self._real.meta.service_model.operation_model("GetRecords")
        answered, trouble = await self._real._endpoint._do_get_response(_Request, model, {})
        if trouble is not None:
            raise trouble
        _, parsed = answered
        if response.status_code >= 300:
            raise self._real.exceptions.from_code(parsed.get("Error", {}).get("Code"))(parsed, "GetRecords")
        return parsed


def run(main):
    """Runs a coroutine to its end, in virtual time."""
    return loop().run_until_complete(main)
