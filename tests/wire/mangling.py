"""Valid JSON that is no answer: this file takes away, or spoils, one member that a worker cannot do without."""

from __future__ import annotations

import json
from random import Random

_SPOILT = (None, 7, [])
"""What may stand in a member's place."""
_LISTS = ("Records", "Shards")
_ANY_VALUE = ("eventID", "eventName")


def without_a_member(operation: str, answer: str, random: Random) -> str:
    """``answer`` with one member missing or of a wrong type; of several equal ones (records, shards) it is any."""
    said = json.loads(answer)
    holder, name = random.choice(_members(operation, said, random))
    if random.random() < 0.5:
        holder.pop(name, None)
    elif name in _ANY_VALUE:
        holder[name] = None
    else:
        holder[name] = random.choice(_SPOILT[:2] if name in _LISTS else _SPOILT)
    return json.dumps(said)


def _members(operation: str, said: dict, random: Random) -> list[tuple[dict, str]]:
    match operation:
        case "GetShardIterator":
            return [(said, "ShardIterator")]
        case "ListShards":
            shard = random.choice(said["Shards"])
            return [(said, "Shards"), (shard, "ShardId"), (shard, "SequenceNumberRange")]
        case "DescribeStream":
            described = said["StreamDescription"]
            shard = random.choice(described["Shards"])
            return [(said, "StreamDescription"), (described, "Shards"), (shard, "ShardId")]
        case "DescribeStreamSummary":
            summary = said["StreamDescriptionSummary"]
            return [(said, "StreamDescriptionSummary"), (summary, "RetentionPeriodHours")]
        case _:
            return [(said, "Records"), *_of_record(said["Records"], random)]


def _of_record(records: list[dict], random: Random) -> list[tuple[dict, str]]:
    if not records:
        return []
    record = random.choice(records)
    if "dynamodb" not in record:
        return [(record, "SequenceNumber"), (record, "Data")]
    change = record["dynamodb"]
    return [(record, "dynamodb"), (record, "eventID"), (record, "eventName"), (change, "SequenceNumber")]
