"""A DynamoDB table's stream: this file is its calls and its records' form in an event."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from random import Random
from typing import Any

import anyio
from msgspec.json import encode

from poller.aws import Aws
from poller.aws_errors import translated
from poller.model import Listing, Position, Shard, ShardId
from poller.ports import Clock, Observer, Room, all_room
from poller.records import Page, Record, RenderedRecord
from poller.repeating import RepeatedCall
from poller.rules.pacing import DYNAMODB
from poller.sources.dynamodb_pass_through import PassThrough
from poller.sources.event_json import epoch_seconds, json_bytes, sequence_number, text
from poller.sources.known_shards import KnownShards, every_page
from poller.sources.polling import Answer, ShardPolling

RETENTION_SECONDS = 24 * 3600.0
"""Fixed by the service (R-DDB-4)."""

_RECORDS_MAX = 1000
"""Of an answer (R-DDB-2)."""

_DESCRIBE_SPACING_SECONDS = 0.2
"""DescribeStream is limited to 10 calls a second for all that ask (R-DDB-2)."""

_IMAGE_KEYS = ("Keys", "NewImage", "OldImage")


class DynamoDBSource:
    """One table's stream; see `poller.ports.Source`. ``mapping`` is the label for events, ``random`` spreads the polls.

    ``room`` says how many records an answer may hold.

    ``invoke_identity_arn`` and ``deaggregate`` are taken for likeness with Kinesis: these events have neither.
    """

    def __init__(
        self,
        aws: Aws,
        *,
        arn: str,
        mapping: str,
        observer: Observer,
        clock: Clock,
        random: Random,
        invoke_identity_arn: str = "",
        deaggregate: bool = False,
        room: Room = all_room,
    ) -> None:
        self._aws = aws
        self._arn = arn
        self._region = arn.split(":")[3]
        self._mapping = mapping
        self._observer = observer
        self._random = random
        self._room = room
        self._get_records = RepeatedCall(aws, "dynamodbstreams", "GetRecords", region=self._region, clock=clock)
        self._pass_through = PassThrough(arn)
        self._form = RecordForm(arn, clock)
        self._known = KnownShards(self._list_shards)
        self._describe_at = float("-inf")
        self._disabled = False

    async def listing(self) -> Listing:
        return Listing(await self._known.all(), RETENTION_SECONDS)

    def read(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        """The service knows no AT_TIMESTAMP: older records are left out here, by their whole seconds (R-DDB-10)."""
        polling = ShardPolling(
            self,
            shard,
            position,
            pace=DYNAMODB,
            mapping=self._mapping,
            observer=self._observer,
            random=self._random,
            skip_before=None if position.timestamp is None else math.floor(position.timestamp),
        )
        return polling.pages()

    reread = read  # two readers of a shard are what the service allows (R-DDB-3)

    async def aclose(self) -> None:
        """Nothing to do: the clients are the door's."""

    async def iterator(self, shard: ShardId, position: Position) -> str:
        """See `poller.sources.polling.ShardCalls`."""
        client = await self._client()
        start = {"ShardIteratorType": "TRIM_HORIZON"}
        if position.sequence_number is not None:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": position.sequence_number}
        with translated(f"get an iterator for {shard} of {self._arn}"):
            answer = await client.get_shard_iterator(StreamArn=self._arn, ShardId=shard, **start)
            return text(answer["ShardIterator"])

    async def records(self, shard: ShardId, iterator: str) -> Answer:
        with translated(f"get records of {shard} of {self._arn}"), self._room() as limit:
            question: dict[str, object] = {"ShardIterator": iterator}
            question |= {} if limit is None else {"Limit": min(limit, _RECORDS_MAX)}
            response = await self._get_records.send(encode(question))
            if response is not None and response.status_code == 200:
                passed = self._pass_through.answer(await response.content)
                if passed is not None:
                    return passed
            answer = await self._get_records.ask(question, response)
            following = answer.get("NextShardIterator")
            return Answer(
                tuple(self._form.record(raw) for raw in answer["Records"]),
                None if following is None else text(following),
            )

    async def find(self, shard: ShardId) -> Shard | None:
        return await self._known.find(shard)

    async def is_closed(self, shard: ShardId) -> bool:
        """A shard of a disabled stream takes no more records, whatever its listing says yet (R-STATE-10)."""
        return await self._known.is_closed(shard) or self._disabled

    async def _client(self) -> Any:
        return await self._aws.client("dynamodbstreams", self._region)

    async def _list_shards(self) -> Sequence[Shard]:
        """Every page of up to 100 shards; of a shard that is listed twice the later word holds (`KnownShards`)."""
        return await every_page(self._shards_page, self._random, of=self._arn)

    async def _shards_page(self, last: str | None) -> tuple[list[Shard], str | None]:
        await anyio.sleep(max(0.0, self._describe_at - anyio.current_time()))
        self._describe_at = anyio.current_time() + _DESCRIBE_SPACING_SECONDS
        client = await self._client()
        with translated(f"list the shards of {self._arn}"):
            start = {} if last is None else {"ExclusiveStartShardId": last}
            answer = await client.describe_stream(StreamArn=self._arn, **start)
            stream = answer["StreamDescription"]
            self._disabled = stream.get("StreamStatus") == "DISABLED"
            return [_shard(raw) for raw in stream["Shards"]], stream.get("LastEvaluatedShardId") or None


class RecordForm:
    """Renders the records of one stream as Lambda's events have them, keys in wire order (R-EVT-10 to R-EVT-15)."""

    def __init__(self, arn: str, clock: Clock) -> None:
        self._arn = arn
        self._region = arn.split(":")[3]
        self._clock = clock

    def record(self, raw: Mapping[str, Any]) -> Record:
        """Raises `KeyError`, `TypeError` or `ValueError` if the answer is not what the service promises."""
        change = raw["dynamodb"]
        number = sequence_number(change["SequenceNumber"])
        stamp = change.get("ApproximateCreationDateTime")
        arrived_at = math.floor(self._clock.now()) if stamp is None else epoch_seconds(stamp)
        event = {
            "eventID": raw["eventID"],
            "eventName": raw["eventName"],
            "eventVersion": raw.get("eventVersion", "1.1"),
            "eventSource": "aws:dynamodb",
            "awsRegion": self._region,
            "dynamodb": _change(change, float(math.floor(arrived_at))),
        }
        identity = raw.get("userIdentity")
        if identity:  # a deletion by time to live (R-EVT-14)
            event["userIdentity"] = {"type": identity.get("Type"), "principalId": identity.get("PrincipalId")}
        event["eventSourceARN"] = self._arn
        return RenderedRecord(number, json_bytes(change["Keys"]), float(arrived_at), json_bytes(event))


def _change(raw: Mapping[str, Any], created_at: float) -> dict[str, object]:
    """What changed: parts that are not there are left out (R-EVT-12), seconds are whole (R-EVT-11)."""
    change: dict[str, object] = {"ApproximateCreationDateTime": created_at}
    change.update((key, raw[key]) for key in _IMAGE_KEYS if key in raw)
    change["SequenceNumber"] = raw["SequenceNumber"]
    change.update((key, raw[key]) for key in ("SizeBytes", "StreamViewType") if key in raw)
    return change


def _shard(raw: Mapping[str, Any]) -> Shard:
    """A shard has at most one parent here (R-DDB-5)."""
    parent = raw.get("ParentShardId")
    closed = raw.get("SequenceNumberRange", {}).get("EndingSequenceNumber") is not None
    return Shard(ShardId(text(raw["ShardId"])), (ShardId(parent),) if parent else (), closed)
