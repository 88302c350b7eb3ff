"""Failure documents, compared byte for byte with Lambda's."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from poller.invocation import Closing, Condition, Response
from poller.mapping import mapping_id
from poller.model import SequenceNumber, ShardId, Window
from poller.records import RenderedRecord
from poller.rules.failure_document import failure_document, object_key
from tests.builders import failure_report, records

FUNCTION = "arn:aws:lambda:us-east-2:123456789012:function:myfunction"
STREAM = "arn:aws:kinesis:us-east-2:123456789012:stream/mystream"
TABLE = "arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388"

WORKED_EXAMPLE = """
{"requestContext":{"requestId":"c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
  "functionArn":"arn:aws:lambda:us-east-2:123456789012:function:myfunction",
  "condition":"RetryAttemptsExhausted","approximateInvokeCount":1},
 "responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},
 "version":"1.0","timestamp":"2019-11-14T00:38:06.021Z",
 "KinesisBatchInfo":{"shardId":"shardId-000000000001",
  "startSequenceNumber":"49601189658422359378836298521827638475320189012309704722",
  "endSequenceNumber":"49601189658422359378836298522902373528957594348623495186",
  "approximateArrivalOfFirstRecord":"2019-11-14T00:38:04.835Z",
  "approximateArrivalOfLastRecord":"2019-11-14T00:38:05.580Z",
  "batchSize":500,"streamArn":"arn:aws:kinesis:us-east-2:123456789012:stream/mystream"}}
"""

DYNAMODB_EXAMPLE = """
{"requestContext":{"requestId":"316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
  "functionArn":"arn:aws:lambda:us-east-2:123456789012:function:myfunction",
  "condition":"RetryAttemptsExhausted","approximateInvokeCount":1},
 "responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},
 "version":"1.0","timestamp":"2019-11-14T00:13:49.717Z",
 "DDBStreamBatchInfo":{"shardId":"shardId-00000001573689847184-864758bb",
  "startSequenceNumber":"800000000003126276362","endSequenceNumber":"800000000003126276362",
  "approximateArrivalOfFirstRecord":"2019-11-14T00:13:19Z",
  "approximateArrivalOfLastRecord":"2019-11-14T00:13:19Z","batchSize":1,
  "streamArn":"arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388"}}
