"""The event that a function receives: this file is its outer shape and its exact size (R-EVT-1, R-PORT-10)."""

from __future__ import annotations

from collections.abc import Sequence

from poller.model import Record

_HEAD, _COMMA, _TAIL = b'{"Records":[', b",", b"]}"
FRAME_BYTES = len(_HEAD) + len(_TAIL)


def render(records: Sequence[Record]) -> bytes:
    """The event as UTF-8 JSON."""
    return _HEAD + _COMMA.join([record.body for record in records]) + _TAIL


def share_bytes(record: Record) -> int:
    """What a record adds to an event, its comma included; the first record's comma is one byte too many."""
    return len(record.body) + len(_COMMA)
