"""The rows of the suite: this file is each figure's experiment, against its peers and in rounds that take turns."""

from __future__ import annotations

import socket
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from statistics import median

from poller.config import WAITING_MIB_MAX
from tests.benchmarks.canned import Load, Stream
from tests.benchmarks.figures import Figure
from tests.benchmarks.kcl.jars import Missing, jars
from tests.benchmarks.measuring import Certificates, Cost, Endpoint, Work, certificates, cost, running

KINESIS = Work(shards=48)
DYNAMODB = Work(kind="dynamodb", shards=16, records=1000, size=600)
IN_PROCESS = replace(KINESIS, target="handle")
IDLE = Work(shards=1000, pages=0)
_MIB = 1024 * 1024
_STRETCH = 5000
_FIRST = {"ShardIterator": "s|0"}


class Suite:
    """``rounds`` of ``seconds`` each; ``say`` hears what is under way."""

    def __init__(self, rounds: int, seconds: float, say: Callable[[str], None]) -> None:
        self._rounds = rounds
        self._seconds = seconds
        self._say = say

    def figures(self) -> list[Figure]:
        with tempfile.TemporaryDirectory() as folder:
            tls = certificates(Path(folder))
            rows: Sequence[Callable[[], list[Figure]]] = (
                lambda: self._against(
                    "Kinesis 1 KB, batch 1,000", KINESIS, {"plain_sdk": 8, "raw_socket": 0.75, "threads": 0}
                ),
                lambda: self._against("Kinesis 1 KB, batch 100", replace(KINESIS, batch=100), {"plain_sdk": 7}),
                lambda: self._against("Kinesis 1 KB, batch 1,000, TLS", KINESIS, {"plain_sdk": 6}, tls),
                lambda: self._against("Kinesis 100 B, batch 1,000", replace(KINESIS, size=100), {"plain_sdk": 0}),
                lambda: self._against("DynamoDB, both images, batch 1,000", DYNAMODB, {"plain_sdk": 60}),
                lambda: self._against("whole worker, no-op handler", IN_PROCESS, {"plain_sdk": 8, "async_kinesis": 10}),
                self._kcl,
                self._idle,
                self._many_shards,
                self._many_records,
                self._blocked,
                self._scraped,
                self._catch_up,
                self._latency,
                self._memory,
            )
            return [figure for row in rows for figure in row()]

    def _against(self, what: str, work: Work, peers: dict[str, float], tls: Certificates | None = None) -> list[Figure]:
        """How often the peer's CPU per record is the worker's; 0 as the least is none."""
        costs = self._rounds_of(what, work, ["poller", *peers], lambda found: found.per_record, tls)
        mine = median(costs["poller"])
        return [
            Figure(
                f"{what}: × {_NAMES[peer]}",
                median(theirs / own for theirs, own in zip(costs[peer], costs["poller"], strict=True)),
                "",
                least=least or None,
                detail=f"{mine * 1e6:.2f} against {median(costs[peer]) * 1e6:.2f} µs of CPU a record",
            )
            for peer, least in peers.items()
        ]

    def _kcl(self) -> list[Figure]:
        """On few shards, as it has a process for each; nothing where it cannot be had."""
        try:
            jars()
        except Missing as missing:
            self._say(f"the KCL is left out: {missing}")
            return []
        return self._against("in-process no-op handler, 8 shards", replace(IN_PROCESS, shards=8), {"kcl": 0})

    def _idle(self) -> list[Figure]:
        costs = self._rounds_of("idle polls", IDLE, ["poller", "plain_sdk"], lambda found: found.per_poll)
        share = median(own / theirs for own, theirs in zip(costs["poller"], costs["plain_sdk"], strict=True))
        mine, theirs = (median(costs[name]) * 1e6 for name in ("poller", "plain_sdk"))
        return [
            Figure(
                "idle poll: share of aiobotocore's CPU",
                share,
                "",
                most=0.25,
                detail=f"{mine:.0f} against {theirs:.0f} µs",
            )
        ]

    def _many_shards(self) -> list[Figure]:
        """Lateness is what a shard's poll comes after a second since its last one."""
        figures, costs = [], {}
        for shards in (100, 500, 2000, _STRETCH):
            self._say(f"{shards} idle shards")
            costs[shards] = found = cost("poller", replace(IDLE, shards=shards), seconds=max(10.0, self._seconds))
            late = [max(0.0, gap - 1.0) for gap in found.gaps if gap > 0.5]
            figures.append(
                Figure(
                    f"{shards} shards: p99 lateness of polls",
                    1000 * late[len(late) * 99 // 100],
                    "ms",
                    most=100 if shards < _STRETCH else None,
                    detail=f"{found.cpu_seconds / found.seconds:.0%} of a core, {found.per_poll * 1e6:.0f} µs a poll",
                )
            )
        growth = log(costs[2000].cpu_seconds / costs[100].cpu_seconds) / log(20)
        memory = (costs[2000].resident_bytes - costs[100].resident_bytes) / 1900
        figures.append(Figure("CPU of shards: exponent", growth, "", most=1.05, detail="1 is linear"))
        figures.append(Figure("memory of an idle shard", memory / 1000, "kB", most=60))
        return figures

    def _catch_up(self) -> list[Figure]:
        """One shard, and a function that is fast, against five calls and 2 MiB a second."""
        self._say("catch-up")
        calls = cost("poller", Work(shards=1, records=100, target="handle"), seconds=20)
        large = Work(shards=1, records=250, size=4096, target="handle")
        volume = cost("poller", large, seconds=30)
        return [
            Figure("catch-up: share of 5 calls a second", calls.polls / calls.seconds / 5, "", least=0.95),
            Figure(
                "catch-up: share of 2 MiB a second",
                volume.records * large.size / volume.seconds / (2 * _MIB),
                "",
                least=0.95,
            ),
        ]

    def _many_records(self) -> list[Figure]:
        """Pages of more and more records, each page in one batch."""
        per_page = {}
        for records in (100, 1000, 10_000):
            self._say(f"pages of {records} records")
            work = Work(shards=max(4, 48_000 // records), records=records, batch=records, size=100)
            per_page[records] = cost("poller", work, seconds=self._seconds).per_record * records
        growth = log(per_page[10_000] / per_page[1000]) / log(10)
        detail = ", ".join(f"{1e6 * seconds / records:.2f}" for records, seconds in per_page.items())
        return [Figure("CPU of records: exponent", growth, "", most=1.05, detail=f"{detail} µs a record")]

    def _latency(self) -> list[Figure]:
        figures = []
        for shards in (1, 8, 64, 1000):
            self._say(f"latency at {shards} shards")
            work = Work(shards=shards, pages=0, rate=max(0.2, 100 / shards), batch=100, target="told")
            seconds = self._told(work, 5 + shards / 200, lambda told: time.sleep(max(20.0, 2 * self._seconds)))
            for percentile, most in ((50, 0.55), (99, 1.1)):
                value = seconds[len(seconds) * percentile // 100]
                figures.append(Figure(f"put to handler, {shards} shards: p{percentile}", value, "s", most=most))
        return figures

    def _blocked(self) -> list[Figure]:
        """How late the event loop is while it takes in the largest answers that there are."""
        self._say("answers of 10,000 records")
        work = Work(shards=2, records=10_000, target="watched")
        late = self._told(work, 5, lambda told: time.sleep(max(10.0, self._seconds)))
        megabytes = len(Stream(Load("kinesis", 1, 1, work.records, work.size)).answer("GetRecords", _FIRST)) / 1e6
        detail = f"{1000 * late[-1]:.0f} ms with answers of {megabytes:.1f} MB"
        return [
            Figure(
                "longest block of the loop, of a MB of answer", 1000 * late[-1] / megabytes, "ms", most=5, detail=detail
            )
        ]

    def _scraped(self) -> list[Figure]:
        """How late the event loop is while metrics of a thousand shards are read, in the middle of several times."""
        self._say("scrapes of 1,000 shards")
        with socket.create_server(("127.0.0.1", 0)) as free:
            listen = f"127.0.0.1:{free.getsockname()[1]}"
        work = Work(shards=1000, pages=0, rate=0.1, batch=100, target="watched", listen=listen)
        late, sizes = [], []

        def scrape(told: Path) -> None:
            for _ in range(15):
                told.write_text("")
                with urllib.request.urlopen(f"http://{listen}/metrics") as answer:
                    sizes.append(len(answer.read()))
                late.append(max(map(float, told.read_text().split()), default=0.0))
                time.sleep(0.5)

        self._told(work, 15, scrape)
        what = "wait of the loop for a scrape of 1,000 shards"
        return [Figure(what, 1000 * median(late), "ms", most=25, detail=f"{sizes[-1] / 1e3:.0f} kB")]

    def _memory(self) -> list[Figure]:
        self._say("a backlog of a million records")
        work = Work(shards=50, pages=20, target="handle")
        endpoint = Endpoint(work)
        try:
            with running("poller", work, endpoint) as process:
                started = time.monotonic()
                while endpoint.counts()["records"] < 1_000_000 and time.monotonic() < started + 120:
                    time.sleep(0.2)
                seconds = time.monotonic() - started
                peak = int(Path(f"/proc/{process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
        finally:
            endpoint.stop()
        detail = f"{seconds:.0f} s; the worker may hold {WAITING_MIB_MAX} MiB"
        most = WAITING_MIB_MAX * _MIB / 1e6 + 100
        return [Figure("peak with a backlog of 1,000,000 records", peak / 1e6, "MB", most=most, detail=detail)]

    def _told(self, work: Work, warm_seconds: float, during: Callable[[Path], None]) -> list[float]:
        """What a handler of `tests.benchmarks.worker` wrote down ``during`` what was done, in order of size."""
        with tempfile.TemporaryDirectory() as folder:
            told = Path(folder) / "seconds"
            endpoint = Endpoint(work)
            endpoint.environment["BENCH_SECONDS"] = str(told)
            try:
                with running("poller", work, endpoint):
                    time.sleep(warm_seconds)
                    told.write_text("")
                    during(told)
                return sorted(map(float, told.read_text().split())) or [0.0]
            finally:
                endpoint.stop()

    def _rounds_of(
        self, what: str, work: Work, names: Sequence[str], of: Callable[[Cost], float], tls: Certificates | None = None
    ) -> dict[str, list[float]]:
        """Each round has all in turn, so that the machine's moods are shared."""
        found: dict[str, list[float]] = {name: [] for name in names}
        for number in range(self._rounds):
            for name in names:
                self._say(f"{what}: {name}, round {number + 1} of {self._rounds}")
                found[name].append(of(cost(name, work, seconds=self._seconds, tls=tls)))
        return found


_NAMES = {
    "plain_sdk": "the plain aiobotocore loop",
    "raw_socket": "the raw-socket loop",
    "threads": "boto3 in threads",
    "async_kinesis": "async-kinesis",
    "kcl": "KCL for Python",
}
