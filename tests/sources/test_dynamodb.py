"""DynamoDB Streams over the wire, with the real client: the record's form, the parameters sent, paging, bad answers."""

from __future__ import annotations

import json

import anyio
import pytest

from poller.errors import PositionLost, SourceGone, Unavailable
from poller.model import TRIM_HORIZON, Position, SequenceNumber, ShardId
from tests.sources.wire import DYNAMODB_ARN, Service, error, source

SHARD = ShardId("shardId-00000000000000000001")
NUMBER = "4421584500000000017450439091"
RAW = {
    "eventID": "c4ca4238a0b923820dcc509a6f75849b",
    "eventName": "MODIFY",
    "eventVersion": "1.1",
    "eventSource": "aws:dynamodb",
    "awsRegion": "us-east-1",
    "dynamodb": {
        "ApproximateCreationDateTime": 1789651658.0,
        "Keys": {"id": {"S": "a"}},
        "NewImage": {"id": {"S": "a"}, "n": {"N": "2"}},
        "OldImage": {"id": {"S": "a"}, "n": {"N": "1"}},
        "SequenceNumber": NUMBER,
        "SizeBytes": 46,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    },
}


def change(**parts):
    return {**RAW, "dynamodb": {**RAW["dynamodb"], **parts}}


async def one(raw):
    async with source(Service(GetRecords={"Records": [raw], "NextShardIterator": "n"}), "dynamodb") as stream:
        (record,) = (await stream.records(SHARD, "it")).records
        return record


async def test_a_record_has_the_form_of_lambdas_event_to_the_byte():
    """R-EVT-10, R-EVT-11, R-EVT-15: keys in wire order, the time a float."""
    record = await one(RAW)
    assert record.body.decode() == (
        '{"eventID":"c4ca4238a0b923820dcc509a6f75849b","eventName":"MODIFY","eventVersion":"1.1",'
        '"eventSource":"aws:dynamodb","awsRegion":"us-east-1",'
        '"dynamodb":{"ApproximateCreationDateTime":1789651658.0,"Keys":{"id":{"S":"a"}},'
        '"NewImage":{"id":{"S":"a"},"n":{"N":"2"}},"OldImage":{"id":{"S":"a"},"n":{"N":"1"}},'
        '"SequenceNumber":"4421584500000000017450439091","SizeBytes":46,"StreamViewType":"NEW_AND_OLD_IMAGES"},'
        '"eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026-09-17T12:00:00.000"}'
    )
    assert (record.sequence_number, record.arrived_at) == (NUMBER, 1789651658.0)


async def test_parts_that_are_not_there_are_left_out():
    """R-EVT-12, R-DDB-9."""
    raw = change()
    for part in ("NewImage", "OldImage"):
        del raw["dynamodb"][part]
    event = json.loads((await one(raw)).body)
    assert not {"NewImage", "OldImage"} & set(event["dynamodb"])
    assert "userIdentity" not in event


async def test_every_type_of_attribute_goes_through_as_it_is():
    """R-EVT-13: binary as base64, numbers as text, nulls, empty texts and lists."""
    image = {
        "id": {"S": ""},
        "b": {"B": "AAEC/w=="},
        "bs": {"BS": ["AA==", "AQ=="]},
        "n": {"N": "1E+100"},
        "ns": {"NS": ["1", "2.50"]},
        "nul": {"NULL": True},
        "yes": {"BOOL": False},
        "l": {"L": [{"M": {"deep": {"L": []}}}]},
        "ss": {"SS": ["ü", '"']},
    }
    event = json.loads((await one(change(NewImage=image))).body)
    assert event["dynamodb"]["NewImage"] == image


