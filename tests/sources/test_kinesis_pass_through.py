"""Records that refer to the answer they came in: what they are in an event, and how long they keep it."""

from __future__ import annotations

import json

import pytest

from poller.clock import SystemClock
from poller.invocation import FunctionFailed, Succeeded
from poller.mapping import BatchPolicy
from poller.model import ShardId
from poller.sources.kinesis_pass_through import PassThrough
from poller.sources.kinesis_records import RecordForm
from tests.engine.running import run
from tests.fakes import ScriptedSource, ScriptedTarget
from tests.virtual import EPOCH

FORM = RecordForm("arn:aws:kinesis:us-east-1:123456789012:stream/s", "role", SystemClock())
PLAIN = {"SequenceNumber": "1", "Data": "SGVsbG8=", "ApproximateArrivalTimestamp": EPOCH, "PartitionKey": "k"}


def answer(*raws):
    """The records, and the answer in which they are, which cannot change its size while something refers to it."""
    body = bytearray(json.dumps({"Records": raws, "NextShardIterator": "n", "MillisBehindLatest": 0}).encode())
    found = PassThrough(FORM, None).answer(ShardId('shard-"0"'), body)
    return None if found is None else found.records, body


def is_kept(body):
    try:
        body.append(0)
    except BufferError:
        return True
    return False


@pytest.mark.parametrize("key", ["k", "", 'a "quote"', "back\\slash", "ключ", "\u2028", "tab\t", "\x7f"])
@pytest.mark.parametrize("time", [EPOCH, EPOCH + 0.5, EPOCH + 0.123456, 1.545084650987e9, 1545084650])
def test_a_record_is_the_same_in_bytes_in_size_and_to_a_handler(key, time):
    (record,), _ = answer({**PLAIN, "PartitionKey": key, "ApproximateArrivalTimestamp": time})
    assert record.size_bytes == len(record.body)
    event = record.event()
    assert event == json.loads(record.body)
    assert list(event) == list(json.loads(record.body)), "in another order"
    assert event["kinesis"]["partitionKey"] == record.ordering_key == key
    assert event["kinesis"]["approximateArrivalTimestamp"] == record.arrived_at == round(time, 3)
    assert record.by_itself() == record


@pytest.mark.parametrize(
    "flaw",
    [{"Data": None}, {"Data": 7}, {"SequenceNumber": "x"}, {"ApproximateArrivalTimestamp": 5e8}, {"PartitionKey": 1}],
)
def test_whatever_is_not_as_always_is_left_to_others(flaw):
    assert answer(PLAIN, {**PLAIN, **flaw})[0] is None


def test_an_event_is_a_new_one_each_time():
    (record,), _ = answer(PLAIN)
    record.event()["kinesis"]["data"] = record.event()["eventName"] = "changed"
    assert record.event() == json.loads(record.body)


def test_a_record_by_itself_keeps_no_answer():
    records, body = answer(PLAIN, {**PLAIN, "SequenceNumber": "2"})
    assert is_kept(body)
    one = records[1].by_itself()
    del records
    assert not is_kept(body)
    assert one.body.startswith(b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"k","sequenceNumber":"2"')


@pytest.mark.parametrize(
    "mapping",
    [{"filter_patterns": ('{"partitionKey":["k-1"]}',)}, {"lanes": 4}],
    ids=["of those that a filter wants", "of one lane of several"],
)
def test_an_answer_goes_although_one_of_its_records_waits(mapping):
    """Else a lane that is stuck, or a filter that wants little, would hold far more than what is counted."""
    raws = [{**PLAIN, "SequenceNumber": str(number), "PartitionKey": f"k-{number}"} for number in range(1, 9)]
    records, body = answer(*raws)
    source, kept = ScriptedSource(), []
    source.add(records)
    source.add(())  # the one before it is forgotten
    del records

    def taken(numbers):
        kept.append(is_kept(body))
        return FunctionFailed("no") if 1 in numbers else Succeeded()

    ran = run(source, ScriptedTarget(taken), batch=BatchPolicy(batch_size=1), **mapping)
    assert ran.target.batches[-1] == [1]
    assert not kept[-1]
