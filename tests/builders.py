"""Values with defaults: this file is what lets a test name only what matters to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from poller.invocation import UNHANDLED, Chunk, Condition, FailureReport, Invocation
from poller.mapping import BatchPolicy, EventSourceMapping, FailurePolicy, mapping_id
from poller.model import SequenceNumber, ShardId
from poller.records import Record, RenderedRecord
from poller.rules.envelope import TAIL, render
from tests.virtual import EPOCH

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"


def record(number: int, *, key: str = "k", arrived_at: float = EPOCH, size: int = 0) -> Record:
    """A record whose body is a Kinesis event record of at least ``size`` bytes."""
    body = {"kinesis": {"sequenceNumber": str(number), "partitionKey": key, "data": "x" * size}}
    return RenderedRecord(SequenceNumber(str(number)), key, arrived_at, json.dumps(body).encode())


def records(*numbers: int, arrived_at: float = EPOCH) -> tuple[Record, ...]:
    return tuple(record(number, arrived_at=arrived_at) for number in numbers)


def chunk(*numbers: int, attempts: int = 0, refusals: int = 0, arrived_at: float = EPOCH) -> Chunk:
    return Chunk(records(*numbers, arrived_at=arrived_at), attempts, refusals)


def invocation(request_id: str, *events: object) -> Invocation:
    """Of records that are these values in JSON."""
    bodies = [json.dumps(event).encode() for event in events]
    batch = [RenderedRecord(SequenceNumber(str(number)), "k", EPOCH, body) for number, body in enumerate(bodies)]
    return Invocation(request_id, tuple(batch), TAIL)


def numbers(of: Sequence[Record]) -> list[int]:
    return [int(each.sequence_number) for each in of]


def mapping(
    *,
    name: str = "orders",
    function_name: str = "handler",
    starting_position: str = "TRIM_HORIZON",
    starting_timestamp: float | None = None,
    batch: BatchPolicy | None = None,
    failure: FailurePolicy | None = None,
    filter_patterns: tuple[str, ...] = (),
    lanes: int = 1,
    tumbling_window_seconds: int = 0,
    enabled: bool = True,
) -> EventSourceMapping:
    return EventSourceMapping(
        id=mapping_id(STREAM, function_name),
        name=name,
        source_arn=STREAM,
        function_name=function_name,
        starting_position=starting_position,
        starting_timestamp=starting_timestamp,
        batch=batch or BatchPolicy(),
        failure=failure or FailurePolicy(),
        filter_patterns=filter_patterns,
        lanes=lanes,
        tumbling_window_seconds=tumbling_window_seconds,
        enabled=enabled,
    )


def failure_report(**changes: Any) -> FailureReport:
    """Two records given up after one attempt that failed."""
    given_up = records(1, 2)
    report = FailureReport(
        id="8f14e45f-ceea-467f-9575-4d5a0cd4d3f1",
        mapping=mapping_id(STREAM, "handler"),
        source_arn=STREAM,
        function_arn="arn:aws:lambda:us-east-1:123456789012:function:handler",
        shard=ShardId("shardId-000000000000"),
        request_id="c9b8fa9f-5a7f-4c1e-af9c-0c604cde93a5",
        condition=Condition.RETRY_ATTEMPTS_EXHAUSTED,
        attempts=1,
        response=UNHANDLED,
        at=EPOCH + 2.5,
        records=given_up,
        payload=render(given_up),
    )
    return replace(report, **changes)
