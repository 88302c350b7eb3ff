"""The event that a function receives: this file is its outer shape and its exact size (R-EVT-1, R-WIN-4, R-PORT-10)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec import Raw

from poller.invocation import Invocation
from poller.model import ShardId, Window
from poller.records import COMMA, Record, parsed_event
from poller.rules.timestamps import iso_seconds

_HEAD = b'{"Records":['
TAIL = b"]}"
"""What ends an event without a window."""


def render(records: Sequence[Record], tail: bytes = TAIL) -> bytes:
    """The event as UTF-8 JSON, in one go: most of it is copied once."""
    parts: list[bytes | Raw] = [_HEAD]
    for record in records:
        record.add_to(parts)
    if records:
        parts.pop()  # the last comma
    parts.append(tail)
    return b"".join(parts)


def payload(invocation: Invocation) -> bytes:
    """What a target sends."""
    return render(invocation.records, invocation.tail)


def event(invocation: Invocation) -> object:
    """The value of the payload, a new one each time."""
    found = parsed_event(_HEAD + invocation.tail)
    assert isinstance(found, dict)
    found["Records"] = [record.event() for record in invocation.records]
    return found


def frame_bytes(tail: bytes = TAIL) -> int:
    """How long an event without records is."""
    return len(_HEAD) + len(tail)


def size_bytes(records: Sequence[Record]) -> int:
    """Of records without their commas."""
    return sum([record.size_bytes for record in records])


def shares_bytes(size: int, records: int) -> int:
    """What records of so many bytes add to an event, with a comma for each; the first one's is a byte too many."""
    return size + len(COMMA) * records


def payload_bytes(invocation: Invocation) -> int:
    """The payload's length, without making it."""
    count = len(invocation.records)
    return frame_bytes(invocation.tail) + shares_bytes(size_bytes(invocation.records), count) - min(count, 1)


def window_tail(shard: ShardId, source_arn: str, window: Window, *, final: bool = False, early: bool = False) -> bytes:
    """What ends the event of a tumbling window, with the state that the function gets, keys in wire order (R-WIN-4).

    The window's last invocation is ``final``; one whose state had grown too large is ``early``, and final too.
    """
    return b'],"shardId":%b,"eventSourceARN":%b,"window":%b,"state":%b,%b}' % (
        _json(shard),
        _json(source_arn),
        _json({"start": iso_seconds(window.start), "end": iso_seconds(window.end)}),
        window.state,
        _json({"isFinalInvokeForWindow": final or early, "isWindowTerminatedEarly": early})[1:-1],
    )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
