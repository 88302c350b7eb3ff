"""One simulated world, all of it drawn from a seed: this file is its settings, its actors, and its course.

First several minutes in which everything may go wrong, then a time without faults in which everything must be resolved,
then one fresh record for every open shard, which must be handled soon.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from random import Random

import anyio

from poller.engine.supervisor import Supervisor
from poller.engine.worker import Worker
from poller.mapping import BatchPolicy, EventSourceMapping, FailurePolicy
from poller.model import Window, WorkerId
from poller.rules.leasing import LeaseTimes
from poller.stores.memory import MemoryStore
from tests.builders import mapping
from tests.simulation.checker import Checker
from tests.simulation.faults import Faults
from tests.simulation.history import Crashed, History, Noted
from tests.simulation.plugs import Life, Observed, SimCalls, SimDestination, SimFunction, SimSource, SimStore
from tests.simulation.stream import SimStream
from tests.virtual import VirtualClock, run_virtually

FAULTY_SECONDS = 240.0
RESOLVED_WITHIN_SECONDS = 1200.0
FRESH_WITHIN_SECONDS = 90.0
"""The longest wait for a new listing and for a free lease, the longest window, and some."""


@dataclass
class Result:
    """What a world came to; ``trace`` is the same for the same seed."""

    seed: int
    violations: list[str]
    history: History
    seen: dict[str, int]
    trace: str
    seconds: float


class World:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.faults = Faults(self.random)
        self.history = History()
        self.mapping = _drawn_mapping(self.random)
        self.stream = SimStream(
            self.history,
            shards=self.random.randint(1, 3),
            page_records=self.random.choice([1, 5, 30, 100]),
            wants=(lambda key: key % 3 != 0) if self.mapping.filter_patterns else (lambda key: True),
        )
        self.retention_seconds = self.random.choice([None, None, 120.0])
        limited = self.mapping.failure.retries_max is not None or self.mapping.failure.age_seconds_max is not None
        self.poison_rate = self.random.choice([0.0, 0.02]) if limited or self.retention_seconds else 0.0
        self.poison: set[int] = set()
        self.per_second = self.random.choice([0.3, 2.0, 8.0])
        self.chaos_seconds = self.random.choice([10.0, 40.0, 1e9])
        self.reshard_seconds = self.random.choice([20.0, 80.0, 1e9])
        self.trim_seconds = self.random.choice([30.0, 1e9, 1e9])
        self.workers = self.random.randint(1, 3)
        self.lanes = self.random.choice([(1,), (1,), (2,), (4,), (1, 3, 10)])
        if self.mapping.tumbling_window_seconds:
            self.lanes = (1,)
        self.with_destination = self.random.choice([True, False])
        self.checker = Checker(by_key=self.lanes != (1,), windows=self.mapping.tumbling_window_seconds > 0)
        self._read = 0
        self._steps_to_crash = 0
        self._crash: Incarnation | None = None
        self._ending = False
        self._incarnations: dict[str, Incarnation] = {}

    # The course of things

    async def run(self) -> None:
        self.shared = OpenStore(VirtualClock())
        async with anyio.create_task_group() as self.network, anyio.create_task_group() as tasks:
            for number in range(self.workers):
                tasks.start_soon(self._live_again_and_again, f"w{number}")
            with anyio.move_on_after(FAULTY_SECONDS):
                async with anyio.create_task_group() as actors:
                    for actor in (self._produce, self._reshard, self._trim, self._make_chaos):
                        actors.start_soon(actor)
            self.faults.on = False
            self.stream.page_records = 100  # no small page may be what keeps a backlog
            await self._all_resolved(RESOLVED_WITHIN_SECONDS, "I9 not resolved in the time without faults")
            for shard in self.stream.open_shards():
                self.stream.put(shard.low)
            await self._all_resolved(FRESH_WITHIN_SECONDS, "I9 a fresh record was not handled in time")
            self._ending = True
            for incarnation in self._incarnations.values():
                incarnation.stop.set()
        rows = await self.shared.rows(self.mapping.id)
        open_windows = {row.shard: _counted(row.checkpoint.window) for row in rows}
        self.checker.judge(self.history.entries[self._read :], open_windows)

    def each_step(self) -> None:
        """Before each turn of the loop: the moment of a crash, which may be any."""
        if self._crash is not None:
            self._steps_to_crash -= 1
            if self._steps_to_crash <= 0:
                victim, self._crash = self._crash, None
                self.faults.seen["crash"] += 1
                self.history.add(Crashed(anyio.current_time(), victim.life.name))
                victim.life.dead = True
                victim.scope.cancel()

    async def _all_resolved(self, within_seconds: float, complaint: str) -> None:
        deadline = anyio.current_time() + within_seconds
        while self._unresolved():
            if anyio.current_time() > deadline:
                self.checker.violations.append(f"{complaint}: {self._unresolved()} shards wait")
                return
            await anyio.sleep(1)

    def open_window(self, shard: str) -> tuple[int, tuple[int, ...]]:
        window = self.shared.row(self.mapping.id, shard).checkpoint.window
        return window.start, _counted(window)

    def _unresolved(self) -> int:
        fresh, self._read = self.history.entries[self._read :], len(self.history.entries)
        return self.checker.follow(fresh)

    # Workers

    async def _live_again_and_again(self, name: str) -> None:
        await anyio.sleep(self.random.random())
        number = 0
        while not self._ending:
            number += 1
            incarnation = self._incarnations[name] = Incarnation(self, f"{name}/{number}")
            await incarnation.run()
            await anyio.sleep(self.random.choice([0.1, 5.0, 30.0]) if self.faults.on else 0.1)

    async def _make_chaos(self) -> None:
        while True:
            await anyio.sleep(self.random.expovariate(1 / self.chaos_seconds))
            if not self._incarnations:
                continue
            victim = self.random.choice(list(self._incarnations.values()))
            match self.random.choice(["crash", "pause", "stop"]):
                case "crash":
                    self._crash, self._steps_to_crash = victim, self.random.randint(1, 200)
                case "pause":
                    self.faults.seen["pause"] += 1
                    victim.life.paused_until = anyio.current_time() + self.random.choice([1.0, 10.0, 40.0])
                    self.history.add(
                        Noted(anyio.current_time(), f"{victim.life.name} pauses to {victim.life.paused_until}")
                    )
                case "stop":
                    self.faults.seen["stop"] += 1
                    victim.stop.set()

    # The stream

    async def _produce(self) -> None:
        while True:
            await anyio.sleep(self.random.expovariate(self.per_second))
            for _ in range(self.random.choice([1, 1, 1, 10])):
                self.stream.put(self.random.randrange(1000))
                if self.random.random() < self.poison_rate:
                    self.poison.add(max(self.history.shards))

    async def _reshard(self) -> None:
        while True:
            await anyio.sleep(self.random.expovariate(1 / self.reshard_seconds))
            shard = self.random.choice(self.stream.open_shards())
            kind = self.random.choice(["split", "merge"])
            if getattr(self.stream, kind)(shard):
                self.faults.seen[kind] += 1

    async def _trim(self) -> None:
        """Only where something was read before: what goes before the first read was never promised."""
        while True:
            await anyio.sleep(self.random.expovariate(1 / self.trim_seconds))
            rows = [row for row in await self.shared.rows(self.mapping.id) if row.checkpoint.position.sequence_number]
            if rows:
                self.faults.seen["trim"] += 1
                shard = self.stream.shards[self.random.choice(rows).shard]
                self.stream.trim(shard, self.random.randint(1, 1 + len(shard.numbers)))


class OpenStore(MemoryStore):
    """The store of all, into which the harness can look without a wait."""

    def row(self, mapping, shard):
        return self._rows[mapping, shard]


class Incarnation:
    """One life of one worker."""

    def __init__(self, world: World, owner: str) -> None:
        self.life = Life(owner, world.faults, world.random)
        self.stop = anyio.Event()
        self.scope = anyio.CancelScope()
        self._world = world

    async def run(self) -> None:
        world, life = self._world, self.life
        # A life may have other lanes than the one before it, as after a change of settings.
        lanes = world.random.choice(world.lanes)
        observer = Observed(life, world.history, world.faults, lanes=lanes, open_window=world.open_window)
        calls = SimCalls(world.stream, life, world.faults)
        supervisor = Supervisor(
            mapping=replace(world.mapping, lanes=lanes),
            source=SimSource(calls, observer, world.random, world.retention_seconds),
            target=SimFunction(
                life,
                world.faults,
                world.history,
                world.random,
                report=world.mapping.failure.report_item_failures,
                poison=world.poison,
            ),
            destination=SimDestination(life, world.faults, world.history) if world.with_destination else None,
            function_arn="handler",
            store=SimStore(world.shared, life, world.faults, world.history, world.network),
            owner=WorkerId(life.name),
            observer=observer,
            clock=VirtualClock(),
            random=world.random,
            times=LeaseTimes(),
        )
        worker = Worker(owner=WorkerId(life.name), supervisors=[supervisor], observer=observer, drain_seconds=10.0)
        with self.scope:
            await worker.run(self.stop)


NOT_A_THIRD = json.dumps({"partitionKey": [{"anything-but": [f"k-{key}" for key in range(0, 1000, 3)]}]})
"""A filter that leaves every third key out."""


def _drawn_mapping(random: Random) -> EventSourceMapping:
    tumbling = random.choice([0, 0, 0, 7, 60])
    return mapping(
        name="m",
        tumbling_window_seconds=tumbling,
        filter_patterns=() if tumbling else random.choice([(), (), (NOT_A_THIRD,)]),
        batch=BatchPolicy(
            batch_size=random.choice([1, 3, 10, 100]),
            window_seconds=random.choice([0.0, 0.0, 2.0, 20.0]),
            ahead_records=random.choice([1, 5, 1000]),
        ),
        failure=FailurePolicy(
            retries_max=random.choice([None, 0, 1, 3]),
            age_seconds_max=random.choice([None, None, 60.0]),
            bisect=random.choice([True, False]),
            report_item_failures=random.choice([True, False]),
        ),
    )


def _counted(window: Window | None) -> tuple[int, ...]:
    return tuple(json.loads(window.state).get("numbers", ())) if window else ()


def run_seed(seed: int) -> Result:
    """Runs one world to its end and judges it."""
    world = World(seed)
    seconds = run_virtually(lambda: _timed(world), world.each_step)
    trace = hashlib.sha256(world.history.timeline().encode()).hexdigest()
    return Result(seed, world.checker.violations, world.history, dict(world.faults.seen), trace, seconds)


async def _timed(world: World) -> float:
    await world.run()
    return anyio.current_time()
