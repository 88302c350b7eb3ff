"""The suite measures what it says: its endpoint, its peers, and how its figures are told."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree

import httpx
import pytest

from poller.clock import SystemClock
from poller.model import ShardId
from poller.sources.dynamodb_pass_through import PassThrough as DynamoDBPassThrough
from poller.sources.kinesis_pass_through import PassThrough as KinesisPassThrough
from poller.sources.kinesis_records import RecordForm
from tests.benchmarks.canned import Load, Stream
from tests.benchmarks.figures import Figure, plot, table
from tests.benchmarks.kcl import processor
from tests.benchmarks.measuring import Endpoint, Work, _cpu_seconds, _memory_bytes, certificates, cost
from tests.benchmarks.peers.events import ROLE, STREAM, TABLE
from tests.benchmarks.rows import Suite

SMALL = Work(shards=2, records=50, size=100, batch=20)


@pytest.mark.parametrize("kind", ["kinesis", "dynamodb"])
def test_the_endpoint_gives_pages_whose_records_go_up(kind):
    stream = Stream(Load(kind, shards=1, pages=2, records=3, size=100))
    passing = (
        KinesisPassThrough(RecordForm(STREAM, ROLE, SystemClock()), None)
        if kind == "kinesis"
        else DynamoDBPassThrough(TABLE)
    )
    iterator, numbers = json.loads(stream.answer("GetShardIterator", {"ShardId": "s"}))["ShardIterator"], []
    for _ in range(3):
        body = stream.answer("GetRecords", {"ShardIterator": iterator})
        answer = passing.answer(ShardId("s"), body) if kind == "kinesis" else passing.answer(body)
        iterator = answer.iterator
        numbers += [record.sequence_number for record in answer.records]
    assert len(numbers) == 6
    assert numbers == sorted(set(numbers))
    again = stream.answer("GetShardIterator", {"ShardId": "s", "StartingSequenceNumber": numbers[2]})
    assert json.loads(again)["ShardIterator"] == "s|2"


def test_the_endpoint_speaks_http_2_too():
    endpoint = Endpoint(Work(records=800))
    try:
        asked = {"headers": {"X-Amz-Target": "Kinesis_20131202.GetRecords"}, "json": {"ShardIterator": "s|3"}}
        with httpx.Client() as old, httpx.Client(http1=False, http2=True) as new:
            answers = [client.post(endpoint.url, **asked) for client in (old, new, new)]
        assert [answer.http_version for answer in answers] == ["HTTP/1.1", "HTTP/2", "HTTP/2"]
        assert answers[0].content == answers[1].content == answers[2].content
        assert len(answers[0].json()["Records"]) == 800
        assert endpoint.counts()["polls"] == 3
    finally:
        endpoint.stop()


BOTH = [(name, target) for name in ("poller", "plain_sdk", "threads") for target in ("invoke", "handle")]


@pytest.mark.parametrize(("name", "target"), [*BOTH, ("raw_socket", "invoke"), ("async_kinesis", "handle")])
def test_each_peer_does_the_work(name, target):
    found = cost(name, SMALL if target == "invoke" else Work(shards=2, records=50, target="handle"), seconds=1.5)
    assert found.records > 0
    assert found.cpu_seconds > 0
    if target == "invoke":
        assert found.invocations >= found.records / 20 * 0.8


@pytest.mark.parametrize("name", ["poller", "plain_sdk", "raw_socket"])
def test_they_do_it_over_tls(name, tmp_path):
    assert cost(name, SMALL, seconds=1.0, tls=certificates(tmp_path)).invocations > 0


def test_dynamodb_is_read_too():
    for name in ("poller", "plain_sdk", "raw_socket"):
        assert cost(name, Work(kind="dynamodb", records=20, batch=20), seconds=1.0).invocations > 0


BURNS = "import sys, time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\nsys.stdin.read()"
STARTS = f"""
import subprocess, sys
command = [sys.executable, "-c", {BURNS!r}]
others = [subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=new) for new in (False, True)]
sys.stdin.read()
"""


def test_what_a_peer_costs_is_what_its_family_costs():
    command, pipe = [sys.executable, "-c", STARTS], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert [process.stdout.readline() for _ in range(2)] == [b"\n", b"\n"]
        assert 0.5 <= _cpu_seconds(process) < 1.0
        assert _memory_bytes(process, "VmRSS") > 10_000_000
        process.stdin.close()


def record(number):
    times = {"approximateArrivalTimestamp": 1_773_749_999_000}
    numbers = {"sequenceNumber": str(number), "subSequenceNumber": 0}
    return {"action": "record", "data": "e30=", "partitionKey": "k", **numbers, **times}


def test_the_processor_of_the_kcl_answers_as_its_daemon_wants():
    said = [
        {"action": "initialize", "shardId": "s", "sequenceNumber": "TRIM_HORIZON", "subSequenceNumber": 0},
        {"action": "processRecords", "records": [record(1), record(2)], "millisBehindLatest": 7},
        {"action": "checkpoint", "sequenceNumber": "2", "subSequenceNumber": 0, "error": None},
        {"action": "shutdownRequested"},
        {"action": "checkpoint", "sequenceNumber": "2", "subSequenceNumber": 0, "error": "ShutdownException"},
        {"action": "leaseLost"},
    ]
    ended = subprocess.run(
        [sys.executable, processor.__file__],
        input="".join(f"{json.dumps(each)}\n" for each in said),
        capture_output=True,
        text=True,
        check=True,
    )
    heard = [json.loads(line) for line in ended.stdout.splitlines() if line]
    assert [each.get("responseFor", each["action"]) for each in heard] == [
        "initialize",
        "checkpoint",
        "processRecords",
        "checkpoint",
        "shutdownRequested",
        "leaseLost",
    ]
    assert ended.stderr == "no checkpoint: ShutdownException\n"
    decoded = json.loads(json.dumps(record(3)), object_hook=processor.decoded)
    assert (decoded.sequence_number, decoded.binary_data) == ("3", b"{}")


def test_the_kcl_is_left_out_where_it_cannot_be_had(monkeypatch):
    monkeypatch.setenv("PATH", "")
    said = []
    assert Suite(1, 1.0, said.append)._kcl() == []
    assert said == ["the KCL is left out: there is no java"]


FIGURES = [
    Figure("fast enough", 9.0, "×", least=8, detail="1 against 9"),
    Figure("too slow & late", 200.0, "ms", most=100),
    Figure("only told", 3.0, ""),
]


def test_figures_are_told_with_their_limits():
    assert [each.met for each in FIGURES] == [True, False, True]
    lines = table(FIGURES).splitlines()
    assert lines[2] == "| fast enough | 9 × | at least 8 | met | 1 against 9 |"
    assert lines[3] == "| too slow & late | 200 ms | at most 100 | **missed** |  |"
    assert lines[4] == "| only told | 3 |  |  |  |"


def test_the_plot_is_a_picture_of_those_with_limits():
    root = ElementTree.fromstring(plot(FIGURES, "title"))
    bars = root.findall("{*}rect")
    assert [bar.get("fill") for bar in bars] == ["#2a7", "#c33"]
    assert any(text.text == "too slow & late" for text in root.findall("{*}text"))
