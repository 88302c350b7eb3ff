"""Aggregates of the Kinesis Producer Library: this file is the reading of their bytes.

An aggregate is a record that holds others: four bytes that mark it, a protobuf message, and the message's MD5 digest::

    message AggregatedRecord {
      repeated string partition_key_table     = 1;
      repeated string explicit_hash_key_table = 2;
      repeated Record records                 = 3;
    }
    message Record {
      required uint64 partition_key_index     = 1;
      optional uint64 explicit_hash_key_index = 2;
      required bytes  data                    = 3;
      repeated Tag    tags                    = 4;
    }

What is not just that, to its last byte, is no aggregate: it passes whole, so that nothing of it is lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAGIC = b"\xf3\x89\x9a\xc2"

ALL_HASHES = (0, (1 << 128) - 1)
"""The hash keys of all records there can be."""

_DIGEST_BYTES = 16

_VARINT, _EIGHT_BYTES, _LENGTH_FIRST, _FOUR_BYTES = 0, 1, 2, 5
_PARTITION_KEYS, _EXPLICIT_HASH_KEYS, _RECORDS = (number << 3 | _LENGTH_FIRST for number in (1, 2, 3))
_PARTITION_KEY, _EXPLICIT_HASH_KEY = (number << 3 | _VARINT for number in (1, 2))
_DATA, _TAGS = (number << 3 | _LENGTH_FIRST for number in (3, 4))


@dataclass(frozen=True, slots=True)
class InnerRecord:
    """One record of an aggregate; ``hash_key`` is its explicit one, or else that of its partition key."""

    partition_key: str
    hash_key: int
    data: bytes


def inner_records(data: bytes) -> tuple[InnerRecord, ...] | None:
    """What an aggregate holds, perhaps nothing; ``None`` if ``data`` is no aggregate."""
    message, digest = data[len(MAGIC) : -_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if not data.startswith(MAGIC) or not message or _md5(message) != digest:
        return None
    try:
        return _opened(message)
    except (ValueError, LookupError):
        return None


def belonging(records: Sequence[InnerRecord], hashes: tuple[int, int]) -> list[tuple[int | None, InnerRecord]]:
    """The records that belong to a shard of these ``hashes``, each with its index in the aggregate (R-KPL-4).

    The last one of them has no index, for behind it the aggregate is done.
    """
    first, last = hashes
    kept: list[tuple[int | None, InnerRecord]] = [
        (index, record) for index, record in enumerate(records) if first <= record.hash_key <= last
    ]
    kept[-1:] = [(None, record) for _, record in kept[-1:]]
    return kept


def _opened(message: bytes) -> tuple[InnerRecord, ...]:
    """Raises `ValueError` or `LookupError` where the message is malformed. Its tables may come behind its records."""
    keys: list[tuple[str, int]] = []
    explicit: list[int] = []
    records: list[tuple[int, int | None, bytes]] = []
    for tag, _, content in _fields(message):
        if tag == _RECORDS:
            records.append(_record(content))
        elif tag == _PARTITION_KEYS:
            keys.append((content.decode(), int.from_bytes(_md5(content), "big")))
        elif tag == _EXPLICIT_HASH_KEYS:
            explicit.append(_hash_key(content))
    opened = []
    for key_index, explicit_index, data in records:
        key, hash_key = keys[key_index]
        opened.append(InnerRecord(key, hash_key if explicit_index is None else explicit[explicit_index], data))
    return tuple(opened)


def _record(message: bytes) -> tuple[int, int | None, bytes]:
    """Its partition key's index, its explicit hash key's index if it has one, and its data.

    A field that is missing has its default value, as some writers leave out what is zero or empty.
    """
    key_index, explicit_index, data = 0, None, b""
    for tag, number, content in _fields(message):
        if tag == _DATA:
            data = content
        elif tag == _PARTITION_KEY:
            key_index = number
        elif tag == _EXPLICIT_HASH_KEY:
            explicit_index = number
        elif tag == _TAGS:
            for _ in _fields(content):  # not wanted, but no reason to believe a message that is broken there
                pass
    return key_index, explicit_index, data


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The fields of a message: tag, and number or bytes, whichever the tag promises; unknown ones are given too.

    Groups, which protobuf gave up long before there were aggregates, are refused.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at, 32)
        if tag >> 3 == 0:
            raise ValueError("no field has the number 0")
        number, length = 0, 0
        kind = tag & 7
        if kind == _VARINT:
            number, at = _varint(message, at, 64)
        elif kind == _LENGTH_FIRST:
            length, at = _varint(message, at, 32)
        elif kind == _EIGHT_BYTES:
            length = 8
        elif kind == _FOUR_BYTES:
            length = 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        end = at + length
        if end > len(message):
            raise ValueError("a field ends behind its message")
        yield tag, number, message[at:end]
        at = end


def _varint(message: bytes, at: int, bits: int) -> tuple[int, int]:
    """A number of so many bits, seven to a byte and the low ones first, and where it ends."""
    value = 0
    for shift in range(0, bits, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value >> bits == 0:
            return value, at
    raise ValueError(f"a number of more than {bits} bits")


def _hash_key(text: bytes) -> int:
    """A decimal number of 128 bits."""
    if not text.isdigit() or int(text) > ALL_HASHES[1]:
        raise ValueError(f"not a hash key: {text!r}")
    return int(text)


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()