"""

REQUEST, RESPONSE, BATCH = "requestContext", "responseContext", "KinesisBatchInfo"


def moment(text):
    return datetime.fromisoformat(text).timestamp()


def numbered(sequence_number, arrived):
    return RenderedRecord(SequenceNumber(sequence_number), "k", moment(arrived), b"{}")


def compact(text):
    """A document as it is sent; the order of its keys stays."""
    return json.dumps(json.loads(text), separators=(",", ":")).encode()


def read(report, *, with_payload=False):
    return json.loads(failure_document(report, with_payload=with_payload))


def worked_report(**changes):
    first = numbered("49601189658422359378836298521827638475320189012309704722", "2019-11-14T00:38:04.835Z")
    last = numbered("49601189658422359378836298522902373528957594348623495186", "2019-11-14T00:38:05.580Z")
    return failure_report(
        source_arn=STREAM,
        function_arn=FUNCTION,
        shard=ShardId("shardId-000000000001"),
        request_id="c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
        at=moment("2019-11-14T00:38:06.021Z"),
        records=(first, *[first] * 498, last),
        **changes,
    )


def test_the_worked_example_is_told_byte_for_byte():
    """R-DEST-28, and so R-DEST-20, R-DEST-22, R-DEST-25."""
    assert failure_document(worked_report(), with_payload=False) == compact(WORKED_EXAMPLE)


def test_a_batch_of_dynamodb_has_arrivals_without_a_fraction():
    """R-DEST-25, R-DEST-28."""
    report = failure_report(
        source_arn=TABLE,
        function_arn=FUNCTION,
        shard=ShardId("shardId-00000001573689847184-864758bb"),
        request_id="316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
        at=moment("2019-11-14T00:13:49.717Z"),
        records=(numbered("800000000003126276362", "2019-11-14T00:13:19Z"),),
    )
    assert failure_document(report, with_payload=False) == compact(DYNAMODB_EXAMPLE)


def test_records_that_grew_too_old_have_no_response():
    """R-DEST-29, R-DEST-24, R-AGE-4."""
    report = failure_report(
        condition=Condition.RECORD_AGE_EXCEEDED,
        response=None,
        at=moment("2026-09-17T13:29:12Z"),
        records=records(7),
    )
    document = read(report)
    assert list(document) == [REQUEST, "version", "timestamp", BATCH]
    assert document[REQUEST] == {
        "requestId": report.request_id,
        "functionArn": report.function_arn,
        "condition": "RecordAgeExceeded",
        "approximateInvokeCount": 1,
    }
    assert document["timestamp"] == "2026-09-17T13:29:12.000Z"
    assert document[BATCH]["batchSize"] == 1


def test_a_batch_that_was_too_large_has_no_response():
    """R-DEST-24."""
    document = read(failure_report(response=None, attempts=3))
    assert RESPONSE not in document
    assert document[REQUEST]["condition"] == "RetryAttemptsExhausted"
    assert document[REQUEST]["approximateInvokeCount"] == 3


def test_a_failure_that_the_function_declared_has_no_error():
    """R-DEST-23: null, and not left out."""
    document = failure_document(failure_report(response=Response(executed_version="7")), with_payload=False)
    assert b'"responseContext":{"statusCode":200,"executedVersion":"7","functionError":null}' in document


def test_the_answer_of_an_endpoint_has_its_status():
    """R-PORT-6."""
    response = Response(status_code=500, function_error="Unhandled")
    assert read(failure_report(response=response))[RESPONSE] == {
        "statusCode": 500,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }


def test_function_and_stream_are_named_as_the_mapping_names_them():
    """R-DEST-21, R-DEST-26: with the qualifier, and with the consumer."""
    consumer = f"{STREAM}/consumer/fast:1700000000"
    document = read(failure_report(source_arn=consumer, function_arn=f"{FUNCTION}:live"))
    assert document[BATCH]["streamArn"] == consumer
    assert document[REQUEST]["functionArn"] == f"{FUNCTION}:live"


def test_the_payload_is_the_whole_event_as_text_behind_the_version():
    """R-DEST-5."""
    report = failure_report(payload='{"Records":[{"größe":"\\"\\u0000 \N{SNOWMAN}"}]}'.encode())
    document = read(report, with_payload=True)
    assert list(document) == [REQUEST, RESPONSE, "version", "payload", "timestamp", BATCH]
    assert document["payload"].encode() == report.payload
    assert "payload" not in read(report)


START = int(moment("2026-09-17T12:50:50Z"))
WINDOW = Window(START, START + 30)
DUE = float(WINDOW.end)


@pytest.mark.parametrize(
    ("of_the_window", "final", "early"),
    [
        ({"window": WINDOW}, False, False),
        ({"records": (), "closing": Closing(WINDOW, due_at=DUE)}, True, False),
        ({"records": (), "closing": Closing(WINDOW, due_at=DUE, early=True)}, True, True),
    ],
)
def test_a_batch_of_a_window_says_which_and_how_it_was_called(of_the_window, final, early):
    """R-WIN-13, with the flags that the event had (R-WIN-7, R-WIN-10)."""
    document = read(failure_report(**of_the_window))
    assert list(document)[-1] == "timeWindowInfo"
    assert list(document["timeWindowInfo"].items()) == [
        ("window", {"start": "2026-09-17T12:50:50Z", "end": "2026-09-17T12:51:20Z"}),
        ("isFinalInvokeForWindow", final),
        ("isWindowTerminatedEarly", early),
    ]


@pytest.mark.parametrize(("source_arn", "key"), [(STREAM, "KinesisBatchInfo"), (TABLE, "DDBStreamBatchInfo")])
def test_a_closing_that_failed_names_only_shard_and_stream(source_arn, key):
    """R-DEST-27, R-WIN-12."""
    report = failure_report(source_arn=source_arn, records=(), closing=Closing(WINDOW, due_at=DUE))
    assert read(report)[key] == {"shardId": report.shard, "streamArn": source_arn}


def test_a_batch_without_a_window_has_no_word_of_windows():
    assert "timeWindowInfo" not in read(failure_report())


def test_the_place_in_a_bucket_is_made_of_mapping_shard_and_moment():
    """R-DEST-6."""
    report = failure_report(
        id="aa8b6f1e-2b7b-4b0e-8a2c-0d0a5c1f6f3d",
        mapping=mapping_id(STREAM, "myfunction"),
        shard=ShardId("shardId-000000000001"),
        at=moment("2026-01-02T03:04:05.678Z"),
    )
    assert object_key(report) == (
        f"aws/lambda/{mapping_id(STREAM, 'myfunction')}/shardId-000000000001/2026/01/02/"
        "2026-01-02T03.04.05-aa8b6f1e-2b7b-4b0e-8a2c-0d0a5c1f6f3d"
    )
