"""The package async-kinesis as its page shows it: an iterator over records, each given to a function in this process.

``async_kinesis.py URL kinesis SHARDS BATCH handle``. It makes no events, and saves its positions in memory.
"""

from __future__ import annotations

import asyncio
import sys

from kinesis import Consumer
from kinesis.aggregators import SimpleAggregator
from kinesis.processors import Processor


class AsTheyCame(Processor, SimpleAggregator):
    """Leaves the data of records as it is."""

    def serialize(self, item):
        return item

    def deserialize(self, data):
        return data


async def handler(record):
    return None


async def main(url, kind, shards, batch, target):
    assert (kind, target) == ("kinesis", "handle")
    settings = {"endpoint_url": url, "region_name": "us-east-1", "shard_fetch_rate": 5, "sleep_time_no_records": 1}
    async with Consumer(stream_name="orders", processor=AsTheyCame(), **settings) as consumer:
        while True:
            async for record in consumer:
                await handler(record)


asyncio.run(main(*sys.argv[1:]))
