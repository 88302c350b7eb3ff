"""Kinesis over the wire, with the real client: the record's form, the parameters sent, paging, and bad answers."""

from __future__ import annotations

import json
from contextlib import aclosing, nullcontext
from itertools import pairwise
from random import Random

import anyio
import pytest

from poller.aws_errors import BadArgument, Expired
from poller.errors import PositionLost, SourceGone, Unavailable
from poller.model import TRIM_HORIZON, Listing, Position, SequenceNumber, Shard, ShardId
from poller.sources import known_shards
from poller.sources.kinesis import KinesisSource
from tests.fakes import Heard, client_meta
from tests.sources.wire import KINESIS_ARN, Service, error, source
from tests.virtual import VirtualClock, run_virtually

SHARD = ShardId("shardId-000000000006")
NUMBER = "49590338271490256608559692538361571095921575989136588898"
RAW = {
    "SequenceNumber": NUMBER,
    "ApproximateArrivalTimestamp": 1545084650.987,
    "Data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
    "PartitionKey": "1",
    "EncryptionType": "KMS",
}
SUMMARY = {"StreamDescriptionSummary": {"RetentionPeriodHours": 48}}


def page(*raw, **more):
    return {"Records": list(raw), "NextShardIterator": "next", "MillisBehindLatest": 1500, **more}


async def one(raw):
    async with source(Service(GetRecords=page(raw)), "kinesis") as stream:
        (record,) = (await stream.records(SHARD, "it")).records
        return record


async def test_a_record_has_the_form_of_lambdas_event_to_the_byte():
    """R-EVT-1, R-EVT-2, R-EVT-3, R-EVT-4: keys in wire order, no encryption type."""
    record = await one(RAW)
    assert record.body.decode() == (
        '{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"1",'
        f'"sequenceNumber":"{NUMBER}",'
        '"data":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==","approximateArrivalTimestamp":1545084650.987},'
        '"eventSource":"aws:kinesis","eventVersion":"1.0",'
        f'"eventID":"shardId-000000000006:{NUMBER}",'
        '"eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/lambda-role",'
        '"awsRegion":"us-east-2","eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"}'
    )
    assert (record.sequence_number, record.ordering_key, record.arrived_at) == (NUMBER, "1", 1545084650.987)


@pytest.mark.parametrize("stamp", ["1.69106871717E9", "1691068717.17", "1691068717"])
async def test_an_arrival_time_may_come_in_any_form_of_a_number(stamp):
    """R-EVT-2, R-KIN-11."""
    text = json.dumps(page(RAW)).replace("1545084650.987", stamp)
    async with source(Service(GetRecords=text), "kinesis") as stream:
        (record,) = (await stream.records(SHARD, "it")).records
    assert record.arrived_at == float(stamp)
    assert json.loads(record.body)["kinesis"]["approximateArrivalTimestamp"] == float(stamp)


