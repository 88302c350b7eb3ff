"""Aggregates over the wire, with the real client: what is opened, what is dropped, and where reading goes on."""

from __future__ import annotations

import hashlib
import json
from contextlib import aclosing

import anyio
import pytest

from poller.errors import Unavailable
from poller.events import InnerRecordsDropped
from poller.model import Position, SequenceNumber, ShardId
from poller.rules.aggregation import ALL_HASHES
from poller.rules.filtering import Filters
from tests.aggregates import aggregate, in_base64, wrapped
from tests.fakes import Heard
from tests.sources.wire import Service, error, source

SHARD = ShardId("shardId-000000000006")
LOW = "7"
HIGH = str(ALL_HASHES[1])
THREE = (("a", b"1"), ("b", b"2"), ("a", b"3"))


def raw(number, data, key="outer"):
    return {
        "SequenceNumber": str(number),
        "ApproximateArrivalTimestamp": 1545084650.987,
        "Data": in_base64(data),
        "PartitionKey": key,
    }


def page(*raws):
    return {"Records": list(raws), "NextShardIterator": "next", "MillisBehindLatest": 0}


def listed(first=0, last=ALL_HASHES[1]):
    hashes = {"StartingHashKey": str(first), "EndingHashKey": str(last)}
    return {
        "Shards": [
            {"ShardId": SHARD, "HashKeyRange": hashes, "SequenceNumberRange": {"StartingSequenceNumber": "1"}},
        ]
    }


