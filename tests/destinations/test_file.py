"""How failures come to lie in a file: whole lines, whoever else writes, and whatever happened before."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import anyio
import pytest

from poller.destinations import file
from poller.destinations.file import FileDestination
from poller.errors import SourceGone, Unavailable
from poller.rules.failure_document import failure_document
from tests.builders import failure_report

ROOT = Path(__file__).parent.parent.parent
WRITER = """
import sys
import anyio
from poller.destinations.file import FileDestination
from tests.builders import failure_report

async def write():
    destination = FileDestination(sys.argv[1])
    sys.stdin.readline()
    for number in range(40):
        await destination.send(failure_report(id=f"{sys.argv[2]}-{number}", request_id=f"{sys.argv[2]}-{number}",
                                              payload=sys.argv[2].encode() * 300_000))

print("ready", flush=True)
anyio.run(write)
"""


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_the_lines_of_several_processes_do_not_mix(tmp_path):
    path = tmp_path / "failures.jsonl"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"file://{path}", name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in "abc"
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    written = [(each["requestContext"]["requestId"], each["payload"]) for each in lines(path)]
    assert sorted(written) == sorted((f"{name}-{number}", name * 300_000) for name in "abc" for number in range(40))


async def test_the_lines_of_several_destinations_of_one_process_do_not_mix(tmp_path):
    path = tmp_path / "failures.jsonl"
    reports = [failure_report(request_id=str(number), payload=b"x" * 100_000) for number in range(40)]
    async with anyio.create_task_group() as tasks:
        for report in reports:
            tasks.start_soon(FileDestination(f"file://{path}").send, report)
    assert sorted(int(each["requestContext"]["requestId"]) for each in lines(path)) == list(range(40))


async def test_what_is_accepted_is_on_the_disk_and_in_one_write(tmp_path, monkeypatch):
    path, synced, fsync = tmp_path / "failures.jsonl", [], os.fsync

    def watched(handle):
        fsync(handle)
        synced.append(os.fstat(handle).st_size)

    monkeypatch.setattr(file.os, "fsync", watched)
    await FileDestination(f"file://{path}").send(failure_report())
    assert synced == [path.stat().st_size]
    assert path.read_bytes() == failure_document(failure_report(), with_payload=True) + b"\n"


async def test_a_line_that_a_crash_cut_does_not_take_the_next_with_it(tmp_path):
    path = tmp_path / "failures.jsonl"
    path.write_bytes(b'{"requestContext":{"requ')
    for _ in range(2):
        await FileDestination(f"file://{path}").send(failure_report())
    whole = failure_document(failure_report(), with_payload=True)
    assert path.read_bytes().splitlines() == [b'{"requestContext":{"requ', whole, whole]


async def test_a_line_for_which_there_is_no_room_is_not_accepted_and_spoils_no_other(tmp_path):
    path, destination = tmp_path / "failures.jsonl", FileDestination(f"file://{tmp_path}/failures.jsonl")
    await destination.send(failure_report())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
    try:
        with pytest.raises(Unavailable, match="only 100 of"):
            await destination.send(failure_report())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await destination.send(failure_report())
    whole = failure_document(failure_report(), with_payload=True)
    assert path.read_bytes().splitlines() == [whole, whole[:100], whole]


async def test_the_path_of_the_url_is_decoded(tmp_path):
    (tmp_path / "a b").mkdir()
    await FileDestination(f"file://{tmp_path}/a%20b/%C3%BCbel%25%FF.jsonl").send(failure_report())
    assert os.listdir(os.fsencode(tmp_path / "a b")) == ["übel%".encode() + b"\xff.jsonl"]


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("nowhere/failures.jsonl", SourceGone, "there is no directory {directory}/nowhere; make it"),
        ("taken/failures.jsonl", SourceGone, "there is no directory {directory}/taken; make it"),
        ("directory", SourceGone, "Is a directory"),
        ("a%00b", SourceGone, "null byte"),
        ("x" * 300, Unavailable, "File name too long"),
    ],
)
async def test_a_path_that_cannot_be_written_to_is_told_with_its_reason(tmp_path, name, kind, said):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "directory").mkdir()
    with pytest.raises(kind) as caught:
        await FileDestination(f"file://{tmp_path}/{name}").send(failure_report(id=str(uuid.uuid4())))
    assert said.format(directory=tmp_path) in str(caught.value)


async def test_a_file_that_another_writer_holds_costs_one_thread_and_gets_no_line_that_was_given_up(tmp_path):
    """What was told as not delivered must not come after all, nor keep the process from ending."""
    path = tmp_path / "failures.jsonl"
    destination = FileDestination(f"file://{path}")
    with path.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for number in range(4):
            with anyio.move_on_after(0.05) as patience:
                await destination.send(failure_report(id=str(number)))
            assert patience.cancelled_caught
        (thread,) = [each for each in threading.enumerate() if each.name == f"write to {path}"]
        assert thread.daemon
    await destination.send(failure_report(request_id="last"))
    (line,) = lines(path)
    assert line["requestContext"]["requestId"] == "last"
