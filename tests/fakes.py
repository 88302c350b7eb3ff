"""Plugs that keep what they were given: this file is the world of the engine's tests, where time passes randomly."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from random import Random
from types import SimpleNamespace

import anyio

from poller.arns import DestinationKind
from poller.events import Event
from poller.invocation import FailureReport, Invocation, Outcome, Succeeded
from poller.model import Listing, Position, Shard, ShardId
from poller.records import Page, Record
from poller.rules.envelope import payload
from tests.builders import numbers

Answer = Callable[[list[int]], Outcome]


class Heard:
    """An observer that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


class ScriptedTarget:
    """Answers as told for the sequence numbers of a batch; keeps the batches, their ids and moments."""

    def __init__(self, answer: Answer | None = None, *, random: Random | None = None, seconds: float = 0.001) -> None:
        self._answer = answer or (lambda batch: Succeeded())
        self._random = random or Random(1)
        self._seconds = seconds
        self.batches: list[list[int]] = []
        self.request_ids: list[str] = []
        self.moments: list[float] = []

    async def invoke(self, invocation: Invocation) -> Outcome:
        event = json.loads(payload(invocation))
        batch = [int(each["kinesis"]["sequenceNumber"]) for each in event["Records"]]
        self.batches.append(batch)
        self.request_ids.append(invocation.request_id)
        self.moments.append(anyio.current_time())
        await anyio.sleep(self._seconds * self._random.random())
        return self._answer(batch)

    async def aclose(self) -> None:
        pass


class Aggregator:
    """Counts the records of a window in its state; ``answer`` may answer otherwise, or with ``None`` not."""

    def __init__(self, answer=lambda event: None):
        self._answer = answer
        self.events = []
        self.moments = []

    async def invoke(self, invocation):
        event = json.loads(payload(invocation))
        self.events.append(event)
        self.moments.append(anyio.current_time())
        await anyio.sleep(0.01)
        said = self._answer(event)
        if said is not None:
            return said
        state = {} if event["isFinalInvokeForWindow"] else {"n": event["state"].get("n", 0) + len(event["Records"])}
        return Succeeded(json.dumps({"state": state}).encode())

    async def aclose(self):
        pass

    def calls(self):
        """Per call: the numbers of its records, the state it got, and whether it is final and early."""
        return [
            (
                [int(each["kinesis"]["sequenceNumber"]) for each in event["Records"]],
                event["state"],
                event["isFinalInvokeForWindow"],
                event["isWindowTerminatedEarly"],
            )
            for event in self.events
        ]


class ScriptedSource:
    """Shards with given pages; an item that is an exception is raised. After its items a shard is idle or ends."""

    def __init__(self, *shards: Shard, retention_seconds: float | None = None) -> None:
        self.shards = list(shards) or [Shard(ShardId("shard-0"))]
        self.retention_seconds = retention_seconds
        self.pages: dict[str, list[Page | Exception]] = defaultdict(list)
        self.reads: list[tuple[ShardId, Position]] = []
        self.rereads: list[tuple[ShardId, Position]] = []
        self.listings = 0
        self.trouble: Exception | None = None

    def add(self, records: Sequence[Record], *, shard: str = "shard-0", ended: bool = False) -> None:
        self.pages[shard].append(Page(tuple(records), 0.0, ended))

    async def listing(self) -> Listing:
        self.listings += 1
        await anyio.sleep(0.01)
        if self.trouble is not None:
            raise self.trouble
        return Listing(tuple(self.shards), self.retention_seconds)

    def read(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        self.reads.append((shard, position))
        return self._play(shard, position)

    def reread(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        self.rereads.append((shard, position))
        return self._play(shard, position)

    async def _play(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        items = self.pages[shard]
        while True:
            while items:
                item = items.pop(0)
                if isinstance(item, Exception):
                    raise item
                after = int(position.sequence_number or 0)
                yield Page(tuple(r for r in item.records if numbers([r])[0] > after), item.behind_seconds, item.ended)
                if item.ended:
                    return
            await anyio.sleep(1)
            yield Page((), 0.0)

    async def aclose(self) -> None:
        pass


class ListDestination:
    """Keeps the reports that it takes; ``troubles`` are raised first, one for each try."""

    kind = DestinationKind.SQS

    def __init__(self, *troubles: Exception, seconds: float = 0.001) -> None:
        self._troubles = list(troubles)
        self._seconds = seconds
        self.tries = 0
        self.reports: list[FailureReport] = []

    async def send(self, report: FailureReport) -> None:
        self.tries += 1
        await anyio.sleep(self._seconds)
        if self._troubles:
            raise self._troubles.pop(0)
        self.reports.append(report)

    async def aclose(self) -> None:
        pass


class KeptSource:
    """One shard that can be read again from any place: a page each tenth of a second, then it idles, or ends."""

    def __init__(self, records: Sequence[Record], *, page_records: int = 10, ended: bool = False) -> None:
        self.records = list(records)
        self.page_records = page_records
        self.ended = ended
        self.read_from: list[Position] = []
        self.reread_from: list[Position] = []

    async def listing(self) -> Listing:
        return Listing((Shard(ShardId("shard-0")),))

    def read(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        self.read_from.append(position)
        return self._pages(position)

    def reread(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        self.reread_from.append(position)
        return self._pages(position)

    async def _pages(self, position: Position) -> AsyncGenerator[Page, None]:
        place = position.place
        while True:
            left = [record for record in self.records if record.place > place]
            page, rest = left[: self.page_records], left[self.page_records :]
            await anyio.sleep(0.1 if left else 1.0)
            yield Page(tuple(page), float(len(rest)), ended=self.ended and not rest)
            place = page[-1].place if page else place
            if self.ended and not rest:
                return

    async def aclose(self) -> None:
        pass


def client_meta():
    """What of an SDK's client is used beside its calls: its hooks, which do nothing here."""
    service = SimpleNamespace(service_id=SimpleNamespace(hyphenize=lambda: "service"))
    return SimpleNamespace(events=SimpleNamespace(register=lambda *hook, **more: None), service_model=service)
