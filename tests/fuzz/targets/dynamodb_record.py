"""Records of DynamoDB Streams, item and all: this file holds what the SDK reads of one against its own JSON.

An input is the JSON of one record. What the service's documentation allows must come through untouched.
"""

from __future__ import annotations

import json
import math

from poller.aws_errors import AWS_ERRORS
from poller.sources.dynamodb import RecordForm
from tests.fuzz.wire import client, output_shape
from tests.sources import test_dynamodb
from tests.sources.wire import DYNAMODB_ARN, Clock

BYTES_MAX = 2_000
WORDS = (
    *("dynamodb", "Keys", "NewImage", "OldImage", "ApproximateCreationDateTime", "SequenceNumber", "SizeBytes"),
    *("S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL", "eventID", "eventName", "eventVersion", "REMOVE"),
    *("StreamViewType", "userIdentity", "Type", "PrincipalId", "eventSource", "awsRegion", "Service", "SDK_UNKNOWN"),
)

_FORM = RecordForm(DYNAMODB_ARN, Clock())
_PARTS = ("Keys", "NewImage", "OldImage")
_LEVELS_MAX = 32


def seeds():
    every = {
        "s": {"S": "ü\u2028"},
        "n": {"N": "-1.5E+100"},
        "b": {"B": "AAEC/w=="},
        "ss": {"SS": ["", '"']},
        "ns": {"NS": ["1", "2.50"]},
        "bs": {"BS": ["AA=="]},
        "m": {"M": {"": {"NULL": True}, "deep": {"L": [{"BOOL": False}, {"M": {}}]}}},
        "l": {"L": []},
    }
    deleted = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    records = [
        test_dynamodb.RAW,
        test_dynamodb.change(NewImage=every),
        test_dynamodb.change(Keys={"b": {"B": "AA=="}, "a": {"N": "1"}}, OldImage=every),
        {**test_dynamodb.RAW, "eventName": "REMOVE", "userIdentity": deleted},
        {"eventID": "1", "eventName": "INSERT", "dynamodb": {"Keys": {}, "SequenceNumber": "1"}},
    ]
    return [json.dumps(record).encode() for record in records]


def fuzz(data):
    """The event form, or one of the errors that it promises; for a good record just what the record says."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return
    shape = output_shape("dynamodbstreams").members["Records"].member
    parser = client("dynamodbstreams")._endpoint._response_parser_factory.create_parser("json")
    try:
        record = _FORM.record(parser._parse_shape(shape, raw))
    except AWS_ERRORS:
        if _good(raw):
            raise
        return
    event = json.loads(record.body.decode(), parse_constant=_no_json)
    assert event["dynamodb"]["SequenceNumber"] == record.sequence_number
    assert event["eventSource"] == "aws:dynamodb"
    if _good(raw):
        assert list(event) == list(_event(raw))
        assert event == _event(raw)
        assert list(event["dynamodb"]) == list(_event(raw)["dynamodb"])
        assert json.loads(record.ordering_key) == raw["dynamodb"]["Keys"]
        assert record.arrived_at == round(float(_stamp(raw)), 3)


def _no_json(name):
    raise AssertionError(f"no function could read {name}")


def _stamp(raw):
    return raw["dynamodb"].get("ApproximateCreationDateTime", math.floor(Clock().now()))


def _event(raw):
    change = raw["dynamodb"]
    parts = (*_PARTS, "SequenceNumber", "SizeBytes", "StreamViewType")
    event = {name: raw[name] for name in ("eventID", "eventName")}
    event |= {"eventVersion": raw.get("eventVersion", "1.1"), "eventSource": "aws:dynamodb", "awsRegion": "us-east-1"}
    event["dynamodb"] = {"ApproximateCreationDateTime": math.floor(round(float(_stamp(raw)), 3))}
    event["dynamodb"] |= {part: change[part] for part in parts if part in change}
    if "userIdentity" in raw:
        by = raw["userIdentity"]
        event["userIdentity"] = {"type": by["Type"], "principalId": by["PrincipalId"]}
    event["eventSourceARN"] = DYNAMODB_ARN
    return event


def _good(raw):
    """Whether the service's documentation allows it."""
    if not isinstance(raw, dict) or not isinstance(raw.get("dynamodb"), dict):
        return False
    change, by = raw["dynamodb"], raw.get("userIdentity", {"Type": "", "PrincipalId": ""})
    number, stamp = change.get("SequenceNumber"), _stamp(raw)
    return (
        all(isinstance(raw.get(name), str) for name in ("eventID", "eventName"))
        and isinstance(raw.get("eventVersion", ""), str)
        and isinstance(number, str)
        and 0 < len(number) <= 40
        and set(number) <= set("0123456789")
        and type(stamp) in (int, float)
        and 0 <= stamp < 1e12
        and isinstance(change.get("StreamViewType", ""), str)
        and type(change.get("SizeBytes", 0)) is int
        and "Keys" in change
        and all(_is_item(change[part], 1) for part in _PARTS if part in change)
        and isinstance(by, dict)
        and all(isinstance(by.get(name), str) for name in ("Type", "PrincipalId"))
    )


def _is_item(value, level):
    return isinstance(value, dict) and all(_is_attribute(each, level) for each in value.values())


def _is_attribute(value, level):
    if not isinstance(value, dict) or len(value) != 1 or level > _LEVELS_MAX:
        return False
    ((kind, content),) = value.items()
    if kind in ("S", "N", "B"):
        return isinstance(content, str)
    if kind in ("SS", "NS", "BS"):
        return isinstance(content, list) and all(isinstance(each, str) for each in content)
    if kind in ("NULL", "BOOL"):
        return isinstance(content, bool)
    if kind == "L":
        return isinstance(content, list) and all(_is_attribute(each, level + 1) for each in content)
    return kind == "M" and _is_item(content, level + 1)
