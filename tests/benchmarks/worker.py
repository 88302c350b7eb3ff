"""The worker as it is run, against a canned endpoint: this file writes its configuration."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from tests.benchmarks.peers.events import FUNCTION, ROLE, STREAM, TABLE

_CONFIG = """
[worker]
id = "bench"
drain_timeout_seconds = 1
[server]
listen = "{listen}"
[aws]
region = "us-east-1"
invoke_identity_arn = "{role}"
endpoint_url = "{url}"
[store]
url = "memory:"
[functions.handle]
handler = "tests.benchmarks.worker:{handler}"
[[event_source_mappings]]
name = "orders"
event_source_arn = "{source}"
function_name = "{function}"
starting_position = "TRIM_HORIZON"
batch_size = {batch}
"""


async def handle(event, context):
    """Does nothing, in this process."""


async def told(event, context):
    """Writes down how long each record took from the stream to here."""
    now = time.time()
    with Path(os.environ["BENCH_SECONDS"]).open("a") as file:
        file.writelines(f"{now - record['kinesis']['approximateArrivalTimestamp']}\n" for record in event["Records"])


_PAUSE_SECONDS = 0.001
_watching = None


async def watched(event, context):
    """Sees to it that from now on it is written down how late the event loop comes to what is due."""
    global _watching
    if _watching is None:
        _watching = asyncio.create_task(_watch())


async def _watch():
    while True:
        before = time.perf_counter()
        await asyncio.sleep(_PAUSE_SECONDS)
        late = time.perf_counter() - before - _PAUSE_SECONDS
        if late > _PAUSE_SECONDS:
            with Path(os.environ["BENCH_SECONDS"]).open("a") as file:
                file.write(f"{late}\n")


def configured(folder: Path, url: str, kind: str, batch: int, target: str, listen: str = "") -> Path:
    """The path of the file; ``target`` is ``invoke`` for Lambda's Invoke, or a handler of this file."""
    path = folder / "bench.toml"
    source, function = (STREAM if kind == "kinesis" else TABLE), (FUNCTION if target == "invoke" else "handle")
    values = {"url": url, "role": ROLE, "source": source, "function": function, "batch": batch, "listen": listen}
    path.write_text(_CONFIG.format(**values, handler=target))
    return path
