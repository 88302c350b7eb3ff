"""The records of Kinesis as its answers bring them: this file is their form in an event, and a look into aggregates."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from poller.model import SequenceNumber, ShardId
from poller.ports import Clock
from poller.records import Record, RenderedRecord
from poller.rules.aggregation import MAGIC, InnerRecord, inner_records
from poller.sources.event_json import epoch_seconds, json_bytes, sequence_number, text

_MAGIC_TEXT = base64.b64encode(MAGIC).decode()[: len(MAGIC) * 8 // 6]
"""How the base64 of an aggregate begins: as many characters as no later byte has a part in."""

BEFORE_KEY = b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":'
BEFORE_NUMBER = b',"sequenceNumber":"'
BEFORE_DATA = b'","data":'
BEFORE_TIME = b',"approximateArrivalTimestamp":'
BEFORE_ID = b'},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":'
"""What stands between the parts of an event (R-EVT-1)."""

AGGREGATES_BEGIN = f'"{_MAGIC_TEXT}'.encode()
"""The same as it comes, in JSON."""


class RecordForm:
    """Renders the records of one stream as Lambda's events have them, keys in wire order (R-EVT-1, R-EVT-2).

    ``last`` are the last fields of each, and ``tail`` is what follows the sequence number before them.
    """

    def __init__(self, arn: str, invoke_identity_arn: str, clock: Clock) -> None:
        self._clock = clock
        self.last = {
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": invoke_identity_arn,
            "awsRegion": arn.split(":")[3],
            "eventSourceARN": arn,
        }
        self.tail = b'",' + json_bytes(self.last)[1:]

    def record(self, shard: ShardId, raw: Mapping[str, Any]) -> Record:
        """Raises `KeyError`, `TypeError` or `ValueError` if the answer is not what the service promises.

        A record without a partition key, which streams with automatic distribution may hold, gets an empty one.
        """
        number = sequence_number(raw["SequenceNumber"])
        data = text(raw["Data"])  # base64 all the way: never decoded
        return self._record(shard, number, self._arrived_at(raw), text(raw.get("PartitionKey", "")), data, None)

    def inner_records(
        self, shard: ShardId, raw: Mapping[str, Any], inner: Iterable[tuple[int | None, InnerRecord]]
    ) -> list[Record]:
        """Records of an aggregate by their index in it; number and time are those of the aggregate (R-KPL-3).

        Raises as above.
        """
        number, arrived_at = sequence_number(raw["SequenceNumber"]), self._arrived_at(raw)
        return [
            self._record(shard, number, arrived_at, each.partition_key, base64.b64encode(each.data).decode(), index)
            for index, each in inner
        ]

    def _arrived_at(self, raw: Mapping[str, Any]) -> float:
        stamp = raw.get("ApproximateArrivalTimestamp")
        return round(self._clock.now(), 3) if stamp is None else epoch_seconds(stamp)

    def _record(
        self, shard: ShardId, number: SequenceNumber, arrived_at: float, key: str, data: str, inner: int | None
    ) -> Record:
        body = b"".join(
            (
                *(BEFORE_KEY, json_bytes(key), BEFORE_NUMBER, number.encode(), BEFORE_DATA, json_bytes(data)),
                *(BEFORE_TIME, repr(arrived_at).encode(), BEFORE_ID, json_bytes(f"{shard}:{number}")[:-1], self.tail),
            )
        )
        return RenderedRecord(number, key, arrived_at, body, inner)


def aggregated(raw: Mapping[str, Any]) -> tuple[InnerRecord, ...] | None:
    """What a record holds if it is an aggregate, else ``None``; its data is only decoded if it looks like one."""
    data = raw["Data"]
    if not isinstance(data, str) or not data.startswith(_MAGIC_TEXT):
        return None
    try:
        return inner_records(base64.b64decode(data, validate=True))
    except ValueError:
        return None
