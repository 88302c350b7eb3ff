"""The events that the peers over the SDK build, so that both do the same work."""

from __future__ import annotations

import base64
import json
from datetime import datetime

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:handler"
ROLE = "arn:aws:iam::123456789012:role/poller"


def kinesis_event(shard, raws):
    """Of records as the SDK gives them, with base64 and times as they came."""
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": raw["PartitionKey"],
                    "sequenceNumber": raw["SequenceNumber"],
                    "data": raw["Data"],
                    "approximateArrivalTimestamp": raw["ApproximateArrivalTimestamp"],
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"{shard}:{raw['SequenceNumber']}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": ROLE,
                "awsRegion": "us-east-1",
                "eventSourceARN": STREAM,
            }
            for raw in raws
        ]
    }


def dynamodb_event(raws):
    return {"Records": [{**raw, "eventSourceARN": TABLE} for raw in raws]}


def payloads(kind, shard, raws, batch):
    """The event of each batch of a page, as JSON."""
    for first in range(0, len(raws), batch):
        part = raws[first : first + batch]
        event = kinesis_event(shard, part) if kind == "kinesis" else dynamodb_event(part)
        yield json.dumps(event, default=_plain)


def _plain(value):
    """What of the SDK's types JSON has no form for."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(value)