async def test_the_largest_record_goes_through():
    """R-KIN-8: 10 MiB of data."""
    data = "A" * (-(-10 * 1024 * 1024 // 3) * 4)
    assert json.loads((await one({**RAW, "Data": data})).body)["kinesis"]["data"] == data


async def test_the_longest_sequence_number_goes_through():
    """R-KIN-10: 129 digits."""
    assert (await one({**RAW, "SequenceNumber": "9" * 129})).position == Position(f"AFTER:{'9' * 129}")


async def test_odd_keys_and_empty_data_go_through():
    """R-EVT-2, R-EVT-15: an empty payload, quotes, other scripts, no key at all."""
    record = await one({**RAW, "Data": "", "PartitionKey": 'a"\\ü\u2028'})
    event = json.loads(record.body)
    assert (event["kinesis"]["data"], event["kinesis"]["partitionKey"]) == ("", 'a"\\ü\u2028')
    without = {key: value for key, value in RAW.items() if key != "PartitionKey"}
    assert (await one(without)).ordering_key == ""


@pytest.mark.parametrize(
    ("position", "sent"),
    [
        (TRIM_HORIZON, {"ShardIteratorType": "TRIM_HORIZON"}),
        (
            Position.after(SequenceNumber(NUMBER)),
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": NUMBER},
        ),
        (
            Position.after(SequenceNumber(NUMBER), 2),
            {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": NUMBER},
        ),
        (Position.at_timestamp(1545084650.987), {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1545084650.987}),
    ],
)
async def test_an_iterator_is_asked_for_with_one_start_only(position, sent):
    """R-POS-2, R-POS-4, R-KIN-3: milliseconds are kept."""
    service = Service(GetShardIterator={"ShardIterator": "it"})
    async with source(service, "kinesis") as stream:
        assert await stream.iterator(SHARD, position) == "it"
    (question,) = service.questions("GetShardIterator")
    assert question == {"StreamARN": KINESIS_ARN, "ShardId": SHARD, **sent}


async def test_the_lag_and_the_next_iterator_come_with_the_records():
    """R-KIN-5."""
    async with source(Service(GetRecords=page()), "kinesis") as stream:
        answer = await stream.records(SHARD, "it")
    assert (answer.records, answer.iterator, answer.behind_seconds, answer.ended) == ((), "next", 1.5, False)


async def test_a_closed_shard_names_its_children_with_its_last_records():
    """R-KIN-4."""
    hashes = {"StartingHashKey": "0", "EndingHashKey": "1"}
    children = [{"ShardId": "c", "ParentShards": [SHARD], "HashKeyRange": hashes}]
    body = {"Records": [RAW], "ChildShards": children, "MillisBehindLatest": 0}
    async with source(Service(GetRecords=body), "kinesis") as stream:
        answer = await stream.records(SHARD, "it")
    assert (len(answer.records), answer.iterator, answer.ended) == (1, None, True)


def listed(number, parents=(), closed=False):
    ends = {"EndingSequenceNumber": "9"} if closed else {}
    names = dict(zip(("ParentShardId", "AdjacentParentShardId"), parents, strict=False))
    return {
        "ShardId": f"s-{number}",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
        "SequenceNumberRange": {"StartingSequenceNumber": "1", **ends},
        **names,
    }


async def test_thousands_of_shards_are_listed_page_by_page():
    """R-KIN-2: 1,000 a page; a token is never sent together with the stream."""

    def answer(question):
        start = int(question.get("NextToken", 0))
        more = {"NextToken": str(start + 1000)} if start < 3000 else {}
        return {"Shards": [listed(n) for n in range(start, min(start + 1000, 3500))], **more}

    service = Service(ListShards=answer, DescribeStreamSummary=SUMMARY)
    async with source(service, "kinesis") as stream:
        listing = await stream.listing()
    assert len(listing.shards) == 3500
    assert listing.retention_seconds == 48 * 3600  # R-KIN-6
    assert [sorted(question) for question in service.questions("ListShards")] == [["StreamARN"]] + [["NextToken"]] * 3


@pytest.mark.parametrize("mode", ["PROVISIONED", "ON_DEMAND", None])
async def test_the_mode_of_a_stream_makes_no_difference(mode):
    """R-KIN-9."""
    details = {"StreamModeDetails": {"StreamMode": mode}} if mode else {}
    summary = {"StreamDescriptionSummary": {"RetentionPeriodHours": 48, **details}}
    service = Service(ListShards={"Shards": [listed(1)]}, DescribeStreamSummary=summary, GetRecords=page(RAW))
    async with source(service, "kinesis") as stream:
        listing = await stream.listing()
        (record,) = (await stream.records(SHARD, "it")).records
    assert listing == Listing((Shard(ShardId("s-1"), hashes=(0, 1)),), 48 * 3600)
    assert record.sequence_number == NUMBER
    assert [operation for operation, _ in service.asked] == ["ListShards", "DescribeStreamSummary", "GetRecords"]


class Behind:
    """The SDK's client of a stream in which there is always more to read; keeps when records were asked for."""

    def __init__(self):
        self.moments = []

    meta = client_meta()

    async def client(self, *key):
        return self

    async def get_shard_iterator(self, **question):
        return {"ShardIterator": "it"}

    async def get_records(self, **question):
        self.moments.append(anyio.current_time())
        await anyio.sleep(0.01)
        return page(RAW)


def test_all_readings_of_a_shard_together_stay_within_five_calls_a_second():
    """R-KIN-2: a second reading, as for a lane that fell behind, takes turns with the first."""
    aws = Behind()

    async def main():
        stream = KinesisSource(
            aws, arn=KINESIS_ARN, mapping="m", observer=Heard(), clock=VirtualClock(), random=Random(1)
        )

        async def read(how):
            async with aclosing(how(SHARD, TRIM_HORIZON)) as pages:
                async for _ in pages:
                    pass

        with anyio.move_on_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read, stream.read)
                tasks.start_soon(read, stream.reread)

    run_virtually(main)
    for start in aws.moments:
        assert sum(start <= at < start + 1 for at in aws.moments) <= 5
    assert len(aws.moments) >= 80


async def test_a_merged_shard_has_two_parents_and_closed_ones_are_known():
    """R-SHARD-1, R-POS-2."""
    shards = [listed(1, closed=True), listed(2, closed=True), listed(3, ("s-1", "s-2"))]
    service = Service(ListShards={"Shards": shards}, DescribeStreamSummary=SUMMARY)
    async with source(service, "kinesis") as stream:
        one, _, three = (await stream.listing()).shards
        assert await stream.is_closed(ShardId("s-1"))
        assert not await stream.is_closed(ShardId("s-3"))
        assert not await stream.is_closed(ShardId("never-seen"))
    assert (one.closed, three.closed, three.parents) == (True, False, ("s-1", "s-2"))
    assert one.hashes == (0, 1)


async def test_a_listing_whose_token_expires_begins_again():
    answers = [
        {"Shards": [listed(1)], "NextToken": "old"},
        error("ExpiredNextTokenException"),
        {"Shards": [listed(1)], "NextToken": "new"},
        {"Shards": [listed(2)]},
    ]
    async with source(Service(ListShards=answers, DescribeStreamSummary=SUMMARY), "kinesis") as stream:
        assert [shard.id for shard in (await stream.listing()).shards] == ["s-1", "s-2"]


async def test_a_throttle_in_the_middle_of_a_listing_does_not_undo_it():
    answers = [
        {"Shards": [listed(1)], "NextToken": "more"},
        error("LimitExceededException"),
        {"Shards": [listed(2)]},
    ]
    service = Service(ListShards=answers, DescribeStreamSummary=SUMMARY)
    async with source(service, "kinesis") as stream:
        assert len((await stream.listing()).shards) == 2
    assert len(service.questions("ListShards")) == 3


async def test_a_listing_tells_when_its_stream_was_made_and_asks_again_after_it_was_gone():
    """R-STATE-10: a stream that comes back under its name may be another one."""

    def summary(created_at):
        return {"StreamDescriptionSummary": {"RetentionPeriodHours": 24, "StreamCreationTimestamp": created_at}}

    service = Service(ListShards={"Shards": []}, DescribeStreamSummary=summary(1.7e9))
    async with source(service, "kinesis") as stream:
        assert (await stream.listing()).stream_created_at == 1.7e9
        service.answers |= {"DescribeStreamSummary": summary(1.8e9)}
        assert (await stream.listing()).stream_created_at == 1.7e9  # not asked at each listing
        service.answers |= {"ListShards": error("ResourceNotFoundException")}
        with pytest.raises(SourceGone):
            await stream.listing()
        service.answers |= {"ListShards": {"Shards": []}}
        assert (await stream.listing()).stream_created_at == 1.8e9


async def test_a_listing_is_of_one_stream_although_it_takes_two_questions():
    """R-STATE-10: shards of a stream that is gone would be taken for ones of the new stream, and one day for read."""

    def summary(created_at):
        return {"StreamDescriptionSummary": {"RetentionPeriodHours": 24, "StreamCreationTimestamp": created_at}}

    def made_anew(question):
        service.answers |= {"ListShards": {"Shards": [listed(3)]}}
        return summary(1.8e9)

    old = {"Shards": [listed(1), listed(2)]}
    service = Service(ListShards=old, DescribeStreamSummary=summary(1.7e9))
    async with source(service, "kinesis") as stream:
        await stream.listing()
        service.answers |= {"ListShards": {"Shards": [listed(1)]}, "DescribeStreamSummary": made_anew}
        found = await stream.listing()
        assert ([shard.id for shard in found.shards], found.stream_created_at) == (["s-3"], 1.8e9)


async def test_the_first_listing_insists_on_the_age_of_its_stream():
    """R-STATE-10: a row without one would be taken for one of any later stream of that name."""
    told = {"StreamDescriptionSummary": {"RetentionPeriodHours": 24, "StreamCreationTimestamp": 1.7e9}}
    answers = [error("InternalFailure", 500), error("InternalFailure", 500), told]
    async with source(Service(ListShards={"Shards": []}, DescribeStreamSummary=answers), "kinesis") as stream:
        assert (await stream.listing()).stream_created_at == 1.7e9


@pytest.mark.parametrize("created_at", [1e300, -1, 2**63, 1e11])
async def test_a_moment_that_no_store_could_keep_is_none(created_at):
    """R-STATE-10, and nothing stops for it."""
    told = {"StreamDescriptionSummary": {"RetentionPeriodHours": 24, "StreamCreationTimestamp": created_at}}
    async with source(Service(ListShards={"Shards": [listed(1)]}, DescribeStreamSummary=told), "kinesis") as stream:
        for _ in range(3):
            with pytest.raises(Unavailable, match="not a time"):
                await stream.listing()
        assert (await stream.listing()).stream_created_at is None


async def test_a_listing_in_a_circle_comes_to_an_end():
    def answer(question):
        return {"Shards": [], "NextToken": {"a": "b", "b": "c", "c": "a"}[question.get("NextToken", "c")]}

    async with source(Service(ListShards=answer, DescribeStreamSummary=SUMMARY), "kinesis") as stream:
        with anyio.fail_after(5), pytest.raises(Unavailable, match="in a circle"):
            await stream.listing()


async def test_a_listing_that_shows_other_shards_asks_for_the_age_of_the_stream():
    """R-STATE-10: it may be another stream already, whose shards must not begin as those of the one before."""

    def summary(created_at):
        return {"StreamDescriptionSummary": {"RetentionPeriodHours": 24, "StreamCreationTimestamp": created_at}}

    service = Service(ListShards={"Shards": [listed(1)]}, DescribeStreamSummary=summary(1.7e9))
    async with source(service, "kinesis") as stream:
        await stream.listing()
        service.answers |= {"ListShards": {"Shards": [listed(2)]}, "DescribeStreamSummary": summary(1.8e9)}
        assert (await stream.listing()).stream_created_at == 1.8e9


@pytest.mark.parametrize(("code", "kind"), [("AccessDeniedException", SourceGone), ("InternalFailure", Unavailable)])
async def test_a_stream_that_never_tells_its_retention_can_be_read_all_the_same(code, kind, monkeypatch):
    monkeypatch.setattr(known_shards, "_PAGE_ATTEMPTS", 1)
    answers = Service(ListShards={"Shards": []}, DescribeStreamSummary=error(code))
    async with source(answers, "kinesis") as stream:
        for _ in range(3):
            with pytest.raises(kind):
                await stream.listing()
        assert (await stream.listing()).retention_seconds is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ProvisionedThroughputExceededException", Unavailable),
        ("ExpiredIteratorException", Unavailable),
        ("InternalFailure", Unavailable),
        ("NeverHeardOfException", Unavailable),
        ("KMSThrottlingException", Unavailable),
        ("KMSAccessDeniedException", SourceGone),
        ("KMSDisabledException", SourceGone),
        ("KMSInvalidStateException", SourceGone),
        ("KMSNotFoundException", SourceGone),
        ("AccessDeniedException", SourceGone),
        ("ResourceNotFoundException", SourceGone),
        ("InvalidArgumentException", BadArgument),
    ],
)
async def test_errors_are_known_by_their_code(code, kind):
    """R-KIN-7."""
    async with source(Service(GetRecords=error(code)), "kinesis") as stream:
        with pytest.raises(kind) as caught:
            await stream.records(SHARD, "it")
    assert code in str(caught.value)


