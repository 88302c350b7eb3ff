"""Lambda's refusals of a mapping, by the table: this file shows R-VAL-1 to R-VAL-10, 13 to 16, 18, 21, 30."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poller.arns import SourceKind, source_kind, source_name
from poller.mapping import PAYLOAD_BYTES_MAX, BatchPolicy, FailurePolicy, mapping_id
from poller.rules.admission import Request, already_exists, build, violations

NOW = 1_789_808_133.339
KINESIS = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
CONSUMER = f"{KINESIS}/consumer/fast:1700000000"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/items"
DYNAMODB = f"{TABLE}/stream/2026-01-01T00:00:00.000"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:failures"
GOOD = Request(event_source_arn=KINESIS, function_name="orders-handler", starting_position="TRIM_HORIZON")
AT = replace(GOOD, starting_position="AT_TIMESTAMP", starting_position_timestamp=NOW - 60)


def _smithy(value: str, member: str, constraint: str) -> str:
    return f"1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {constraint}"


REFUSED = [
    pytest.param(
        replace(GOOD, starting_position=None),
        "starting_position",
        _smithy("null", "startingPosition", "Member must not be null."),
        id="R-VAL-1 no position",
    ),
    pytest.param(
        replace(GOOD, starting_position="invalid"),
        "starting_position",
        _smithy(
            "'invalid'",
            "startingPosition",
            "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
        ),
        id="R-VAL-2 unknown position",
    ),
    pytest.param(
        replace(AT, event_source_arn=DYNAMODB),
        "starting_position",
        f"Unsupported starting position for arn type: {DYNAMODB}",
        id="R-VAL-3 AT_TIMESTAMP on DynamoDB",
    ),
    pytest.param(
        replace(AT, starting_position_timestamp=None),
        "starting_position_timestamp",
        "Need to specify a timestamp",
        id="R-VAL-4 no timestamp",
    ),
    pytest.param(
        replace(AT, starting_position="LATEST"),
        "starting_position_timestamp",
        "Timestamp only valid with StartingPosition AT_TIMESTAMP",
        id="R-VAL-5 timestamp with LATEST",
    ),
    pytest.param(
        replace(AT, starting_position="TRIM_HORIZON"),
        "starting_position_timestamp",
        "Timestamp only valid with StartingPosition AT_TIMESTAMP",
        id="R-VAL-5 timestamp with TRIM_HORIZON",
    ),
    pytest.param(
        replace(AT, starting_position_timestamp=1_789_811_731),
        "starting_position_timestamp",
        "Received Exception while reading from provided stream. The timestampInMillis parameter cannot be greater than "
        "the currentTimestampInMillis. timestampInMillis: 1789811731000, currentTimestampInMillis: 1789808133339",
        id="R-VAL-6 timestamp in the future",
    ),
    pytest.param(
        replace(GOOD, batch_size=10001),
        "batch_size",
        _smithy("'10001'", "batchSize", "Member must have value less than or equal to 10000"),
        id="R-VAL-7 batch size",
    ),
    pytest.param(
        replace(GOOD, maximum_batching_window_in_seconds=301),
        "maximum_batching_window_in_seconds",
        _smithy("'301'", "maximumBatchingWindowInSeconds", "Member must have value less than or equal to 300"),
        id="R-VAL-7 window",
    ),
    pytest.param(
        replace(GOOD, maximum_retry_attempts=10001),
        "maximum_retry_attempts",
        _smithy("'10001'", "maximumRetryAttempts", "Member must have value less than or equal to 10000"),
        id="R-VAL-7 retries",
    ),
    pytest.param(
        replace(GOOD, maximum_record_age_in_seconds=604801),
        "maximum_record_age_in_seconds",
        _smithy("'604801'", "maximumRecordAgeInSeconds", "Member must have value less than or equal to 604800"),
        id="R-VAL-7 record age",
    ),
    pytest.param(
        replace(GOOD, parallelization_factor=11),
        "parallelization_factor",
        _smithy("'11'", "parallelizationFactor", "Member must have value less than or equal to 10"),
        id="R-VAL-7 parallelization factor",
    ),
    pytest.param(
        replace(GOOD, tumbling_window_in_seconds=901),
        "tumbling_window_in_seconds",
        _smithy("'901'", "tumblingWindowInSeconds", "Member must have value less than or equal to 900"),
        id="R-VAL-7 tumbling window",
    ),
    pytest.param(
        replace(GOOD, parallelization_factor=2, tumbling_window_in_seconds=30),
        "parallelization_factor",
        "Parallelization factor must be equal to 1 when tumbling window period is configured",
        id="R-VAL-13 factor with windows, R-PAR-6",
    ),
    pytest.param(
        replace(GOOD, filter_patterns=('{"data":{"a":[1]}}',), tumbling_window_in_seconds=30),
        "filter_criteria",
        "Filter criteria are not supported when tumbling window period is configured",
        id="R-VAL-14 filters with windows, R-FILT-4",
    ),
    pytest.param(
        replace(GOOD, filter_patterns=("{}",) * 11),
        "filter_criteria",
        "1 validation error detected: there are 11 filters",
        id="R-VAL-12 too many filters",
    ),
    pytest.param(
        replace(GOOD, filter_patterns=("{}", "x" * 4097)),
        "filter_criteria",
        _smithy(
            f"'{'x' * 40}...'",
            "filterCriteria.filters.2.member.pattern",
            "Member must have length less than or equal to 4096",
        ),
        id="a pattern that is too long",
    ),
    pytest.param(
        replace(GOOD, on_success_destination=QUEUE),
        "destination_config",
        "OnSuccess configuration is not supported for event source mappings.",
        id="R-VAL-15 on success",
    ),
    pytest.param(
        replace(GOOD, on_failure_destination=f"{QUEUE}.fifo"),
        "destination_config",
        f"'{QUEUE}.fifo' is no destination for failures",
        id="R-VAL-16 FIFO queue",
    ),
    pytest.param(
        replace(GOOD, on_failure_destination=f"file:///{'a' * 350}"),
        "destination_config",
        _smithy(f"'file:///{'a' * 350}'", "destinationConfig", "Member must have length less than or equal to 350"),
        id="destination too long",
    ),
    pytest.param(
        replace(GOOD, event_source_arn=DYNAMODB, deaggregate=True),
        "deaggregate",
        "there are no aggregates in DynamoDB streams",
        id="aggregates of DynamoDB",
    ),
    pytest.param(
        replace(GOOD, batch_size=0),
        "batch_size",
        _smithy("'0'", "batchSize", "Member must have value greater than or equal to 1"),
        id="R-VAL-8 batch size",
    ),
    pytest.param(
        replace(GOOD, maximum_batching_window_in_seconds=-1),
        "maximum_batching_window_in_seconds",
        _smithy("'-1'", "maximumBatchingWindowInSeconds", "Member must have value greater than or equal to 0"),
        id="R-VAL-8 window",
    ),
    pytest.param(
        replace(GOOD, maximum_retry_attempts=-2),
        "maximum_retry_attempts",
        _smithy("'-2'", "maximumRetryAttempts", "Member must have value greater than or equal to -1"),
        id="R-VAL-8 retries",
    ),
    *(
        pytest.param(
            replace(GOOD, maximum_record_age_in_seconds=age),
            "maximum_record_age_in_seconds",
            "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)",
            id=f"R-VAL-9 record age {age}",
        )
        for age in (0, 1, 59)
    ),
    pytest.param(
        replace(GOOD, function_response_types=("Bad",)),
        "function_response_types",
        _smithy(
            "'[Bad]'",
            "functionResponseTypes",
            "Member must satisfy constraint: [Member must satisfy enum value set: [ReportBatchItemFailures], "
            "Member must not be null]",
        ),
        id="R-VAL-10 unknown response type",
    ),
    pytest.param(
        replace(GOOD, function_response_types=("ReportBatchItemFailures",) * 2),
        "function_response_types",
        _smithy(
            "'[ReportBatchItemFailures, ReportBatchItemFailures]'",
            "functionResponseTypes",
            "Member must have length less than or equal to 1",
        ),
        id="two response types",
    ),
    *(
        pytest.param(replace(GOOD, event_source_arn=arn), "event_source_arn", "Unrecognized event source.", id=name)
        for name, arn in (
            ("R-VAL-18 no ARN", None),
            ("R-VAL-18 not an ARN", "orders"),
            ("R-VAL-18 a queue", "arn:aws:sqs:us-east-1:123456789012:orders"),
            ("R-VAL-18 a table", TABLE),
        )
    ),
    pytest.param(
        replace(GOOD, function_name=None),
        "function_name",
        _smithy("null", "functionName", "Member must not be null"),
        id="no function",
    ),
    pytest.param(
        replace(GOOD, function_name="f" * 257),
        "function_name",
        _smithy(f"'{'f' * 257}'", "functionName", "Member must have length less than or equal to 256"),
        id="long function name",
    ),
]


@pytest.mark.parametrize(("request_", "field", "text"), REFUSED)
def test_a_bad_field_is_refused_in_lambdas_words(request_: Request, field: str, text: str) -> None:
    assert [(each.field, each.text) for each in violations(request_, now=NOW)] == [(field, text)]


ACCEPTED = [
    pytest.param(GOOD, id="the least"),
    pytest.param(AT, id="a timestamp in the past"),
    pytest.param(replace(AT, starting_position_timestamp=NOW), id="a timestamp of now"),
    pytest.param(replace(GOOD, batch_size=101, maximum_batching_window_in_seconds=0), id="R-VAL-30 no window needed"),
    pytest.param(replace(GOOD, batch_size=1, maximum_batching_window_in_seconds=300), id="batch borders"),
    pytest.param(replace(GOOD, batch_size=10000, maximum_retry_attempts=10000), id="upper borders"),
    pytest.param(replace(GOOD, maximum_record_age_in_seconds=60, maximum_retry_attempts=0), id="lower borders"),
    pytest.param(replace(GOOD, maximum_record_age_in_seconds=604800), id="oldest age"),
    pytest.param(replace(GOOD, function_response_types=("ReportBatchItemFailures",)), id="item failures"),
    pytest.param(replace(GOOD, event_source_arn=DYNAMODB, starting_position="LATEST"), id="a DynamoDB stream"),
    pytest.param(replace(GOOD, event_source_arn=CONSUMER), id="a consumer, as far as Lambda goes"),
    pytest.param(replace(GOOD, function_name="f:alias"), id="a qualifier"),
    pytest.param(replace(GOOD, function_name="f:$LATEST"), id="the latest version"),
    pytest.param(replace(GOOD, function_name="123456789012:function:f"), id="a partial ARN"),
    pytest.param(replace(GOOD, function_name="arn:aws:lambda:eu-west-1:123456789012:function:f:1"), id="an ARN"),
]


@pytest.mark.parametrize("request_", ACCEPTED)
def test_what_lambda_accepts_is_accepted(request_: Request) -> None:
    assert violations(request_, now=NOW) == ()


@pytest.mark.parametrize("name", ["", "two words", "f:", "arn:aws:sqs:us-east-1:123456789012:q", "f:g:h"])
def test_a_function_name_of_another_form_is_refused(name: str) -> None:
    (found,) = violations(replace(GOOD, function_name=name), now=NOW)
    assert found.field == "function_name"
    assert "Member must satisfy regular expression pattern: " in found.text


def test_refusals_of_single_values_come_before_those_of_combinations() -> None:
    """R-VAL-31."""
    bad = replace(AT, starting_position="LATEST", batch_size=0, maximum_record_age_in_seconds=59)
    assert [each.field for each in violations(bad, now=NOW)] == [
        "batch_size",
        "maximum_record_age_in_seconds",
        "starting_position_timestamp",
    ]


def test_a_second_mapping_of_the_same_pair_is_refused_with_lambdas_blanks() -> None:
    """R-VAL-21."""
    assert already_exists(KINESIS, "f:1", mapping_id(KINESIS, "f:1")) == (
        f'The event source arn (" {KINESIS} ") and function (" f:1 ") provided mapping already exists. '
        f"Please update or delete the existing mapping with UUID {mapping_id(KINESIS, 'f:1')}"
    )


def test_the_qualifier_belongs_to_the_identity_and_the_label_does_not() -> None:
    """R-API-15."""
    assert mapping_id(KINESIS, "f") != mapping_id(KINESIS, "f:1")
    assert build(GOOD, name="a").id == build(replace(GOOD, batch_size=7), name="b").id


def test_minus_one_means_no_limit() -> None:
    built = build(GOOD, name="orders")
    assert built.failure == FailurePolicy(retries_max=None, age_seconds_max=None)
    assert built.batch == BatchPolicy(100, 0.0, PAYLOAD_BYTES_MAX)


def test_given_limits_are_kept() -> None:
    built = build(
        replace(
            AT,
            maximum_retry_attempts=0,
            maximum_record_age_in_seconds=60,
            bisect_batch_on_function_error=True,
            function_response_types=("ReportBatchItemFailures",),
            maximum_batching_window_in_seconds=5,
            enabled=False,
        ),
        name="orders",
    )
    assert built.failure == FailurePolicy(retries_max=0, age_seconds_max=60.0, bisect=True, report_item_failures=True)
    assert built.batch.window_seconds == 5.0
    assert built.starting_timestamp == NOW - 60
    assert not built.enabled


def test_an_arn_tells_what_it_names() -> None:
    assert source_kind(KINESIS) is SourceKind.KINESIS_STREAM
    assert source_kind(CONSUMER) is SourceKind.KINESIS_CONSUMER
    assert source_kind(TABLE) is SourceKind.DYNAMODB_TABLE
    assert source_kind(DYNAMODB) is SourceKind.DYNAMODB_STREAM
    assert source_kind(KINESIS + "\n") is None
    assert (source_name(KINESIS), source_name(CONSUMER), source_name(DYNAMODB)) == ("orders", "orders", "items")
