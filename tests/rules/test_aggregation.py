"""Aggregates are read as AWS's own library makes and reads them, and what is none is left alone.

Two judges that we did not write: the package `aws_kinesis_agg`, and within it Google's parser of the wire format. Where
we differ from them, we do so on purpose, and the test of that name says why.
"""

from __future__ import annotations

import base64
import hashlib
import io
from contextlib import redirect_stderr

import pytest
from aws_kinesis_agg.deaggregator import deaggregate_records
from aws_kinesis_agg.messages_pb2 import AggregatedRecord
from google.protobuf.message import DecodeError
from hypothesis import event, given
from hypothesis import strategies as st

from poller.rules.aggregation import ALL_HASHES, InnerRecord, belonging, inner_records
from tests.aggregates import MAGIC, aggregate, wrapped

LAST_HASH = ALL_HASHES[1]


def md5(text):
    return int(hashlib.md5(text.encode()).hexdigest(), 16)


def library(data):
    """What the library opens: (partition key, data) of each; ``None`` if it sees no aggregate, or drops some of one."""
    said = io.StringIO()
    outer = {"kinesisSchemaVersion": "1.0", "sequenceNumber": "1", "approximateArrivalTimestamp": 0}
    with redirect_stderr(said):
        opened = deaggregate_records([{"kinesis": {**outer, "data": base64.b64encode(data)}}])
    if "ERROR" in said.getvalue() or any("aggregated" not in each["kinesis"] for each in opened):
        return None
    return [(each["kinesis"]["partitionKey"], base64.b64decode(each["kinesis"]["data"])) for each in opened]


def google(message):
    """What Google's parser reads of a message, under our rules for the tables; ``None`` if it breaks either."""
    try:
        read = AggregatedRecord.FromString(message)
        names = [in_utf8(key) for key in read.partition_key_table]
        hashes = [hash_key(in_utf8(key)) for key in read.explicit_hash_key_table]
        return tuple(
            InnerRecord(
                names[each.partition_key_index],
                hashes[each.explicit_hash_key_index]
                if each.HasField("explicit_hash_key_index")
                else md5(names[each.partition_key_index]),
                each.data,
            )
            for each in read.records
        )
    except (DecodeError, ValueError, IndexError):
        return None


def in_utf8(key):
    """The parser gives bytes for a text that is none."""
    return key if isinstance(key, str) else key.decode()


def hash_key(text):
    if not (text.isascii() and text.isdigit() and int(text) <= LAST_HASH):
        raise ValueError(text)
    return int(text)


keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
hash_keys = st.integers(0, LAST_HASH).map(str)
user_records = st.tuples(keys, st.binary(max_size=300)) | st.tuples(keys, st.binary(max_size=300), hash_keys)


@given(st.lists(user_records, min_size=1, max_size=20))
def test_what_the_library_makes_is_opened_in_its_order_with_each_records_own_key_and_data(made):
    """R-KPL-2: the explicit hash key, or else the MD5 of the partition key."""
    assert inner_records(aggregate(*made)) == tuple(
        InnerRecord(each[0], int(each[2]) if len(each) == 3 else md5(each[0]), each[1]) for each in made
    )


@given(st.lists(user_records, min_size=1, max_size=20))
def test_the_library_opens_what_it_made_as_we_do(made):
    data = aggregate(*made)
    assert library(data) == [(each.partition_key, each.data) for each in inner_records(data)]


def varint(value):
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number, kind, content):
    """A field as it is on the wire; ``content`` is a number or bytes, as its ``kind`` asks for."""
    body = varint(content) if kind == 0 else varint(len(content)) + content if kind == 2 else content
    return varint(number << 3 | kind) + body


numbers = st.integers(0, 3) | st.integers(0, 2**64 - 1)
odd_fields = st.one_of(
    st.builds(field, st.integers(1, 6) | st.just(2**29 - 1), st.just(0), numbers),
    st.builds(field, st.integers(1, 6), st.just(1), st.binary(min_size=8, max_size=8)),
    st.builds(field, st.integers(1, 6), st.just(2), st.binary(max_size=12)),
    st.builds(field, st.integers(1, 6), st.just(5), st.binary(min_size=4, max_size=4)),
)
tags = st.builds(field, st.sampled_from([1, 2]), st.just(2), st.binary(max_size=3))