@pytest.mark.parametrize("code", ["AccessDeniedException", "KMSAccessDeniedException", "ResourceNotFoundException"])
@pytest.mark.parametrize(("text", "said"), [("User: a is not authorized", "User: a is not authorized"), ("", None)])
async def test_a_stream_that_is_gone_says_so_in_the_words_of_its_service(code, text, said):
    """R-STATE-8, R-STATE-10: for the last processing result; the code stands in for a text that is missing."""
    async with source(Service(ListShards=error(code, message=text)), "kinesis") as stream:
        with pytest.raises(SourceGone) as caught:
            await stream.listing()
    assert caught.value.said == (said or code)


async def test_a_position_that_kinesis_refuses_is_lost():
    async with source(Service(GetShardIterator=error("InvalidArgumentException")), "kinesis") as stream:
        with pytest.raises(PositionLost):
            await anext(stream.read(SHARD, Position.after(SequenceNumber("7"))))


@pytest.mark.parametrize(
    "answer",
    [
        "not json at all",
        "",
        "[]",
        "{}",
        {"Records": None},
        {"Records": [{}]},
        {"Records": [{**RAW, "SequenceNumber": "x"}]},
        {"Records": [{**RAW, "SequenceNumber": 7}]},
        {"Records": [{**RAW, "SequenceNumber": "9" * 130}]},
        {"Records": [{**RAW, "Data": None}]},
        {"Records": [{**RAW, "Data": 5}]},
        {"Records": [{**RAW, "ApproximateArrivalTimestamp": "soon"}]},
        {"Records": [{**RAW, "ApproximateArrivalTimestamp": True}]},
        {"Records": [{**RAW, "ApproximateArrivalTimestamp": 10**400}]},
        {"Records": [RAW], "NextShardIterator": 7},
        {"Records": [RAW], "MillisBehindLatest": "much"},
        {"Records": [RAW], "MillisBehindLatest": 10**400},
        {"Records": [RAW], "MillisBehindLatest": float("nan")},
        (502, "<html>Bad Gateway</html>"),
        (200, json.dumps(page(RAW))[:-20]),
    ],
)
async def test_a_malformed_answer_is_no_answer_and_never_a_skip(answer):
    async with source(Service(GetRecords=answer), "kinesis") as stream:
        with pytest.raises(Unavailable):
            await stream.records(SHARD, "it")


