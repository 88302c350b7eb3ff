"""What was put and what became of it: this file is the account that must add up."""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from poller.events import Event, RecordsDiscarded, RecordsFiltered
from poller.invocation import Invocation, Outcome, Succeeded
from poller.mapping import EventSourceMapping
from poller.model import SequenceNumber
from poller.ports import Target
from poller.rules.partial_response import first_failure


@dataclass(frozen=True, slots=True)
class Seen:
    """A record in an event: its number, and the id that was put in it."""

    number: int
    id: str


@dataclass(frozen=True, slots=True)
class Balance:
    """Counts of records, over all mappings. ``unaccounted``: put here, and neither handled nor discarded."""

    put: int
    handled: int
    repeated: int
    discarded: int
    filtered: int
    unaccounted: int
    from_outside: int


class Ledger:
    """Counts what producers put, what functions took and what was given up.

    A stream that two mappings read counts twice, since each must take all of it.
    """

    def __init__(self, mappings: Sequence[EventSourceMapping]) -> None:
        self._readers: dict[str, list[str]] = defaultdict(list)
        for mapping in mappings:
            self._readers[mapping.source_arn].append(mapping.name)
        self._put: set[tuple[str, str]] = set()
        self._handled: Counter[tuple[str, str]] = Counter()
        self._discarded: set[tuple[str, str]] = set()
        self._filtered = 0
        self._attempted: dict[str, dict[str, list[Seen]]] = defaultdict(dict)
        self.first_handled_at: float | None = None
        """When the first record was handled, on the loop's clock."""

    def put(self, source_arn: str, record_id: str) -> None:
        self._put.update((name, record_id) for name in self._readers[source_arn])

    def attempted(self, mapping: str, request_id: str, records: list[Seen]) -> None:
        self._attempted[mapping][request_id] = records

    def handled(self, mapping: str, records: Iterable[Seen]) -> None:
        self._handled.update((mapping, each.id) for each in records)
        if self._handled and self.first_handled_at is None:
            self.first_handled_at = anyio.current_time()

    def __call__(self, event: Event) -> None:
        """Hears of discards, which name a range of what was attempted, and of how many records the filters left out."""
        if isinstance(event, RecordsFiltered):
            self._filtered += event.records
        if isinstance(event, RecordsDiscarded) and event.records:
            first, last = int(event.first), int(event.last)
            for each in self._attempted[event.mapping].get(event.request_id, ()):
                if first <= each.number <= last:
                    self._discarded.add((event.mapping, each.id))

    def balance(self) -> Balance:
        ended = set(self._handled) | self._discarded
        return Balance(
            put=len(self._put),
            handled=len(self._handled),
            repeated=sum(self._handled.values()) - len(self._handled),
            discarded=len(self._discarded - set(self._handled)),
            filtered=self._filtered,
            unaccounted=max(0, len(self._put - ended) - self._filtered),
            from_outside=len(ended - self._put),
        )


class CountedTarget:
    """A target whose deliveries are entered into a ledger; see `poller.ports.Target`."""

    def __init__(self, mapping: EventSourceMapping, target: Target, ledger: Ledger) -> None:
        self._mapping = mapping
        self._target = target
        self._ledger = ledger

    async def invoke(self, invocation: Invocation) -> Outcome:
        records = [seen(record.event()) for record in invocation.records]
        self._ledger.attempted(self._mapping.name, invocation.request_id, records)
        outcome = await self._target.invoke(invocation)
        if isinstance(outcome, Succeeded):
            self._ledger.handled(self._mapping.name, self._taken(records, outcome))
        return outcome

    async def aclose(self) -> None:
        await self._target.aclose()

    def _taken(self, records: list[Seen], outcome: Succeeded) -> list[Seen]:
        """Those before the first one that the function names as failed."""
        if not self._mapping.failure.report_item_failures:
            return records
        return records[: first_failure(outcome.answer, [SequenceNumber(str(each.number)) for each in records])]


def seen(record: Any) -> Seen:
    """A record of an event of either kind; one that was not put by us is known by its place."""
    if "kinesis" in record:
        shard, _, number = str(record["eventID"]).partition(":")
        return Seen(int(number), _order_id(record["kinesis"]["data"]) or f"{shard}:{number}")
    change = record["dynamodb"]
    number = change["SequenceNumber"]
    return Seen(int(number), change.get("NewImage", {}).get("change", {}).get("S") or f"change {number}")


def _order_id(data: str) -> str:
    try:
        order = json.loads(base64.b64decode(data))
    except ValueError:
        return ""
    return str(order.get("id", "")) if isinstance(order, dict) else ""
