"""The rows of the suite: this file is each figure's experiment, against its peers and in rounds that take turns."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from statistics import median

from tests.benchmarks.figures import Figure
from tests.benchmarks.measuring import Certificates, Cost, Endpoint, Work, certificates, cost, running

KINESIS = Work(shards=48)
DYNAMODB = Work(kind="dynamodb", shards=16, records=1000, size=600)
IN_PROCESS = replace(KINESIS, target="handle")
IDLE = Work(shards=1000, pages=0)
_MIB = 1024 * 1024
_LIMIT = {"raw_socket": 0.75}


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
                lambda: self._against(
                    "whole worker, no-op handler", replace(KINESIS, target="handle"), {"plain_sdk": 8}
                ),
                self._idle,
                self._many_shards,
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
        for shards in (100, 500, 2000):
            self._say(f"{shards} idle shards")
            costs[shards] = found = cost("poller", replace(IDLE, shards=shards), seconds=max(10.0, self._seconds))
            late = [max(0.0, gap - 1.0) for gap in found.gaps if gap > 0.5]
            figures.append(
                Figure(
                    f"{shards} shards: p99 lateness of polls",
                    1000 * late[len(late) * 99 // 100],
                    "ms",
                    most=100,
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
        large = Work(shards=1, records=2000, size=4096, target="handle")
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

    def _latency(self) -> list[Figure]:
        figures = []
        for shards in (1, 8, 64, 1000):
            self._say(f"latency at {shards} shards")
            work = Work(shards=shards, pages=0, rate=max(0.2, 8 / shards), batch=100, target="told")
            with tempfile.TemporaryDirectory() as folder:
                told = Path(folder) / "seconds"
                endpoint = Endpoint(work)
                endpoint.environment["BENCH_SECONDS"] = str(told)
                try:
                    with running("poller", work, endpoint):
                        time.sleep(5 + shards / 200)
                        told.write_text("")
                        time.sleep(max(20.0, 2 * self._seconds))
                    seconds = sorted(map(float, told.read_text().split()))
                finally:
                    endpoint.stop()
            for percentile, most in ((50, 0.55), (99, 1.1)):
                value = seconds[len(seconds) * percentile // 100]
                figures.append(Figure(f"put to handler, {shards} shards: p{percentile}", value, "s", most=most))
        return figures

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
        return [Figure("peak with a backlog of 1,000,000 records", peak / 1e6, "MB", detail=f"read in {seconds:.0f} s")]

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
}
