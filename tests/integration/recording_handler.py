"""A handler that writes what it did into a file: this file runs inside the worker's process, which tests kill."""

from __future__ import annotations

import base64
import json
import os
import time
from random import random

_LOG = os.open(os.environ["HANDLED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
_SECONDS = float(os.environ.get("HANDLER_SECONDS", "0"))
_FAILURES = float(os.environ.get("HANDLER_FAILURES", "0"))


def kinesis(event, context):
    """One line per record, all of a batch in one write; fails now and then before or after it."""
    lines = []
    for each in event["Records"]:
        done = json.loads(base64.b64decode(each["kinesis"]["data"]))
        lines.append({**done, "shard": each["eventID"].split(":")[0], "sequence": each["kinesis"]["sequenceNumber"]})
    _write(lines)


def dynamodb(event, context):
    lines = []
    for each in event["Records"]:
        change = each["dynamodb"]
        image = change.get("NewImage") or change["OldImage"]
        kind = each["eventName"]
        lines.append({"key": change["Keys"]["id"]["S"], "n": int(image["n"]["N"]), "kind": kind})
    _write(lines)


def _write(lines):
    if random() < _FAILURES:
        raise RuntimeError("it happens")
    os.write(_LOG, "".join(json.dumps(line) + "\n" for line in lines).encode())
    time.sleep(_SECONDS * random())  # done, but the worker does not know yet: a kill now repeats the batch
