"""GetRecords of Kinesis, from bytes to bytes: this file takes records over without decoding what nobody looks at.

The data of a record comes as base64 in JSON, and leaves in the same way. Nothing here decides what a flawed answer
means: whatever is not as it always is comes back as ``None``, and the SDK and `poller.sources.kinesis_records` read it.
"""

from __future__ import annotations

from msgspec import Raw, Struct
from msgspec.json import Decoder, Encoder

from poller.model import Record, SequenceNumber, ShardId
from poller.rules.json_text import decoded
from poller.rules.pacing import counted_bytes
from poller.sources.event_json import are_sequence_numbers
from poller.sources.kinesis_records import BEFORE_DATA, BEFORE_ID, BEFORE_KEY, BEFORE_NUMBER, BEFORE_TIME
from poller.sources.polling import Answer

_TIMES = (1e9, 1e10)
_TIME_CHARACTERS_MAX = len("1773749999.123")
"""A time in this century that is no longer than that is to the millisecond, as events have it."""

_BEFORE_DATA_BYTES = len(BEFORE_KEY + BEFORE_NUMBER + BEFORE_DATA)
_QUOTE = ord('"')


class _Entry(Struct, gc=False):
    """A record as it comes."""

    SequenceNumber: SequenceNumber
    Data: Raw
    ApproximateArrivalTimestamp: float
    PartitionKey: str = ""


class _Body(Struct, gc=False):
    """An answer as it comes; the names are the service's."""

    Records: list[_Entry]
    NextShardIterator: str | None = None
    MillisBehindLatest: float | None = None
    ChildShards: Raw | None = None


_decoder = Decoder(_Body)
_encode = Encoder().encode


class PassThrough:
    """Renders the records of one stream as events have them, byte for byte where it can (R-EVT-1, R-EVT-2).

    ``tail`` is what follows the sequence number at the end of an event's own fields. ``aggregates_begin`` is how the
    data begins that is to be opened instead, ``None`` if none is.
    """

    def __init__(self, tail: bytes, aggregates_begin: bytes | None) -> None:
        self._tail = tail
        self._aggregates_begin = aggregates_begin

    def answer(self, shard: ShardId, body: bytes) -> Answer | None:
        """What an answer says; ``None`` if it is not as the service's are, or holds what may be an aggregate."""
        came = decoded(_decoder, body)
        if came is None or came.ChildShards is not None:  # which come once, at the shard's end
            return None
        records = self._records(shard, came.Records)
        if records is None:
            return None
        behind = None if came.MillisBehindLatest is None else came.MillisBehindLatest / 1000
        size = counted_bytes([len(entry.Data) + len(entry.PartitionKey) for entry in came.Records])
        return Answer(records, came.NextShardIterator, behind, size_bytes=size)

    def _records(self, shard: ShardId, entries: list[_Entry]) -> tuple[Record, ...] | None:
        if not are_sequence_numbers([entry.SequenceNumber for entry in entries]):
            return None
        before_id = BEFORE_ID + _encode(shard)[:-1] + b":"
        tail, aggregates_begin, join, records = self._tail, self._aggregates_begin, b"".join, []
        earliest, latest = _TIMES
        for entry in entries:
            arrived_at = entry.ApproximateArrivalTimestamp
            time = _encode(arrived_at)
            if len(time) > _TIME_CHARACTERS_MAX or not earliest <= arrived_at < latest:
                arrived_at = round(arrived_at, 3)
                time = repr(arrived_at).encode()
            key, number = _encode(entry.PartitionKey), entry.SequenceNumber.encode()
            body = join(
                (
                    BEFORE_KEY,
                    key,
                    BEFORE_NUMBER,
                    number,
                    BEFORE_DATA,
                    entry.Data,
                    BEFORE_TIME,
                    time,
                    before_id,
                    number,
                    tail,
                )
            )
            data_at = _BEFORE_DATA_BYTES + len(key) + len(number)
            if body[data_at] != _QUOTE:
                return None
            if aggregates_begin is not None and body.startswith(aggregates_begin, data_at):
                return None
            records.append(Record(entry.SequenceNumber, entry.PartitionKey, arrived_at, body))
        return tuple(records)
