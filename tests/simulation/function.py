"""The function that all simulated workers invoke, and the destination of what it would not take."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import datetime

from poller.arns import DestinationKind
from poller.errors import Unavailable
from poller.invocation import FailureReport, FunctionFailed, Invocation, NotInvoked, Outcome, Succeeded
from poller.rules.envelope import payload
from tests.history import entries
from tests.history.log import History
from tests.simulation.faults import Faults
from tests.simulation.life import Life
from tests.virtual import EPOCH

ODD_ANSWERS = (
    b"garbage",
    b"[1]",
    b'{"batchItemFailures":[{"itemIdentifier":"x"}]}',
    b'{"batchItemFailures":[{"itemIdentifier":""}]}',
    b'{"batchItemFailures":[{"itemIdentifier":null}]}',
    b'{"batchItemFailures":[{}]}',
    b'{"batchItemFailures":"no list"}',
)
"""Each of them fails its whole batch (R-PBR-4, R-PBR-5)."""


class SimFunction:
    """The function as one worker reaches it; ``poison`` are numbers that never succeed."""

    def __init__(self, life: Life, faults: Faults, history: History, *, report: bool, poison: set[int]) -> None:
        self._life = life
        self._faults = faults
        self._history = history
        self._report = report
        self._poison = poison
        self.outcomes: Counter[str] = Counter()

    async def invoke(self, invocation: Invocation) -> Outcome:
        outcome = await self._invoked(invocation.request_id, payload(invocation), asyncio.get_running_loop().time())
        self.outcomes[type(outcome).__name__] += 1
        return outcome

    async def _invoked(self, request_id: str, payload: bytes, sent_at: float) -> Outcome:
        event = json.loads(payload)
        numbers = tuple(int(each["kinesis"]["sequenceNumber"]) for each in event["Records"])
        state = event.get("state", {}).get("numbers", [])
        await self._life.takes_time("function slow")
        if self._faults.is_away("function") or self._life.strikes("function refused"):
            return NotInvoked("429", self._life.random.choice([None, 3.0]))
        if not numbers:
            return await self._end_of_window(event, state)
        shard, me = self._history.shards[numbers[0]], self._life.name
        before = _epoch(event["window"]["end"]) - EPOCH if "window" in event else None
        now = asyncio.get_running_loop().time()
        self._history.add(entries.Attempted(now, me, shard, numbers, request_id, sent_at, before))
        if self._life.strikes("function failed"):
            return FunctionFailed("it happens")
        bad = next((index for index, number in enumerate(numbers) if number in self._poison), None)
        if bad is None and self._life.strikes("partial"):
            bad = self._life.random.randrange(len(numbers))
        if bad is not None and not self._report:
            return FunctionFailed("poison")
        if bad is None or bad > 0:
            self._history.add(entries.Handled(now, shard, numbers[:bad]))
        if self._life.strikes("function failed after its work"):
            return FunctionFailed("it happens late")
        if self._life.strikes("function hangs"):
            for _ in range(self._life.random.randint(20, 80)):
                await self._life.waits(5.0 if self._faults.on else 0.0)
        await self._life.takes_time("function slow")
        if self._report and self._life.strikes("odd answer"):
            return Succeeded(self._life.random.choice(ODD_ANSWERS))
        self._history.add(entries.Answered(asyncio.get_running_loop().time(), me, shard, numbers[:bad], request_id))
        return self._answer(numbers, bad, state)

    async def _end_of_window(self, event, state) -> Outcome:
        """Each attempt is noted, for one that is given up has told all that the window came to."""
        start = _epoch(event["window"]["start"])
        self._history.add(entries.WindowEnded(asyncio.get_running_loop().time(), event["shardId"], start, tuple(state)))
        if self._life.strikes("function failed"):
            return FunctionFailed("it happens")
        await self._life.takes_time("function slow")
        return Succeeded(b'{"state":{}}')

    def _answer(self, numbers: tuple[int, ...], bad: int | None, state: list[int]) -> Outcome:
        """The first failure counts, wherever it stands, and however often."""
        said: dict[str, object] = {"state": {"numbers": [*state, *numbers[:bad]]}}
        if bad is not None:
            later = [number for number in numbers[bad + 1 :] if self._life.random.random() < 0.3]
            failed = [numbers[bad], *later] * self._life.random.choice([1, 1, 2])
            self._life.random.shuffle(failed)
            said["batchItemFailures"] = [{"itemIdentifier": str(number)} for number in failed]
        return Succeeded(json.dumps(said).encode())

    async def aclose(self) -> None:
        pass


class SimDestination:
    """Where failures go, as one worker reaches it; see `poller.ports.Destination`."""

    kind = DestinationKind.SQS

    def __init__(self, life: Life, faults: Faults, history: History) -> None:
        self._life = life
        self._faults = faults
        self._history = history

    async def send(self, report: FailureReport) -> None:
        await self._life.takes_time("destination slow")
        if self._faults.is_away("destination") or self._life.strikes("destination refused"):
            raise Unavailable("not now")
        if report.records:
            first, last = (int(report.records[end].sequence_number) for end in (0, -1))
            self._history.add(entries.Accepted(asyncio.get_running_loop().time(), report.shard, first, last))
        await self._life.takes_time("destination slow")

    async def aclose(self) -> None:
        pass


def _epoch(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp())