LOWER_HALF = listed(last=ALL_HASHES[1] // 2)


async def answered(*raws, listing=None, deaggregate=True, heard=None):
    """The answer that holds these records, from a shard of the given listing."""
    service = Service(GetRecords=page(*raws), ListShards=listing or listed())
    async with source(service, "kinesis", deaggregate=deaggregate, observer=heard) as stream:
        return await stream.records(SHARD, "it")


def told(records):
    """Number, index, and data of records."""
    return [(int(each.sequence_number), each.inner, json.loads(each.body)["kinesis"]["data"]) for each in records]


async def test_an_inner_record_has_the_form_of_lambdas_event_to_the_byte():
    """R-KPL-2, R-KPL-3, R-EVT-1: its own key and data, the number, time and id of the aggregate."""
    answer = await answered(raw(17, aggregate(("a", b"Hello"), ('k"ü', b"\xff"))))
    form = (
        '{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":%s,"sequenceNumber":"17","data":"%s",'
        '"approximateArrivalTimestamp":1545084650.987},"eventSource":"aws:kinesis","eventVersion":"1.0",'
        '"eventID":"shardId-000000000006:17","eventName":"aws:kinesis:record",'
        '"invokeIdentityArn":"arn:aws:iam::123456789012:role/lambda-role","awsRegion":"us-east-2",'
        '"eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"}'
    )
    assert [each.body.decode() for each in answer.records] == [
        form % ('"a"', "SGVsbG8="),
        form % ('"k\\"ü"', "/w=="),
    ]
    assert [each.ordering_key for each in answer.records] == ["a", 'k"ü']
    assert {(each.sequence_number, each.arrived_at) for each in answer.records} == {("17", 1545084650.987)}
    assert answer.read_to is None


async def test_without_deaggregation_an_aggregate_is_one_record_and_no_listing_is_asked_for():
    """R-KPL-1."""
    data = aggregate(*THREE)
    service = Service(GetRecords=page(raw(17, data)))
    async with source(service, "kinesis") as stream:
        answer = await stream.records(SHARD, "it")
    assert told(answer.records) == [(17, None, in_base64(data))]
    assert answer.records[0].ordering_key == "outer"


async def test_plain_and_aggregated_records_come_in_their_order():
    """The last record of an aggregate, and the only one of an aggregate of one, ends it."""
    answer = await answered(
        raw(9, b"plain"), raw(10, aggregate(*THREE)), raw(11, b""), raw(12, aggregate(("a", b"4"))), raw(100, b"5")
    )
    assert told(answer.records) == [
        (9, None, in_base64(b"plain")),
        (10, 0, in_base64(b"1")),
        (10, 1, in_base64(b"2")),
        (10, None, in_base64(b"3")),
        (11, None, ""),
        (12, None, in_base64(b"4")),
        (100, None, in_base64(b"5")),
    ]
    places = [each.place for each in answer.records]
    assert places == sorted(set(places))
    assert (answer.records[1].position.text, answer.records[3].position.text) == ("AFTER:10:0", "AFTER:10")


@pytest.mark.parametrize(
    "data",
    [
        aggregate(*THREE)[:-1] + b"\x00",
        aggregate(*THREE)[:20],
        wrapped(b""),
        wrapped(b"\x1a\x02\x08\x07"),
        wrapped(b"no message"),
        b"\xf3\x89\x9a\xc2",
        b"\xf3\x89\x9a",
    ],
)
async def test_what_only_looks_like_an_aggregate_passes_whole(data):
    """A digest that does not fit, an index into nothing, a cut: nothing of it is lost."""
    heard = Heard()
    answer = await answered(raw(17, data), heard=heard)
    assert told(answer.records) == [(17, None, in_base64(data))]
    assert heard.events == []


@pytest.mark.parametrize("data", [in_base64(aggregate(*THREE))[:-3], in_base64(aggregate(*THREE)) + "!"])
async def test_data_that_are_no_base64_pass_as_they_came(data):
    assert told((await answered({**raw(17, b""), "Data": data})).records) == [(17, None, data)]


async def test_an_aggregate_in_an_aggregate_is_opened_once():
    inside = aggregate(*THREE)
    answer = await answered(raw(17, aggregate(("a", inside), ("b", b"2"))))
    assert told(answer.records) == [(17, 0, in_base64(inside)), (17, None, in_base64(b"2"))]


async def test_inner_records_of_another_shard_are_dropped_and_told():
    """R-KPL-4, C-11: those alone; the last one that is kept ends the aggregate."""
    heard = Heard()
    mixed = aggregate(("a", b"1", LOW), ("b", b"2", HIGH), ("c", b"3", LOW), ("d", b"4", HIGH), ("e", b"5", HIGH))
    answer = await answered(raw(17, mixed), raw(18, b"plain"), listing=LOWER_HALF, heard=heard)
    assert told(answer.records) == [
        (17, 0, in_base64(b"1")),
        (17, None, in_base64(b"3")),
        (18, None, in_base64(b"plain")),
    ]
    assert heard.events == [InnerRecordsDropped("m", SHARD, SequenceNumber("17"), 3)]


async def test_a_record_without_an_explicit_hash_key_belongs_where_its_partition_key_does():
    """R-KPL-4: the MD5 of the key, both ends of the range included."""
    at = int(hashlib.md5(b"a").hexdigest(), 16)
    data = aggregate(("a", b"1"), ("b", b"2"))
    assert len((await answered(raw(17, data), listing=listed(at, at))).records) == 1
    assert len((await answered(raw(17, data), listing=listed(at + 1, at + 1))).records) == 0


@pytest.mark.parametrize(
    "last", [aggregate(("a", b"1", HIGH)), aggregate(("a", b"1", HIGH), ("b", b"2", HIGH)), wrapped(b"\x0a\x01k")]
)
async def test_an_answer_that_ends_in_nothing_kept_tells_how_far_it_reaches(last):
    """Dropped records, or an aggregate that is empty: reading must go on behind it."""
    answer = await answered(raw(9, b"plain"), raw(10, last), listing=LOWER_HALF)
    assert told(answer.records) == [(9, None, in_base64(b"plain"))]
    assert answer.read_to == Position("AFTER:10")
    answer = await answered(raw(10, last), raw(11, b"plain"), listing=LOWER_HALF)
    assert (len(answer.records), answer.read_to) == (1, None)


@pytest.mark.parametrize(
    "listing",
    [{"Shards": []}, {"Shards": [{"ShardId": SHARD, "SequenceNumberRange": {}}]}],
)
async def test_nothing_is_dropped_while_the_range_of_the_shard_is_not_known(listing):
    answer = await answered(raw(17, aggregate(("a", b"1", HIGH), ("b", b"2", LOW))), listing=listing)
    assert len(answer.records) == 2


async def test_the_range_is_asked_for_once_and_only_when_there_is_an_aggregate():
    answers = [page(raw(1, b"plain")), page(raw(2, aggregate(*THREE)), raw(3, aggregate(*THREE)))]
    service = Service(GetRecords=answers, ListShards=listed())
    async with source(service, "kinesis", deaggregate=True) as stream:
        await stream.records(SHARD, "it")
        assert service.questions("ListShards") == []
        for _ in range(3):
            await stream.records(SHARD, "it")
    assert len(service.questions("ListShards")) == 1


async def test_an_answer_whose_range_cannot_be_had_now_is_not_understood_and_is_read_again():
    heard = Heard()
    service = Service(
        GetRecords=page(raw(17, aggregate(("a", b"1", LOW), ("b", b"2", HIGH)))),
        ListShards=[error("InvalidArgumentException"), LOWER_HALF],
    )
    async with source(service, "kinesis", deaggregate=True, observer=heard) as stream:
        with pytest.raises(Unavailable):
            await stream.records(SHARD, "it")
        assert heard.events == []
        answer = await stream.records(SHARD, "it")
    assert told(answer.records) == [(17, None, in_base64(b"1"))]
    assert [event.records for event in heard.of(InnerRecordsDropped)] == [1]


@pytest.mark.parametrize("broken", [page(raw("x", b"")), page({}), {**page(), "NextShardIterator": 7}])
async def test_drops_are_not_told_of_an_answer_that_is_not_understood(broken):
    heard = Heard()
    answer = {**broken, "Records": [raw(17, aggregate(("a", b"1", HIGH))), *broken["Records"]]}
    async with source(
        Service(GetRecords=answer, ListShards=LOWER_HALF), "kinesis", deaggregate=True, observer=heard
    ) as stream:
        with pytest.raises(Unavailable):
            await stream.records(SHARD, "it")
    assert heard.events == []


@pytest.mark.parametrize("number", ["x", None, 7])
async def test_an_aggregate_without_a_sequence_number_is_no_answer(number):
    for data in (aggregate(*THREE), wrapped(b"\x0a\x01k")):
        with pytest.raises(Unavailable):
            await answered({**raw(17, data), "SequenceNumber": number})


class Stream(Service):
    """A shard that keeps its records, three to an answer, and knows where each kind of iterator starts."""

    def __init__(self, *raws, listing=None):
        super().__init__(GetShardIterator=self._iterator, GetRecords=self._records, ListShards=listing or listed())
        self._raws = raws

    def _iterator(self, question):
        kind, at = question["ShardIteratorType"], int(question.get("StartingSequenceNumber", 0))
        return {"ShardIterator": str(at + 1 if kind == "AFTER_SEQUENCE_NUMBER" else at)}

    def _records(self, question):
        start = int(question["ShardIterator"])
        found = [each for each in self._raws if int(each["SequenceNumber"]) >= start][:3]
        following = int(found[-1]["SequenceNumber"]) + 1 if found else start
        more = any(int(each["SequenceNumber"]) >= following for each in self._raws)
        return {"Records": found, "NextShardIterator": str(following), "MillisBehindLatest": int(more)}


async def read(service, position, *, deaggregate=True):
    """All records from ``position`` to the end of what there is, and how far that reaches."""
    got = []
    async with (
        source(service, "kinesis", deaggregate=deaggregate) as stream,
        aclosing(stream.read(SHARD, position)) as pages,
    ):
        async for each in pages:
            got += each.records
            if each.caught_up:
                return got, each.end
    raise AssertionError("the shard ended")


MIXED = (
    raw(9, b"plain"),
    raw(10, aggregate(*THREE)),
    raw(11, aggregate(("a", b"4", HIGH), ("b", b"5", LOW), ("c", b"6", HIGH))),
    raw(99, aggregate(("a", b"dropped", HIGH))),
    raw(100, b"plain"),
    raw(101, aggregate(("a", b"7", LOW))),
)


async def test_a_restart_behind_any_record_repeats_nothing_and_skips_nothing():
    """Also inside an aggregate, whose number several positions share."""
    every, _ = await read(Stream(*MIXED, listing=LOWER_HALF), Position("TRIM_HORIZON"))
    assert len(every) > 4
    rests = {}

    async def restart(count):
        rests[count], _ = await read(Stream(*MIXED, listing=LOWER_HALF), every[count - 1].position)

    async with anyio.create_task_group() as restarts:
        for count in range(1, len(every) + 1):
            restarts.start_soon(restart, count)
    assert rests == {count: every[count:] for count in range(1, len(every) + 1)}


async def test_a_position_inside_an_aggregate_brings_all_of_it_again_once_it_is_no_longer_opened():
    """Nothing is lost when de-aggregation is switched off, and nothing comes twice when it is switched on."""
    whole = raw(10, aggregate(*THREE))
    got, _ = await read(Stream(whole, raw(11, b"")), Position("AFTER:10:0"), deaggregate=False)
    assert told(got) == [(10, None, whole["Data"]), (11, None, "")]
    got, _ = await read(Stream(whole, raw(11, b"")), Position("AFTER:10"))
    assert told(got) == [(11, None, "")]


async def test_pages_of_which_nothing_is_kept_are_read_past():
    dropped = [raw(number, aggregate(("a", b"", HIGH))) for number in range(1, 6)]
    got, end = await read(Stream(*dropped, listing=LOWER_HALF), Position("TRIM_HORIZON"))
    assert (got, end) == ([], Position("AFTER:5"))


async def test_a_filter_sees_inner_records():
    """R-KPL-2."""
    orders = aggregate(("a", b'{"type":"order"}'), ("b", b'{"type":"other"}'), ("c", b"no json"))
    records = (await answered(raw(17, orders))).records
    for pattern, wanted in (({"data": {"type": ["order"]}}, ["a"]), ({"partitionKey": ["b", "c"]}, ["b", "c"])):
        filters = Filters([json.dumps(pattern)])
        assert [each.ordering_key for each in records if filters.wants(each)] == wanted
