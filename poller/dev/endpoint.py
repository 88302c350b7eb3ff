"""An AWS of its own on this machine: this file starts moto's server and fills it with streams and tables."""

from __future__ import annotations

import http.client
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import anyio
import anyio.to_thread

from poller.arns import DestinationKind, destination_kind, source_name
from poller.aws import Aws
from poller.aws_errors import translated
from poller.config import AwsSettings, Settings
from poller.errors import ConfigError

START_SECONDS_MAX = 60.0
KINESIS_SHARDS = 2
_NEEDED = ("moto", "flask", "flask_cors")  # moto alone is not yet moto[server]


@asynccontextmanager
async def embedded_endpoint() -> AsyncIterator[str]:
    """The URL of a server that runs while the context is open. Raises `ConfigError` if moto is missing or broken."""
    if any(importlib.util.find_spec(module) is None for module in _NEEDED):
        raise ConfigError(("the embedded endpoint needs moto: pip install 'stream-poller[dev]'",))
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = int(held.getsockname()[1])
    process = subprocess.Popen(  # noqa: ASYNC220  it returns at once
        [sys.executable, "-m", "poller.dev.server", "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.PIPE,  # never written to; see server.py
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
        start_new_session=True,  # Ctrl-C is for the worker, which drains first
    )
    try:
        await _answering(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        with process:
            process.kill()


def use_words_for_credentials() -> None:
    """The embedded endpoint takes any words; nothing of the user's own may reach it, nor a proxy stand before it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="dev",
        AWS_SECRET_ACCESS_KEY="dev",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))


def keep_handlers_here(settings: AwsSettings) -> None:
    """SDK clients that handlers make in this process go to the embedded endpoint too, not to AWS itself."""
    assert settings.region is not None
    assert settings.endpoint_url is not None
    os.environ.update(AWS_REGION=settings.region, AWS_DEFAULT_REGION=settings.region)
    os.environ["AWS_ENDPOINT_URL"] = settings.endpoint_url


async def with_streams(settings: Settings, endpoint_url: str) -> Settings:
    """Makes all that the mappings read and write, and points the settings at it: endpoint, ARNs, a store in memory.

    There is no enhanced fan-out here: the stream of a consumer is polled. Streams that are as new as the session have
    no past to leave out: every mapping starts at their beginning. With LATEST, what is put before the worker has found
    the shards would be skipped.
    """
    region = settings.aws.region or settings.mappings[0].source_arn.split(":")[3]
    aws_settings = AwsSettings(region=region, endpoint_url=endpoint_url, endpoint_urls={})
    aws = Aws(region=region, endpoint_url=endpoint_url)
    made: dict[tuple[str, str, str], str] = {}  # two ARNs may differ in account or label alone
    destinations: dict[str | None, str | None] = {None: None}
    try:
        for mapping in settings.mappings:
            place = _place(mapping.source_arn)
            if place not in made:
                made[place] = await _created(aws, *place)
            if mapping.destination not in destinations:
                destinations[mapping.destination] = await _destination(aws, str(mapping.destination))
    finally:
        await aws.aclose()
    mappings = tuple(
        replace(
            mapping,
            source_arn=made[_place(mapping.source_arn)],
            starting_position="TRIM_HORIZON",
            starting_timestamp=None,
            destination=destinations[mapping.destination],
        )
        for mapping in settings.mappings
    )
    return replace(settings, aws=aws_settings, store_url="memory:", mappings=mappings)


def _place(arn: str) -> tuple[str, str, str]:
    """The service, the region, and the name of the stream or table."""
    return arn.split(":")[2], arn.split(":")[3], source_name(arn)


async def _created(aws: Aws, service: str, region: str, name: str) -> str:
    """The ARN by which the embedded endpoint knows a stream, which is made by now."""
    if service == "kinesis":
        kinesis = await aws.client("kinesis", region)
        with translated(f"make the stream {name}"):
            await kinesis.create_stream(StreamName=name, ShardCount=KINESIS_SHARDS)
            while True:
                described = (await kinesis.describe_stream_summary(StreamName=name))["StreamDescriptionSummary"]
                if described["StreamStatus"] == "ACTIVE":
                    return str(described["StreamARN"])
                await anyio.sleep(0.05)
    dynamodb = await aws.client("dynamodb", region)
    with translated(f"make the table {name}"):
        described = await dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        return str(described["TableDescription"]["LatestStreamArn"])


async def _destination(aws: Aws, destination: str) -> str:
    """The queue, topic or bucket, made, by its ARN here; files and URLs are used as they are."""
    kind = destination_kind(destination)
    if kind in (DestinationKind.FILE, DestinationKind.HTTP):
        return destination
    *_, region, _, name = destination.split(":")
    with translated(f"make {destination}"):
        match kind:
            case DestinationKind.SQS:
                sqs = await aws.client("sqs", region)
                url = (await sqs.create_queue(QueueName=name))["QueueUrl"]
                asked = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
                return str(asked["Attributes"]["QueueArn"])
            case DestinationKind.SNS:
                return str((await (await aws.client("sns", region)).create_topic(Name=name))["TopicArn"])
            case DestinationKind.S3:
                await (await aws.client("s3", "us-east-1")).create_bucket(Bucket=name)
    return destination


async def _answering(process: subprocess.Popen[bytes], port: int) -> None:
    with anyio.move_on_after(START_SECONDS_MAX):
        while process.poll() is None:
            if await anyio.to_thread.run_sync(_answers, port):
                return
            await anyio.sleep(0.05)
    raise ConfigError((f"the embedded endpoint did not start (exit code {process.poll()}); is port {port} free?",))


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/moto-api/")
        connection.getresponse().read()
        return True
    return False
