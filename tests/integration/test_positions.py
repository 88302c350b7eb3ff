"""Where reading begins in a stream that was split, as a Kinesis that others wrote has it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import aclosing
from random import Random

import pytest

from poller.aws import Aws
from poller.clock import SystemClock
from poller.model import TRIM_HORIZON, Position
from poller.sources.kinesis import KinesisSource
from tests.fakes import Heard
from tests.integration import kinesis_world as world


@pytest.fixture
async def source(kinesis_endpoint):
    """Two records before a split, a moment, and two behind it; the source has the moment as ``between``."""
    kinesis = world.client("kinesis", kinesis_endpoint)

    def fill():
        stream = world.new_stream(kinesis, 1)
        for data in (b"1", b"2"):
            kinesis.put_record(StreamName=stream, Data=data, PartitionKey="a")
        world.split(kinesis, stream)
        between = time.time()
        for data in (b"3", b"4"):
            kinesis.put_record(StreamName=stream, Data=data, PartitionKey="a")
        return world.wait_active(kinesis, stream), between

    arn, between = await asyncio.to_thread(fill)
    async with aclosing(Aws(endpoint_url=kinesis_endpoint, region="us-east-1")) as aws:
        made = KinesisSource(aws, arn=arn, mapping="m", observer=Heard(), clock=SystemClock(), random=Random(1))
        yield made, Position.at_timestamp(between)


async def read(source, shard, position):
    """What a shard holds from ``position`` on, and whether it ended with it."""
    got = []
    async with aclosing(source.read(shard, position)) as pages:
        async for page in pages:
            got += [int(base64.b64decode(json.loads(record.body)["kinesis"]["data"])) for record in page.records]
            if page.ended or (page.caught_up and not page.records):
                return got, page.ended
    raise AssertionError("the pages ran out")


async def test_a_shard_that_was_closed_before_the_timestamp_has_nothing_to_give_and_ends(source):
    """R-POS-2, R-POS-4, R-POS-5: a timestamp older than the stream is its beginning."""
    stream, between = source
    shards = (await stream.listing()).shards
    (parent,) = [shard.id for shard in shards if shard.closed]
    children = [shard.id for shard in shards if shard.parents == (parent,)]
    assert await read(stream, parent, between) == ([], True)
    assert await read(stream, parent, TRIM_HORIZON) == ([1, 2], True)
    assert await read(stream, parent, Position.at_timestamp(1.0)) == ([1, 2], True)
    assert sorted([await read(stream, child, between) for child in children]) == [([], False), ([3, 4], False)]
