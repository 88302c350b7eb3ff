"""Unwanted records are done without an invocation, and never before what waits in front of them."""

from __future__ import annotations

import base64
import json

import anyio
import pytest

from poller.events import RecordsFiltered
from poller.invocation import FunctionFailed, Succeeded
from poller.mapping import BatchPolicy
from poller.model import SequenceNumber
from poller.records import RenderedRecord
from poller.rules import filtering
from poller.rules.envelope import payload
from poller.rules.filtering import Filters, document
from poller.stores.memory import MemoryStore
from tests.builders import record
from tests.engine.running import run
from tests.fakes import KeptSource, ListDestination, ScriptedSource, ScriptedTarget
from tests.virtual import EPOCH, VirtualClock

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


def kinesis(data, key="1", number=7):
    body = {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": key,
            "sequenceNumber": str(number),
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": EPOCH,
        },
        "eventSource": "aws:kinesis",
        "eventName": "aws:kinesis:record",
    }
    return RenderedRecord(SequenceNumber(str(number)), key, EPOCH, json.dumps(body).encode())


ORDERS = {"data": {"type": ["order"]}}


@pytest.mark.parametrize(
    ("data", "pattern", "wanted"),
    [
        (b'{"type":"order"}', ORDERS, True),
        (b'{"type":"other"}', ORDERS, False),
        (b'{"type":"order"}', {"data.type": ["order"]}, True),
        (b'{"type":"other"}', {"partitionKey": ["1"]}, True),
        (b'{"type":"order"}', {"partitionKey": ["2"], **ORDERS}, False),
        (b"no json", ORDERS, False),
        (b"no json", {"data": {"type": [{"exists": False}]}}, False),
        (b"no json", {"data": {"type": ["order", {"exists": False}]}, "partitionKey": ["1"]}, False),
        (b"no json", {"partitionKey": ["1"]}, True),
        (b"no json", {"$or": [{"data": {"type": [{"exists": False}]}}, {"data.x": [{"exists": False}]}]}, False),
        (b"no json", {"$or": [ORDERS, {"partitionKey": ["1"]}]}, True),
        (b"no json", {"$or": [ORDERS, {"partitionKey": ["2"]}]}, False),
        (b"", ORDERS, False),
        (b"42", {"data": {"type": [{"exists": False}]}}, True),
        (b"42", {"data": [42]}, True),
        (b'["a",{"type":"order"}]', ORDERS, True),
        (b'"{\\"type\\":\\"order\\"}"', ORDERS, False),
        (b'{"type":"order"}', {"kinesis": {"partitionKey": ["1"]}}, False),
        (b'{"type":"order"}', {"eventName": ["aws:kinesis:record"]}, True),
        (b'{"type":"order"}', {"approximateArrivalTimestamp": [{"numeric": [">", 0]}]}, True),
    ],
)
def test_the_data_of_kinesis_is_looked_into_if_it_is_json(data, pattern, wanted):
    """R-FILT-10, R-FILT-14, R-FILT-15, R-FILT-26, C-2."""
    assert Filters([json.dumps(pattern)]).wants(kinesis(data)) is wanted


