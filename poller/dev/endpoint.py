"""An AWS of its own on this machine: this file starts moto's server and fills it with streams and tables."""

from __future__ import annotations

import ctypes
import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import anyio
import anyio.to_thread

from poller.aws import Aws, translated
from poller.config import AwsSettings, Settings
from poller.errors import ConfigError
from poller.mapping import EventSourceMapping, SourceKind, source_kind, source_name

START_SECONDS_MAX = 60.0
KINESIS_SHARDS = 2
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl: a killed `poller dev` leaves no server behind."""


@asynccontextmanager
async def embedded_endpoint() -> AsyncIterator[str]:
    """The URL of a server that runs while the context is open. Raises `ConfigError` if moto is missing or broken."""
    if importlib.util.find_spec("moto") is None:
        raise ConfigError(("the embedded endpoint needs moto: pip install 'stream-poller[dev]'",))
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = int(held.getsockname()[1])
    process = subprocess.Popen(  # noqa: ASYNC220  it returns at once
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
        start_new_session=True,  # Ctrl-C is for the worker, which drains first
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    try:
        await _answering(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def use_words_for_credentials() -> None:
    """The embedded endpoint takes any words; nothing of the user's own may reach it, nor the worker go elsewhere."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_ACCESS_KEY_ID="dev",
        AWS_SECRET_ACCESS_KEY="dev",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )


async def with_streams(settings: Settings, endpoint_url: str) -> Settings:
    """Makes all that the mappings read, and points the settings at it: endpoint, ARNs, and a store in memory."""
    region = settings.aws.region or settings.mappings[0].source_arn.split(":")[3]
    aws_settings = AwsSettings(region=region, endpoint_url=endpoint_url, endpoint_urls={})
    aws = Aws(region=region, endpoint_url=endpoint_url)
    arns: dict[str, str] = {}
    try:
        for mapping in settings.mappings:
            if mapping.source_arn not in arns:
                arns[mapping.source_arn] = await _created(aws, mapping, arns)
    finally:
        await aws.aclose()
    mappings = tuple(replace(mapping, source_arn=arns[mapping.source_arn]) for mapping in settings.mappings)
    return replace(settings, aws=aws_settings, store_url="memory:", mappings=mappings)


async def _created(aws: Aws, mapping: EventSourceMapping, made: Mapping[str, str]) -> str:
    """The ARN by which the embedded endpoint knows the mapping's stream, which is made by now."""
    region, name = mapping.source_arn.split(":")[3], source_name(mapping.source_arn)
    if source_kind(mapping.source_arn) is not SourceKind.DYNAMODB_STREAM:
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


def _die_with_parent() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
