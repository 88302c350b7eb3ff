"""A mapping is shown as Lambda shows it, key by key and in the order of the wire."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from botocore.parsers import create_parser
from botocore.session import get_session

from poller.api.configuration import configuration
from poller.mapping import MappingStatus, State
from poller.rules.admission import Request, build, violations

RECORDED = """\
{"UUID":"9aa4595f-ae00-42a3-a7ea-ea643e9e0325","StartingPosition":"TRIM_HORIZON","BatchSize":100,
 "MaximumBatchingWindowInSeconds":0,"ParallelizationFactor":1,
 "EventSourceArn":"arn:aws:kinesis:us-east-1:000000000000:stream/s",
 "FunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:f","LastModified":1789808143.411,
 "LastProcessingResult":"No records processed","State":"Creating","StateTransitionReason":"User action",
 "DestinationConfig":{"OnFailure":{}},"MaximumRecordAgeInSeconds":-1,"BisectBatchOnFunctionError":false,
 "MaximumRetryAttempts":-1,"TumblingWindowInSeconds":0,"FunctionResponseTypes":[],
 "EventSourceMappingArn":
    "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:9aa4595f-ae00-42a3-a7ea-ea643e9e0325"}
"""
"""R-API-11, an answer to CreateEventSourceMapping with nothing but what must be given."""

UUID = json.loads(RECORDED)["UUID"]
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
LEAST = Request("arn:aws:kinesis:us-east-1:000000000000:stream/s", "f", "TRIM_HORIZON")


def shown(request=LEAST, function_arn=FUNCTION, **status):
    """The mapping of a good request, as text and back: what a client reads."""
    assert not violations(request, now=1.8e9)
    mapping = replace(build(request, name="label"), id=UUID)
    now = MappingStatus(mapping.id, status.pop("state", State.CREATING), changed_at=1789808143.4114, **status)
    return json.loads(json.dumps(configuration(mapping, now, function_arn=function_arn)))


def test_the_defaults_are_those_of_lambda_key_by_key_and_in_order():
    """R-API-6, R-API-7, R-API-11."""
    recorded = json.loads(RECORDED)
    assert list(shown()) == list(recorded)
    for key, value in recorded.items():
        assert (key, shown()[key], type(shown()[key])) == (key, value, type(value))


def test_every_setting_has_its_key():
    request = Request(
        event_source_arn="arn:aws:kinesis:us-east-1:000000000000:stream/s",
        function_name="f",
        starting_position="AT_TIMESTAMP",
        starting_position_timestamp=1573243620.0,
        batch_size=500,
        maximum_batching_window_in_seconds=5,
        maximum_record_age_in_seconds=3600,
        maximum_retry_attempts=0,
        bisect_batch_on_function_error=True,
        function_response_types=("ReportBatchItemFailures",),
        filter_patterns=('{"data":{"a":[1]}}', "{}"),
        parallelization_factor=10,
        on_failure_destination="arn:aws:sqs:us-east-1:000000000000:failures",
    )
    told = shown(request, state=State.ENABLED, result="PROBLEM: Function call failed")
    order = [*json.loads(RECORDED)]
    order.insert(2, "StartingPositionTimestamp")
    order.insert(order.index("FunctionArn"), "FilterCriteria")
    assert list(told) == order
    assert {key: value for key, value in told.items() if value != json.loads(RECORDED).get(key)} == {
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": 1573243620.0,
        "BatchSize": 500,
        "MaximumBatchingWindowInSeconds": 5,
        "ParallelizationFactor": 10,
        "FilterCriteria": {"Filters": [{"Pattern": '{"data":{"a":[1]}}'}, {"Pattern": "{}"}]},
        "LastProcessingResult": "PROBLEM: Function call failed",
        "State": "Enabled",
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:failures"}},
        "MaximumRecordAgeInSeconds": 3600,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 0,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }
    assert shown(replace(LEAST, tumbling_window_in_seconds=900))["TumblingWindowInSeconds"] == 900


@pytest.mark.parametrize("qualifier", ["", ":$LATEST", ":1", ":alias"])
def test_the_function_keeps_its_qualifier_and_the_mapping_has_the_functions_account(qualifier):
    """R-API-13."""
    function = f"arn:aws-cn:lambda:cn-north-1:111111111111:function:f{qualifier}"
    told = shown(function_arn=function)
    assert told["FunctionArn"] == function
    assert told["EventSourceMappingArn"] == f"arn:aws-cn:lambda:cn-north-1:111111111111:event-source-mapping:{UUID}"


def test_the_sdk_understands_every_key():
    """The SDK's own model of the API is the judge."""
    model = get_session().get_service_model("lambda")
    parser = create_parser(model.metadata["protocol"])
    told = shown(replace(LEAST, filter_patterns=("{}",)))
    answer = {"status_code": 200, "headers": {}, "body": json.dumps(told).encode()}
    parsed = parser.parse(answer, model.operation_model("GetEventSourceMapping").output_shape)
    assert set(parsed) - {"ResponseMetadata"} == set(told)
    assert parsed["LastModified"].timestamp() == pytest.approx(1789808143.411)
