"""The plain loop over aiobotocore: poll, build the event with json, invoke. What most would write.

``plain_sdk.py URL KIND SHARDS BATCH TARGET``; with the target "handle" the event goes to a function in this process.
"""

from __future__ import annotations

import asyncio
import json
import sys

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from tests.benchmarks.peers.events import FUNCTION, STREAM, TABLE, payloads


def handler(event, context):
    return None


async def read(stream, function, kind, shard, batch, target):
    name = {"StreamARN": STREAM} if kind == "kinesis" else {"StreamArn": TABLE}
    start = await stream.get_shard_iterator(**name, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    iterator = start["ShardIterator"]
    while True:
        page = await stream.get_records(ShardIterator=iterator)
        iterator, raws = page["NextShardIterator"], page["Records"]
        for payload in payloads(kind, shard, raws, batch):
            if target == "handle":
                handler(json.loads(payload), None)
            else:
                answer = await function.invoke(FunctionName=FUNCTION, Payload=payload.encode())
                await answer["Payload"].read()
        if not raws:
            await asyncio.sleep(1)


async def main(url, kind, shards, batch, target):
    settings = {"region_name": "us-east-1", "endpoint_url": url, "config": AioConfig(max_pool_connections=5000)}
    session = get_session()
    async with (
        session.create_client("kinesis" if kind == "kinesis" else "dynamodbstreams", **settings) as stream,
        session.create_client("lambda", **settings) as function,
    ):
        names = [f"shardId-{number:020d}" for number in range(int(shards))]
        await asyncio.gather(*(read(stream, function, kind, name, int(batch), target) for name in names))


asyncio.run(main(*sys.argv[1:]))
