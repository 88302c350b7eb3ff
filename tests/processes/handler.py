"""What the worker calls in these tests: this file tells the history what reaches a function, and fails now and then.

It runs inside the worker's process, which may die at any moment. Whatever it tells is one line in one write.
"""

from __future__ import annotations

import base64
import json
import os
import time
from random import Random

_FILE = os.open(os.environ["HISTORY_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
_LIFE = os.environ["HISTORY_LIFE"]
_FAILURES = float(os.environ.get("HANDLER_FAILURES", "0"))
_SECONDS = float(os.environ.get("HANDLER_SECONDS", "0"))
_POISON = int(os.environ.get("HANDLER_POISON", "0"))
_RANDOM = Random()


class Failed(Exception):
    """As functions do."""


def handle(event, context):
    """Works off a batch; fails before it, after it, or in its middle, and always at what is poison."""
    shard = event["Records"][0]["eventID"].split(":")[0]
    numbers = [_number(each["kinesis"]) for each in event["Records"]]
    now = time.time()
    _tell("Attempted", now, shard, numbers, request_id=context.aws_request_id, sent_at=now)
    kind = _RANDOM.choice(["before", "after", "middle", "middle"]) if _RANDOM.random() < _FAILURES else ""
    if kind == "before" or any(_is_poison(number) for number in numbers):
        raise Failed(kind or "poison")
    time.sleep(_SECONDS * _RANDOM.random())
    done = numbers[: _RANDOM.randrange(len(numbers))] if kind == "middle" else numbers
    if done:
        _tell("Handled", time.time(), shard, done)
    time.sleep(_SECONDS * _RANDOM.random())  # done, but the worker does not know yet
    if kind == "after":
        raise Failed(kind)
    if done:
        _tell("Answered", time.time(), shard, done, request_id=context.aws_request_id)
    if done == numbers:
        return None
    return {"batchItemFailures": [{"itemIdentifier": str(numbers[len(done)])}]}


def _number(record) -> int:
    number = record["sequenceNumber"]
    assert base64.b64decode(record["data"]).decode() == f"content of {number}", "a record with another's content"
    return int(number)


def _is_poison(number: int) -> bool:
    return _POISON > 0 and number % _POISON == 0


def _tell(kind: str, at: float, shard: str, numbers: list[int], **more) -> None:
    told = {"kind": kind, "at": at, "shard": shard, "numbers": numbers, **more}
    if kind != "Handled":
        told["worker"] = _LIFE
    # A line that a kill cut off must not spoil the next one, hence the first line break.
    os.write(_FILE, f"\n{json.dumps(told)}\n".encode())
