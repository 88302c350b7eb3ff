"""A mapping in the JSON of Lambda's API: this file is the one place that knows EventSourceMappingConfiguration."""

from __future__ import annotations

from poller.arns import shown
from poller.mapping import EventSourceMapping, MappingStatus
from poller.rules.admission import REPORT_ITEM_FAILURES

_NO_LIMIT = -1


def configuration(mapping: EventSourceMapping, status: MappingStatus, *, function_arn: str) -> dict[str, object]:
    """What Lambda answers when it is asked for a mapping, in the order of its wire (R-API-6, R-API-11).

    ``function_arn`` is whole, with the qualifier as it was given (R-API-13); the mapping belongs to its account.
    Moments are epoch seconds (R-API-7). A destination that Lambda does not have is shown as it is set, of a URL the
    host alone.
    """
    batch, failure = mapping.batch, mapping.failure
    since, filters = mapping.starting_timestamp, [{"Pattern": each} for each in mapping.filter_patterns]
    return {
        "UUID": mapping.id,
        "StartingPosition": mapping.starting_position,
        **({} if since is None else {"StartingPositionTimestamp": round(since, 3)}),
        "BatchSize": batch.batch_size,
        "MaximumBatchingWindowInSeconds": int(batch.window_seconds),
        "ParallelizationFactor": mapping.lanes,
        "EventSourceArn": mapping.source_arn,
        **({"FilterCriteria": {"Filters": filters}} if filters else {}),
        "FunctionArn": function_arn,
        "LastModified": round(status.changed_at, 3),
        "LastProcessingResult": status.result,
        "State": status.state.value,
        "StateTransitionReason": status.reason,
        "DestinationConfig": {"OnFailure": {"Destination": shown(mapping.destination)} if mapping.destination else {}},
        "MaximumRecordAgeInSeconds": _NO_LIMIT if failure.age_seconds_max is None else int(failure.age_seconds_max),
        "BisectBatchOnFunctionError": failure.bisect,
        "MaximumRetryAttempts": _NO_LIMIT if failure.retries_max is None else failure.retries_max,
        "TumblingWindowInSeconds": mapping.tumbling_window_seconds,
        "FunctionResponseTypes": [REPORT_ITEM_FAILURES] if failure.report_item_failures else [],
        "EventSourceMappingArn": _mapping_arn(function_arn, mapping.id),
    }


def _mapping_arn(function_arn: str, uuid: str) -> str:
    _, partition, _, region, account, *_ = function_arn.split(":")
    return f"arn:{partition}:lambda:{region}:{account}:event-source-mapping:{uuid}"
