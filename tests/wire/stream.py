"""A simulated stream in the words of its service: this file is how shards are called and records are written there."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import anyio

from poller.model import ShardId
from poller.sources.polling import Answer
from tests.history import entries
from tests.simulation.stream import CANARY, DYNAMODB, HASHES, KINESIS, SimShard, SimStream
from tests.virtual import EPOCH

ARNS = {
    KINESIS: "arn:aws:kinesis:us-east-1:123456789012:stream/orders",
    DYNAMODB: "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-09-17T12:00:00.000",
}

NUMBERS_BEFORE = {KINESIS: 95, DYNAMODB: 10**21 - 5}
"""Soon there is one digit more, so that text would compare wrongly; DynamoDB's numbers have 21 digits at least."""


UNCHANGED_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class WireRecord:
    """A record as its service answers with it; ``raw`` is its JSON."""

    sequence_number: str
    arrived_at: float
    raw: str


class WireStream(SimStream):
    """`SimStream`, whose records are text, and whose shards have names that the SDK takes for such."""

    def _begin(self) -> None:
        self.last = max(self.last, NUMBERS_BEFORE[self.kind])
        super()._begin()

    def put(self, key: int) -> int:
        shard = next(each for each in self.open_shards() if each.low <= key % HASHES < each.high)
        self.last += 1 + self.last % 3
        number, now, name = self.last, anyio.current_time(), f"k-{key}"
        of_kinesis = self.kind is KINESIS
        record = _kinesis_record(number, name, EPOCH + now) if of_kinesis else _change(number, name, EPOCH + now)
        shard.numbers.append(number)
        shard.records.append(record)
        # What order is promised for, in the words of the sources.
        self._history.add(entries.Put(now, shard.id, number, name if of_kinesis else _item_key(name)))
        if not self._wants(key):
            self._history.add(entries.Unwanted(now, shard.id, number))
        return number

    def records(self, shard_id: ShardId, iterator: str) -> Answer:
        if self.kind is DYNAMODB and shard_id in self.shards:
            self.shards[shard_id].calls.clear()  # the five calls a second are Kinesis's
        return super().records(shard_id, iterator)

    def _reshard(self, parents, ranges) -> None:
        """Not soon after a stream was made anew: AWS takes its time for that, and for resharding again."""
        if EPOCH + anyio.current_time() - self.created_at > UNCHANGED_SECONDS:
            super()._reshard(parents, ranges)

    def children(self, shard: SimShard) -> list[SimShard]:
        return [each for each in self.shards.values() if shard.id in each.parents]

    def _add(self, low: int, high: int, parents: tuple[str, ...]) -> SimShard:
        shard = SimShard(f"shardId-{self._made:020}", low, high, parents, trimmed=self.last)
        self._made += 1
        self.shards[shard.id] = shard
        return shard


def content(number: int) -> str:
    """What a record says, so that a function can tell whether it got the right one."""
    return f"{CANARY} {number}"


def packed(number: int) -> str:
    return base64.b64encode(content(number).encode()).decode()


def _item_key(name: str) -> str:
    return json.dumps({"pk": {"S": name}}, separators=(",", ":"))


def _kinesis_record(number: int, key: str, at: float) -> WireRecord:
    raw = (
        f'{{"SequenceNumber":"{number}","ApproximateArrivalTimestamp":{at:.3f},"Data":"{packed(number)}",'
        f'"PartitionKey":"{key}"}}'
    )
    return WireRecord(str(number), at, raw)


def _change(number: int, key: str, at: float) -> WireRecord:
    """An item that was put; its time has whole seconds."""
    raw = (
        f'{{"eventID":"{number:032x}","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb",'
        f'"awsRegion":"us-east-1","dynamodb":{{"ApproximateCreationDateTime":{int(at)},"Keys":{_item_key(key)},'
        f'"NewImage":{{"pk":{{"S":"{key}"}},"said":{{"S":"{content(number)}"}}}},"SequenceNumber":"{number}",'
        f'"SizeBytes":59,"StreamViewType":"NEW_IMAGE"}}}}'
    )
    return WireRecord(str(number), at, raw)
