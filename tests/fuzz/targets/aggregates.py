"""Aggregates of the Kinesis Producer Library: this file holds our reading of one against two that we did not write.

An input is a line, and a message. If the line begins with 0 the message is marked and has its digest, else it is all.
"""

from __future__ import annotations

from poller.rules.aggregation import ALL_HASHES, belonging, inner_records
from poller.sources.kinesis_records import aggregated
from tests.aggregates import MAGIC, aggregate, in_base64, wrapped
from tests.rules.test_aggregation import GROUP, KEY, RECORD, TOO_BIG, field, google, library

BYTES_MAX = 1_000
WORDS = ("\x0a\x01a", "\x12\x017", "\x1a\x05\x08\x00\x1a\x01x", "\x08\x01", "\x10\x00", "\x22\x04\x0a\x02kv")


def seeds():
    made = [
        aggregate(("a", b"1")),
        aggregate(("a", b"1"), ("b", b"2", "7"), ("a", b"")),
        aggregate(*((f"k-{at % 3}", bytes([at])) for at in range(9))),
    ]
    messages = [data[len(MAGIC) : -16] for data in made]
    messages += [KEY + RECORD, RECORD + KEY, KEY + RECORD + GROUP, KEY + RECORD + TOO_BIG, KEY, b""]
    messages += [KEY + field(3, 2, field(1, 0, 1)), KEY + field(2, 2, str(ALL_HASHES[1]).encode()) + RECORD]
    messages += [KEY + field(3, 2, field(4, 2, field(1, 2, b"t") + field(2, 2, b"v")) + field(3, 2, b"x"))]
    return [b"0\n" + message for message in messages] + [b"1\n" + data for data in made]


def fuzz(data):
    """What is opened both others open alike, every record of it once; all else is a plain record."""
    head, _, message = data.partition(b"\n")
    whole = wrapped(message) if head[:1] == b"0" else message
    opened = inner_records(whole)
    assert aggregated({"Data": in_base64(whole)}) == opened
    if opened is None:
        return
    assert whole == wrapped(whole[len(MAGIC) : -16])
    assert opened == google(whole[len(MAGIC) : -16])
    assert library(whole) == [(each.partition_key, each.data) for each in opened]
    kept = belonging(opened, ALL_HASHES)
    assert tuple(each for _, each in kept) == opened
    assert [index for index, _ in kept] == [*range(len(opened) - 1), None][-len(opened) :] if opened else not kept
