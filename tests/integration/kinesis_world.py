"""A stream, its producer and its worker, as every test of the real process needs them: this file is their making."""

from __future__ import annotations

import json
import threading
import time
import uuid
from random import Random

import botocore.session

KEYS = [f"customer-{number}" for number in range(12)]
BATCH = 20

CONFIG = """
[worker]
id = "test"
drain_timeout_seconds = 10
[server]
listen = "{listen}"
[aws]
region = "us-east-1"
endpoint_url = "{endpoint}"
[store]
url = "sqlite:///poller.db"
[functions.record]
handler = "tests.integration.recording_handler:{handler}"
timeout_seconds = 10
[[event_source_mappings]]
name = "orders"
event_source_arn = "{arn}"
function_name = "record"
starting_position = "TRIM_HORIZON"
batch_size = {batch}
{more}
"""


def client(service, endpoint):
    return botocore.session.get_session().create_client(service, endpoint_url=endpoint, region_name="us-east-1")


class Producer(threading.Thread):
    """Puts numbered records, each key's in order, until told to stop; keeps how many each key got."""

    def __init__(self, kinesis, stream, per_second=100.0):
        super().__init__(daemon=True)
        self._kinesis, self._stream, self._pause = kinesis, stream, 1 / per_second
        self._ended = threading.Event()
        self._random = Random(7)
        self.put = dict.fromkeys(KEYS, 0)
        self.problems = []

    def run(self):
        while not self._ended.wait(self._pause):
            key = self._random.choice(KEYS)
            data = json.dumps({"key": key, "n": self.put[key] + 1}).encode()
            try:
                self._kinesis.put_record(StreamName=self._stream, Data=data, PartitionKey=key)
            except Exception as error:
                self.problems.append(repr(error))
                continue
            self.put[key] += 1

    def end(self):
        self._ended.set()
        self.join()

    @property
    def total(self):
        return sum(self.put.values())


def new_stream(kinesis, shards):
    stream = f"orders-{uuid.uuid4().hex[:12]}"
    kinesis.create_stream(StreamName=stream, ShardCount=shards)
    wait_active(kinesis, stream)
    return stream


def wait_active(kinesis, stream):
    while True:
        described = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
        if described["StreamStatus"] == "ACTIVE":
            return described["StreamARN"]
        time.sleep(0.05)


def new_consumer(kinesis, stream):
    """The ARN of a registered consumer that is ready."""
    made = kinesis.register_stream_consumer(StreamARN=wait_active(kinesis, stream), ConsumerName="poller")["Consumer"]
    while True:
        described = kinesis.describe_stream_consumer(ConsumerARN=made["ConsumerARN"])["ConsumerDescription"]
        if described["ConsumerStatus"] == "ACTIVE":
            return made["ConsumerARN"]
        time.sleep(0.05)


def open_shards(kinesis, stream):
    shards = kinesis.list_shards(StreamName=stream)["Shards"]
    still = [each for each in shards if "EndingSequenceNumber" not in each["SequenceNumberRange"]]
    return sorted(still, key=lambda each: int(each["HashKeyRange"]["StartingHashKey"]))


def split(kinesis, stream):
    shard = open_shards(kinesis, stream)[0]
    low, high = (int(shard["HashKeyRange"][edge]) for edge in ("StartingHashKey", "EndingHashKey"))
    kinesis.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((low + high) // 2))
    wait_active(kinesis, stream)


def merge(kinesis, stream):
    one, two = open_shards(kinesis, stream)[-2:]
    kinesis.merge_shards(StreamName=stream, ShardToMerge=one["ShardId"], AdjacentShardToMerge=two["ShardId"])
    wait_active(kinesis, stream)
