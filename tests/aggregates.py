"""Aggregates as AWS's own library makes them: this file is what tests of de-aggregation put into a stream."""

from __future__ import annotations

import base64
import hashlib

from aws_kinesis_agg.aggregator import RecordAggregator

MAGIC = bytes.fromhex("f3899ac2")


def aggregate(*inner: tuple[str, bytes] | tuple[str, bytes, str]) -> bytes:
    """Made by the library of (partition key, data) or (partition key, data, explicit hash key)."""
    aggregator = RecordAggregator()
    for each in inner:
        assert aggregator.add_user_record(*each) is None, "more than fits into one"
    return aggregator.clear_and_get().get_contents()[2]


def wrapped(message: bytes) -> bytes:
    """Any message, as an aggregate has it between its mark and its digest."""
    return MAGIC + message + hashlib.md5(message).digest()


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
