"""What judges real processes is itself judged: streams that come back, lines that were cut off, and growth."""

from __future__ import annotations

import socket
import time
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest

from poller.model import TRIM_HORIZON, Position, SequenceNumber, ShardId
from tests.history import entries
from tests.processes import audit, told
from tests.processes.proxy import CLEAR, FaultyLine, Toxic
from tests.processes.stream import KeptStream, run_in_real_time
from tests.soak.resources import Sample, growth


def _kept(path: Path, do):
    async def main():
        stream = KeptStream(path, shards=2)
        answer = do(stream)
        stream.journal.write()
        return answer

    return run_in_real_time(main())


def _whole(stream: KeptStream):
    shards = [
        (each.id, each.low, each.high, each.parents, each.numbers, each.closed) for each in stream.shards.values()
    ]
    return shards, stream.last, round(stream.created_at, 3)


def test_a_stream_comes_back_as_it_was(tmp_path):
    path = tmp_path / "stream.jsonl"

    def live(stream):
        for key in range(0, 1000, 50):
            stream.put(key)
        first, second = stream.open_shards()
        stream.split(first)
        stream.put(1)
        stream.merge(stream.open_shards()[0])
        stream.merge(next(each for each in stream.open_shards() if each.low < second.low))
        stream.trim(second, 3)
        for key in range(0, 1000, 100):
            stream.put(key)
        return _whole(stream)

    before = _kept(path, live)
    assert _kept(path, _whole) == before
    with path.open("a") as file:
        file.write('{"kind": "Put", "at": 1')  # a kill while it was written
    assert _kept(path, _whole) == before
    assert _kept(path, lambda stream: stream.put(5)) > before[1]


def test_a_stream_that_came_back_goes_on_after_any_position(tmp_path):
    path = tmp_path / "stream.jsonl"
    numbers = _kept(path, lambda stream: [stream.put(1) for _ in range(5)])

    def read(stream):
        shard = ShardId(stream.open_shards()[0].id)
        found = []
        for position in (TRIM_HORIZON, Position.after(SequenceNumber(str(numbers[2])))):
            answer = stream.records(shard, stream.iterator(shard, position))
            found.append([int(record.sequence_number) for record in answer.records])
        return found

    assert _kept(path, read) == [numbers, numbers[3:]]


def test_lines_that_a_kill_cut_off_are_no_lines(tmp_path):
    audit.make(tmp_path / "poller.db")
    handled = entries.Handled(5.0, "s", (1, 2))
    told.tell(tmp_path / "handler.jsonl", handled)
    with (tmp_path / "handler.jsonl").open("a") as file:
        file.write('{"kind": "Handled", "at": 6, "sh\n\n')
    told.tell(tmp_path / "test.jsonl", entries.Crashed(4.0, "w"))
    history = told.gathered(tmp_path, tmp_path / "poller.db", [], lanes=1)
    assert history.entries == [entries.Crashed(4.0, "w"), handled]


def _samples(*, per_minute=0.0, files=0.0, late=0, minutes=30):
    return [
        Sample(
            at=60.0 * n, rss_mib=80 + per_minute * n, files=20 + int(files * n), threads=3, looks=120 * n, late=late * n
        )
        for n in range(minutes + 1)
    ]


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        (_samples(per_minute=0.2), "memory"),
        (_samples(files=0.5), "open files"),
        (_samples(late=5), "late"),
    ],
)
def test_growth_is_found(samples, problem):
    assert [problem in each for each in growth(samples).problems()] == [True]


def test_what_is_flat_or_short_passes():
    assert growth(_samples(per_minute=0.05, files=0.05, late=1)).problems() == []
    assert growth(_samples(per_minute=5.0, files=5.0, minutes=3)).problems() == []


@pytest.fixture
def echo():
    """A server that answers each request with 5,000 bytes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                there, _ = listening.accept()
            except OSError:
                return
            there.recv(65536)
            there.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
            there.close()

    Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1]
    listening.close()


def _ask(line: FaultyLine) -> int:
    connection = HTTPConnection("127.0.0.1", line.port, timeout=0.5)
    try:
        connection.request("GET", "/")
        return len(connection.getresponse().read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("toxic", "expected"),
    [
        (CLEAR, 5000),
        (Toxic("slicer", amount=500), 5000),
        (Toxic("latency", seconds=0.1), 5000),
        (Toxic("bandwidth", amount=50_000), 5000),
        (Toxic("limit_data", amount=700), "IncompleteRead"),
        (Toxic("reset_peer", seconds=0.05), "ConnectionResetError"),
        (Toxic("timeout"), "TimeoutError"),
        (Toxic("refuse"), "ConnectionRefusedError"),
    ],
)
def test_each_toxic_is_what_its_name_says(echo, toxic, expected):
    with FaultyLine(echo) as line:
        line.set(toxic)
        started = time.monotonic()
        try:
            found: int | str = _ask(line)
        except Exception as error:
            found = type(error).__name__
        assert found == expected
        if toxic.kind in ("latency", "bandwidth"):
            assert time.monotonic() - started > 0.08
        line.set(CLEAR)
        assert _ask(line) == 5000