async def test_a_deletion_by_time_to_live_names_the_service_in_lower_case():
    """R-EVT-14."""
    identity = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    event = json.loads((await one({**RAW, "eventName": "REMOVE", "userIdentity": identity})).body)
    assert event["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


async def test_changes_of_one_item_share_an_ordering_key_whatever_the_order_of_its_parts():
    """R-PAR-2: an item is known by its partition and its sort key, not by the former alone."""
    one_way = await one(change(Keys={"a": {"S": "1"}, "b": {"N": "2"}}))
    other = await one(change(Keys={"b": {"N": "2"}, "a": {"S": "1"}}))
    assert one_way.ordering_key == other.ordering_key
    neighbour = await one(change(Keys={"a": {"S": "1"}, "b": {"N": "3"}}))
    assert neighbour.ordering_key != one_way.ordering_key


@pytest.mark.parametrize(
    ("position", "sent"),
    [
        (TRIM_HORIZON, {"ShardIteratorType": "TRIM_HORIZON"}),
        (Position.at_timestamp(1789651658.5), {"ShardIteratorType": "TRIM_HORIZON"}),
        (
            Position.after(SequenceNumber(NUMBER)),
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": NUMBER},
        ),
    ],
)
async def test_an_iterator_is_asked_for_with_what_the_service_knows(position, sent):
    """R-DDB-5: there is no AT_TIMESTAMP."""
    service = Service(GetShardIterator={"ShardIterator": "it"})
    async with source(service, "dynamodb") as stream:
        await stream.iterator(SHARD, position)
    assert service.questions("GetShardIterator") == [{"StreamArn": DYNAMODB_ARN, "ShardId": SHARD, **sent}]


async def test_a_pinned_latest_leaves_out_what_is_older_by_whole_seconds():
    """R-POS-3, R-DDB-10: 1789651658.9 keeps the records of second 1789651658, which may be younger."""
    stamps = {1: 1789651657.0, 2: 1789651658.0, 3: 1789651659.0}
    raws = [change(SequenceNumber=str(n), ApproximateCreationDateTime=at) for n, at in stamps.items()]
    service = Service(GetShardIterator={"ShardIterator": "it"}, GetRecords={"Records": raws, "NextShardIterator": "n"})
    async with source(service, "dynamodb") as stream:
        pages = stream.read(SHARD, Position.at_timestamp(1789651658.9))
        first = await anext(pages)
        await pages.aclose()
    assert [record.sequence_number for record in first.records] == ["2", "3"]


def shard_id(number):
    """As long as the service makes them."""
    return f"shardId-{number:020}"


def described(numbers, *, last=None, status="ENABLED", closed=(), parent=None):
    ended = {"EndingSequenceNumber": "9"}
    shards = [
        {
            "ShardId": shard_id(n),
            "SequenceNumberRange": {"StartingSequenceNumber": "1", **(ended if n in closed else {})},
            **({"ParentShardId": parent} if parent else {}),
        }
        for n in numbers
    ]
    more = {"LastEvaluatedShardId": last} if last else {}
    return {"StreamDescription": {"StreamArn": DYNAMODB_ARN, "StreamStatus": status, "Shards": shards, **more}}


async def test_all_pages_of_a_description_are_read_slower_than_its_limit():
    """R-DDB-2, R-DDB-4: 100 shards a page, ten calls a second for all who ask."""

    def answer(question):
        start = int(question.get("ExclusiveStartShardId", "shardId--1").removeprefix("shardId-")) + 1
        last = shard_id(start + 99) if start < 300 else None
        return described(range(start, min(start + 100, 350)), last=last)

    service = Service(DescribeStream=answer)
    async with source(service, "dynamodb") as stream:
        started = anyio.current_time()
        listing = await stream.listing()
        assert anyio.current_time() - started >= 0.55
    assert len(listing.shards) == 350
    assert listing.retention_seconds == 24 * 3600
    assert len(service.questions("DescribeStream")) == 4


async def test_a_description_in_a_circle_comes_to_an_end():
    def answer(question):
        return described([1], last=shard_id(2 if question.get("ExclusiveStartShardId") == shard_id(1) else 1))

    async with source(Service(DescribeStream=answer), "dynamodb") as stream:
        with anyio.fail_after(5), pytest.raises(Unavailable, match="in a circle"):
            await stream.listing()


async def test_closed_shards_and_their_single_parent_are_known():
    """R-DDB-4, R-DDB-5."""
    async with source(Service(DescribeStream=described([1, 2], closed=[1], parent=shard_id(0))), "dynamodb") as stream:
        one, two = (await stream.listing()).shards
    assert (one.closed, two.closed, two.parents) == (True, False, (shard_id(0),))


async def test_the_shards_of_a_disabled_stream_end_where_they_end():
    """R-STATE-10: what is left can be read."""
    async with source(Service(DescribeStream=described([1], status="DISABLED")), "dynamodb") as stream:
        assert await stream.is_closed(ShardId(shard_id(1)))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("TrimmedDataAccessException", PositionLost),
        ("LimitExceededException", Unavailable),
        ("ExpiredIteratorException", Unavailable),
        ("InternalServerError", Unavailable),
        ("ResourceNotFoundException", SourceGone),
        ("AccessDeniedException", SourceGone),
    ],
)
async def test_errors_are_known_by_their_code(code, kind):
    """R-DDB-6, R-DDB-7."""
    async with source(Service(GetRecords=error(code)), "dynamodb") as stream:
        with pytest.raises(kind):
            await stream.records(SHARD, "it")


async def test_a_position_that_dynamodb_refuses_is_lost():
    """R-DDB-6: whatever the word for it; asking again and again would stop the shard for ever."""
    async with source(Service(GetShardIterator=error("ValidationException")), "dynamodb") as stream:
        with anyio.fail_after(5), pytest.raises(PositionLost):
            await anext(stream.read(SHARD, Position(f"AFTER:{10**21}")))


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
async def test_a_stream_that_is_gone_says_so_in_the_words_of_its_service(code):
    """R-STATE-8, R-STATE-10: for the last processing result."""
    async with source(Service(DescribeStream=error(code)), "dynamodb") as stream:
        with pytest.raises(SourceGone) as caught:
            await stream.listing()
    assert caught.value.said == "said so"


@pytest.mark.parametrize(
    "answer",
    [
        "garbage",
        "{}",
        {"Records": [{}]},
        {"Records": [{**RAW, "dynamodb": None}]},
        {"Records": [change(SequenceNumber=None)]},
        {"Records": [change(Keys=None)]},
        {"Records": [change(ApproximateCreationDateTime="soon")]},
        {"Records": [change(SizeBytes=float("nan"))]},
        {"Records": [change(NewImage={"n": {"N": float("inf")}})]},
        {"Records": [{key: value for key, value in RAW.items() if key != "eventName"}]},
    ],
)
async def test_a_malformed_answer_is_no_answer_and_never_a_skip(answer):
    async with source(Service(GetRecords=answer), "dynamodb") as stream:
        with pytest.raises(Unavailable):
            await stream.records(SHARD, "it")
