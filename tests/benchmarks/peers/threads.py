"""boto3 in threads, one per shard: poll, build the event with json, invoke.

``threads.py URL KIND SHARDS BATCH TARGET``, as `plain_sdk`.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import boto3
from botocore.config import Config

from tests.benchmarks.peers.events import FUNCTION, STREAM, TABLE, payloads


def handler(event, context):
    return None


def read(stream, function, kind, shard, batch, target):
    name = {"StreamARN": STREAM} if kind == "kinesis" else {"StreamArn": TABLE}
    start = stream.get_shard_iterator(**name, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    iterator = start["ShardIterator"]
    while True:
        page = stream.get_records(ShardIterator=iterator)
        iterator, raws = page["NextShardIterator"], page["Records"]
        for payload in payloads(kind, shard, raws, batch):
            if target == "handle":
                handler(json.loads(payload), None)
            else:
                function.invoke(FunctionName=FUNCTION, Payload=payload.encode())["Payload"].read()
        if not raws:
            time.sleep(1)


def main(url, kind, shards, batch, target):
    settings = {"region_name": "us-east-1", "endpoint_url": url, "config": Config(max_pool_connections=5000)}
    session = boto3.Session()
    stream = session.client("kinesis" if kind == "kinesis" else "dynamodbstreams", **settings)
    function = session.client("lambda", **settings)
    for number in range(int(shards)):
        shard = f"shardId-{number:020d}"
        threading.Thread(target=read, args=(stream, function, kind, shard, int(batch), target)).start()


main(*sys.argv[1:])