@pytest.mark.parametrize(
    ("data", "looked_into"),
    [
        (b"\xff\xfe\xfd", False),
        (b'{"type":"\xff"}', False),
        (b"NaN", False),
        (b'{"n":Infinity}', False),
        (b"[" * 100_000, False),
        (b'{"type":' + b"[" * 500 + b"1" + b"]" * 500 + b"}", True),
        (b'{"a":' * 900 + b"1" + b"}" * 900, None),
        (b'{"type":"\\ud800"}', True),
        (b'{"type":"\xed\xa0\x80"}', True),
        (b'{"n":' + b"9" * 10_000 + b"}", True),
        (b'{"n":1e999}', True),
    ],
)
def test_no_data_raises_an_error_and_only_patterns_for_data_mind_what_cannot_be_read(data, looked_into):
    """``None``: Python's stack decides whether it can be read, and either is fine."""
    there = [{"exists": True}, {"exists": False}]
    of_data = Filters([json.dumps({"data": {"type": there, "n": there, "a": {"a": {"a": there}}}})])
    assert of_data.wants(kinesis(data)) in ([looked_into] if looked_into is not None else [True, False])
    assert Filters(['{"partitionKey":["1"]}']).wants(kinesis(data))


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff", b'{"kinesis":{"partitionKey":"1"}}', b"[" * 100_000])
def test_a_record_of_which_nothing_can_be_read_is_unwanted_by_what_asks_for_it(body):
    broken = RenderedRecord(SequenceNumber("7"), "k", 0.0, body)
    asking = ["data", "dynamodb", "eventName"]
    assert not Filters([json.dumps({key: {"a": ["x"]}}) for key in asking]).wants(broken)
    assert not Filters([json.dumps({key: {"a": [{"exists": False}]}}) for key in asking[:2]]).wants(broken)
    assert Filters([]).wants(broken)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["REMOVE"]}, False),
        ({"dynamodb": {"NewImage": {"k": {"S": ["v"]}}}}, True),
        ({"dynamodb": {"NewImage": {"k": ["v"]}}}, False),
        ({"dynamodb": {"NewImage": {"n": {"N": [{"numeric": [">", 1]}]}}}}, False),
        ({"dynamodb": {"NewImage": {"n": {"N": [{"anything-but": "41"}]}}}}, True),
        ({"dynamodb": {"NewImage": {"l": {"L": {"S": ["b"]}}}}}, True),
        ({"dynamodb": {"NewImage": {"t": {"SS": ["y"]}}}}, True),
        ({"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 0]}]}}, True),
        ({"dynamodb": {"NewImage": {"k": [{"exists": False}]}}}, True),
        ({"dynamodb": {"NewImage": {"k": {"S": [{"exists": True}]}}}}, True),
        ({"dynamodb": {"OldImage": {"k": {"S": [{"exists": False}]}}}}, True),
    ],
)
def test_a_change_of_an_item_is_seen_with_its_type_descriptors(pattern, wanted):
    """R-FILT-11 to R-FILT-13, R-FILT-22, C-2."""
    made = change(1, k={"S": "v"}, n={"N": "42"}, l={"L": [{"S": "a"}, {"S": "b"}]}, t={"SS": ["x", "y"]})
    assert Filters([json.dumps(pattern)]).wants(made) is wanted
    assert document(made.body) == json.loads(made.body)


def change(number, event_name="INSERT", **image):
    stream = {"ApproximateCreationDateTime": EPOCH, "NewImage": image, "SequenceNumber": str(number)}
    body = {"eventName": event_name, "eventSource": "aws:dynamodb", "dynamodb": stream}
    return RenderedRecord(SequenceNumber(str(number)), "k", EPOCH, json.dumps(body).encode())


PUT_TWICE = [change(1, id={"S": "a"}, presentKey={"S": "x"}), change(2, "MODIFY", id={"S": "a"})]
TWO_ITEMS = [change(1, id={"S": "long-a"}, n={"N": "42"}), change(2, id={"S": "b"}, n={"N": "101"})]


def image(**fields):
    return {"dynamodb": {"NewImage": fields}}


