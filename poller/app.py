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
from typing import Any

import anyio

from poller import __version__
from poller.api.server import status_server
from poller.arns import DestinationKind, SourceKind, destination_kind, source_kind
from poller.aws import Aws
from poller.clock import SystemClock
from poller.config import AwsSettings, FunctionSettings, Settings
from poller.engine.keeping import StatusKeeper
from poller.engine.supervisor import Supervisor
from poller.engine.worker import Worker
from poller.errors import ConfigError
from poller.identity import invoke_identity_arn
from poller.mapping import EventSourceMapping
from poller.model import WorkerId
from poller.observers import fan_out
from poller.observers.health import Health
from poller.observers.log import Log
from poller.observers.logging_setup import configure_logging
from poller.observers.loop_lag import watch_loop_lag
from poller.observers.metrics import Metrics
from poller.ports import Clock, Destination, Observer, Source, Store, Target
from poller.rules.leasing import LeaseTimes

# Import strings, so that what a configuration does not use is not loaded.
STORES = {"memory": "poller.stores.memory:MemoryStore", "sqlite": "poller.stores.sqlite:SqliteStore"}
SOURCES = {
    SourceKind.KINESIS_STREAM: "poller.sources.kinesis:KinesisSource",
    SourceKind.KINESIS_CONSUMER: "poller.sources.kinesis_fanout:FanoutSource",
    SourceKind.DYNAMODB_STREAM: "poller.sources.dynamodb:DynamoDBSource",
}
PYTHON, HTTP = "poller.targets.python", "poller.targets.http"
LAMBDA = "poller.targets.lambda_function:LambdaTarget"
DESTINATIONS = {
    DestinationKind.SQS: "poller.destinations.sqs:SqsDestination",
    DestinationKind.SNS: "poller.destinations.sns:SnsDestination",
    DestinationKind.S3: "poller.destinations.s3:S3Destination",
    DestinationKind.FILE: "poller.destinations.file:FileDestination",
    DestinationKind.HTTP: "poller.destinations.http:HttpDestination",
}

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
    log = Log(configure_logging(stream=sys.stderr, level=level), SystemClock())

    async def run() -> None:
        stop = anyio.Event()
        async with stopped_by_signals(stop):
            await run_worker(settings, stop=stop, observers=(log,))

    anyio.run(run)
    return 0


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
    clock, random = SystemClock(), SystemRandom()
    metrics, health = Metrics(clock, version=__version__), Health(clock)
    observer = fan_out(metrics, health, *observers)
    # Unique per process: two processes with one id must never take each other's leases for their own.
    owner = WorkerId(f"{settings.worker.id}/{secrets.token_hex(4)}")
    async with AsyncExitStack() as opened:
        aws = await opened.enter_async_context(aclosing(open_aws(settings.aws)))
        mappings = [mapping for mapping in settings.mappings if mapping.enabled]
        targets = [wrap_target(mapping, open_target(mapping, settings, aws)) for mapping in mappings]
        destinations = [open_destination(mapping, aws) for mapping in mappings]
        for plug in (*targets, *(each for each in destinations if each is not None)):
            await opened.enter_async_context(aclosing(plug))
        store = await opened.enter_async_context(aclosing(open_store(settings.store_url, clock)))
        identity = await invoke_identity_arn(aws) if _may_ask_who(settings.aws) else ""
        if settings.server is not None:
            server = status_server(settings.server.host, settings.server.port, metrics=metrics, health=health)
            await opened.enter_async_context(server)
        supervisors = [
            Supervisor(
                mapping=mapping,
                source=open_source(mapping, aws, observer, clock, random, identity),
                target=target,
                destination=destination,
                function_arn=mapping.function_name,
                store=store,
                owner=owner,
                observer=observer,
                clock=clock,
                random=random,
                times=LeaseTimes(),
            )
            for mapping, target, destination in zip(mappings, targets, destinations, strict=True)
        ]
        worker = Worker(
            owner=owner,
            supervisors=supervisors,
            observer=observer,
            drain_seconds=settings.worker.drain_timeout_seconds,
        )

        def report_lag(seconds: float) -> None:
            metrics.loop_lag(seconds)
            health.tick(seconds)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_loop_lag, report_lag)
            for mapping in settings.mappings:
                if not mapping.enabled:
                    tasks.start_soon(StatusKeeper(mapping, store, observer, clock).rest)
            await worker.run(stop)
            tasks.cancel_scope.cancel()


