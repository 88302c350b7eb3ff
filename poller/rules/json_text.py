"""What a text of JSON says: this file is the strict reader of patterns and events, and a quick one of known shapes."""

from __future__ import annotations

import json
from typing import TypeVar

from msgspec import DecodeError
from msgspec.json import Decoder

_DIGITS_MAX = 4_000
"""Python makes no integer of a much longer text, for that takes time with the square of the length."""


_FLAWS = (DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder says of a body that is not of its type."""

_T = TypeVar("_T")


def parsed(text: str | bytes) -> object:
    """The value of a JSON text; of equal keys the last wins (R-FILT-16).

    Raises `ValueError` with the place of the mistake, also for what Python would take beyond JSON (NaN, Infinity),
    for bytes that are no text, and for what is nested too deeply to be looked at.
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def decoded(decoder: Decoder[_T], body: bytes) -> _T | None:
    """What ``body`` says if it is as the decoder's type has it, and all of it is UTF-8; else ``None``."""
    try:
        if not body.isascii():  # a decoder does not look into what it passes on
            body.decode()
        return decoder.decode(body)
    except _FLAWS:
        return None


def _no_json(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < _DIGITS_MAX else float(digits)


_DECODER = json.JSONDecoder(parse_constant=_no_json, parse_int=_whole)