def message_of(fields, **size):
    return st.lists(fields, **size).map(b"".join)


record_messages = message_of(
    st.one_of(
        st.builds(field, st.just(1), st.just(0), st.integers(0, 2)),
        st.builds(field, st.just(2), st.just(0), st.integers(0, 2)),
        st.builds(field, st.just(3), st.just(2), st.binary(max_size=12)),
        st.builds(field, st.just(4), st.just(2), message_of(tags, max_size=2)),
        odd_fields,
    ),
    max_size=5,
)
table_fields = st.builds(field, st.sampled_from([1, 2]), st.just(2), hash_keys.map(str.encode))
good_fields = table_fields | st.builds(field, st.just(3), st.just(2), record_messages)
messages = st.one_of(
    message_of(good_fields | odd_fields, min_size=1, max_size=12),
    st.builds(bytes.__add__, message_of(table_fields, min_size=4), message_of(good_fields, min_size=1)),
)


@given(messages)
def test_any_order_and_any_unknown_field_is_read_as_googles_parser_reads_it(message):
    """Tables behind records, a field twice, fields of later versions, indices beyond their tables, wrong kinds."""
    opened = inner_records(wrapped(message))
    event("no aggregate" if opened is None else "an empty one" if not opened else "records")
    assert opened == google(message)


@given(messages, st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=2), st.integers(0, 3))
def test_what_is_opened_of_broken_bytes_both_judges_read_alike(message, changes, cut):
    """Bytes replaced and cut off. We open less than they do, see below, but never anything else."""
    broken = bytearray(message)
    for at, byte in changes:
        broken[at % len(broken)] = byte
    broken = bytes(broken[: len(broken) - cut])
    opened = inner_records(wrapped(broken))
    event("no aggregate" if opened is None else "opened")
    if opened is not None:
        assert opened == google(broken)
        assert library(wrapped(broken)) == [(each.partition_key, each.data) for each in opened]


@given(st.binary(max_size=100))
def test_no_bytes_can_break_the_reading(message):
    assert inner_records(message) is None
    assert inner_records(wrapped(message)) in (None, google(message))


@given(st.lists(user_records, min_size=1, max_size=3), st.data())
def test_a_digest_that_does_not_fit_means_that_it_is_no_aggregate(made, draw):
    data = bytearray(aggregate(*made))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    assert inner_records(bytes(data)) is None
    assert library(bytes(data)) is None


def test_an_aggregate_that_was_cut_off_is_none():
    data = aggregate(("a", b"1"), ("b", b"2"))
    assert [inner_records(data[:end]) for end in range(len(data))] == [None] * len(data)
    assert inner_records(data + b"\0") is None


KEY = field(1, 2, b"a")
RECORD = field(3, 2, field(1, 0, 0) + field(3, 2, b"x"))
X = InnerRecord("a", md5("a"), b"x")


@pytest.mark.parametrize(
    ("message", "opened"),
    [
        (KEY + RECORD, (X,)),
        (RECORD + KEY, (X,)),
        (KEY + field(3, 2, field(3, 2, b"x")), (X,)),
        (KEY + field(3, 2, b""), (InnerRecord("a", md5("a"), b""),)),
        (KEY, ()),
        (field(9, 0, 1), ()),
        (b"", None),
        (RECORD, None),
        (KEY + field(3, 2, field(1, 0, 1)), None),
        (KEY + field(3, 2, field(1, 0, 2**64 - 1)), None),
        (KEY + field(2, 2, b"7") + field(3, 2, field(2, 0, 0)), (InnerRecord("a", 7, b""),)),
        (KEY + field(2, 2, b"7") + field(3, 2, field(2, 0, 1)), None),
        (KEY + field(2, 2, str(LAST_HASH).encode()) + RECORD, (X,)),
        (KEY + field(2, 2, str(LAST_HASH + 1).encode()) + RECORD, None),
        (KEY + field(2, 2, b"-1") + RECORD, None),
        (KEY + field(2, 2, b"9" * 10_000) + RECORD, None),
        (varint(1 << 3 | 2) + b"\x81\x00a" + RECORD, (X,)),
        (varint(1 << 3 | 2) + b"\x81\x80\x80\x80\x80\x00a" + RECORD, None),
        (KEY + RECORD + varint(1 << 3 | 2) + varint(2**32 - 1), None),
        (KEY + RECORD + varint(1 << 3 | 2) + varint(2**64 - 1), None),
        (KEY + RECORD + varint(1 << 3 | 2) + b"\x80" * 50, None),
        (KEY + RECORD + varint(1 << 3 | 6), None),
        (KEY + RECORD + varint(1 << 3 | 1) + b"1234567", None),
        (KEY + RECORD + b"\x00\x00", None),
        (KEY + field(3, 2, field(4, 2, b"\x0a\x05x") + field(3, 2, b"x")), None),
    ],
)
def test_messages_by_hand(message, opened):
    """A missing number is 0 and missing data are empty; tables are never read beyond their end."""
    assert inner_records(wrapped(message)) == opened
    if message:
        assert google(message) == opened


