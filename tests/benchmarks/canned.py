"""``python -m tests.benchmarks.canned``: this file is a fast endpoint of streams and functions, as a process.

It serves what a stream would, from memory, and takes invocations without a look into them, so that what is measured is
the program on the other side. Each shard has so many pages; the records of page n have numbers beyond those of page
n-1. Without pages a shard is idle, or gets a record now and then if it has a ``--rate``. The first line that it prints
is its port.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import ssl
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.canned_http2 import PREFACE, Http2Connection

PAGE_DIGITS = b"00000000"
"""In each sequence number; they become the number of the page."""

_TAKEN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-amzn-requestid: r\r\ncontent-length: 4\r\n\r\nnull"
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-requestid: r\r\ncontent-length: %d\r\n\r\n"
)
_ARRIVED = 1_773_749_999


@dataclass(frozen=True, slots=True)
class Load:
    """``kind``: kinesis or dynamodb; ``size``: bytes of data in a record, for DynamoDB in each of two images.

    ``rate``: records a second that a shard without pages gets, at random moments.
    """

    kind: str
    shards: int
    pages: int
    records: int
    size: int
    rate: float = 0.0


@dataclass(slots=True)
class Counts:
    """What was asked for so far; ``gaps``: seconds between a shard's polls, since they were looked at last."""

    polls: int = 0
    records: int = 0
    invocations: int = 0
    invoked_bytes: int = 0
    gaps: list[float] = field(default_factory=list)


def kinesis_record(number: int, size: int) -> str:
    record = {
        "ApproximateArrivalTimestamp": _ARRIVED + number / 1000,
        "Data": base64.b64encode(os.urandom(size)).decode(),
        "PartitionKey": f"key-{number % 97}",
        "SequenceNumber": f"4959{PAGE_DIGITS.decode()}{number:044d}",
    }
    return json.dumps(record, separators=(",", ":"))


