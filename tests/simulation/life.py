"""One life of one worker, as its plugs know it: this file is why a dead worker's calls never come back."""

from __future__ import annotations

import asyncio
from random import Random

import anyio

from tests.simulation.faults import Faults
from tests.virtual import VirtualClock


class Life:
    """A dead worker's calls never come back, a paused one's (a zombie's) only after its pause."""

    def __init__(self, name: str, faults: Faults, random: Random, *, lanes: int, batch_size: int, skew: float) -> None:
        self.name = name
        self.lanes = lanes
        self.batch_size = batch_size
        self.clock = VirtualClock(skew)
        self.dead = False
        self.paused_until = 0.0
        self.random = random
        self._faults = faults
        self._recent: dict[str, float] = {}

    def strikes(self, fault: str) -> bool:
        return self._faults.strikes(fault, self._recent, self.name)

    def recovered(self, what: str) -> None:
        self._faults.recovered(what, self._recent)

    async def takes_time(self, slow: str) -> None:
        """The way to the other side, or back."""
        seconds = 0.01 * self.random.random()
        if self.strikes(slow):
            seconds += 20 * self.random.random()
        await self.waits(seconds)

    async def waits(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(seconds)
        if self.paused_until > loop.time():
            await asyncio.sleep(self.paused_until - loop.time())
        if self.dead:
            await anyio.sleep_forever()

    def seconds_held(self) -> float:
        """How long the network keeps a call: sometimes longer than a lease lasts."""
        return self.random.choice([1.0, 10.0, 30.0])