GROUP = varint(8 << 3 | 3) + varint(8 << 3 | 4)
TOO_BIG = varint(7 << 3) + b"\xff" * 9 + b"\x7f"


@pytest.mark.parametrize("oddity", [GROUP, TOO_BIG], ids=["a group", "a number of more than 64 bits"])
def test_we_refuse_what_no_writer_makes_though_googles_parser_forgives_it(oddity):
    assert google(KEY + RECORD + oddity) == (X,)
    assert inner_records(wrapped(KEY + RECORD + oddity)) is None


def test_the_library_takes_an_absent_explicit_hash_key_for_the_first_one_of_the_table():
    """It does not ask whether the index is there; AWS's Java library does, and so do we, lest a record be dropped."""
    data = aggregate(("a", b"1", "7"), ("b", b"2"))
    assert [each.hash_key for each in inner_records(data)] == [7, md5("b")]
    outer = {"kinesisSchemaVersion": "1.0", "sequenceNumber": "1", "approximateArrivalTimestamp": 0}
    theirs = deaggregate_records([{"kinesis": {**outer, "data": base64.b64encode(data)}}])
    assert [each["kinesis"]["explicitHashKey"] for each in theirs] == ["7", "7"]


@pytest.mark.parametrize(
    "message",
    [
        KEY + RECORD + field(3, 2, field(1, 0, 5)),  # an index beyond the table: it prints this and drops the rest
        field(1, 2, b"\xff") + RECORD,  # a key that is no text: it gives bytes
        KEY + field(2, 2, b"seven") + field(3, 2, field(2, 0, 0)),  # it gives any text for a hash key
        KEY + field(3, 2, field(2, 0, 0) + field(3, 2, b"x")),  # an index into no table: it does not look
    ],
)
def test_what_the_library_opens_in_part_or_in_an_unusable_form_passes_whole_here(message):
    """Nothing is lost: its owner finds all of it in one record."""
    assert AggregatedRecord.FromString(message).records
    assert inner_records(wrapped(message)) is None


def test_an_aggregate_inside_an_aggregate_is_data_like_any_other():
    inside = aggregate(("a", b"1"))
    assert [each.data for each in inner_records(aggregate(("b", inside), ("c", b"2")))] == [inside, b"2"]


def test_a_hundred_thousand_records_of_four_bytes_are_opened():
    assert len(inner_records(wrapped(KEY + field(3, 2, field(1, 0, 0)) * 100_000))) == 100_000


def inner(*hashes):
    return tuple(InnerRecord("k", each, b"") for each in hashes)


@pytest.mark.parametrize(
    ("hashes", "kept"),
    [
        (ALL_HASHES, [(0, 0), (1, 10), (2, 20), (None, LAST_HASH)]),
        ((0, 20), [(0, 0), (1, 10), (None, 20)]),
        ((10, 20), [(1, 10), (None, 20)]),
        ((10, 19), [(None, 10)]),
        ((11, 19), []),
    ],
)
def test_records_of_another_shard_are_dropped_one_by_one_and_the_last_that_is_kept_ends_the_aggregate(hashes, kept):
    """R-KPL-4, C-11; both ends of a shard's range belong to it."""
    found = belonging(inner(0, 10, 20, LAST_HASH), hashes)
    assert [(index, record.hash_key) for index, record in found] == kept


def test_the_mark_is_the_published_one():
    assert aggregate(("a", b"1")).startswith(MAGIC)