def open_aws(settings: AwsSettings) -> Aws:
    return Aws(region=settings.region, endpoint_url=settings.endpoint_url, endpoint_urls=settings.endpoint_urls)


def open_store(url: str, clock: Clock) -> Store:
    """The store of a checked ``url``: ``memory:`` or ``sqlite:///path``. Raises `ConfigError` if it cannot be used."""
    kind, _, path = url.partition(":")
    store: Store = _load(STORES[kind])(*([Path(path.removeprefix("///"))] if path else []), clock)
    return store


def open_source(
    mapping: EventSourceMapping, aws: Aws, observer: Observer, clock: Clock, random: Random, identity: str = ""
) -> Source:
    """The stream of a checked mapping; ``identity`` is the role that events name."""
    kind = source_kind(mapping.source_arn)
    assert kind is not None, "a checked mapping has a stream"
    source: Source = _load(SOURCES[kind])(
        aws,
        arn=mapping.source_arn,
        mapping=mapping.name,
        observer=observer,
        clock=clock,
        random=random,
        invoke_identity_arn=identity,
        deaggregate=mapping.deaggregate,
    )
    return source


def open_target(mapping: EventSourceMapping, settings: Settings, aws: Aws) -> Target:
    """A [functions.*] entry if there is one of that name, else the Lambda function. Raises `ConfigError`."""
    function = settings.functions.get(mapping.function_name)
    target: Target
    if function is None:
        target = _load(LAMBDA)(aws, function_name=mapping.function_name)
    elif function.handler is not None:
        target = _python_target(mapping, function, function.handler, settings.path)
    else:
        target = _load(f"{HTTP}:HttpTarget")(function.url, timeout_seconds=function.timeout_seconds)
    return target


def open_destination(mapping: EventSourceMapping, aws: Aws) -> Destination | None:
    """Where failures of a checked mapping go; ``None`` if they go nowhere."""
    if mapping.destination is None:
        return None
    kind = destination_kind(mapping.destination)
    assert kind is not None, "a checked mapping has a destination of some kind"
    of_aws = () if kind in (DestinationKind.FILE, DestinationKind.HTTP) else (aws,)
    destination: Destination = _load(DESTINATIONS[kind])(*of_aws, mapping.destination)
    return destination


def _python_target(mapping: EventSourceMapping, function: FunctionSettings, handler: str, config: Path) -> Target:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        loaded = _load(f"{PYTHON}:load_handler")(handler)
    except ConfigError as error:
        problems = tuple(f"{config}: functions.{function.name}.handler: {problem}" for problem in error.problems)
        raise ConfigError(problems) from error
    _, partition, _, region, account, *_ = mapping.source_arn.split(":")
    target: Target = _load(f"{PYTHON}:PythonTarget")(
        loaded,
        function_name=function.name,
        function_arn=f"arn:{partition}:lambda:{region}:{account}:function:{function.name}",
        timeout_seconds=function.timeout_seconds,
    )
    return target


def _may_ask_who(settings: AwsSettings) -> bool:
    """Not where single services are emulated: their words for credentials are nothing for AWS itself."""
    return settings.endpoint_url is not None or "sts" in settings.endpoint_urls or not settings.endpoint_urls


def _load(import_string: str) -> Any:
    module, _, name = import_string.partition(":")
    return getattr(import_module(module), name)
