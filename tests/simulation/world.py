"""One simulated world, all of it drawn from a seed: this file is its actors and its course.

First a time in which everything may go wrong, then one without faults in which everything must be resolved, then one
fresh record for every open shard, which must be handled soon.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from random import Random

import anyio

from poller.model import Window
from poller.ports import Destination, Observer, Source, Store, Target
from tests.history import entries
from tests.history.checker import Checker
from tests.history.log import History
from tests.simulation.faults import Faults
from tests.simulation.function import SimDestination, SimFunction
from tests.simulation.incarnation import Incarnation
from tests.simulation.life import Life
from tests.simulation.settings import MINUTES, Settings, Span, wanted
from tests.simulation.source import SimCalls, SimSource
from tests.simulation.store import OpenStore, SimStore
from tests.simulation.stream import DYNAMODB, SimStream
from tests.simulation.telling import Telling
from tests.virtual import run_virtually

RESOLVED_WITHIN_SECONDS = 1200.0
FRESH_WITHIN_SECONDS = 90.0
"""The longest wait for a new listing and for a free lease, the longest window, and some."""


@dataclass
class Result:
    """What a world came to."""

    seed: int
    violations: list[str]
    history: History
    faults: Faults
    seconds: float

    @property
    def attempts(self) -> int:
        return sum(isinstance(entry, entries.Attempted) for entry in self.history.entries)

    @property
    def trace(self) -> str:
        """The same for the same seed."""
        return hashlib.sha256(self.history.timeline().encode()).hexdigest()


class World:
    def __init__(self, seed: int, span: Span = MINUTES) -> None:
        self.random = Random(seed)
        self.history = History()
        self.faults = Faults(self.random, self.history)
        self.settings = settings = Settings(self.random, span)
        self._begins_at = 0.0
        self._rolls_over_at: float | None = None
        latest = Random(-2 - seed)
        if settings.kind is DYNAMODB and latest.random() < 0.3:  # with records to leave out, in shards of nothing else
            settings.begin_at_latest()
            self._begins_at = latest.uniform(0.0, 60.0)
            self._rolls_over_at = self._begins_at + latest.uniform(1.0, 4.0)
        self.stream = SimStream(
            self.history,
            kind=settings.kind,
            shards=settings.shards,
            page_records=settings.page_records,
            wants=wanted if settings.mapping.filter_patterns else (lambda key: True),
        )
        self.poison: set[int] = set()
        self.outcomes: dict[str, Counter[str]] = {}
        self.checker = Checker(settings.promises())
        self.telling = Telling(self) if seed % 8 == 0 else None
        self.waiting_bytes_max = Random(-1 - seed).choice([float("inf"), 1000])
        self._read = 0
        self._steps_to_crash = 0
        self._crash: Incarnation | None = None
        self._ending = False
        self._ends_at = span.faulty_seconds + 2 * RESOLVED_WITHIN_SECONDS
        self.incarnations: dict[str, Incarnation] = {}

    # What a worker is given; the wire simulation gives other things

    def open_store(self) -> OpenStore:
        return OpenStore(self.history)

    def source(self, life: Life, observer: Observer) -> Source:
        calls = SimCalls(self.stream, life, self.faults)
        return SimSource(calls, life, observer, self.settings.retention_seconds)

    def target(self, life: Life) -> Target:
        report = self.settings.mapping.failure.report_item_failures
        function = SimFunction(life, self.faults, self.history, report=report, poison=self.poison)
        self.outcomes[life.name] = function.outcomes
        return function

    def destination(self, life: Life) -> Destination | None:
        return SimDestination(life, self.faults, self.history) if self.settings.with_destination else None

    def store(self, life: Life) -> Store:
        return SimStore(self.shared, life, self.faults, self.network)

    # The course of things

    async def run(self) -> None:
        settings = self.settings
        self.shared = self.open_store()
        for _ in range(self.random.choice([0, 0, 20])):
            self._put()
        actors = [self._produce, self._reshard, self._trim, self._grow_old, self._make_chaos, self._break]
        actors += [self._make_anew, self._restore]
        if self._rolls_over_at is not None:
            actors.append(self._roll_over)
        if self.telling is not None:
            actors.append(self.telling.watch)
        async with anyio.create_task_group() as self.network, anyio.create_task_group() as tasks:
            for number in range(settings.workers):
                tasks.start_soon(self._live_again_and_again, f"w{number}")
            with anyio.move_on_after(settings.span.faulty_seconds):
                async with anyio.create_task_group() as acting:
                    for actor in actors:
                        acting.start_soon(actor)
            self.faults.on, self._crash = False, None
            self.stream.page_records = 100  # no small page may be what keeps a backlog
            await self._all_resolved(RESOLVED_WITHIN_SECONDS, "I9 not resolved in the time without faults")
            for shard in self.stream.open_shards():
                self.stream.put(shard.low)
            await self._all_resolved(FRESH_WITHIN_SECONDS, "I9 a fresh record was not handled in time")
            self._ending = True
            for incarnation in self.incarnations.values():
                incarnation.stop.set()
        if len(asyncio.all_tasks()) > 1:
            self.checker.violations.append(f"I10 tasks are left: {asyncio.all_tasks()}")
        windows = {row.shard: row.checkpoint.window for row in self.shared.all()}
        open_windows = {shard: (window.start, _counted(window)) for shard, window in windows.items() if window}
        self.checker.judge(self.history.entries[self._read :], open_windows)
        if self.telling is not None:
            self.checker.violations += self.telling.judge()

    def each_step(self) -> None:
        """Before each turn of the loop: the moment of a crash, which may be any, and of the world's end."""
        if asyncio.get_running_loop().time() > self._ends_at:
            self._ends_at = float("inf")
            raise TimeoutError("I9 a worker does not come to its end")
        if self._crash is not None:
            self._steps_to_crash -= 1
            if self._steps_to_crash <= 0:
                victim, self._crash = self._crash, None
                self.faults.happened("crash", victim.life.name)
                self._kill(victim)

    def _kill(self, victim: Incarnation) -> None:
        self.history.add(entries.Crashed(self._now(), victim.life.name))
        victim.life.dead = True
        victim.scope.cancel()

    async def _all_resolved(self, within_seconds: float, complaint: str) -> None:
        deadline = anyio.current_time() + within_seconds
        while waiting := self.unresolved() + self._unfinished():
            if anyio.current_time() > deadline:
                self.checker.violations.append(f"{complaint}: {waiting} shards wait")
                return
            await anyio.sleep(1)

    def _unfinished(self) -> int:
        """Closed shards that are not known to be done: their children must wait."""
        closed = {shard.id for shard in self.stream.shards.values() if shard.closed}
        return len(closed.difference(row.shard for row in self.shared.all() if row.finished))

    def open_window(self, shard: str) -> tuple[int, tuple[int, ...]]:
        window = self.shared.row(self.settings.mapping.id, shard).checkpoint.window
        return window.start, _counted(window)

    def unresolved(self) -> int:
        fresh, self._read = self.history.entries[self._read :], len(self.history.entries)
        return self.checker.follow(fresh)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # Workers

    async def _live_again_and_again(self, name: str) -> None:
        await anyio.sleep(self._begins_at + self.random.random())
        number = 0
        while not self._ending:
            number += 1
            incarnation = self.incarnations[name] = Incarnation(self, f"{name}/{number}")
            await incarnation.run()
            await anyio.sleep(self.random.choice([0.1, 5.0, 30.0]) if self.faults.on else 0.1)

    async def _make_chaos(self) -> None:
        while True:
            await anyio.sleep(self.random.expovariate(1 / self.settings.chaos_seconds))
            if not self.incarnations:
                continue
            victim = self.random.choice(list(self.incarnations.values()))
            match self.random.choice(["crash", "pause", "stop", "clock jumps"]):
                case "crash":
                    self._crash, self._steps_to_crash = victim, self.random.randint(1, 200)
                case "pause":
                    victim.life.paused_until = self._now() + self.random.choice([1.0, 10.0, 40.0])
                    self.faults.happened("pause", victim.life.name)
                case "stop":
                    victim.stop.set()
                    self.faults.happened("stop", victim.life.name)
                case "clock jumps" if self.settings.skews != (0.0,):
                    victim.life.clock.skew += self.random.choice([-3600.0, -5.0, 5.0, 3600.0])
                    self.faults.happened("clock jumps", victim.life.name)

    # The world around them

    async def _produce(self) -> None:
        while True:
            await anyio.sleep(self.random.expovariate(self.settings.per_second))
            for _ in range(self.random.choice([1, 1, 1, 8])):
                self._put()

    def _put(self) -> None:
        number = self.stream.put(self.random.randrange(self.settings.keys) * (1000 // self.settings.keys))
        if self.random.random() < self.settings.poison_rate:
            self.poison.add(number)

    async def _reshard(self) -> None:
        kinds = ["rotate", "split"] if self.stream.kind.rotates else ["split", "merge"]
        while True:
            await anyio.sleep(self.random.expovariate(1 / self.settings.reshard_seconds))
            for _ in range(self.random.choice([1, 1, 1, 4])):
                shards = self.stream.open_shards()
                shard, kind = self.random.choice(shards), self.random.choice(kinds)
                if kind == "split" and len(shards) >= self.settings.span.open_shards_max:
                    continue
                if getattr(self.stream, kind)(shard):
                    self.faults.happened(kind)

    async def _roll_over(self) -> None:
        """As DynamoDB does with each shard after some hours, here soon after the beginning."""
        await anyio.sleep(self._rolls_over_at)
        for shard in self.stream.open_shards():
            self.stream.rotate(shard)

    async def _trim(self) -> None:
        while True:
            await anyio.sleep(self.random.expovariate(1 / self.settings.trim_seconds))
            shards = list(self.stream.shards.values())
            closed = [shard for shard in shards if shard.closed and shard.numbers]
            shard = self.random.choice(closed or shards)
            count = len(shard.numbers)
            self.stream.trim(shard, self.random.choice([self.random.randint(0, count), count]))
            self.faults.happened("trim")

    async def _grow_old(self) -> None:
        retention = self.settings.retention_seconds
        while retention is not None:
            await anyio.sleep(retention / 20)
            if self.stream.grow_old(retention):
                self.faults.happened("retention")

    async def _break(self) -> None:
        while True:
            await anyio.sleep(self.random.expovariate(1 / self.settings.outage_seconds))
            what = self.random.choice(["store", "stream", "function", "destination"])
            self.faults.go_away(what, self.random.choice([5.0, 20.0, 60.0]))

    async def _make_anew(self) -> None:
        """Never twice before the first one is noticed: no stream can be deleted and made again so soon."""
        while True:
            await anyio.sleep(90 + self.random.expovariate(1 / self.settings.remake_seconds))
            self.stream.make_anew()
            self.faults.happened("stream made anew")

    async def _restore(self) -> None:
        """An operator puts a copy of the store back that is some time old, with no worker alive."""
        while True:
            copy = self.shared.copy()
            await anyio.sleep(self.random.expovariate(1 / self.settings.restore_seconds))
            if copy[0]:
                for incarnation in self.incarnations.values():
                    self._kill(incarnation)
                self.shared.restore(copy)
                self.faults.happened("store restored")


def _counted(window: Window | None) -> tuple[int, ...]:
    return tuple(json.loads(window.state).get("numbers", ())) if window else ()


def run_seed(seed: int, span: Span = MINUTES) -> Result:
    """Runs one world to its end and judges it."""
    return run_to_the_end(seed, World(seed, span))


def run_to_the_end(seed: int, world: World) -> Result:
    gc.disable()  # a third of the time, and a world is small
    try:
        seconds = run_virtually(lambda: _timed(world), world.each_step)
    finally:
        gc.enable()
    return Result(seed, world.checker.violations, world.history, world.faults, seconds)


async def _timed(world: World) -> float:
    await world.run()
    return anyio.current_time()
