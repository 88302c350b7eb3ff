"""`poller dev` as a newcomer types it, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import botocore.session
import pytest

from poller.config import load
from poller.dev.endpoint import _destination
from poller.dev.session import STAND_IN, kept_here

REPOSITORY = Path(__file__).parent.parent.parent
EXAMPLE = (REPOSITORY / "config.example.toml").read_text()


def start(tmp_path, *arguments, config=EXAMPLE):
    (tmp_path / "config.example.toml").write_text(config.replace("127.0.0.1:9464", "127.0.0.1:0"))
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "poller", "dev", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "AWS_PROFILE": "never-to-be-used"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def endpoint_of(process):
    for line in process.stdout:
        found = re.search(r"embedded AWS endpoint: (http://\S+)", line)
        if found:
            return found[1]
    raise AssertionError(process.stderr.read())


def is_there(endpoint):
    import socket

    host, _, port = endpoint.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_a_number_of_records_ends_with_a_summary_that_adds_up(tmp_path):
    process = start(tmp_path, "--records", "160", "--json")
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["put"] == 160
    assert summary["handled"] + summary["discarded"] == 160
    assert summary["discarded"] == 4  # the poisoned ones, and nobody else
    assert (summary["repeated"], summary["unaccounted"], summary["from_outside"]) == (0, 0, 0)
    assert summary["first_handled_after_seconds"] < 30
    assert "RetryAttemptsExhausted" in err
    assert not list(tmp_path.glob("poller.db*"))


def test_ctrl_c_drains_and_leaves_nothing_behind(tmp_path):
    process = start(tmp_path)
    endpoint = endpoint_of(process)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert re.search(r"put: [1-9]\d*  handled: [1-9]", out)
    assert "worker stopped" in err
    assert not is_there(endpoint)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_a_kill_leaves_no_server_behind(tmp_path):
    process = start(tmp_path)
    endpoint = endpoint_of(process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while is_there(endpoint):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_records_from_outside_are_taken_beside_the_traffic(tmp_path):
    process = start(tmp_path)
    endpoint = endpoint_of(process)
    session = botocore.session.Session()
    session.set_credentials("dev", "dev")
    kinesis = session.create_client("kinesis", endpoint_url=endpoint, region_name="us-east-1")
    for data in (b'{"id":"mine"}', b"[]"):
        kinesis.put_record(StreamName="orders", PartitionKey="me", Data=data)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert "from outside: 2" in out


def test_a_lambda_function_gets_a_stand_in(tmp_path):
    config = EXAMPLE.replace('function_name = "items-handler"', 'function_name = "some-lambda"')
    process = start(tmp_path, "--records", "20", config=config)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert "some-lambda is a Lambda function; a stand-in takes its batches here" in out


def test_a_handler_that_is_not_there_is_told_as_a_problem_of_the_file(tmp_path):
    process = start(tmp_path, config=EXAMPLE.replace("poller.dev.handlers:orders", "no_such_module:orders"))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 78
    assert "functions.orders-handler.handler: handler 'no_such_module:orders' cannot be imported" in err
    assert "Traceback" not in err


FAR = """
[functions.far]
url = "https://bob:s3cret@billing.example.com/events?token=s3cret"
[functions.near]
url = "http://127.0.0.1:8000/events"
[functions.own]
handler = "poller.dev.handlers:orders"
"""


def mapping_to(function, destination):
    return f"""
[[event_source_mappings]]
name = "{function}"
event_source_arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
function_name = "{function}"
starting_position = "TRIM_HORIZON"
destination_config = {{ on_failure = {{ destination = "{destination}" }} }}
"""


def test_sample_records_go_to_no_other_machine(tmp_path):
    """Some of them are made to fail, and none of them is anybody's order."""
    places = {
        "far": "https://hooks.example.com/x",
        "near": "http://[::1]:8000/x",
        "own": "file:///failures.jsonl",
        "a-lambda": "arn:aws:sqs:us-east-1:123456789012:failures",
    }
    file, told = tmp_path / "c.toml", []
    file.write_text(FAR + "".join(mapping_to(*each) for each in places.items()))
    kept = kept_here(load(file, now=1.8e9, environ={}), told.append)
    taken_here = {name for name, function in kept.functions.items() if function.handler == STAND_IN}
    assert taken_here == {"far", "a-lambda"}
    assert kept.functions["near"].url
    assert [each.destination for each in kept.mappings] == [None, *list(places.values())[1:]]
    assert len(told) == 3
    assert "s3cret" not in "".join(told)


@pytest.mark.parametrize("place", ["file:///tmp/failures.jsonl", "https://hooks.example.com/x", "http://[::1]:8000/"])
async def test_files_and_urls_are_no_things_to_make(place):
    assert await _destination(None, place) == place
