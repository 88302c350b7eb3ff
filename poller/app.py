"""The composition root: this file puts a whole worker together and runs it."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from random import Random, SystemRandom

import anyio
from structlog.typing import FilteringBoundLogger

from poller import __version__
from poller.api.server import status_server
from poller.aws import Aws
from poller.clock import SystemClock
from poller.config import AwsSettings, Settings, store_path
from poller.engine.keeping import StatusKeeper
from poller.engine.memory import Budget
from poller.engine.supervisor import Supervisor
from poller.engine.worker import Worker
from poller.errors import ConfigError
from poller.garbage import look_seldom
from poller.identity import invoke_identity_arn
from poller.malloc import keep_freed_memory
from poller.mapping import EventSourceMapping
from poller.model import WorkerId
from poller.observers import fan_out
from poller.observers.health import Health
from poller.observers.log import Log
from poller.observers.logging_setup import configure_logging
from poller.observers.loop_lag import watch_loop_lag
from poller.observers.metrics import Metrics
from poller.opening import function_arn, open_aws, open_destination, open_source, open_store, open_target
from poller.ports import Clock, Observer, Store, Target
from poller.rules.leasing import LeaseTimes
from poller.rules.pacing import few_records

TargetWrapper = Callable[[EventSourceMapping, Target], Target]
"""Puts something around a mapping's target, such as a count of what is delivered."""

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def main_run(settings: Settings) -> int:
    """`poller run`: returns the exit code; a second signal ends the process at once.

    ``POLLER_LOG_LEVEL`` in the environment sets what is logged. Raises `ConfigError` as `run_worker` does.
    """
    level = os.environ.get("POLLER_LOG_LEVEL", "INFO").upper()
    if level not in _LOG_LEVELS:
        raise ConfigError((f"POLLER_LOG_LEVEL: {level!r} is no level; use one of {', '.join(_LOG_LEVELS)}",))
    logger = configure_logging(stream=sys.stderr, level=level)
    _tell_start(settings, logger)
    log = Log(logger, SystemClock())
    keep_freed_memory()
    look_seldom()

    async def run() -> None:
        stop = anyio.Event()
        async with stopped_by_signals(stop):
            await run_worker(settings, stop=stop, observers=(log,))

    anyio.run(run)
    return 0


def _tell_start(settings: Settings, logger: FilteringBoundLogger) -> None:
    """What a log must begin with: a store that is new where an old one was expected reads everything again."""
    store: dict[str, object] = {"store": settings.store_url}
    path = store_path(settings.store_url)
    if path is not None:
        store = {"store": str(path.absolute()), "new_store": not os.path.exists(path)}
    listen = f"{settings.server.host}:{settings.server.port}" if settings.server else ""
    logger.info("worker starting", version=__version__, config=str(settings.path.absolute()), **store, listen=listen)
    for note in settings.notes:
        logger.warning("the configuration may not mean this", note=note)


@asynccontextmanager
async def stopped_by_signals(stop: anyio.Event) -> AsyncIterator[None]:
    """While open, the first SIGTERM or SIGINT sets ``stop``; the second leaves at once, as a kill would."""

    async def listen() -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            listening.set()
            async for number in signals:
                if stop.is_set():
                    os._exit(128 + number)
                stop.set()

    listening = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await listening.wait()
        yield
        tasks.cancel_scope.cancel()


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
    series_max = settings.server.shard_series_max if settings.server else 0
    metrics, health = Metrics(clock, version=__version__, shard_series_max=series_max), Health(clock)
    observer = fan_out(metrics, health, *observers)
    async with AsyncExitStack() as opened:
        aws = await opened.enter_async_context(aclosing(open_aws(settings.aws)))
        enabled = [mapping for mapping in settings.mappings if mapping.enabled]
        # Targets first: a handler that cannot be loaded is what a user most likely has to mend.
        targets = [wrap_target(mapping, open_target(mapping, settings, aws, clock)) for mapping in enabled]
        for target in targets:
            await opened.enter_async_context(aclosing(target))
        shared = await _shared(settings, aws, observer, clock, opened)
        if settings.server is not None:
            server = status_server(
                settings.server.host, settings.server.port, metrics=metrics, health=health, config=settings.path
            )
            await opened.enter_async_context(server)
        supervisors = [
            await _supervisor(mapping, target, settings, shared, opened)
            for mapping, target in zip(enabled, targets, strict=True)
        ]
        drain_seconds = settings.worker.drain_timeout_seconds
        worker = Worker(owner=shared.owner, supervisors=supervisors, observer=observer, drain_seconds=drain_seconds)

        def report_lag(seconds: float) -> None:
            metrics.loop_lag(seconds)
            health.tick()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_loop_lag, report_lag)
            for mapping in settings.mappings:
                if not mapping.enabled:
                    tasks.start_soon(StatusKeeper(mapping, shared.store, observer, clock).rest)
            await worker.run(stop)
            tasks.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all mappings of a worker share."""

    aws: Aws
    store: Store
    owner: WorkerId
    observer: Observer
    clock: Clock
    random: Random
    identity: str
    memory: Budget


async def _shared(settings: Settings, aws: Aws, observer: Observer, clock: Clock, opened: AsyncExitStack) -> _Shared:
    return _Shared(
        aws=aws,
        store=await opened.enter_async_context(aclosing(open_store(settings.store_url, clock))),
        # Unique per process: two processes with one id must never take each other's leases for their own.
        owner=WorkerId(f"{settings.worker.id}/{secrets.token_hex(4)}"),
        observer=observer,
        clock=clock,
        random=SystemRandom(),
        identity=settings.aws.invoke_identity_arn or await _identity(settings.aws, aws),
        memory=Budget(settings.worker.waiting_mib_max * 1024 * 1024),
    )


async def _supervisor(
    mapping: EventSourceMapping, target: Target, settings: Settings, shared: _Shared, opened: AsyncExitStack
) -> Supervisor:
    status = StatusKeeper(mapping, shared.store, shared.observer, shared.clock)
    observer = fan_out(status.hear, shared.observer)  # what the source tells counts for the status too

    room = partial(shared.memory.asked, few_records(mapping.batch.batch_size, mapping.lanes))
    source = open_source(mapping, shared.aws, observer, shared.clock, shared.random, shared.identity, room)
    await opened.enter_async_context(aclosing(source))
    destination = open_destination(mapping, shared.aws)
    if destination is not None:
        await opened.enter_async_context(aclosing(destination))
    return Supervisor(
        mapping=mapping,
        source=source,
        target=target,
        destination=destination,
        function_arn=function_arn(mapping, settings, shared.identity),
        store=shared.store,
        owner=shared.owner,
        status=status,
        observer=observer,
        clock=shared.clock,
        random=shared.random,
        times=LeaseTimes(),
        memory=shared.memory,
    )


async def _identity(settings: AwsSettings, aws: Aws) -> str:
    """Who the worker is, empty where single services are emulated: their words for credentials are nothing for AWS."""
    emulated = settings.endpoint_url is None and "sts" not in settings.endpoint_urls and settings.endpoint_urls
    return "" if emulated else await invoke_identity_arn(aws)
