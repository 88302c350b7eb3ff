"""GetRecords of Kinesis, from bytes to bytes: this file takes records over without decoding what nobody looks at.

The data of a record comes as base64 in JSON, and leaves in the same way: records refer to the answer that they came in,
and its bytes are copied once, into a payload. Nothing here decides what a flawed answer means: whatever is not as it
always is comes back as ``None``, and the SDK and `poller.sources.kinesis_records` read it.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Raw, Struct, field
from msgspec.json import Decoder, Encoder
from msgspec.structs import replace

from poller.model import SequenceNumber, ShardId
from poller.records import COMMA, Record
from poller.rules.json_text import decoded
from poller.rules.pacing import counted_bytes
from poller.sources.event_json import are_sequence_numbers
from poller.sources.kinesis_records import BEFORE_DATA, BEFORE_ID, BEFORE_KEY, BEFORE_NUMBER, BEFORE_TIME, RecordForm
from poller.sources.polling import Answer

_EARLIEST, _LATEST = 1e9, 1e10
_TIME_CHARACTERS_MAX = len("1773749999.123")
"""A time in this century that is no longer than that is to the millisecond, as events have it."""

_QUOTE = ord('"')

_encode = Encoder().encode
_text = Decoder(str).decode


@dataclass(frozen=True, slots=True)
class Frame:
    """What the events of one shard have in common; see `RecordForm`."""

    shard: ShardId
    before_id: bytes
    tail: bytes
    last: dict[str, str]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, (BEFORE_KEY, BEFORE_NUMBER, BEFORE_DATA, BEFORE_TIME, self.before_id, self.tail)))


_NO_FRAME = Frame(ShardId(""), b"", b"", {})


class PassedRecord(Record, gc=False):
    """A record as it comes, with the ``frame`` of its event and the ``time`` in it (R-EVT-1)."""

    sequence_number: SequenceNumber = field(name="SequenceNumber")
    data: Raw = field(name="Data")
    arrived_at: float = field(name="ApproximateArrivalTimestamp")
    ordering_key: str = field(name="PartitionKey", default="")
    frame: Frame = _NO_FRAME
    time: bytes = b""
    size_bytes: int = 0

    @property
    def body(self) -> bytes:
        parts: list[bytes | Raw] = []
        self.add_to(parts)
        return b"".join(parts[:-1])

    def add_to(self, parts: list[bytes | Raw]) -> None:
        number, frame = self.sequence_number.encode(), self.frame
        parts += (
            BEFORE_KEY,
            _encode(self.ordering_key),
            BEFORE_NUMBER,
            number,
            BEFORE_DATA,
            self.data,
            BEFORE_TIME,
            self.time,
            frame.before_id,
            number,
            frame.tail,
            COMMA,
        )

    def event(self) -> object:
        number, frame = self.sequence_number, self.frame
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": self.ordering_key,
                "sequenceNumber": number,
                "data": _text(self.data),
                "approximateArrivalTimestamp": self.arrived_at,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{frame.shard}:{number}",
            **frame.last,
        }

    def by_itself(self) -> Record:
        return replace(self, data=self.data.copy())


class _Body(Struct, gc=False):
    """An answer as it comes; the names are the service's."""

    Records: list[PassedRecord]
    NextShardIterator: str | None = None
    MillisBehindLatest: float | None = None
    ChildShards: Raw | None = None


_decoder = Decoder(_Body)


class PassThrough:
    """Takes over the records of one stream, for events that are byte for byte what came where they can (R-EVT-2).

    ``aggregates_begin`` is how the data begins that is to be opened instead, ``None`` if none is.
    """

    def __init__(self, form: RecordForm, aggregates_begin: bytes | None) -> None:
        self._form = form
        self._aggregates_begin = aggregates_begin

    def answer(self, shard: ShardId, body: bytes) -> Answer | None:
        """What an answer says; ``None`` if it is not as the service's are, or holds what may be an aggregate."""
        came = decoded(_decoder, body)
        if came is None or came.ChildShards is not None:  # which come once, at the shard's end
            return None
        size = self._take_over(shard, came.Records) if came.Records else 0
        if size is None:
            return None
        behind = None if came.MillisBehindLatest is None else came.MillisBehindLatest / 1000
        return Answer(tuple(came.Records), came.NextShardIterator, behind, size_bytes=size)

    def _take_over(self, shard: ShardId, records: list[PassedRecord]) -> int | None:
        """Completes the records, of which there are some: the bytes that the service counts of them.

        ``None`` if they are not all as they always are.
        """
        times = [record.arrived_at for record in records]
        if not are_sequence_numbers([record.sequence_number for record in records]):
            return None
        if min(times) < _EARLIEST or max(times) >= _LATEST:
            return None
        frame = Frame(shard, BEFORE_ID + _encode(shard)[:-1] + b":", self._form.tail, self._form.last)
        fixed, begin = frame.size_bytes, self._aggregates_begin
        keys = _json_lengths([record.ordering_key for record in records])
        characters = sum(keys) - 2 * len(keys)
        for record, time, key in zip(records, _encode(times)[1:-1].split(b","), keys, strict=True):
            data = memoryview(record.data)
            if data[0] != _QUOTE or (begin is not None and bytes(data[: len(begin)]) == begin):
                return None
            if len(time) > _TIME_CHARACTERS_MAX:
                record.arrived_at = round(record.arrived_at, 3)
                time = repr(record.arrived_at).encode()
            length = len(data)
            record.frame, record.time = frame, time
            record.size_bytes = fixed + key + 2 * len(record.sequence_number) + length + len(time)
            characters += length
        return counted_bytes(characters)


def _json_lengths(keys: list[str]) -> list[int]:
    """How long texts are in JSON; mostly nothing in them is escaped, or longer than a byte."""
    together = "".join(keys)
    if together.isascii() and together.isprintable() and '"' not in together and "\\" not in together:
        return [len(key) + 2 for key in keys]
    return [len(_encode(key)) for key in keys]
