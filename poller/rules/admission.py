"""What Lambda would refuse of a mapping, in its own words: this file is the one place that knows its limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from poller.arns import DestinationKind, SourceKind, destination_kind, shown, source_kind
from poller.mapping import BatchPolicy, EventSourceMapping, FailurePolicy, mapping_id
from poller.model import MappingId

REPORT_ITEM_FAILURES = "ReportBatchItemFailures"

FILTERS_MAX = 10
"""Lambda takes five, and up to ten on request (R-FILT-1)."""

PATTERN_LENGTH_MAX = 4096

DESTINATION_LENGTH_MAX = 350

_POSITIONS = ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")
_UNRECOGNIZED = "Unrecognized event source."
_FUNCTION = re.compile(
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


@dataclass(frozen=True, slots=True)
class Request:
    """The fields of a mapping as they were given, before any check; names and values are Lambda's, in snake_case.

    ``None`` is a field that was not given. ``starting_position_timestamp`` is epoch seconds; -1 means no limit.
    ``deaggregate`` is not Lambda's: without it a consumer's records are de-aggregated and a stream's are not (R-KPL-1).
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
    parallelization_factor: int = 1
    tumbling_window_in_seconds: int = 0
    on_failure_destination: str | None = None
    on_success_destination: str | None = None
    deaggregate: bool | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Violation:
    """A refusal: the field in snake_case, Lambda's exact text, and what to do about it in our own words."""

    field: str
    text: str
    advice: str


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
        *_destination_violations(request),
        *_combination_violations(request),
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
        lanes=request.parallelization_factor,
        tumbling_window_seconds=request.tumbling_window_in_seconds,
        destination=request.on_failure_destination or None,
        deaggregate=_deaggregates(request),
        enabled=request.enabled,
    )


def _deaggregates(request: Request) -> bool:
    """As Lambda does by default: a consumer's records are, a stream's are not (R-KPL-1, R-KPL-2)."""
    if request.deaggregate is not None:
        return request.deaggregate
    return source_kind(request.event_source_arn or "") is SourceKind.KINESIS_CONSUMER


def already_exists(source_arn: str, function_name: str, first: MappingId) -> str:
    """Lambda's text for a second mapping of the same stream and function; the blanks are Lambda's (R-VAL-21).

    ``function_name`` is the name with its qualifier, ``first`` the mapping that there is.
    """
    return (
        f'The event source arn (" {source_arn} ") and function (" {function_name} ") provided mapping already exists. '
        f"Please update or delete the existing mapping with UUID {first}"
    )


def _range_violations(request: Request) -> Iterator[Violation]:
    """R-VAL-7 and R-VAL-8."""
    for name, value, low, high in (
        ("batch_size", request.batch_size, 1, 10_000),
        ("maximum_batching_window_in_seconds", request.maximum_batching_window_in_seconds, 0, 300),
        ("maximum_record_age_in_seconds", request.maximum_record_age_in_seconds, -1, 604_800),
        ("maximum_retry_attempts", request.maximum_retry_attempts, -1, 10_000),
        ("parallelization_factor", request.parallelization_factor, 1, 10),
        ("tumbling_window_in_seconds", request.tumbling_window_in_seconds, 0, 900),
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
    for number, pattern in enumerate(request.filter_patterns, start=1):
        if len(pattern) > PATTERN_LENGTH_MAX:
            text = (
                f"1 validation error detected: Value '{pattern[:40]}...' at 'filterCriteria.filters.{number}.member."
                f"pattern' failed to satisfy constraint: Member must have length less than or equal to "
                f"{PATTERN_LENGTH_MAX}"
            )
            yield Violation("filter_criteria", text, "write it without spaces, or split it into several filters")


def _destination_violations(request: Request) -> Iterator[Violation]:
    """R-VAL-15 and R-VAL-16; Lambda's text for the latter is not known."""
    name, destination = "destination_config", request.on_failure_destination
    if request.on_success_destination is not None:
        text = "OnSuccess configuration is not supported for event source mappings."
        yield Violation(name, text, "remove on_success")
    if not destination:  # empty is Lambda's way to say none (R-API-10)
        return
    if destination_kind(destination) is None:
        yield Violation(
            name, f"{shown(destination)!r} is no destination for failures", _destination_advice(destination)
        )
    elif destination_kind(destination) is not DestinationKind.HTTP and len(destination) > DESTINATION_LENGTH_MAX:
        words = f"Member must have length less than or equal to {DESTINATION_LENGTH_MAX}"
        yield _refused(name, f"'{destination}'", words, "give a shorter one")


def _destination_advice(destination: str) -> str:
    if destination.endswith(".fifo"):
        return "a queue or topic must be a standard one, not FIFO"
    if destination.startswith("kafka://"):
        return "Kafka topics are for mappings of Kafka only (R-DEST-1)"
    if destination.startswith("file:"):
        return "write file:///absolute/path.jsonl"
    return (
        "give the ARN of an SQS queue, an SNS topic or an S3 bucket (arn:aws:s3:::bucket), file:///path.jsonl, or a URL"
    )


def _combination_violations(request: Request) -> Iterator[Violation]:
    """R-VAL-13 and R-VAL-14, whose text is not known; and what is beyond Lambda."""
    if request.tumbling_window_in_seconds > 0 and request.parallelization_factor > 1:
        text = "Parallelization factor must be equal to 1 when tumbling window period is configured"
        yield Violation("parallelization_factor", text, "set it to 1, or leave tumbling_window_in_seconds out")
    if request.tumbling_window_in_seconds > 0 and request.filter_patterns:
        text = "Filter criteria are not supported when tumbling window period is configured"
        yield Violation("filter_criteria", text, "remove it, or leave tumbling_window_in_seconds out")
    if request.deaggregate and _is_dynamodb(request.event_source_arn):
        yield Violation("deaggregate", "there are no aggregates in DynamoDB streams", "remove it")


def _is_dynamodb(arn: str | None) -> bool:
    return arn is not None and source_kind(arn) is SourceKind.DYNAMODB_STREAM


def _refused(field_name: str, value: str, constraint: str, advice: str) -> Violation:
    """A refusal in the standard form of AWS, which names members in camelCase and puts given values in quotes."""
    first, *rest = field_name.split("_")
    member = first + "".join(word.capitalize() for word in rest)
    text = f"1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {constraint}"
    return Violation(field_name, text, advice)
