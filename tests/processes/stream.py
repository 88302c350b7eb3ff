"""A simulated stream in real time that outlives its server: this file is what is kept of it, and how it comes back."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import anyio

from tests.history import entries
from tests.history.log import read
from tests.simulation.stream import HASHES, KINESIS, SimShard, SimStream
from tests.virtual import EPOCH

T = TypeVar("T")


class WallLoop(asyncio.SelectorEventLoop):
    """Its time is that of a simulated world, with the wall clock as its course."""

    def time(self) -> float:
        return time.time() - EPOCH


def run_in_real_time(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=WallLoop) as runner:
        return runner.run(main)


class Journal:
    """A file of history lines in which each entry is before anybody is told of it; ``at`` becomes epoch seconds."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._waiting: list[str] = []

    def add(self, entry: entries.Entry) -> None:
        told = replace(entry, at=entry.at + EPOCH)
        self._waiting.append(json.dumps({"kind": type(told).__name__, **asdict(told)}) + "\n")

    def write(self) -> None:
        """All that was added, in one write: a kill takes all of it or nothing."""
        if self._waiting:
            text, self._waiting = "".join(self._waiting).encode(), []
            assert os.write(self._file, text) == len(text)


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record whose content follows from its number."""

    sequence_number: str
    arrived_at: float
    key: str

    def raw(self) -> dict[str, object]:
        """In Kinesis's words."""
        return {
            "SequenceNumber": self.sequence_number,
            "ApproximateArrivalTimestamp": round(self.arrived_at, 3),
            "Data": content(self.sequence_number),
            "PartitionKey": self.key,
        }


class KeptStream(SimStream):
    """`SimStream` that begins with what ``path`` tells of a life before, and writes all that happens there."""

    def __init__(self, path: Path, *, shards: int, page_records: int = 1000) -> None:
        before = read(_whole_lines(path)) if path.exists() else []
        self.journal = Journal(path)
        super().__init__(
            self.journal,  # type: ignore[arg-type]
            kind=KINESIS,
            shards=shards,
            page_records=page_records,
            wants=lambda key: True,
        )
        if before:
            self.created_at = before[0].at
            for entry in before:
                self._remember(entry)
        else:
            self.created_at = EPOCH + anyio.current_time()
            self.journal.add(entries.Noted(anyio.current_time(), f"the stream was made with {shards} shards"))
            self.journal.write()

    def put(self, key: int) -> int:
        shard = next(each for each in self.open_shards() if each.low <= key % HASHES < each.high)
        self.last += 1 + self.last % 3
        now = anyio.current_time()
        self._keep(shard, self.last, f"k-{key}", EPOCH + now)
        self.journal.add(entries.Put(now, shard.id, self.last, f"k-{key}"))
        return self.last

    def children(self, shard: SimShard) -> list[SimShard]:
        return [each for each in self.shards.values() if shard.id in each.parents]

    def _keep(self, shard: SimShard, number: int, key: str, at: float) -> None:
        shard.numbers.append(number)
        shard.records.append(KeptRecord(str(number), at, key))  # type: ignore[arg-type]

    def _add(self, low: int, high: int, parents: tuple[str, ...]) -> SimShard:
        shard = SimShard(f"shardId-{self._made:012}", low, high, parents, trimmed=self.last)
        self._made += 1
        self.shards[shard.id] = shard
        return shard

    def _remember(self, entry: entries.Entry) -> None:
        match entry:
            case entries.Put():
                self.last = entry.number
                self._keep(self.shards[entry.shard], entry.number, entry.key, entry.at)
            case entries.Resharded():
                parents = [self.shards[each] for each in entry.parents]
                for parent in parents:
                    parent.closed_at = entry.at - EPOCH
                edges = [parents[0].low, parents[-1].high]
                if len(entry.children) > 1:
                    edges.insert(1, sum(edges) // 2)
                for low, high in pairwise(edges):
                    self._add(low, high, entry.parents)
            case entries.Trimmed():
                shard = self.shards[entry.shard]
                shard.numbers, shard.records = shard.numbers[len(entry.numbers) :], shard.records[len(entry.numbers) :]
                shard.trimmed = entry.numbers[-1]
            case entries.Vanished():
                del self.shards[entry.shard]


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file, from which the last one is cut off if a kill left it unfinished: nobody was told of it."""
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    os.truncate(path, len(whole.encode()))
    return whole.splitlines()


def content(number: str) -> str:
    """The data of a record, by which a handler can tell that it got the right one, and whole."""
    return base64.b64encode(f"content of {number}".encode()).decode()