def dynamodb_record(number: int, size: int) -> str:
    def item(version: int) -> dict:
        return {
            "pk": {"S": f"customer#{number % 97}"},
            "sk": {"N": str(number)},
            "version": {"N": str(version)},
            "tags": {"SS": ["new", "paid"]},
            "lines": {"L": [{"M": {"sku": {"S": f"sku-{each}"}, "n": {"N": "2"}}} for each in range(3)]},
            "open": {"BOOL": True},
            "note": {"S": base64.b64encode(os.urandom(size // 3)).decode()},
        }

    record = {
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": "TIME",
            "Keys": {"pk": {"S": f"customer#{number % 97}"}, "sk": {"N": str(number)}},
            "NewImage": item(2),
            "OldImage": item(1),
            "SequenceNumber": f"4959{PAGE_DIGITS.decode()}{number:022d}",
            "SizeBytes": 2 * size,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventID": f"{number:032x}",
        "eventName": "MODIFY",
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
    }
    return json.dumps(record, separators=(",", ":")).replace('"TIME"', f"{_ARRIVED / 1e9}E9")


class Stream:
    """The operations, by what is asked."""

    def __init__(self, load: Load) -> None:
        self.load = load
        make = kinesis_record if load.kind == "kinesis" else dynamodb_record
        records = ",".join(make(number, load.size) for number in range(load.records))
        self._page = f'"Records":[{records}]'.encode()
        self._polled_at: dict[str, float] = {}
        self._arrivals: dict[str, deque[float]] = {}
        self.counts = Counts()

    def answer(self, operation: str, question: dict) -> bytes:
        match operation:
            case "GetRecords":
                return self._records(question["ShardIterator"])
            case "GetShardIterator":
                number = question.get("StartingSequenceNumber") or question.get("SequenceNumber")
                page = int(number[4 : 4 + len(PAGE_DIGITS)]) + 1 if number else 1
                return json.dumps({"ShardIterator": f"{question['ShardId']}|{page}"}).encode()
            case "ListShards":
                return json.dumps({"Shards": self._shards()}).encode()
            case "DescribeStream":
                status = "ACTIVE" if self.load.kind == "kinesis" else "ENABLED"
                described = {"Shards": self._shards(), "StreamStatus": status, "HasMoreShards": False}
                return json.dumps({"StreamDescription": described}).encode()
            case "DescribeStreamSummary":
                summary = {"RetentionPeriodHours": 24, "StreamCreationTimestamp": 1.7e9, "StreamStatus": "ACTIVE"}
                return json.dumps({"StreamDescriptionSummary": summary}).encode()
        return b"{}"

    def _shards(self) -> list[dict]:
        """Each has its part of the hash keys."""
        starts = [2**128 * number // self.load.shards for number in range(self.load.shards + 1)]
        return [
            {
                "ShardId": f"shardId-{number:020d}",
                "SequenceNumberRange": {"StartingSequenceNumber": "4958"},
                "HashKeyRange": {"StartingHashKey": str(start), "EndingHashKey": str(end - 1)},
            }
            for number, (start, end) in enumerate(pairwise(starts))
        ]

    def _records(self, iterator: str) -> bytes:
        self.counts.polls += 1
        shard, _, page = iterator.partition("|")
        number = int(page)
        now = time.time()
        self.counts.gaps.append(now - self._polled_at.get(shard, now))
        self._polled_at[shard] = now
        if number > self.load.pages and self.load.rate:
            return self._trickle(shard, number, now)
        if number > self.load.pages:
            return b'{"MillisBehindLatest":0,"NextShardIterator":"%b","Records":[]}' % iterator.encode()
        self.counts.records += self.load.records
        behind = 0 if number == self.load.pages else 60_000
        head = b'{"MillisBehindLatest":%d,"NextShardIterator":"%b|%d",' % (behind, shard.encode(), number + 1)
        return head + self._page.replace(b'"4959' + PAGE_DIGITS, b'"4959%08d' % number) + b"}"

    def _trickle(self, shard: str, number: int, now: float) -> bytes:
        """What has arrived since the last poll."""
        waiting = self._arrivals.setdefault(shard, deque([now + random.expovariate(self.load.rate)]))
        records = []
        while waiting[0] <= now:
            arrived_at = waiting.popleft()
            waiting.append(arrived_at + random.expovariate(self.load.rate))
            number += 1
            record = {"ApproximateArrivalTimestamp": arrived_at, "Data": "e30=", "PartitionKey": "k"}
            records.append({**record, "SequenceNumber": f"4959{number:08d}{0:044d}"})
        self.counts.records += len(records)
        answer = {"MillisBehindLatest": 0, "NextShardIterator": f"{shard}|{number}", "Records": records}
        return json.dumps(answer).encode()


class Connection(asyncio.Protocol):
    """One connection, request after request."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._head = b""
        self._operation = ""
        self._body = bytearray()
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        while data:
            if self._missing:
                part = data[: self._missing]
                data = data[len(part) :]
                self._missing -= len(part)
                if self._operation != "Invoke":
                    self._body += part
            else:
                head, end, data = (self._head + data).partition(b"\r\n\r\n")
                self._head = b"" if end else head
                if not end:
                    return
                if head == PREFACE:
                    Http2Connection(self._transport, self._stream.answer).data_received(head + end + data)
                    return
                self._begin(head)
            if not self._missing:
                self._give()

    def _begin(self, head: bytes) -> None:
        lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
        target = headers.get(b"x-amz-target", b"").decode()
        names = {"getrecords": "GetRecords", "getsharditerator": "GetShardIterator", "listshards": "ListShards"}
        names |= {"describestream": "DescribeStream", "describestreamsummary": "DescribeStreamSummary"}
        path = lines[0].split(b" ")[1]
        if path.endswith(b"/invocations"):
            self._operation = "Invoke"
            self._stream.counts.invocations += 1
        elif path == b"/counts":
            self._operation = "counts"
        else:
            self._operation = names.get(target.rpartition(".")[2], target)
        self._missing = int(headers.get(b"content-length", b"0"))
        if self._operation == "Invoke":
            self._stream.counts.invoked_bytes += self._missing
        self._body.clear()

    def _give(self) -> None:
        if self._operation == "Invoke":
            self._transport.write(_TAKEN)
            return
        if self._operation == "counts":
            body = json.dumps(asdict(self._stream.counts)).encode()
            self._stream.counts.gaps.clear()
        else:
            body = self._stream.answer(self._operation, json.loads(self._body or b"{}"))
        self._transport.writelines((_HEAD % len(body), body))


async def _serve(load: Load, certificate: Path | None) -> None:
    stream = Stream(load)
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(stream), "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.canned")
    parser.add_argument("--kind", choices=("kinesis", "dynamodb"), default="kinesis")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--pages", type=int, default=1_000_000, help="of each shard; 0 for shards that are idle")
    parser.add_argument("--records", type=int, default=1000, help="in a page")
    parser.add_argument("--size", type=int, default=1024, help="of a record, in bytes before base64")
    parser.add_argument("--rate", type=float, default=0.0, help="records a second in a shard without pages")
    parser.add_argument("--certificate", type=Path, help="a file with a key and a certificate, for TLS")
    asked = parser.parse_args(arguments)
    load = Load(asked.kind, asked.shards, asked.pages, asked.records, asked.size, asked.rate)
    asyncio.run(_serve(load, asked.certificate))


if __name__ == "__main__":
    main(sys.argv[1:])
