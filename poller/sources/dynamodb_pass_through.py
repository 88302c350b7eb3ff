"""GetRecords of DynamoDB Streams, from bytes to bytes: this file takes changes over without decoding their items.

An item comes as JSON, and leaves in the same way. Nothing here decides what a flawed answer means: whatever is not as
it always is comes back as ``None``, and the SDK and `poller.sources.dynamodb` read it.
"""

from __future__ import annotations

from math import floor, isfinite

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from poller.model import Record, SequenceNumber
from poller.sources.event_json import FLAWS, are_sequence_numbers, json_bytes
from poller.sources.polling import Answer

_STAMP = b'{"ApproximateCreationDateTime":'
"""How a change begins."""

_NONE = Raw(b"{}")


class _Identity(Struct, gc=False):
    Type: str | None = None
    PrincipalId: str | None = None


class _Entry(Struct, gc=False):
    """A record as it comes."""

    eventID: str
    eventName: str
    dynamodb: Raw
    eventVersion: str = "1.1"
    userIdentity: _Identity | None = None


class _Change(Struct, gc=False, forbid_unknown_fields=True):
    """What changed; parts that no event has are for the other way to leave out."""

    SequenceNumber: str
    Keys: Raw
    ApproximateCreationDateTime: Raw
    NewImage: Raw = _NONE
    OldImage: Raw = _NONE
    SizeBytes: int = 0
    StreamViewType: str = ""


class _Body(Struct, gc=False):
    """An answer as it comes; the names are the service's."""

    Records: list[_Entry]
    NextShardIterator: str | None = None


_decoder = Decoder(_Body)
_changes = Decoder(_Change)


class PassThrough:
    """Renders the records of one stream as events have them, byte for byte where it can (R-EVT-10 to R-EVT-15)."""

    def __init__(self, arn: str) -> None:
        self._origin = b',"eventSource":"aws:dynamodb","awsRegion":%b,"dynamodb":' % json_bytes(arn.split(":")[3])
        self._tail = b',"eventSourceARN":%b}' % json_bytes(arn)

    def answer(self, body: bytes) -> Answer | None:
        """What an answer says; ``None`` if it is not as the service's answers are."""
        try:
            if not body.isascii():
                body.decode()
            came = _decoder.decode(body)
            records = self._records(came.Records, [_changes.decode(entry.dynamodb) for entry in came.Records])
        except FLAWS:
            return None
        return None if records is None else Answer(records, came.NextShardIterator)

    def _records(self, entries: list[_Entry], changes: list[_Change]) -> tuple[Record, ...] | None:
        if not are_sequence_numbers([change.SequenceNumber for change in changes]):
            return None
        records: list[Record] = []
        stamp, second, arrived_at = b"", b"", 0.0
        for entry, change in zip(entries, changes, strict=True):
            keys, came = bytes(change.Keys), bytes(change.ApproximateCreationDateTime)
            if came != stamp:  # many come in one second
                stamp = came
                second, arrived_at = _times(came)
            if not second or keys[:1] != b"{" or not (_is_item(change.NewImage) and _is_item(change.OldImage)):
                return None
            content = bytes(entry.dynamodb)
            if second is not stamp:
                if not content.startswith(_STAMP + stamp):
                    return None
                content = _STAMP + second + content[len(_STAMP) + len(stamp) :]
            body = b"".join(
                (
                    b'{"eventID":',
                    encode(entry.eventID),
                    b',"eventName":',
                    encode(entry.eventName),
                    b',"eventVersion":',
                    encode(entry.eventVersion),
                    self._origin,
                    content,
                    _by(entry.userIdentity),
                    self._tail,
                )
            )
            records.append(Record(SequenceNumber(change.SequenceNumber), keys, arrived_at, body))
        return tuple(records)


def _is_item(raw: Raw) -> bool:
    return raw is _NONE or bytes(raw)[:1] == b"{"


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
    return b',"userIdentity":%b' % encode({"type": identity.Type, "principalId": identity.PrincipalId})
