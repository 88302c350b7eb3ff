"""Unwanted records are done without an invocation, and never before what waits in front of them."""

from __future__ import annotations

import base64
import json

import anyio
import pytest

from poller.events import RecordsFiltered
from poller.invocation import FunctionFailed, Succeeded
from poller.mapping import BatchPolicy
from poller.model import Record, SequenceNumber
from poller.rules.filtering import Filters, document
from tests.builders import record
from tests.engine.running import run
from tests.fakes import ScriptedSource, ScriptedTarget

ODD = (json.dumps({"partitionKey": ["odd"]}),)


def keyed(*numbers):
    return [record(number, key="odd" if number % 2 else "even") for number in numbers]


def test_only_wanted_records_make_a_batch_and_the_checkpoint_goes_over_the_others():
    """R-FILT-2, R-BATCH-10: four put, two match, one batch of two."""
    source = ScriptedSource()
    source.add(keyed(1, 2, 3, 4))
    seen = run(source, filter_patterns=ODD, batch=BatchPolicy(batch_size=2))
    assert seen.batches == [[1, 3]]
    assert seen.position() == "AFTER:4"
    assert sum(event.records for event in seen.heard.of(RecordsFiltered)) == 2


def test_a_page_that_nobody_wants_moves_the_checkpoint_without_an_invocation():
    source = ScriptedSource()
    source.add(keyed(2, 4))
    seen = run(source, filter_patterns=ODD)
    assert (seen.batches, seen.position()) == ([], "AFTER:4")


def test_unwanted_records_do_not_overtake_a_failing_batch():
    source = ScriptedSource()
    source.add(keyed(1))
    source.add(keyed(2, 4))
    target = ScriptedTarget(lambda batch: FunctionFailed("boom") if anyio.current_time() < 30 else Succeeded())
    assert run(source, target, seconds=25, filter_patterns=ODD).position() == "TRIM_HORIZON"
    source.add(keyed(1, 2, 4))
    assert run(source, target, seconds=90, filter_patterns=ODD).position() == "AFTER:4"


def test_a_closed_shard_of_unwanted_records_is_finished():
    source = ScriptedSource()
    source.add(keyed(2), ended=True)
    assert run(source, filter_patterns=ODD).position() == "SHARD_END"


def kinesis(data, key="1"):
    body = {
        "kinesis": {"partitionKey": key, "sequenceNumber": "7", "data": base64.b64encode(data).decode()},
        "eventName": "aws:kinesis:record",
    }
    return Record(SequenceNumber("7"), key, 0.0, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("data", "pattern", "wanted"),
    [
        (b'{"type":"order"}', {"data": {"type": ["order"]}}, True),
        (b'{"type":"other"}', {"data": {"type": ["order"]}}, False),
        (b'{"type":"other"}', {"partitionKey": ["1"]}, True),
        (b"no json", {"data": {"type": ["order"]}}, False),
        (b"no json", {"data": {"type": [{"exists": False}]}}, False),
        (b"no json", {"partitionKey": ["1"]}, True),
        (b"\xff\xfe", {"data": [{"exists": True}]}, False),
        (b"[" * 100_000, {"data": [{"exists": True}]}, False),
        (b"42", {"data": [42]}, True),
        (b'{"type":"order"}', {"kinesis": {"partitionKey": ["1"]}}, False),
        (b'{"type":"order"}', {"eventName": ["aws:kinesis:record"]}, True),
    ],
)
def test_the_data_of_kinesis_is_looked_into_if_it_is_json(data, pattern, wanted):
    """R-FILT-10, R-FILT-14, R-FILT-15."""
    assert Filters([json.dumps(pattern)]).wants(kinesis(data)) is wanted


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["REMOVE"]}, False),
        ({"dynamodb": {"NewImage": {"k": {"S": ["v"]}}}}, True),
        ({"dynamodb": {"NewImage": {"k": ["v"]}}}, False),
        ({"dynamodb": {"NewImage": {"n": {"N": [{"numeric": [">", 1]}]}}}}, False),
        ({"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 0]}]}}, True),
        ({"dynamodb": {"NewImage": {"k": [{"exists": False}]}}}, True),
    ],
)
def test_a_change_of_an_item_is_seen_with_its_type_descriptors(pattern, wanted):
    """R-FILT-11 to R-FILT-13, R-FILT-22."""
    image = {"k": {"S": "v"}, "n": {"N": "42"}}
    body = {"eventName": "INSERT", "dynamodb": {"ApproximateCreationDateTime": 1.5e9, "NewImage": image}}
    change = Record(SequenceNumber("7"), "k", 0.0, json.dumps(body).encode())
    assert Filters([json.dumps(pattern)]).wants(change) is wanted
    assert document(change.body)[0] == body


def test_one_of_several_filters_is_enough_and_none_wants_all():
    """R-FILT-1, R-FILT-3."""
    assert Filters(['{"partitionKey":["2"]}', '{"partitionKey":["1"]}']).wants(kinesis(b"x"))
    assert Filters([]).wants(kinesis(b"x"))


def test_each_of_two_mappings_on_a_stream_gets_its_own_records():
    """The recorded sequence A-12."""
    batches = {}
    for name in ("function_1", "function_2"):
        source = ScriptedSource()
        source.add([_typed(1, "function_1"), _typed(2, "function_2")])
        pattern = json.dumps({"data": {"event_type": [name]}})
        batches[name] = run(source, filter_patterns=(pattern,)).batches
    assert batches == {"function_1": [[1]], "function_2": [[2]]}


def _typed(number, kind):
    data = base64.b64encode(json.dumps({"event_type": kind}).encode()).decode()
    body = {"kinesis": {"sequenceNumber": str(number), "partitionKey": "k", "data": data}}
    return Record(SequenceNumber(str(number)), "k", 1_700_000_000.0, json.dumps(body).encode())
