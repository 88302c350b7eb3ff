"""Answers to GetRecords: this file is their way from bytes to a page, and a plain second opinion on it.

An input is a line that says how the answer came, by its first byte, and the body.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from contextlib import aclosing

from poller.aws_errors import AWS_ERRORS
from poller.errors import SourceGone
from poller.events import Polled
from poller.model import TRIM_HORIZON
from poller.sources.dynamodb import DynamoDBSource
from poller.sources.kinesis import KinesisSource
from tests.aggregates import MAGIC, aggregate, in_base64
from tests.fakes import Heard
from tests.fuzz.wire import HALF, SHARD, Enough, OneAnswer, plainly_parsed, run
from tests.rules.test_aggregation import google
from tests.sources import test_dynamodb, test_kinesis
from tests.sources.wire import DYNAMODB_ARN, KINESIS_ARN, ROLE, Clock

BYTES_MAX = 3_000
WORDS = (
    *("Records", "NextShardIterator", "MillisBehindLatest", "ChildShards", "SequenceNumber", "PartitionKey", "Data"),
    *("ApproximateArrivalTimestamp", "dynamodb", "Keys", "NewImage", "OldImage", "ApproximateCreationDateTime"),
    *("eventID", "eventName", "eventVersion", "userIdentity", "Type", "PrincipalId", "SizeBytes", "StreamViewType"),
    *("S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL", "__type", "message", "ExpiredIteratorException"),
    *("ResourceNotFoundException", "TrimmedDataAccessException", "InvalidArgumentException", "#", "AccessDenied"),
)

_WAYS = (
    ("kinesis", 200, False),
    ("dynamodbstreams", 200, False),
    ("kinesis", 200, True),
    ("kinesis", 400, False),
    ("dynamodbstreams", 400, False),
    ("kinesis", 503, False),
)
"""Service, status, and whether aggregates are opened."""

_DEPTH_MAX = 100
"""What is nested deeper is read or not, as the stack allows; items of DynamoDB nest 32 levels."""


_EVENTS_MAX = 20


class NoChance:
    """The first poll is made at once."""

    def random(self):
        return 0.0


class Patience(Heard):
    """Ends a reading that asks for ever without coming to its answer."""

    def __call__(self, event):
        super().__call__(event)
        if len(self.events) > _EVENTS_MAX:
            raise Enough


def seeds():
    kinesis, dynamodb = test_kinesis.RAW, test_dynamodb.RAW
    after = {**kinesis, "SequenceNumber": test_kinesis.NUMBER + "1", "PartitionKey": "ü\ud800", "Data": ""}
    child = {"ShardId": "c", "ParentShards": [SHARD], "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"}}
    deleted = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    image = {"b": {"B": "AAEC/w=="}, "ns": {"NS": ["1", "2.50"]}, "nul": {"NULL": True}, "l": {"L": [{"M": {}}]}}
    several = aggregate(("a", b"1"), ("b", b"2", str(HALF[1] + 1)), ("c", b"3", "7"))
    return [
        f"{way}\n{json.dumps(body)}".encode()
        for way, body in (
            (0, test_kinesis.page(kinesis)),
            (0, test_kinesis.page(kinesis, after)),
            (0, test_kinesis.page()),
            (0, {"Records": [], "NextShardIterator": "n", "MillisBehindLatest": 1e199}),
            (0, {"Records": [kinesis], "ChildShards": [child], "MillisBehindLatest": 0}),
            (2, test_kinesis.page({**kinesis, "Data": in_base64(several)}, after)),
            (2, test_kinesis.page(kinesis, {**after, "Data": in_base64(several[:-1])})),
            (1, {"Records": [dynamodb], "NextShardIterator": "n"}),
            (1, {"Records": [test_dynamodb.change(NewImage=image), {**dynamodb, "userIdentity": deleted}]}),
            (3, {"__type": "com.amazonaws.kinesis.v20131202#ExpiredIteratorException", "message": "too old"}),
            (3, {"__type": "ResourceNotFoundException"}),
            (4, {"__type": "com.amazonaws#TrimmedDataAccessException", "message": "gone"}),
            (5, {"message": "busy"}),
        )
    ]


def fuzz(data):
    """A good answer becomes a page of exactly its records; any other is told as a problem, and nothing is read."""
    head, _, body = data.partition(b"\n")
    service, status, opens = _WAYS[(head[0] if head else 0) % len(_WAYS)]
    page, heard = run(_first_page(OneAnswer(service, status, body), service, opens))
    passed_through, _ = run(_first_page(OneAnswer(service, status, body, sent=True), service, opens))
    _same_meaning(passed_through, page, body)
    told = [event.result for event in heard.of(Polled)]
    if status >= 300:
        assert page is None
        assert told in ([], ["error"], ["throttled"], ["expired"])
        return
    expected = _expected(service, body, opens)
    if page is not None:
        assert told[0] in ("records", "empty")
        assert expected is not None, f"nothing that the service promises, and it was read: {page}"
        choices, behind_seconds, ended = expected
        assert (page.behind_seconds, page.ended) == (behind_seconds, ended)
        _compare(page.records, choices)
    else:
        assert told == ["error"]
        assert expected is None or _too_deep(body), "a good answer was not read"


async def _first_page(answers, service, opens):
    """The page, ``None`` if the reading asked a second time or said that the stream is gone; and what was told."""
    heard = Patience()
    kinds = {"kinesis": (KinesisSource, KINESIS_ARN), "dynamodbstreams": (DynamoDBSource, DYNAMODB_ARN)}
    kind, arn = kinds[service]
    source = kind(
        answers,
        arn=arn,
        mapping="m",
        observer=heard,
        clock=Clock(),
        random=NoChance(),
        invoke_identity_arn=ROLE,
        deaggregate=opens,
    )
    source._get_records = answers
    async with aclosing(source.read(SHARD, TRIM_HORIZON)) as pages:
        try:
            return await anext(pages), heard
        except Enough:
            return None, heard
        except SourceGone:
            assert answers.status_code >= 300, "a good answer says that the stream is gone"
            return None, heard


def _same_meaning(passed_through, page, body):
    """What goes from bytes to bytes is what the SDK reads from them; of items, what was sent may be left."""
    if _meaning(passed_through) == _meaning(page) or _too_deep(body):
        return
    assert passed_through is not None, f"only the SDK reads {page}"
    items = _items(json.loads(body))
    assert not all(map(_is_item, items)), f"{passed_through} is not {page}"
    sent = [_canonical(item) for item in items]
    for record in passed_through.records:
        assert all(_canonical(item) in sent for item in _items({"Records": [json.loads(record.body)]}))


def _meaning(page):
    """All of a page; of the bodies, what they say."""
    if page is None:
        return None
    records = []
    for each in page.records:
        said = json.loads(each.body)
        assert each.size_bytes == len(each.body)
        assert each.event() == said, f"a handler is given {each.event()}, and another one {said}"
        records.append((each.sequence_number, each.inner, each.arrived_at, each.ordering_key, _canonical(said)))
    return records, dataclasses.replace(page, records=())


def _items(answer):
    """The items in an answer of DynamoDB Streams that was understood."""
    changes = [record.get("dynamodb", {}) for record in answer["Records"]]
    return [change[part] for change in changes for part in ("Keys", "NewImage", "OldImage") if part in change]


_PARTS = {
    **dict.fromkeys("SNB", lambda value: isinstance(value, str)),
    **dict.fromkeys(("SS", "NS", "BS"), lambda value: isinstance(value, list) and all(map(_PARTS["S"], value))),
    **dict.fromkeys(("NULL", "BOOL"), lambda value: isinstance(value, bool)),
    "M": lambda value: _is_item(value),
    "L": lambda value: isinstance(value, list) and all(map(_is_value, value)),
}


def _is_item(value):
    """Whether it is as the service's model has it; the SDK leaves out what is not, or refuses it all."""
    return isinstance(value, dict) and all(map(_is_value, value.values()))


