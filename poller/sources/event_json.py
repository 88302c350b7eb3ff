"""The JSON of event records and the checks of what it is made of: this file is where answers of AWS become text."""

from __future__ import annotations

import json
import math

from poller.model import SequenceNumber


def json_bytes(value: object) -> bytes:
    """Compact JSON in UTF-8; text that UTF-8 cannot hold (half of a surrogate pair) is escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def epoch_seconds(value: object) -> float:
    """A time as the wire gives it, with whole milliseconds. Raises `ValueError` or `TypeError` if it is none."""
    if not isinstance(value, int | float):
        raise TypeError(f"not a time: {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"not a time: {value!r}")
    return round(float(value), 3)


def sequence_number(value: object) -> SequenceNumber:
    """Raises `ValueError` if it is not a decimal number in text (R-KIN-10, R-DDB-8)."""
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()):
        raise ValueError(f"not a sequence number: {value!r}")
    return SequenceNumber(value)


def text(value: object) -> str:
    """Raises `TypeError` if it is no text."""
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value
