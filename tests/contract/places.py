"""Places for failures, each on a real server or disk: this file opens them and reads back what arrived there."""

from __future__ import annotations

import fcntl
import json
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from poller.arns import DestinationKind
from poller.aws import Aws
from poller.opening import open_destination
from poller.ports import Destination
from tests.builders import mapping
from tests.http_endpoint import endpoint

REGION, ACCOUNT = "us-east-1", "123456789012"
_HANGS_SECONDS = 10.0


@dataclass(frozen=True)
class Place:
    """A destination that accepts, one of its kind that names what is not there, one that breaks, one that hangs.

    ``arrived`` reads back the documents that were accepted, in no order.
    """

    destination: Destination
    missing: Destination
    broken: Destination
    hanging: Destination
    arrived: Callable[[], Awaitable[list[bytes]]]


def opened(destination: str, aws: Aws) -> Destination:
    """As the worker opens it."""
    made = open_destination(replace(mapping(), destination=destination), aws)
    assert made is not None
    return made


@asynccontextmanager
async def place(kind: DestinationKind, moto_url: str, directory: Any) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        # The system takes connections for a socket that listens, and nobody ever reads them.
        port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        hole = f"http://127.0.0.1:{port}"

        async def door(url: str) -> Aws:
            return await stack.enter_async_context(aclosing(Aws(endpoint_url=url)))

        aws, nobody, silence = await door(moto_url), await door("http://127.0.0.1:1"), await door(hole)
        match kind:
            case DestinationKind.FILE:
                yield await _file(aws, directory, stack)
            case DestinationKind.HTTP:
                yield await _http(aws, hole, stack)
            case _:
                arn, missing, arrived = await _AWS[kind](aws)
                yield Place(opened(arn, aws), opened(missing, aws), opened(arn, nobody), opened(arn, silence), arrived)


def _name() -> str:
    return f"failures-{uuid.uuid4()}"


async def _sqs(aws: Aws) -> tuple[str, str, Callable[[], Awaitable[list[bytes]]]]:
    client, name = await aws.client("sqs", REGION), _name()
    url = (await client.create_queue(QueueName=name))["QueueUrl"]

    async def arrived() -> list[bytes]:
        return [body.encode() for body in await received(client, url)]

    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{_name()}", arrived


async def _sns(aws: Aws) -> tuple[str, str, Callable[[], Awaitable[list[bytes]]]]:
    """A queue that subscribed to the topic tells what arrived."""
    client, queues, name = await aws.client("sns", REGION), await aws.client("sqs", REGION), _name()
    url = (await queues.create_queue(QueueName=name))["QueueUrl"]
    topic = (await client.create_topic(Name=name))["TopicArn"]
    await client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")

    async def arrived() -> list[bytes]:
        return [json.loads(body)["Message"].encode() for body in await received(queues, url)]

    return topic, f"arn:aws:sns:{REGION}:{ACCOUNT}:{_name()}", arrived


async def received(client: Any, url: str) -> list[str]:
    """All messages of a queue."""
    bodies: list[str] = []
    while messages := (await client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)).get("Messages"):
        bodies += [message["Body"] for message in messages]
    return bodies


async def _s3(aws: Aws) -> tuple[str, str, Callable[[], Awaitable[list[bytes]]]]:
    client, name = await aws.client("s3", REGION), _name()
    await client.create_bucket(Bucket=name)

    async def arrived() -> list[bytes]:
        keys = [each["Key"] for each in (await client.list_objects_v2(Bucket=name)).get("Contents", [])]
        return [await (await client.get_object(Bucket=name, Key=key))["Body"].read() for key in keys]

    return f"arn:aws:s3:::{name}", f"arn:aws:s3:::{_name()}", arrived


_AWS = {DestinationKind.SQS: _sqs, DestinationKind.SNS: _sns, DestinationKind.S3: _s3}


async def _file(aws: Aws, directory: Any, stack: AsyncExitStack) -> Place:
    path, locked = directory / "failures.jsonl", directory / "locked.jsonl"
    lock = stack.enter_context(locked.open("ab"))  # whose end releases the thread that waits for it
    fcntl.flock(lock, fcntl.LOCK_EX)
    in_the_end = threading.Timer(_HANGS_SECONDS, lock.close)  # else a thread that is waited for would wait for ever
    in_the_end.start()
    stack.callback(in_the_end.cancel)

    async def arrived() -> list[bytes]:
        return path.read_bytes().splitlines()

    return Place(
        opened(f"file://{path}", aws),
        opened(f"file://{directory}/nowhere/failures.jsonl", aws),
        opened("file:///dev/full", aws),
        opened(f"file://{locked}", aws),
        arrived,
    )


async def _http(aws: Aws, hole: str, stack: AsyncExitStack) -> Place:
    documents: list[bytes] = []

    async def accept(request: web.Request) -> web.Response:
        if request.path != "/orders":
            return web.Response(status=404)
        assert request.method == "POST"
        documents.append(await request.content.read())  # as large as it may be
        return web.Response(status=202)

    async def arrived() -> list[bytes]:
        return documents

    url = await stack.enter_async_context(endpoint(accept))
    return Place(
        opened(url, aws), opened(f"{url}/nowhere", aws), opened("http://127.0.0.1:1/", aws), opened(hole, aws), arrived
    )
