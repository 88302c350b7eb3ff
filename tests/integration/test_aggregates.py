"""Aggregates in a real stream, made by AWS's own library: this file is how they come out of it."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from contextlib import aclosing
from random import Random

import botocore.session
import pytest

from poller.aws import Aws
from poller.clock import SystemClock
from poller.events import InnerRecordsDropped
from poller.model import TRIM_HORIZON, Position
from poller.sources.kinesis import KinesisSource
from tests.aggregates import aggregate
from tests.fakes import Heard

KEYS = [f"customer-{number}" for number in range(20)]
LOW, HIGH = "0", str(2**128 - 1)


@pytest.fixture
async def stream(kinesis_endpoint):
    made = Stream(kinesis_endpoint)
    await made.create()
    yield made
    await made.aclose()


class Stream:
    """A stream of two shards."""

    def __init__(self, endpoint):
        session = botocore.session.get_session()
        self._kinesis = session.create_client("kinesis", endpoint_url=endpoint, region_name="us-east-1")
        self._aws = Aws(endpoint_url=endpoint, region="us-east-1")
        self.name = f"aggregates-{uuid.uuid4().hex[:12]}"
        self.heard = Heard()

    async def create(self):
        self._kinesis.create_stream(StreamName=self.name, ShardCount=2)
        await asyncio.to_thread(
            self._kinesis.get_waiter("stream_exists").wait,
            StreamName=self.name,
            WaiterConfig={"Delay": 0.05, "MaxAttempts": 600},
        )
        summary = self._kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
        self._arn = summary["StreamARN"]

    def put(self, data, *, key="outer", hash_key=None):
        where = {} if hash_key is None else {"ExplicitHashKey": hash_key}
        return self._kinesis.put_record(StreamName=self.name, Data=data, PartitionKey=key, **where)["ShardId"]

    def source(self, *, deaggregate=True):
        return KinesisSource(
            self._aws,
            arn=self._arn,
            mapping="m",
            observer=self.heard,
            clock=SystemClock(),
            random=Random(1),
            deaggregate=deaggregate,
        )

    async def shards(self):
        listing = await self.source().listing()
        return [shard.id for shard in sorted(listing.shards, key=lambda each: each.hashes)]

    async def read(self, shard, position=TRIM_HORIZON, *, deaggregate=True):
        """All records from ``position`` on, until nothing is left."""
        got = []
        async with aclosing(self.source(deaggregate=deaggregate).read(shard, position)) as pages:
            async for page in pages:
                got += page.records
                if page.caught_up and not page.records:
                    return got
        raise AssertionError("the shard ended")

    async def aclose(self):
        await self._aws.aclose()


def data_of(records):
    return [base64.b64decode(json.loads(each.body)["kinesis"]["data"]) for each in records]


async def test_a_restart_behind_any_record_of_real_aggregates_repeats_nothing_and_skips_nothing(stream):
    """R-KPL-2, R-KPL-3, R-KPL-4."""
    low, _ = await stream.shards()
    stream.put(b"plain 1", hash_key=LOW)
    stream.put(aggregate(("a", b"1", LOW), ("b", b"2", LOW), ("a", b"3", LOW)), hash_key=LOW)
    stream.put(
        aggregate(("a", b"4", LOW), ("b", b"dropped", HIGH), ("c", b"5", LOW), ("d", b"dropped", HIGH)), hash_key=LOW
    )
    stream.put(aggregate(("a", b"dropped", HIGH)), hash_key=LOW)
    stream.put(b"plain 2", hash_key=LOW)
    stream.put(aggregate(("a", b"6", LOW)), hash_key=LOW)
    every = await stream.read(low)
    assert data_of(every) == [b"plain 1", b"1", b"2", b"3", b"4", b"5", b"plain 2", b"6"]
    assert [each.inner for each in every] == [None, 0, 1, None, 0, None, None, None]
    assert [event.records for event in stream.heard.of(InnerRecordsDropped)] == [2, 1]
    rests = await asyncio.gather(*(stream.read(low, each.position) for each in every))
    assert [data_of(rest) for rest in rests] == [data_of(every)[count:] for count in range(1, len(every) + 1)]


async def test_an_inner_record_belongs_to_the_shard_where_kinesis_puts_its_key(stream):
    """R-KPL-4: an aggregate of all keys in both shards gives each key once, in its place."""
    shards = await stream.shards()
    where = {key: stream.put(b"plain", key=key) for key in KEYS}
    for hash_key in (LOW, HIGH):
        assert stream.put(aggregate(*((key, b"inner") for key in KEYS)), hash_key=hash_key) in shards
    kept = {}
    for shard in shards:
        inner = [each for each in await stream.read(shard) if data_of([each]) == [b"inner"]]
        kept |= {each.ordering_key: shard for each in inner}
    assert kept == where
    assert set(where.values()) == set(shards)
    assert sum(event.records for event in stream.heard.of(InnerRecordsDropped)) == len(KEYS)


async def test_a_position_inside_an_aggregate_brings_it_whole_when_it_is_no_longer_opened(stream):
    """R-KPL-1: nothing is lost when de-aggregation is switched off."""
    low, _ = await stream.shards()
    whole = aggregate(("a", b"1", LOW), ("b", b"2", LOW))
    stream.put(whole, hash_key=LOW)
    stream.put(b"plain", hash_key=LOW)
    first = (await stream.read(low))[0]
    assert first.position == Position.after(first.sequence_number, 0)
    assert data_of(await stream.read(low, first.position, deaggregate=False)) == [whole, b"plain"]
    assert data_of(await stream.read(low, first.position)) == [b"2", b"plain"]
