"""Sample functions, written as for Lambda: this file knows nothing of poller, and yours need not either."""

from __future__ import annotations

import base64
import json
from typing import Any


def orders(event: dict[str, Any], context: Any) -> None:
    """Takes orders from a Kinesis stream; one poisoned order fails its whole batch, which bisect then divides."""
    for record in event["Records"]:
        order = json.loads(base64.b64decode(record["kinesis"]["data"]))
        if order.get("poison"):
            raise ValueError(f"cannot take {order.get('id')}")


async def items(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Takes changes of items from a DynamoDB stream, and names the first one that it cannot take."""
    for record in event["Records"]:
        change = record["dynamodb"]
        if "poison" in change.get("NewImage", {}):
            return {"batchItemFailures": [{"itemIdentifier": change["SequenceNumber"]}]}
    return {"batchItemFailures": []}


def stand_in(event: dict[str, Any], context: Any) -> None:
    """Takes everything; stands in for an AWS Lambda function, which the embedded endpoint does not run."""
