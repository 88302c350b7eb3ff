"""The composition root: this file is the only one that names concrete classes."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from importlib import import_module
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, cast

import anyio

from poller import __version__
from poller.api.server import status_server
from poller.aws import Aws
from poller.clock import SystemClock
from poller.config import Settings
from poller.engine.supervisor import Supervisor
from poller.engine.worker import Worker
from poller.errors import ConfigError
from poller.mapping import EventSourceMapping
from poller.model import WorkerId
from poller.observers import fan_out
from poller.observers.health import Health
from poller.observers.log import Log, configure_logging
from poller.observers.loop_lag import watch_loop_lag
from poller.observers.metrics import Metrics
from poller.ports import Clock, Observer, Source, Store, Target
from poller.rules.leasing import LeaseTimes

STORES = {"memory": "poller.stores.memory:MemoryStore", "sqlite": "poller.stores.sqlite:SqliteStore"}
SOURCES = {"kinesis": "poller.sources.kinesis:KinesisSource", "dynamodb": "poller.sources.dynamodb:DynamoDBSource"}

TargetWrapper = Callable[[EventSourceMapping, Target], Target]
"""Puts something around a mapping's target; `poller dev` counts there what is delivered."""


def main_run(settings: Settings) -> int:
    """`poller run`: returns the exit code; a second signal ends the process at once."""
    configure_logging()
    return anyio.run(_run_until_signalled, settings)


async def _run_until_signalled(settings: Settings) -> int:
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_on_signals, stop)
        await run_worker(settings, observers=(Log(),), stop=stop)
        tasks.cancel_scope.cancel()
    return 0


async def stop_on_signals(stop: anyio.Event) -> None:
    """The first SIGTERM or SIGINT sets ``stop``; the second leaves at once, as a kill would."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if stop.is_set():
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(128 + number)
            stop.set()


async def run_worker(
    settings: Settings,
    *,
    stop: anyio.Event,
    observers: Sequence[Observer] = (),
    wrap_target: TargetWrapper = lambda mapping, target: target,
) -> None:
    """The worker as in production, until ``stop`` is set and the drain is over.

    Raises `ConfigError` for what shows only now: a handler that cannot be loaded, a store that cannot be opened.
    """
    clock = SystemClock()
    metrics, health = Metrics(clock, version=__version__), Health(clock)
    observer = fan_out(metrics, health, *observers)
    # Unique per process: two processes with one id must never take each other's leases for their own.
    owner = WorkerId(f"{settings.worker.id}/{secrets.token_hex(4)}")
    random = SystemRandom()
    async with AsyncExitStack() as open_things:
        if settings.server is not None:
            server = status_server(settings.server.host, settings.server.port, metrics=metrics, health=health)
            await open_things.enter_async_context(server)
        aws = await _enter(open_things, _aws(settings))
        store = await _enter(open_things, open_store(settings.store_url, clock))
        supervisors = [
            Supervisor(
                mapping=mapping,
                source=await _enter(open_things, open_source(mapping, aws, observer, clock, random)),
                target=await _enter(open_things, wrap_target(mapping, open_target(mapping, settings, aws))),
                store=store,
                owner=owner,
                observer=observer,
                clock=clock,
                random=random,
                times=LeaseTimes(),
            )
            for mapping in settings.mappings
            if mapping.enabled
        ]
        worker = Worker(
            owner=owner,
            supervisors=supervisors,
            observer=observer,
            drain_seconds=settings.worker.drain_timeout_seconds,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_loop_lag, _both(metrics.loop_lag, health.tick))
            await worker.run(stop)
            tasks.cancel_scope.cancel()


def open_store(url: str, clock: Clock) -> Store:
    """The store of a checked ``url``: ``memory:`` or ``sqlite:///path``."""
    scheme, _, path = url.partition(":")
    store = _load(STORES[scheme])
    return cast(Store, store(clock=clock) if scheme == "memory" else store(Path(path.removeprefix("///")), clock=clock))


def open_source(
    mapping: EventSourceMapping, aws: Aws, observer: Observer, clock: Clock, random: Random
) -> Source:
    service = mapping.source_arn.split(":")[2]
    source = _load(SOURCES[service])
    return cast(
        Source,
        source(aws, arn=mapping.source_arn, mapping=mapping.name, observer=observer, clock=clock, random=random),
    )