def _is_value(value):
    return isinstance(value, dict) and all(part in _PARTS and _PARTS[part](each) for part, each in value.items())


def _canonical(value):
    return json.dumps(value, sort_keys=True)


def _too_deep(body):
    return body.count(b"[") + body.count(b"{") > _DEPTH_MAX


def _compare(records, choices):
    """Each record in the order of its number, and once: as it is, or opened if it is an aggregate.

    Of records that share a number with an aggregate, which no service gives, it is not said which are read.
    """
    numbers = [int(number) for number, *_ in choices]
    if len(set(numbers)) < len(numbers) and any(inner is not None for *_, inner in choices):
        return
    records, last = list(records), -1
    for number, key, event, inner in sorted(choices, key=lambda choice: int(choice[0])):
        if int(number) <= last:
            continue
        last = int(number)
        if inner is not None and not (records and isinstance(key, str) and _same(records[0].body, event)):
            for inner_key, inner_event in inner:
                found = records.pop(0)
                assert (found.sequence_number, found.ordering_key) == (number, inner_key)
                assert _same(found.body, inner_event)
            continue
        assert records, f"a record was skipped: {event}"
        found = records.pop(0)
        assert (found.sequence_number, found.ordering_key) == (number, key)
        assert _same(found.body, event), f"{found.body!r} is not {event}"
    assert not records, "a record that is not in the answer"