class Odd(Behind):
    """Gives iterators and never an answer to what is asked with them."""

    async def get_shard_iterator(self, **question):
        self.moments.append(anyio.current_time())
        return await super().get_shard_iterator(**question)

    async def get_records(self, **question):
        raise Expired("said so")


def test_all_readings_of_a_shard_together_ask_for_five_iterators_a_second_at_most():
    """R-KIN-2."""
    aws = Odd()

    async def main():
        stream = KinesisSource(
            aws, arn=KINESIS_ARN, mapping="m", observer=Heard(), clock=VirtualClock(), random=Random(1)
        )

        async def read():
            async with aclosing(stream.read(SHARD, TRIM_HORIZON)) as pages:
                await anext(pages)

        with anyio.move_on_after(20):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(read)

    run_virtually(main)
    for start in aws.moments:
        assert sum(start <= at < start + 1 for at in aws.moments) <= 5
    assert len(aws.moments) >= 10


class Slow(Behind):
    """Answers after ten seconds."""

    async def get_records(self, **question):
        await anyio.sleep(10)
        return page()


def test_a_page_tells_how_long_it_was_on_its_way():
    async def main():
        stream = KinesisSource(
            Slow(), arn=KINESIS_ARN, mapping="m", observer=Heard(), clock=VirtualClock(), random=Random(1)
        )
        async with aclosing(stream.read(SHARD, TRIM_HORIZON)) as pages:
            return await anext(pages)

    assert run_virtually(main).took_seconds == pytest.approx(10)


