"""The account of `poller dev` adds up, whatever becomes of a record."""

from __future__ import annotations

import base64
import json

import pytest

from poller.dev.ledger import Balance, CountedTarget, Ledger, Seen, seen
from poller.events import RecordsDiscarded
from poller.invocation import Condition, FunctionFailed, Succeeded
from poller.mapping import FailurePolicy
from poller.model import SequenceNumber, ShardId
from tests.builders import STREAM, invocation, mapping
from tests.fakes import ScriptedTarget


def kinesis(number, record_id, shard="shardId-0"):
    data = base64.b64encode(json.dumps({"id": record_id}).encode()).decode()
    return {"eventID": f"{shard}:{number}", "kinesis": {"sequenceNumber": str(number), "data": data}}


def event(*records):
    return invocation("id", *records)


def discarded(first, last, request_id="id"):
    numbers = SequenceNumber(str(first)), SequenceNumber(str(last))
    why = Condition.RETRY_ATTEMPTS_EXHAUSTED
    return RecordsDiscarded("orders", ShardId("s"), why, 1, *numbers, 1, "boom", request_id=request_id)


async def deliver(ledger, answer, *records, report=False):
    target = ScriptedTarget(lambda numbers: answer, seconds=0)
    made = mapping(failure=FailurePolicy(report_item_failures=report))
    await CountedTarget(made, target, ledger).invoke(event(*records))


async def test_every_record_is_handled_discarded_or_unaccounted_for():
    ledger = Ledger([mapping()])
    for record_id in "abcd":
        ledger.put(STREAM, record_id)
    await deliver(ledger, Succeeded(), kinesis(1, "a"))
    await deliver(ledger, FunctionFailed("boom"), kinesis(2, "b"))
    ledger(discarded(2, 2))
    ledger(discarded(1, 9, request_id="another"))
    await deliver(ledger, Succeeded(), kinesis(1, "a"), kinesis(3, "from outside"))
    assert ledger.balance() == Balance(
        put=4, handled=2, repeated=1, discarded=1, filtered=0, unaccounted=2, from_outside=1
    )


async def test_what_a_partial_response_names_and_all_behind_it_is_not_handled_yet():
    ledger = Ledger([mapping()])
    named = Succeeded(b'{"batchItemFailures":[{"itemIdentifier":"2"}]}')
    await deliver(ledger, named, kinesis(1, "a"), kinesis(2, "b"), kinesis(3, "c"), report=True)
    assert ledger.balance().handled == 1


async def test_a_stream_with_two_readers_counts_for_each():
    ledger = Ledger([mapping(), mapping(name="again")])
    ledger.put(STREAM, "a")
    await deliver(ledger, Succeeded(), kinesis(1, "a"))
    assert (ledger.balance().put, ledger.balance().unaccounted) == (2, 1)


@pytest.mark.parametrize("data", ["bm90IGpzb24=", "WzFd", "e30=", ""])
def test_records_that_others_put_are_known_by_their_place(data):
    assert seen({"eventID": "shardId-0:7", "kinesis": {"data": data}}) == Seen(7, "shardId-0:7")


def test_a_change_of_an_item_is_known_by_its_mark_and_a_removal_by_its_number():
    assert seen({"dynamodb": {"SequenceNumber": "5", "NewImage": {"change": {"S": "c-1"}}}}) == Seen(5, "c-1")
    assert seen({"dynamodb": {"SequenceNumber": "6", "OldImage": {}}}) == Seen(6, "change 6")
