"""One simulated world behind the real client: this file gives its workers the adapters of production.

The course of things is that of `tests.simulation.world`, and its checker is the same. Only the network is not real: it
ends in `tests.wire.session`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from poller.destinations.sqs import SqsDestination
from poller.mapping import EventSourceMapping
from poller.ports import Destination, Observer, Source, Store, Target
from poller.sources.dynamodb import DynamoDBSource
from poller.sources.kinesis import KinesisSource
from poller.targets.lambda_function import LambdaTarget
from tests.simulation.faults import Faults
from tests.simulation.incarnation import Incarnation
from tests.simulation.life import Life
from tests.simulation.settings import NEVER, NOT_A_THIRD, Span, wanted
from tests.simulation.store import SimStore
from tests.simulation.stream import DYNAMODB, KINESIS, Kind
from tests.simulation.world import Result, World, run_to_the_end
from tests.wire.faults import CAPS
from tests.wire.function import CountedTarget, WireFunction, WireQueue
from tests.wire.line import WorkerLine
from tests.wire.manners import Manners
from tests.wire.services import DynamoDB, Kinesis, StreamService
from tests.wire.session import FUNCTION_TIMEOUT_SECONDS, LINE, REGION, clients
from tests.wire.store import OpenDatabase, WireStore, without_threads
from tests.wire.stream import ARNS, WireStream

MINUTES = Span(
    faulty_seconds=100.0,
    records_per_second=(0.3, 1.0, 2.5),
    chaos=(10.0, 40.0, NEVER),
    reshards=(20.0, 60.0, NEVER),
    outages=(60.0, NEVER, NEVER),
    retentions=(None, None, 60.0),
)
QUEUE = f"arn:aws:sqs:{REGION}:123456789012:failures"
DAY_SECONDS = 24 * 3600.0


class WireWorld(World):
    def __init__(self, seed: int, span: Span = MINUTES) -> None:
        super().__init__(seed, span)
        settings = self.settings
        settings.mapping = _of(settings.kind, settings.mapping)
        if settings.kind is DYNAMODB:
            settings.trim_seconds = self.random.choice([15.0, 60.0, NEVER])  # this service tells what it has trimmed
            limited = settings.mapping.failure
            if limited.retries_max is None and limited.age_seconds_max is None:
                settings.poison_rate = 0.0  # this retention is a day, and nothing else would end the retries
        self.faults = Faults(self.random, self.history, CAPS)
        self.stream = WireStream(
            self.history,
            kind=settings.kind,
            shards=settings.shards,
            page_records=settings.page_records,
            wants=wanted if settings.mapping.filter_patterns else (lambda key: True),
        )
        self.manners = Manners(self.checker.violations)
        self._page_shards = self.random.choice([1, 3, 100])
        self._payload_bytes_max = self.random.choice([None, None, 1500])
        self._service = self._open_service()
        self._stores: dict[str, WireStore] = {}

    def open_store(self) -> OpenDatabase:
        self.database = OpenDatabase(self.history)
        return self.database

    def store(self, life: Life) -> Store:
        worker, number = life.name.split("/")
        before = self._stores.get(f"{worker}/{int(number) - 1}")
        if before is not None:
            before.die()
        self._stores[life.name] = store = WireStore(self.database.path, life, self.history)
        return SimStore(store, life, self.faults, self.network)

    def source(self, life: Life, observer: Observer) -> Source:
        LINE.set(self._line(life))
        kind = KinesisSource if self.settings.kind is KINESIS else DynamoDBSource
        return kind(
            clients(),
            arn=self.settings.mapping.source_arn,
            mapping="m",
            observer=observer,
            clock=life.clock,
            random=life.random,
            invoke_identity_arn="arn:aws:iam::123456789012:role/poller",
        )

    def target(self, life: Life) -> Target:
        target = LambdaTarget(clients(), function_name="handler", region=REGION, clock=life.clock)
        target._invoke._client = "lambda", REGION, FUNCTION_TIMEOUT_SECONDS
        self.outcomes[life.name] = outcomes = Counter()
        return CountedTarget(target, outcomes, life)

    def destination(self, life: Life) -> Destination | None:
        return SqsDestination(clients(), QUEUE) if self.settings.with_destination else None

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            for store in self._stores.values():
                store.die()
            self.database.close()

    def _kill(self, victim: Incarnation) -> None:
        super()._kill(victim)
        self._stores[victim.life.name].die()

    def _line(self, life: Life) -> WorkerLine:
        failure = self.settings.mapping.failure
        function = WireFunction(
            life,
            self.faults,
            self.history,
            report=failure.report_item_failures,
            poison=self.poison,
            payload_bytes_max=self._payload_bytes_max,
            lose_answers=failure.retries_max is None,
            complain=self._complain,
        )
        return WorkerLine(
            life,
            self.faults,
            service=self._service,
            function=function,
            queue=WireQueue(life, self.faults, self.history),
            manners=self.manners,
            complain=self._complain,
        )

    def _open_service(self) -> StreamService:
        if self.settings.kind is DYNAMODB:
            return DynamoDB(self.stream, self.random, self._page_shards)
        retention_seconds = self.settings.retention_seconds or DAY_SECONDS
        return Kinesis(self.stream, self.random, self._page_shards, retention_seconds)

    def _complain(self, told: str) -> None:
        self.checker.violations.append(told)


def _of(kind: Kind, mapping: EventSourceMapping) -> EventSourceMapping:
    """The mapping in the words of its service."""
    patterns = mapping.filter_patterns
    if kind is DYNAMODB and patterns:
        unwanted = json.loads(NOT_A_THIRD)["partitionKey"]
        patterns = (json.dumps({"dynamodb": {"Keys": {"pk": {"S": unwanted}}}}),)
    return replace(mapping, source_arn=ARNS[kind], filter_patterns=patterns)


def run_seed(seed: int, span: Span = MINUTES) -> Result:
    """Runs one world to its end and judges it."""
    clients()
    with without_threads():
        return run_to_the_end(seed, WireWorld(seed, span))
