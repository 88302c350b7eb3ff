"""One life of one worker: this file puts a real worker together from what its world gives it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from poller.engine.keeping import StatusKeeper
from poller.engine.memory import Budget
from poller.engine.supervisor import Supervisor
from poller.engine.worker import Worker
from poller.model import WorkerId
from poller.rules.leasing import LeaseTimes
from tests.simulation.life import Life
from tests.simulation.observed import Observed

if TYPE_CHECKING:
    from tests.simulation.world import World

DRAIN_SECONDS = 10.0


class Incarnation:
    """``stop`` lets it drain; cancelling ``scope`` is its death."""

    def __init__(self, world: World, owner: str) -> None:
        settings = world.settings
        # A life may have other lanes and batches than the one before it, as after a change of settings.
        self.life = Life(
            owner,
            world.faults,
            world.random,
            lanes=world.random.choice(settings.lanes),
            batch_size=world.random.choice(settings.batch_sizes),
            skew=world.random.choice(settings.skews),
        )
        self.stop = anyio.Event()
        self.scope = anyio.CancelScope()
        self._world = world

    async def run(self) -> None:
        world, life = self._world, self.life
        batch = replace(world.settings.mapping.batch, batch_size=life.batch_size)
        mapping = replace(world.settings.mapping, lanes=life.lanes, batch=batch)
        more = () if world.telling is None else world.telling.observers(life)
        observer = Observed(life, world.history, open_window=world.open_window, more=more)
        store = world.store(life)
        supervisor = Supervisor(
            mapping=mapping,
            source=world.source(life, observer),
            target=world.target(life),
            destination=world.destination(life),
            function_arn="handler",
            store=store,
            status=StatusKeeper(mapping, store, observer, life.clock),
            owner=WorkerId(life.name),
            observer=observer,
            clock=life.clock,
            random=world.random,
            times=LeaseTimes(),
            memory=Budget(world.waiting_bytes_max),
        )
        worker = Worker(
            owner=WorkerId(life.name), supervisors=[supervisor], observer=observer, drain_seconds=DRAIN_SECONDS
        )
        with self.scope:
            await worker.run(self.stop)
        world.checker.violations += [f"I9 a shard failed: {each}" for each in observer.failures]