class Bulky(Behind):
    """Each answer has 6 MB of data."""

    async def get_records(self, **question):
        answer = await super().get_records(**question)
        raw = {**RAW, "Data": "A" * 8_000_000}
        return {**answer, "Records": [{**raw, "SequenceNumber": f"{len(self.moments):050d}"}]}


def test_a_shard_is_not_asked_for_more_bytes_than_it_may_give():
    """R-KIN-2: two mebibytes a second, after which it refuses for seconds."""
    aws, moments = Bulky(), []

    async def main():
        stream = KinesisSource(
            aws, arn=KINESIS_ARN, mapping="m", observer=Heard(), clock=VirtualClock(), random=Random(1)
        )
        with anyio.move_on_after(60):
            async with aclosing(stream.read(SHARD, TRIM_HORIZON)) as pages:
                async for _ in pages:
                    moments.append(anyio.current_time())

    run_virtually(main)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(gaps) >= 0.999 * 6_000_000 / (2 * 1024 * 1024)
    assert max(gaps) <= 1.05 * 6_000_000 / (2 * 1024 * 1024)


@pytest.mark.parametrize(("kind", "most"), [("kinesis", 10_000), ("dynamodbstreams", 1000)])
async def test_an_answer_holds_as_many_records_as_there_is_room_for(kind, most):
    """R-KIN-2, R-DDB-2: and no more is asked for than the service takes."""
    service, limits = Service(GetRecords={"Records": [], "NextShardIterator": "it"}), [None, 7, 50_000]
    async with source(service, kind, room=lambda: nullcontext(limits.pop(0))) as stream:
        for _ in range(3):
            await stream.records(SHARD, "it")
    assert [question.get("Limit") for question in service.questions("GetRecords")] == [None, 7, most]
