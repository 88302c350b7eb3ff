"""An event source mapping and its policies: this file is the one place that knows Lambda's limits."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from poller.model import MappingId

PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
"""Lambda's request cap, on the bytes sent (R-BATCH-6)."""

REPORT_ITEM_FAILURES = "ReportBatchItemFailures"

FILTERS_MAX = 10
"""Lambda takes five, and up to ten on request (R-FILT-1)."""

_NAMESPACE = uuid.UUID("6d0f6f2b-6f0c-5a5e-9c53-6b1d7c1b0f6e")
_POSITIONS = ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")
_UNRECOGNIZED = "Unrecognized event source."
_FUNCTION = re.compile(
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """When records become a batch (R-BATCH-2)."""

    batch_size: int = 100
    window_seconds: float = 0.0
    payload_bytes_max: int = PAYLOAD_BYTES_MAX


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """What to do with a failed batch; ``None`` means no limit (Lambda's -1)."""

    retries_max: int | None = None
    age_seconds_max: float | None = None
    bisect: bool = False
    report_item_failures: bool = False


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """One stream, one function, and how records get from one to the other.

    ``starting_position`` is Lambda's word; ``starting_timestamp`` (epoch seconds) belongs to ``AT_TIMESTAMP`` only.
    """

    id: MappingId
    name: str
    source_arn: str
    function_name: str
    starting_position: str
    starting_timestamp: float | None = None
    batch: BatchPolicy = field(default_factory=BatchPolicy)
    failure: FailurePolicy = field(default_factory=FailurePolicy)
    filter_patterns: tuple[str, ...] = ()
    enabled: bool = True


class SourceKind(StrEnum):
    """What an event source ARN names; a consumer and a table are recognised only to be refused with good advice."""

    KINESIS_STREAM = "kinesis stream"
    KINESIS_CONSUMER = "kinesis consumer"
    DYNAMODB_STREAM = "dynamodb stream"
    DYNAMODB_TABLE = "dynamodb table"


_KINESIS = r"arn:aws[a-z0-9-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}"
_TABLE = r"arn:aws[a-z0-9-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[a-zA-Z0-9_.-]{3,255}"
_SOURCES = {
    SourceKind.KINESIS_STREAM: re.compile(_KINESIS),
    SourceKind.KINESIS_CONSUMER: re.compile(_KINESIS + r"/consumer/[a-zA-Z0-9_.-]+:[0-9]+"),
    SourceKind.DYNAMODB_STREAM: re.compile(_TABLE + r"/stream/[^/\s]+"),
    SourceKind.DYNAMODB_TABLE: re.compile(_TABLE),
}


@dataclass(frozen=True, slots=True)
class Request:
    """The fields of a mapping as they were given, before any check; names and values are Lambda's, in snake_case.

    ``None`` is a field that was not given. ``starting_position_timestamp`` is epoch seconds; -1 means no limit.
    """

    event_source_arn: str | None = None
    function_name: str | None = None
    starting_position: str | None = None
    starting_position_timestamp: float | None = None
    batch_size: int = 100
    maximum_batching_window_in_seconds: int = 0
    maximum_record_age_in_seconds: int = -1
    maximum_retry_attempts: int = -1
    bisect_batch_on_function_error: bool = False
    function_response_types: tuple[str, ...] = ()
    filter_patterns: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Violation:
    """A refusal: the field in snake_case, Lambda's exact text, and what to do about it in our own words."""

    field: str
    text: str
    advice: str


def mapping_id(source_arn: str, function_name: str) -> MappingId:
    """The id of a mapping: a UUID that depends on stream and function with its qualifier alone (R-API-15)."""
    return MappingId(str(uuid.uuid5(_NAMESPACE, f"{source_arn}\n{function_name}")))


def source_kind(arn: str) -> SourceKind | None:
    """What ``arn`` names, or ``None`` if it is no ARN of a stream, consumer or table."""
    for kind, pattern in _SOURCES.items():
        if pattern.fullmatch(arn):
            return kind
    return None


def source_name(arn: str) -> str:
    """The name of the stream or table in ``arn``, which `source_kind` recognises."""
    return arn.split("/")[1]


def violations(request: Request, *, now: float) -> tuple[Violation, ...]:
    """Everything for which Lambda would refuse to create the mapping at ``now`` (epoch seconds); empty if nothing.

    Refusals of a single value come before those of a combination (R-VAL-31). A batch size above 10 without a
    window is fine for streams, whatever Lambda's reference says (R-VAL-30).
    """
    return (
        *_range_violations(request),
        *_word_violations(request),
        *_source_violations(request),
        *_age_violations(request),
        *_timestamp_violations(request, now),
        *_filter_violations(request),
    )


def build(request: Request, *, name: str) -> EventSourceMapping:
    """The mapping that a request without `violations` describes, labelled ``name``."""
    assert request.event_source_arn is not None
    assert request.function_name is not None
    assert request.starting_position is not None
    retries, age = request.maximum_retry_attempts, request.maximum_record_age_in_seconds
    return EventSourceMapping(
        id=mapping_id(request.event_source_arn, request.function_name),
        name=name,
        source_arn=request.event_source_arn,
        function_name=request.function_name,
        starting_position=request.starting_position,
        starting_timestamp=request.starting_position_timestamp,
        batch=BatchPolicy(
            batch_size=request.batch_size,
            window_seconds=float(request.maximum_batching_window_in_seconds),
        ),
        failure=FailurePolicy(
            retries_max=None if retries == -1 else retries,
            age_seconds_max=None if age == -1 else float(age),
            bisect=request.bisect_batch_on_function_error,
            report_item_failures=REPORT_ITEM_FAILURES in request.function_response_types,
        ),
        filter_patterns=request.filter_patterns,
        enabled=request.enabled,
    )


def already_exists(source_arn: str, function_name: str) -> str:
    """Lambda's text for a second mapping of the same stream and function; the blanks are Lambda's (R-VAL-21)."""
    return (
        f'The event source arn (" {source_arn} ") and function (" {function_name} ") provided mapping already exists. '
        f"Please update or delete the existing mapping with UUID {mapping_id(source_arn, function_name)}"
    )


def _range_violations(request: Request) -> Iterator[Violation]:
    """R-VAL-7 and R-VAL-8."""
    for name, value, low, high in (
        ("batch_size", request.batch_size, 1, 10_000),
        ("maximum_batching_window_in_seconds", request.maximum_batching_window_in_seconds, 0, 300),
        ("maximum_record_age_in_seconds", request.maximum_record_age_in_seconds, -1, 604_800),
        ("maximum_retry_attempts", request.maximum_retry_attempts, -1, 10_000),
    ):
        advice = f"give a whole number from {low} to {high}"
        if value < low:
            yield _refused(name, f"'{value}'", f"Member must have value greater than or equal to {low}", advice)
        elif value > high:
            yield _refused(name, f"'{value}'", f"Member must have value less than or equal to {high}", advice)


def _word_violations(request: Request) -> Iterator[Violation]:
    """R-VAL-2 and R-VAL-10, and the form of a function's name (the standard text, inferred)."""
    position, types, function = request.starting_position, request.function_response_types, request.function_name
    if position is not None and position not in _POSITIONS:
        words = f"Member must satisfy enum value set: [{', '.join(_POSITIONS)}]"
        yield _refused("starting_position", f"'{position}'", words, f"give one of {', '.join(_POSITIONS)}")
    given, advice = f"'[{', '.join(types)}]'", f'give ["{REPORT_ITEM_FAILURES}"] or []'
    if any(word != REPORT_ITEM_FAILURES for word in types):
        words = f"[Member must satisfy enum value set: [{REPORT_ITEM_FAILURES}], Member must not be null]"
        yield _refused("function_response_types", given, f"Member must satisfy constraint: {words}", advice)
    elif len(types) > 1:
        yield _refused("function_response_types", given, "Member must have length less than or equal to 1", advice)
    advice = "give the name of a [functions.*] entry, or a Lambda function's name or ARN"
    if function is None:
        yield _refused("function_name", "null", "Member must not be null", advice)
    elif not _FUNCTION.fullmatch(function):
        words = f"Member must satisfy regular expression pattern: {_FUNCTION.pattern}"
        yield _refused("function_name", f"'{function}'", words, advice)
    elif len(function) > 256:
        yield _refused("function_name", f"'{function}'", "Member must have length less than or equal to 256", advice)


def _source_violations(request: Request) -> Iterator[Violation]:
    """R-VAL-18, R-VAL-1 and R-VAL-3."""
    arn = request.event_source_arn
    kind = None if arn is None else source_kind(arn)
    if kind is None:
        yield Violation("event_source_arn", _UNRECOGNIZED, "give the ARN of a Kinesis stream or of a DynamoDB stream")
    elif kind is SourceKind.DYNAMODB_TABLE:
        advice = "this is a table: give the ARN of its stream, which describe-table shows as LatestStreamArn"
        yield Violation("event_source_arn", _UNRECOGNIZED, advice)
    if request.starting_position is None:
        advice = f"give one of {', '.join(_POSITIONS)}"
        yield _refused("starting_position", "null", "Member must not be null.", advice)
    if request.starting_position == "AT_TIMESTAMP" and kind is SourceKind.DYNAMODB_STREAM:
        text = f"Unsupported starting position for arn type: {arn}"
        yield Violation("starting_position", text, "DynamoDB streams start at TRIM_HORIZON or LATEST only")


def _age_violations(request: Request) -> Iterator[Violation]:
    """R-VAL-9; what lies outside of -1 to 604800 is refused by its range already."""
    if 0 <= request.maximum_record_age_in_seconds < 60:
        text = "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)"
        yield Violation("maximum_record_age_in_seconds", text, "give -1, or 60 to 604800 seconds")


def _timestamp_violations(request: Request, now: float) -> Iterator[Violation]:
    """R-VAL-4, R-VAL-5 and R-VAL-6; silent where the position itself is refused."""
    name, at = "starting_position_timestamp", request.starting_position_timestamp
    if request.starting_position in ("TRIM_HORIZON", "LATEST") and at is not None:
        text = "Timestamp only valid with StartingPosition AT_TIMESTAMP"
        yield Violation(name, text, 'leave it out, or set starting_position = "AT_TIMESTAMP"')
    if request.starting_position != "AT_TIMESTAMP" or _is_dynamodb(request.event_source_arn):
        return
    if at is None:
        yield Violation(name, "Need to specify a timestamp", "add it: a date and time with its zone, or epoch seconds")
    elif int(at * 1000) > int(now * 1000):
        text = (
            "Received Exception while reading from provided stream. The timestampInMillis parameter cannot be greater "
            f"than the currentTimestampInMillis. timestampInMillis: {int(at * 1000)}, "
            f"currentTimestampInMillis: {int(now * 1000)}"
        )
        yield Violation(name, text, "give a time in the past, or start at LATEST")


def _filter_violations(request: Request) -> Iterator[Violation]:
    """R-VAL-12; Lambda's text for it is not known. What a pattern may say is for `poller.rules.patterns`."""
    if len(request.filter_patterns) > FILTERS_MAX:
        text = f"1 validation error detected: there are {len(request.filter_patterns)} filters"
        yield Violation("filter_criteria", text, f"give at most {FILTERS_MAX}, or join some with $or")


def _is_dynamodb(arn: str | None) -> bool:
    return arn is not None and source_kind(arn) is SourceKind.DYNAMODB_STREAM


def _refused(field_name: str, value: str, constraint: str, advice: str) -> Violation:
    """A refusal in the standard form of AWS, which names members in camelCase and puts given values in quotes."""
    first, *rest = field_name.split("_")
    member = first + "".join(word.capitalize() for word in rest)
    text = f"1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {constraint}"
    return Violation(field_name, text, advice)
