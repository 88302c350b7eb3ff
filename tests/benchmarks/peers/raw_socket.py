"""The limit: the same bytes in and out over sockets, without an HTTP library, a shard reader, lanes or checkpoints.

``raw_socket.py URL KIND SHARDS BATCH invoke``. It signs its requests and takes records over as the worker does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import sys
import time
from urllib.parse import urlsplit

from botocore.credentials import ReadOnlyCredentials

from poller.clock import SystemClock
from poller.malloc import keep_freed_memory
from poller.rules.envelope import render
from poller.signing import SignedRequest
from poller.sources import dynamodb_pass_through, kinesis_pass_through
from poller.sources.kinesis_records import RecordForm
from tests.benchmarks.peers.events import FUNCTION, ROLE, STREAM, TABLE

USER = ReadOnlyCredentials("test", "test", None)


class Line(asyncio.Protocol):
    """One connection; a request at a time."""

    def connection_made(self, transport):
        self._transport = transport
        self._parts, self._missing, self._length = [], -1, 0

    def ask(self, *parts):
        self._parts, self._missing = [], -1
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.writelines(parts)
        return self._answer

    def data_received(self, data):
        if self._missing < 0:
            head, _, data = data.partition(b"\r\n\r\n")
            at = head.index(b"content-length: ") + 16
            self._missing = int(head[at:].partition(b"\r\n")[0])
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing == 0:
            self._answer.set_result(b"".join(self._parts))


def request(url, headers, service):
    names = [*(name.lower() for name in headers if name != "User-Agent"), "host"]
    return SignedRequest(url, headers, names, region="us-east-1", service=service)


def head(path, host, signed, body):
    headers = "".join(f"{name}: {value}\r\n" for name, value in signed.sign(body, USER, time.time()).items())
    return f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode()


async def read(url, kind, shard, batch):
    parts = urlsplit(url)
    tls = None
    if parts.scheme == "https":
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    lines = [(await loop.create_connection(Line, parts.hostname, parts.port, ssl=tls))[1] for _ in range(2)]
    target = "Kinesis_20131202.GetRecords" if kind == "kinesis" else "DynamoDBStreams_20120810.GetRecords"
    poll = request(url, {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", "User-Agent": "x"}, kind)
    path = f"/2015-03-31/functions/{FUNCTION.replace(':', '%3A')}/invocations"
    invoke = request(url + path, {"X-Amz-Invocation-Type": "RequestResponse", "User-Agent": "x"}, "lambda")
    if kind == "kinesis":
        passing = kinesis_pass_through.PassThrough(RecordForm(STREAM, ROLE, SystemClock()), None)
        understood = lambda body: passing.answer(shard, body)  # noqa: E731
    else:
        understood = dynamodb_pass_through.PassThrough(TABLE).answer
    iterator = f"{shard}|1"
    while True:
        question = json.dumps({"ShardIterator": iterator}).encode()
        answer = understood(await lines[0].ask(head("/", parts.netloc, poll, question), question))
        iterator = answer.iterator
        for first in range(0, len(answer.records), batch):
            payload = render(answer.records[first : first + batch])
            json.loads(await lines[1].ask(head(path, parts.netloc, invoke, payload), payload))
        if not answer.records:
            await asyncio.sleep(1)


async def main(url, kind, shards, batch, target):
    assert target == "invoke"
    keep_freed_memory()
    gc.freeze()
    await asyncio.gather(*(read(url, kind, f"shardId-{number:020d}", int(batch)) for number in range(int(shards))))


asyncio.run(main(*sys.argv[1:]))
