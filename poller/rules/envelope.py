"""The event that a function receives: this file is its outer shape and its exact size (R-EVT-1, R-WIN-4, R-PORT-10)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from poller.model import Record, ShardId, Window
from poller.rules.timestamps import iso_seconds

_HEAD, COMMA = b'{"Records":[', b","
TAIL = b"]}"
"""What ends an event without a window."""


def render(records: Sequence[Record], tail: bytes = TAIL) -> bytes:
    """The event as UTF-8 JSON."""
    return _HEAD + COMMA.join([record.body for record in records]) + tail


def frame_bytes(tail: bytes = TAIL) -> int:
    """How long an event without records is."""
    return len(_HEAD) + len(tail)


def size_bytes(records: Sequence[Record]) -> int:
    """Of records without their commas."""
    return sum([len(record.body) for record in records])


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
