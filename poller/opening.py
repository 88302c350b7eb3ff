"""From a checked configuration to plugs: this file is the only one that names concrete classes."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from poller.arns import DestinationKind, SourceKind, destination_kind, lambda_arn, source_kind
from poller.aws import Aws
from poller.config import AwsSettings, FunctionSettings, Settings, store_path
from poller.errors import ConfigError
from poller.mapping import EventSourceMapping
from poller.ports import Clock, Destination, Observer, Room, Source, Store, Target, all_room

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


def open_aws(settings: AwsSettings) -> Aws:
    return Aws(region=settings.region, endpoint_url=settings.endpoint_url, endpoint_urls=settings.endpoint_urls)


def open_store(url: str, clock: Clock, *, read_only: bool = False) -> Store:
    """The store of a checked ``url``: ``memory:`` or ``sqlite:///path``. Raises `ConfigError` if it cannot be used.

    ``read_only`` is for a look at a file, which changes nothing.
    """
    path = store_path(url)
    store: Store
    if path is None:
        store = _load(STORES["memory"])(clock)
    else:
        store = _load(STORES["sqlite"])(path, clock, read_only=read_only)
    return store


def open_source(
    mapping: EventSourceMapping,
    aws: Aws,
    observer: Observer,
    clock: Clock,
    random: Random,
    identity: str = "",
    room: Room = all_room,
) -> Source:
    """The stream of a checked mapping; ``identity`` is the role that events name, ``room`` how much it may answer."""
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
        room=room,
    )
    return source


def open_target(mapping: EventSourceMapping, settings: Settings, aws: Aws, clock: Clock) -> Target:
    """A [functions.*] entry if there is one of that name, else the Lambda function. Raises `ConfigError`."""
    function, arn = settings.functions.get(mapping.function_name), function_arn(mapping, settings)
    target: Target
    if function is None:
        target = _load(LAMBDA)(aws, function_name=mapping.function_name, region=arn.split(":")[3], clock=clock)
    elif function.handler is not None:
        target = _python_target(function, function.handler, arn, settings.path)
    else:
        target = _load(f"{HTTP}:HttpTarget")(function.url, timeout_seconds=function.timeout_seconds)
    return target


def function_arn(mapping: EventSourceMapping, settings: Settings, identity: str = "") -> str:
    """What a mapping's function is called in context objects and failure documents (R-DEST-21, R-PORT-6).

    What the mapping leaves open is the stream's; but a Lambda function runs in the region that is set, if one is, and
    in the account of ``identity``, which is the role that events name, if that is known.
    """
    if mapping.function_name in settings.functions:
        return lambda_arn(mapping.function_name, mapping.source_arn)
    account = "".join(identity.split(":")[4:5]) or None
    return lambda_arn(mapping.function_name, mapping.source_arn, region=settings.aws.region, account=account)


def open_destination(mapping: EventSourceMapping, aws: Aws) -> Destination | None:
    """Where failures of a checked mapping go; ``None`` if they go nowhere."""
    if mapping.destination is None:
        return None
    kind = destination_kind(mapping.destination)
    assert kind is not None, "a checked mapping has a destination of some kind"
    of_aws = () if kind in (DestinationKind.FILE, DestinationKind.HTTP) else (aws,)
    destination: Destination = _load(DESTINATIONS[kind])(*of_aws, mapping.destination)
    return destination


def _python_target(function: FunctionSettings, handler: str, arn: str, config: Path) -> Target:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        loaded = _load(f"{PYTHON}:load_handler")(handler)
    except ConfigError as error:
        problems = tuple(f"{config}: functions.{function.name}.handler: {problem}" for problem in error.problems)
        raise ConfigError(problems) from error
    target: Target = _load(f"{PYTHON}:PythonTarget")(
        loaded,
        function_name=function.name,
        function_arn=arn,
        timeout_seconds=function.timeout_seconds,
    )
    return target


def _load(import_string: str) -> Any:
    module, _, name = import_string.partition(":")
    return getattr(import_module(module), name)