def _same(body, event):
    """To the byte, unless half of a surrogate pair must be escaped."""
    try:
        return body == json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.loads(body.decode()) == event


def _expected(service, body, opens):
    """The records that the answer holds, its lag and whether it is the last; ``None`` if it is no good answer."""
    try:
        parsed = plainly_parsed(service, body)
    except AWS_ERRORS:
        return None
    if not isinstance(parsed, dict):
        return None
    following, raws = parsed.get("NextShardIterator"), parsed.get("Records")
    if not isinstance(raws, list) or not isinstance(following, str | None):
        return None
    choices = [_of_kinesis(raw, opens) if service == "kinesis" else _of_dynamodb(raw) for raw in raws]
    if None in choices:
        return None
    if service == "dynamodbstreams":
        return choices, None, False
    behind = parsed.get("MillisBehindLatest")
    if behind is not None and not _is_number(behind):
        return None
    return (
        choices,
        None if behind is None else float(behind) / 1000,
        following is None and bool(parsed.get("ChildShards")),
    )


def _is_number(value):
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _is_sequence_number(value):
    return isinstance(value, str) and 0 < len(value) <= 129 and set(value) <= set("0123456789")


def _of_kinesis(raw, opens):
    if not isinstance(raw, dict):
        return None
    number, key, data = raw.get("SequenceNumber"), raw.get("PartitionKey", ""), raw.get("Data")
    stamp = raw.get("ApproximateArrivalTimestamp", Clock().now())
    if not (_is_sequence_number(number) and isinstance(data, str) and _is_number(stamp)):
        return None
    inner = _inner(data) if opens else None
    if inner is None and not isinstance(key, str):  # an aggregate's own key is not asked for
        return None

    def event(key, data):
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": key,
                "sequenceNumber": number,
                "data": data,
                "approximateArrivalTimestamp": round(float(stamp), 3),
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{SHARD}:{number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": ROLE,
            "awsRegion": "us-east-2",
            "eventSourceARN": KINESIS_ARN,
        }

    if inner is not None:
        kept = [each for each in inner if HALF[0] <= each.hash_key <= HALF[1]]
        inner = [(each.partition_key, event(each.partition_key, in_base64(each.data))) for each in kept]
    return number, key, event(key, data), inner


def _inner(data):
    try:
        bytes_ = base64.b64decode(data, validate=True)
    except ValueError:
        return None
    if not bytes_.startswith(MAGIC) or len(bytes_) <= len(MAGIC) + 16:
        return None
    message, digest = bytes_[len(MAGIC) : -16], bytes_[-16:]
    return google(message) if hashlib.md5(message).digest() == digest else None


def _of_dynamodb(raw):
    change = raw.get("dynamodb") if isinstance(raw, dict) else None
    if not isinstance(change, dict) or not {"eventID", "eventName"} <= raw.keys() or "Keys" not in change:
        return None
    number, stamp = change.get("SequenceNumber"), change.get("ApproximateCreationDateTime", Clock().now())
    if not _is_sequence_number(number) or not _is_number(stamp):
        return None
    parts = ("Keys", "NewImage", "OldImage", "SequenceNumber", "SizeBytes", "StreamViewType")
    event = {
        "eventID": raw["eventID"],
        "eventName": raw["eventName"],
        "eventVersion": raw.get("eventVersion", "1.1"),
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": float(math.floor(round(float(stamp), 3))),
            **{part: change[part] for part in parts if part in change},
        },
    }
    if raw.get("userIdentity"):
        by = raw["userIdentity"]
        event["userIdentity"] = {"type": by.get("Type"), "principalId": by.get("PrincipalId")}
    event["eventSourceARN"] = DYNAMODB_ARN
    try:
        json.dumps(event, allow_nan=False)
    except ValueError:
        return None
    return number, json.dumps(change["Keys"], sort_keys=True, separators=(",", ":")), event, None
