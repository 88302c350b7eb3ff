"""What a destination is told of records that were given up: this file is Lambda's document and its place in a bucket.

Field by field in Lambda's order (R-DEST-20).
"""

from __future__ import annotations

import json

from poller.arns import SourceKind, source_kind
from poller.invocation import FailureReport, Response
from poller.model import Window
from poller.rules.timestamps import iso_milliseconds, iso_seconds

_VERSION = "1.0"


def failure_document(report: FailureReport, *, with_payload: bool) -> bytes:
    """The document as UTF-8 JSON; ``with_payload`` adds the whole event, as text within it (R-DEST-5)."""
    document: dict[str, object] = {"requestContext": _request(report)}
    if report.response is not None:
        document["responseContext"] = _response(report.response)
    document["version"] = _VERSION
    if with_payload:
        document["payload"] = report.payload.decode()
    document["timestamp"] = iso_milliseconds(report.at)
    dynamodb = source_kind(report.source_arn) is SourceKind.DYNAMODB_STREAM
    document["DDBStreamBatchInfo" if dynamodb else "KinesisBatchInfo"] = _batch(report, fraction=not dynamodb)
    window = report.window if report.closing is None else report.closing.window
    if window is not None:
        document["timeWindowInfo"] = _window(report, window)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def object_key(report: FailureReport) -> str:
    """Where a bucket keeps the document (R-DEST-6)."""
    second = iso_seconds(report.at)
    day = second.partition("T")[0].replace("-", "/")
    name = f"{second.removesuffix('Z').replace(':', '.')}-{report.id}"
    return f"aws/lambda/{report.mapping}/{report.shard}/{day}/{name}"


def _request(report: FailureReport) -> dict[str, object]:
    return {
        "requestId": report.request_id,
        "functionArn": report.function_arn,
        "condition": report.condition.value,
        "approximateInvokeCount": report.attempts,
    }


def _response(response: Response) -> dict[str, object]:
    return {
        "statusCode": response.status_code,
        "executedVersion": response.executed_version,
        "functionError": response.function_error,
    }


def _batch(report: FailureReport, *, fraction: bool) -> dict[str, object]:
    """Where the records are; of none there is only the shard to tell (R-DEST-27).

    ``fraction``: whether arrivals have milliseconds, which those of DynamoDB have not (R-DEST-25).
    """
    shard, stream = {"shardId": report.shard}, {"streamArn": report.source_arn}
    if not report.records:
        return {**shard, **stream}
    first, last = report.records[0], report.records[-1]
    iso = iso_milliseconds if fraction else iso_seconds
    return {
        **shard,
        "startSequenceNumber": first.sequence_number,
        "endSequenceNumber": last.sequence_number,
        "approximateArrivalOfFirstRecord": iso(first.arrived_at),
        "approximateArrivalOfLastRecord": iso(last.arrived_at),
        "batchSize": len(report.records),
        **stream,
    }


def _window(report: FailureReport, window: Window) -> dict[str, object]:
    """R-WIN-13; a window that is closed early gets its last call of that state with both flags (R-WIN-10)."""
    return {
        "window": {"start": iso_seconds(window.start), "end": iso_seconds(window.end)},
        "isFinalInvokeForWindow": report.closing is not None,
        "isWindowTerminatedEarly": report.closing is not None and report.closing.early,
    }
