"""The JSON of event records and the checks of what it is made of: this file is where answers of AWS become text."""

from __future__ import annotations

import json
import math

from poller.model import SequenceNumber

_DIGITS_MAX = 129
"""Of a sequence number (R-KIN-10); numbers of thousands of digits are none to Python."""


def json_bytes(value: object) -> bytes:
    """Compact JSON in UTF-8; text that UTF-8 cannot hold (half of a surrogate pair) is escaped.

    Raises `ValueError` for NaN and Infinity, which the SDK reads, and which no function could.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def number(value: object) -> float:
    """A number as the wire gives it. Raises `ValueError` or `TypeError` if it is none, or none that is finite."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"not a number: {value!r}")
    try:
        finite = float(value)
    except OverflowError as error:
        raise ValueError(f"not a number: {error}") from error
    if not math.isfinite(finite):
        raise ValueError(f"not a number: {value!r}")
    return finite


def epoch_seconds(value: object) -> float:
    """A time, with whole milliseconds. Raises as `number`."""
    return round(number(value), 3)


def sequence_number(value: object) -> SequenceNumber:
    """Raises `ValueError` if it is not a decimal number in text (R-KIN-10, R-DDB-8)."""
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > _DIGITS_MAX:
        raise ValueError(f"not a sequence number: {value!r}")
    return SequenceNumber(value)


def are_sequence_numbers(values: list[str]) -> bool:
    """Whether each is what `sequence_number` takes; at a fraction of the cost for many."""
    if not values:
        return True
    together, lengths = "".join(values), set(map(len, values))
    return together.isascii() and together.isdigit() and min(lengths) > 0 and max(lengths) <= _DIGITS_MAX


def text(value: object) -> str:
    """Raises `TypeError` if it is no text."""
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value
