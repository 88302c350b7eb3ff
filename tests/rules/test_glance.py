"""What is read of a text when only some keys are looked at: the same as of the whole text, or nothing."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.model import SequenceNumber
from poller.records import RenderedRecord
from poller.rules.filtering import Filters
from poller.rules.glance import Glance
from poller.rules.json_text import parsed
from poller.rules.patterns import Pattern
from tests.rules.test_pattern_properties import ANY_JSON, CASES, EVENTS, written_twice

PATHS = [("a",), ("b", "a"), ("b", "c", "d")]
READ = {"a", "b", "b.a", "b.c", "b.c.d"}


def edited(text, edits):
    """With some of its bytes replaced, or followed by others."""
    body = bytearray(text)
    for place, byte in edits:
        place %= len(body) + 1
        body[place : place + 1] = byte
    return bytes(body)


BYTES = st.sampled_from(
    [*(bytes([each]) for each in b'{}[]",:\\0189.-eEtn \n\t\x00\x1f\x7f\xc3\xa9\xff'), b"", b'"a":']
)
EDITS = st.lists(st.tuples(st.integers(0, 400), BYTES), max_size=4)
TEXTS = (EVENTS | st.dictionaries(st.sampled_from(["a", "b", "b.a", "x"]), ANY_JSON, max_size=4)).flatmap(
    lambda value: st.sampled_from([json.dumps(value), written_twice(value), json.dumps(value, indent=1)])
)


@settings(max_examples=500, deadline=None)
@given(TEXTS, EDITS)
def test_what_is_seen_is_what_the_whole_text_says(text, edits):
    body = edited(text.encode("utf-8", "surrogatepass"), edits)
    seen = Glance(PATHS).of(body)
    if seen is not None:
        assert seen == {key: value for key, value in parsed(body).items() if key in READ}


@settings(max_examples=400, deadline=None)
@given(CASES, EDITS, st.booleans())
def test_a_filter_that_reads_a_part_wants_what_one_that_reads_all_wants(case, edits, twice):
    """R-FILT-10, R-FILT-14, R-FILT-16, R-FILT-27."""
    pattern, event = case
    data = edited((written_twice(event) if twice else json.dumps(event)).encode(), edits)
    try:
        expected = Pattern(json.dumps({"data": pattern})).matches({"data": parsed(data)})
    except ValueError:
        expected = False
    assert Filters([json.dumps({"data": pattern})]).wants(kinesis(data)) is expected


@settings(max_examples=200, deadline=None)
@given(CASES, st.sampled_from(["NewImage", "Keys", "a.b"]))
def test_of_a_change_of_an_item_too_only_a_part_is_read(case, image):
    """R-FILT-11, R-FILT-27."""
    pattern, event = case
    change = {"eventName": "INSERT", "dynamodb": {image: event, "SizeBytes": 7}, "eventSource": "aws:dynamodb"}
    wanted = {"dynamodb": {image: pattern}, "eventName": ["INSERT"]}
    expected = Pattern(json.dumps(wanted)).matches(change)
    record = RenderedRecord(SequenceNumber("7"), "k", 0.0, written_twice(change).encode())
    assert Filters([json.dumps(wanted)]).wants(record) is expected


def kinesis(data):
    event = {"kinesis": {"partitionKey": "1", "data": base64.b64encode(data).decode()}, "eventSource": "aws:kinesis"}
    return RenderedRecord(SequenceNumber("7"), "1", 0.0, json.dumps(event).encode())


def test_values_are_read_whole_unless_their_key_is_opened():
    text = b'{"a":{"x":1,"y":2},"b":{"x":[1],"y":2},"c":3}'
    assert Glance([("a", "x"), ("b", "x")], opened="b").of(text) == {"a": {"x": 1, "y": 2}, "b": {"x": [1]}}
    assert Glance([("b",)], opened="b").of(text) == {"b": {"x": [1], "y": 2}}, "somebody looks at all of it"
    assert Glance([], opened="b").of(text) == {"b": {}}
    assert Glance([()]).of(text) is None


def test_what_is_no_object_must_be_parsed_whole():
    for text in (b"[1]", b"1", b"", b'{"b":1}', b'{"a":1', b"\xff", b'{"x":"\xff"}', b'{"x":"\\ud800"}'):
        assert Glance([("a",)], opened="b").of(text) is None


def test_no_depth_of_a_change_raises_an_error():
    """R-FILT-15: where Python's stack ends depends on who asks, so that all depths near to it are tried."""
    of_item = Filters([json.dumps({"dynamodb": {"NewImage": {"k": {"S": ["v"]}}}})])
    for depth in range(800, 1010):
        body = b'{"dynamodb":{"NewImage":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}"
        assert not of_item.wants(RenderedRecord(SequenceNumber("7"), "k", 0.0, body))


@pytest.mark.parametrize("key", ['a"b', "a\\b", "a\nb", "\ud800", "", "é", "a\x7f"])
def test_any_key_of_a_pattern_is_looked_for(key):
    pattern = json.dumps({"data": {key: [1], "b": ["x"]}})
    for data, wanted in (({key: 1, "b": "x", "c": 2}, True), ({key: 2, "b": "x"}, False), ({"b": "x"}, False)):
        assert Filters([pattern]).wants(kinesis(json.dumps(data).encode())) is wanted