@pytest.mark.parametrize(
    ("records", "pattern", "calls"),
    [
        (PUT_TWICE, {"eventName": ["INSERT"]}, 1),
        (PUT_TWICE, {"eventName": ["INSERT", "MODIFY"]}, 2),
        (TWO_ITEMS, {"eventName": ["INSERT"], **image(id={"S": ["b"]})}, 1),
        (PUT_TWICE, image(presentKey={"S": [{"exists": True}]}), 1),
        (PUT_TWICE, image(presentKey=[{"exists": False}]), 2),
        (TWO_ITEMS, image(n={"N": [{"numeric": [">", 100]}, {"anything-but": "101"}]}), 1),
        (TWO_ITEMS, image(id={"S": [{"prefix": "long"}]}), 1),
        (PUT_TWICE, {"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 0]}]}}, 2),
    ],
)
def test_the_recorded_filters_of_changes_make_the_recorded_calls(records, pattern, calls):
    """The recorded sequence A-13."""
    source, target = ScriptedSource(), KeepingTarget()
    source.add(records)
    seen = run(source, target, filter_patterns=(json.dumps(pattern),), batch=BatchPolicy(batch_size=1))
    assert len(target.payloads) == calls
    assert seen.position() == "AFTER:2"


def test_a_wanted_record_is_delivered_as_it_came():
    """R-FILT-3: its data is still base64."""
    source, target = ScriptedSource(), KeepingTarget()
    order = kinesis(b'{"type":"order"}')
    source.add([order])
    run(source, target, filter_patterns=(json.dumps(ORDERS),))
    assert target.payloads == [b'{"Records":[' + order.body + b"]}"]


class KeepingTarget:
    """Takes records of any service, and keeps the payloads."""

    def __init__(self):
        self.payloads = []

    async def invoke(self, invocation):
        self.payloads.append(payload(invocation))
        return Succeeded()

    async def aclose(self):
        pass


def test_data_that_no_pattern_asks_for_is_not_opened(monkeypatch):
    opened = []
    monkeypatch.setattr(filtering, "a2b_base64", lambda text: opened.append(text) or b"{}")
    assert not Filters(['{"partitionKey":["2"]}']).wants(kinesis(b"x"))
    assert Filters(['{"partitionKey":["1"]}', json.dumps(ORDERS)]).wants(kinesis(b"x"))
    assert not opened


def test_one_of_several_filters_is_enough_and_none_wants_all():
    """R-FILT-1."""
    assert Filters(['{"partitionKey":["2"]}', '{"partitionKey":["1"]}']).wants(kinesis(b"x"))
    assert Filters([]).wants(kinesis(b"x"))


def test_a_record_that_several_filters_want_is_delivered_once():
    """R-FILT-1."""
    source = ScriptedSource()
    source.add(keyed(1))
    assert run(source, filter_patterns=(*ODD, *ODD, '{"sequenceNumber":["1"]}')).batches == [[1]]


def test_other_filters_count_for_what_comes_then_and_nothing_is_read_again():
    """R-FILT-5: what nobody wanted is done, whatever is wanted later."""
    source, store = KeptSource(keyed(1, 3, 4, 6), page_records=2), MemoryStore(VirtualClock())
    assert run(source, store=store, filter_patterns=ODD).batches == [[1, 3]]
    source.records += keyed(7, 8)
    assert run(source, store=store).batches == [[7, 8]]
    assert str(source.read_from[-1]) == "AFTER:6"


def test_data_that_are_no_json_are_passed_over_and_counted_but_neither_a_failure_nor_reported():
    """R-FILT-15."""
    source, destination = ScriptedSource(), ListDestination()
    source.add([kinesis(b"no json"), kinesis(b'{"type":"order"}', number=8)])
    seen = run(source, filter_patterns=(json.dumps(ORDERS),), destination=destination)
    assert (seen.batches, seen.position()) == ([[8]], "AFTER:8")
    assert [event.records for event in seen.heard.of(RecordsFiltered)] == [1]
    assert (seen.discards(), destination.reports) == ([], [])


def test_each_of_two_mappings_on_a_stream_gets_its_own_records():
    """The recorded sequence A-12."""
    batches = {}
    for name in ("function_1", "function_2"):
        source = ScriptedSource()
        source.add([kinesis(b'{"event_type":"function_1"}'), kinesis(b'{"event_type":"function_2"}', number=8)])
        pattern = json.dumps({"data": {"event_type": [name]}})
        batches[name] = run(source, filter_patterns=(pattern,)).batches
    assert batches == {"function_1": [[7]], "function_2": [[8]]}


def test_the_deepest_pattern_takes_the_deepest_event_on_the_stack_that_there_is():
    """Arrays at each level, and keys that join with dots."""
    pattern = '{"data":' + '{"a":' * 79 + "[1]" + "}" * 80
    event = '{"a.a":0,"a":[' * 79 + "1" + "]}" * 79
    assert Filters([pattern]).wants(kinesis(event.encode()))
