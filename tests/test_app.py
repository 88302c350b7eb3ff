"""The worker as it is put together: what is set in the file arrives where it is needed."""

from __future__ import annotations

import json

import anyio
import pytest

from poller.app import main_run, run_worker
from poller.config import load
from poller.rules.pacing import FEW_RECORDS_MIN
from tests.http_endpoint import endpoint
from tests.sources.wire import KINESIS_ARN, Service

CONFIG = """
[worker]
waiting_mib_max = {mib}
[server]
listen = ""
[aws]
region = "us-east-2"
invoke_identity_arn = "arn:aws:iam::123456789012:role/poller"
endpoint_url = "{url}"
[store]
url = "memory:"
[functions.f]
handler = "json:dumps"
[[event_source_mappings]]
event_source_arn = "{arn}"
function_name = "f"
starting_position = "TRIM_HORIZON"
"""


def shard(number):
    return {
        "ShardId": f"shardId-{number:012}",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
        "SequenceNumberRange": {"StartingSequenceNumber": "1"},
    }


class Together(Service):
    """Answers with records only when both shards have asked."""

    def __init__(self):
        super().__init__(
            ListShards={"Shards": [shard(0), shard(1)]},
            DescribeStreamSummary={
                "StreamDescriptionSummary": {"RetentionPeriodHours": 24, "StreamCreationTimestamp": 1.7e9}
            },
            GetShardIterator={"ShardIterator": "it"},
            GetRecords={"Records": [], "NextShardIterator": "it", "MillisBehindLatest": 0},
        )
        self.both = anyio.Event()

    async def __call__(self, request):
        answer = await super().__call__(request)
        if "GetRecords" in request.headers["X-Amz-Target"]:
            if len(self.questions("GetRecords")) == 2:
                self.both.set()
            await self.both.wait()
        return answer


@pytest.mark.parametrize(("mib", "limits"), [(1, [None, FEW_RECORDS_MIN]), (256, [None, None])])
async def test_what_may_wait_in_memory_is_what_shards_ask_for(mib, limits, tmp_path, monkeypatch):
    """I10: an answer that is on its way counts as well."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    service, stop = Together(), anyio.Event()
    async with endpoint(service) as url:
        file = tmp_path / "poller.toml"
        file.write_text(CONFIG.format(mib=mib, url=url.removesuffix("/orders"), arn=KINESIS_ARN))
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: run_worker(load(file, now=1.8e9, environ={}), stop=stop))
                await service.both.wait()
                stop.set()
    assert [question.get("Limit") for question in service.questions("GetRecords")][:2] == limits


@pytest.mark.parametrize("url", ["sqlite:///poller.db", "memory:"])
def test_a_log_begins_with_where_everything_is(url, tmp_path, monkeypatch, capsys):
    """A store that is new where an old one was expected reads everything again."""

    async def nothing(settings, *, stop, observers):
        pass

    monkeypatch.setattr("poller.app.run_worker", nothing)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "poller.toml"
    pattern = """filter_criteria = { filters = [{ pattern = '{"kinesis": {"data": {"a": [1]}}}' }] }"""
    text = CONFIG.format(mib=1, url="http://127.0.0.1:9", arn=KINESIS_ARN).replace("memory:", url)
    file.write_text(text + pattern)
    for is_new in (True, False):
        assert main_run(load(file, now=1.8e9, environ={})) == 0
        started, noted = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        store = {"store": str(tmp_path / "poller.db"), "new_store": is_new} if url != "memory:" else {"store": url}
        assert started.items() >= {"event": "worker starting", "config": str(file), "listen": "", **store}.items()
        assert "no record of this source shows a pattern the key kinesis" in noted["note"]
        (tmp_path / "poller.db").touch()
