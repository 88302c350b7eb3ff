"""What operators see of a simulated worker: this file judges the promises I12 and I13 in some of the worlds.

I12 metrics tell the truth: what they count is what the function counted, and a shard's age is never younger than its
    oldest unresolved record, however stuck the shard is.
I13 silence: nothing of a record's content is in metrics or logs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import structlog

from poller import events
from poller.observers.ages import ShardAges
from poller.observers.log import Log
from poller.observers.metrics import Metrics
from tests.simulation.life import Life
from tests.simulation.stream import CANARY

if TYPE_CHECKING:
    from tests.simulation.world import World

AGE_SLACK_SECONDS = 2.0
"""A poll and its way back."""


class Telling:
    """Metrics and logs of all lives of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._metrics: dict[str, Metrics] = {}
        self._ages: dict[str, ShardAges] = {}
        self._read: dict[str, set[str]] = {}
        self._texts: list[str] = []
        self._violations: list[str] = []

    def observers(self, life: Life):
        metrics = self._metrics[life.name] = Metrics(life.clock, version="0")
        ages = self._ages[life.name] = ShardAges(life.clock)
        logger = structlog.wrap_logger(
            structlog.ReturnLogger(), processors=[self._keep], wrapper_class=structlog.make_filtering_bound_logger(10)
        )
        read = self._read[life.name] = set()
        return [metrics, ages, Log(logger, life.clock), lambda event: _note_reading(read, event)]

    async def watch(self) -> None:
        """Looks at the ages now and then, as a scrape would."""
        while True:
            await anyio.sleep(5.0)
            self._world.unresolved()
            for incarnation in self._world.incarnations.values():
                if not incarnation.life.dead:
                    self._judge_ages(incarnation.life)

    def _judge_ages(self, life: Life) -> None:
        now = asyncio.get_running_loop().time()
        true_clocks = self._world.settings.skews == (0.0,)
        if not true_clocks or not self._world.faults.never("slow call") or life.paused_until > now:
            return
        for ages in self._ages[life.name].all():
            true = self._world.checker.oldest_age(ages.shard, now)
            if ages.shard in self._read[life.name] and ages.iterator_age < true - AGE_SLACK_SECONDS:
                told = f"{life.name} tells an age of {ages.iterator_age:.1f} s, it is {true:.1f} s"
                self._violations.append(f"{now:.3f} I12 {ages.shard}: {told}")

    def judge(self) -> list[str]:
        for name, metrics in self._metrics.items():
            text = metrics.render().decode()
            self._texts.append(text)
            told = _summed(text, "poller_batches_total")
            counted = self._world.outcomes[name].total()
            if told != counted:
                self._violations.append(f"I12 {name}: metrics count {told} batches, the function {counted}")
        if any(CANARY in text for text in self._texts):
            self._violations.append("I13 what a record holds is in a log or in metrics")
        return self._violations

    def _keep(self, logger, method, said) -> str:
        self._texts.append(repr(said))
        raise structlog.DropEvent


def _note_reading(read: set[str], event: events.Event) -> None:
    match event:
        case events.PageRead():
            read.add(event.shard)
        case events.LeaseTaken() | events.ShardReleased():
            read.discard(event.shard)


def _summed(text: str, name: str) -> int:
    lines = [line for line in text.splitlines() if line.startswith(name + "{")]
    return round(sum(float(line.rpartition(" ")[2]) for line in lines))
