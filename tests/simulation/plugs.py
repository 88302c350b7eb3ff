"""The plugs of one simulated worker: this file is where calls take time, fail, and stop with the worker's death."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator
from datetime import datetime
from random import Random

import anyio
from anyio.abc import TaskGroup

from poller.arns import DestinationKind
from poller.aws import Expired
from poller.errors import LeaseLost, Unavailable
from poller.events import (
    BatchInvoked,
    BatchRetried,
    CheckpointFailed,
    Event,
    FailureSent,
    LeaseTaken,
    LeaseWasLost,
    Polled,
    PositionTrimmed,
    RecordsDiscarded,
    RecordsFiltered,
    ShardFailed,
    ShardFinished,
    WorkerStopped,
)
from poller.invocation import FailureReport, FunctionFailed, Invocation, NotInvoked, Outcome, Succeeded
from poller.model import Listing, Page, Position, Shard, ShardId
from poller.rules.ordering import lane_of
from poller.rules.pacing import KINESIS
from poller.sources.polling import Answer, ShardPolling
from poller.stores.memory import MemoryStore
from tests.simulation.faults import Faults
from tests.simulation.history import (
    Accepted,
    Attempted,
    Discarded,
    Gap,
    Handled,
    History,
    Noted,
    Saved,
    WindowEnded,
)
from tests.simulation.stream import SimStream
from tests.virtual import EPOCH


class Life:
    """Whether a worker lives. A dead one's calls never come back, a paused one's (a zombie's) only after its pause."""

    def __init__(self, name: str, faults: Faults, random: Random) -> None:
        self.name = name
        self.dead = False
        self.paused_until = 0.0
        self._faults = faults
        self._random = random

    async def takes_time(self, slow: str) -> None:
        """The way to the other side, or back."""
        seconds = 0.01 * self._random.random()
        if self._faults.strikes(slow):
            seconds += 20 * self._random.random()
        await anyio.sleep(seconds)
        await self.pause()
        if self.dead:
            await anyio.sleep_forever()

    def seconds_held(self) -> float:
        """How long the network keeps a call: sometimes longer than a lease lasts."""
        return self._random.choice([1.0, 10.0, 30.0])

    async def pause(self) -> None:
        await anyio.sleep(max(0.0, self.paused_until - anyio.current_time()))


class SimCalls:
    """The calls of a stream service, by one worker; see `poller.sources.polling.ShardCalls`."""

    def __init__(self, stream: SimStream, life: Life, faults: Faults) -> None:
        self._stream = stream
        self._life = life
        self._faults = faults
        self._lagging: list[Shard] | None = None

    def count(self, what: str) -> None:
        self._faults.seen[what] += 1

    async def iterator(self, shard: ShardId, position: Position) -> str:
        await self._there()
        answer = self._stream.iterator(shard, position)
        await self._back()
        return answer

    async def records(self, shard: ShardId, iterator: str) -> Answer:
        await self._there()
        if self._faults.strikes("iterator expired"):
            raise Expired("the iterator has expired")
        answer = self._stream.records(shard, iterator)
        await self._back()
        if answer.iterator is not None and self._faults.strikes("null iterator"):
            return Answer(answer.records, None, answer.behind_seconds)
        return answer

    async def find(self, shard: ShardId) -> Shard | None:
        return {each.id: each for each in await self.listing()}.get(shard)

    async def is_closed(self, shard: ShardId) -> bool:
        found = await self.find(shard)
        return found is not None and found.closed

    async def listing(self) -> list[Shard]:
        await self._there()
        if self._faults.strikes("listing failed"):
            raise Unavailable("listing failed")
        fresh = self._stream.listing()
        # A listing may miss the youngest shards and not yet know of a closing, but never forgets.
        answer = self._lagging if self._lagging and self._faults.strikes("listing lags") else fresh
        self._lagging = fresh
        await self._back()
        return answer

    async def _there(self) -> None:
        await self._life.takes_time("slow call")
        if self._faults.strikes("throttled"):
            raise Unavailable("throttled", throttled=True)
        if self._faults.strikes("unavailable"):
            raise Unavailable("500")

    async def _back(self) -> None:
        await self._life.takes_time("slow call")
        if self._faults.strikes("answer lost"):
            raise Unavailable("the connection was cut")


class SimSource:
    """The stream as a worker sees it, through the polling of production; see `poller.ports.Source`."""

    def __init__(self, calls: SimCalls, observer: Observed, random: Random, retention_seconds: float | None) -> None:
        self._calls = calls
        self._observer = observer
        self._random = random
        self._retention_seconds = retention_seconds

    async def listing(self) -> Listing:
        return Listing(tuple(await self._calls.listing()), self._retention_seconds)

    def read(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        polling = ShardPolling(
            self._calls, shard, position, pace=KINESIS, mapping="m", observer=self._observer, random=self._random
        )
        return polling.pages()

    def reread(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        self._calls.count("lane fell behind")
        return self.read(shard, position)

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
        if self._faults.strikes("destination refused"):
            raise Unavailable("not now")
        if report.records:
            first, last = (int(report.records[end].sequence_number) for end in (0, -1))
            self._history.add(Accepted(anyio.current_time(), report.shard, first, last))
        self._faults.seen["failure report taken"] += 1
        await self._life.takes_time("destination slow")

    async def aclose(self) -> None:
        pass


class SimStore:
    """One worker's way to the store of all; see `poller.ports.Store`.

    What a paused worker has sent stays in the ``network``, and lands although the worker may have given up.
    """

    def __init__(self, shared: MemoryStore, life: Life, faults: Faults, history: History, network: TaskGroup) -> None:
        self._shared = shared
        self._life = life
        self._faults = faults
        self._history = history
        self._network = network

    async def _call(self, verb, *arguments):
        await self._life.takes_time("store slow")
        if self._faults.strikes("store unavailable"):
            raise Unavailable("the store is away")
        if self._faults.strikes("store call held"):
            answer = await self._late(verb, arguments)
        else:
            answer = await self._land(verb, arguments)
        await self._life.takes_time("store slow")
        if self._faults.strikes("store answer lost"):
            raise Unavailable("the answer of the store was lost")
        return answer

    async def _land(self, verb, arguments):
        answer = await verb(*arguments)
        if verb == self._shared.save:
            lease, checkpoint = arguments
            self._history.add(Saved(anyio.current_time(), lease.owner, lease.shard, str(checkpoint.position)))
        return answer

    async def _late(self, verb, arguments):
        """The call lands some time later, whether the worker still waits for it or not."""
        landed, answers, lost = anyio.Event(), [], []

        async def land():
            await anyio.sleep(self._life.seconds_held())
            try:
                answers.append(await self._land(verb, arguments))
            except LeaseLost as error:
                lost.append(error)
            landed.set()

        self._network.start_soon(land)
        await landed.wait()
        if lost:
            raise lost[0]
        return answers[0]

    async def rows(self, mapping):
        return await self._call(self._shared.rows, mapping)

    async def create(self, mapping, shards, *, stream_created_at=None, replacing=()):
        assert not replacing, "no stream is made anew here"
        await self._call(self._shared.create, mapping, shards)

    async def take(self, lease, owner):
        return await self._call(self._shared.take, lease, owner)

    async def renew(self, lease):
        return await self._call(self._shared.renew, lease)

    async def release(self, lease):
        await self._call(self._shared.release, lease)

    async def save(self, lease, checkpoint):
        await self._call(self._shared.save, lease, checkpoint)

    async def forget(self, mapping, shards):
        await self._call(self._shared.forget, mapping, shards)

    async def status(self, mapping):
        return await self._call(self._shared.status, mapping)

    async def report(self, status):
        await self._call(self._shared.report, status)

    async def aclose(self):
        pass


class SimFunction:
    """The function that all workers invoke, as one of them reaches it; ``poison`` are numbers that never succeed."""

    def __init__(self, life: Life, faults: Faults, history: History, random: Random, *, report: bool, poison) -> None:
        self._life = life
        self._faults = faults
        self._history = history
        self._random = random
        self._report = report
        self._poison = poison

    async def invoke(self, invocation: Invocation) -> Outcome:
        event = json.loads(invocation.payload)
        numbers = tuple(int(each["kinesis"]["sequenceNumber"]) for each in event["Records"])
        state = event.get("state", {}).get("numbers", [])
        await self._life.takes_time("function slow")
        if self._faults.strikes("function refused"):
            wish = self._random.choice([None, 3.0])
            return NotInvoked("429", wish)
        if not numbers:
            return await self._end_of_window(event, state)
        shard = self._shard_of(numbers[0])
        before = _epoch(event["window"]["end"]) - EPOCH if "window" in event else None
        attempt = Attempted(anyio.current_time(), self._life.name, shard, numbers, invocation.request_id, before)
        self._history.add(attempt)
        if self._faults.strikes("function failed"):
            return FunctionFailed("it happens")
        bad = next((index for index, number in enumerate(numbers) if number in self._poison), None)
        if bad is None and self._faults.strikes("partial"):
            bad = self._random.randrange(len(numbers))
        if bad is not None and not self._report:
            return FunctionFailed("poison")
        if bad is None or bad > 0:
            self._history.add(Handled(anyio.current_time(), shard, numbers[:bad]))
        if self._faults.strikes("function failed after its work"):
            return FunctionFailed("it happens late")
        await self._life.takes_time("function slow")
        return self._answer(numbers, bad, state)

    async def _end_of_window(self, event, state) -> Outcome:
        """Each attempt is noted, for one that is given up has told all that the window came to."""
        start = _epoch(event["window"]["start"])
        self._history.add(WindowEnded(anyio.current_time(), event["shardId"], start, tuple(state)))
        self._faults.seen["window ended"] += 1
        if self._faults.strikes("function failed"):
            return FunctionFailed("it happens")
        await self._life.takes_time("function slow")
        return Succeeded(b'{"state":{}}')

    def _answer(self, numbers: tuple[int, ...], bad: int | None, state: list[int]) -> Outcome:
        if self._report and self._faults.strikes("odd answer"):
            return Succeeded(
                self._random.choice([b"garbage", b'{"batchItemFailures":[{"itemIdentifier":"x"}]}', b"[1]"])
            )
        said: dict[str, object] = {"state": {"numbers": [*state, *numbers[:bad]]}}
        if bad is not None:
            said["batchItemFailures"] = [{"itemIdentifier": str(numbers[bad])}]
        return Succeeded(json.dumps(said).encode())

    def _shard_of(self, number: int) -> str:
        return self._history.shards[number]

    async def aclose(self) -> None:
        pass


def _epoch(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp())


class Observed:
    """Writes into the history what a worker with so many ``lanes`` says, as long as it lives, and counts it.

    ``open_window`` gives the start of a shard's window and the numbers in its state, as the store has them.
    """

    def __init__(self, life: Life, history: History, faults: Faults, *, lanes: int, open_window) -> None:
        self._life = life
        self._history = history
        self._seen = faults.seen
        self._lanes = lanes
        self._open_window = open_window

    def __call__(self, event: Event) -> None:
        if self._life.dead:
            return
        at, name = anyio.current_time(), self._life.name
        match event:
            case RecordsDiscarded(records=0):
                self._seen["window given up"] += 1
                self._history.add(WindowEnded(at, event.shard, *self._open_window(event.shard)))
            case RecordsDiscarded():
                self._seen[f"discarded: {event.condition}"] += 1
                first, last = int(event.first), int(event.last)
                numbers = self._of_lane(event.shard, first, last, event.lane)
                self._history.add(Discarded(at, name, event.shard, numbers, first, last, event.delivered))
            case FailureSent(problem=problem) if problem:
                self._seen["failure report not taken"] += 1
            case PositionTrimmed():
                self._seen["gap told"] += 1
                resumed_at = None if event.resumed_at is None else int(event.resumed_at)
                self._history.add(Gap(at, name, event.shard, str(event.after), resumed_at))
            case ShardFailed():
                self._history.add(Noted(at, f"{name} FAILED {event.shard}: {event.traceback}"))
                self._seen["shard failed"] += 1
            case LeaseTaken() | LeaseWasLost() | ShardFinished() | WorkerStopped() | CheckpointFailed():
                self._seen[type(event).__name__] += 1
                self._history.add(Noted(at, f"{name} {event}"))
            case RecordsFiltered():
                self._seen["filtered"] += 1
            case BatchRetried(split=True):
                self._seen["batch divided"] += 1
            case BatchInvoked():
                self._seen[f"batch: {event.outcome}"] += 1
            case Polled():
                self._seen[f"poll: {event.result}"] += 1
            case _:
                pass

    def _of_lane(self, shard: str, first: int, last: int, lane: int) -> tuple[int, ...]:
        keys, numbers = self._history.keys, self._history.numbers[shard]
        between = numbers[bisect_left(numbers, first) : bisect_right(numbers, last)]
        return tuple(number for number in between if lane_of(keys[number], self._lanes) == lane)
