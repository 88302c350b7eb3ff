"""GetRecords of DynamoDB Streams, from bytes to bytes: this file takes changes over without decoding their items.

An item comes as JSON, and leaves in the same way. Nothing here decides what a flawed answer means: whatever is not as
it always is comes back as ``None``, and the SDK and `poller.sources.dynamodb` read it.
"""

from __future__ import annotations

from math import floor, isfinite

from msgspec import Raw, Struct
from msgspec.json import Decoder, Encoder

from poller.model import SequenceNumber
from poller.records import Record, RenderedRecord
from poller.rules.json_text import decoded
from poller.sources.event_json import are_sequence_numbers, json_bytes
from poller.sources.polling import Answer

_NONE = Raw(b"")


class _Identity(Struct, gc=False):
    Type: str | None = None
    PrincipalId: str | None = None


class _Change(Struct, gc=False, forbid_unknown_fields=True):
    """What changed; parts that no event has are for the other way to leave out."""

    SequenceNumber: SequenceNumber
    Keys: Raw
    ApproximateCreationDateTime: Raw
    NewImage: Raw = _NONE
    OldImage: Raw = _NONE
    SizeBytes: int | None = None
    StreamViewType: str | None = None


class _Entry(Struct, gc=False):
    """A record as it comes."""

    eventID: str
    eventName: str
    dynamodb: _Change
    eventVersion: str = "1.1"
    userIdentity: _Identity | None = None


class _Body(Struct, gc=False):
    """An answer as it comes; the names are the service's."""

    Records: list[_Entry]
    NextShardIterator: str | None = None


_decoder = Decoder(_Body)
_encode = Encoder().encode


class PassThrough:
    """Renders the records of one stream as events have them, byte for byte where it can (R-EVT-10 to R-EVT-15)."""

    def __init__(self, arn: str) -> None:
        region = json_bytes(arn.split(":")[3])
        self._origin = (
            b',"eventSource":"aws:dynamodb","awsRegion":%b,"dynamodb":{"ApproximateCreationDateTime":' % region
        )
        self._tail = b',"eventSourceARN":%b}' % json_bytes(arn)

    def answer(self, body: bytes) -> Answer | None:
        """What an answer says; ``None`` if it is not as the service's answers are."""
        came = decoded(_decoder, body)
        records = None if came is None else self._records(came.Records)
        return None if came is None or records is None else Answer(records, came.NextShardIterator)

    def _records(self, entries: list[_Entry]) -> tuple[Record, ...] | None:
        if not are_sequence_numbers([entry.dynamodb.SequenceNumber for entry in entries]):
            return None
        records: list[Record] = []
        stamp, second, arrived_at = b"", b"", 0.0
        for entry in entries:
            change = entry.dynamodb
            keys, came = bytes(change.Keys), bytes(change.ApproximateCreationDateTime)
            if came != stamp:  # many come in one second
                stamp = came
                second, arrived_at = _times(came)
            if not second or keys[:1] != b"{":
                return None
            parts = [b'{"eventID":', _encode(entry.eventID), b',"eventName":', _encode(entry.eventName)]
            parts += (b',"eventVersion":', _encode(entry.eventVersion), self._origin, second, b',"Keys":', keys)
            for name, image in ((b',"NewImage":', change.NewImage), (b',"OldImage":', change.OldImage)):
                if image is not _NONE:
                    item = bytes(image)
                    if item[:1] != b"{":
                        return None
                    parts += (name, item)
            parts += (b',"SequenceNumber":"', change.SequenceNumber.encode(), b'"')
            if change.SizeBytes is not None:
                parts += (b',"SizeBytes":', _encode(change.SizeBytes))
            if change.StreamViewType is not None:
                parts += (b',"StreamViewType":', _encode(change.StreamViewType))
            parts += (b"}", _by(entry.userIdentity), self._tail)
            records.append(RenderedRecord(change.SequenceNumber, keys, arrived_at, b"".join(parts)))
        return tuple(records)


def _times(text: bytes) -> tuple[bytes, float]:
    """A time as events have it, in whole seconds and a float in every language (R-EVT-11), empty if it is none.

    And the time itself, to the millisecond.
    """
    try:
        seconds = round(float(text), 3)
    except ValueError:
        return b"", 0.0
    if not isfinite(seconds):
        return b"", 0.0
    as_it_came = seconds > 0 and float(text).is_integer() and (b"." in text or b"E" in text)
    return text if as_it_came else repr(float(floor(seconds))).encode(), seconds


def _by(identity: _Identity | None) -> bytes:
    """Who deleted an item, if it was time to live (R-EVT-14)."""
    if identity is None or identity == _Identity():
        return b""
    return b',"userIdentity":%b' % _encode({"type": identity.Type, "principalId": identity.PrincipalId})
