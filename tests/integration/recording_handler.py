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


def windows(event, context):
    """Keeps in the state which records a window has; at its end, one line tells of them."""
    if random() < _FAILURES:
        raise RuntimeError("it happens")
    state = event["state"].get("records", [])
    if event["isFinalInvokeForWindow"]:
        _write([{"key": "window", "n": event["window"]["start"], "shard": event["shardId"], "records": state}])
        return {"state": {}}
    done = [json.loads(base64.b64decode(each["kinesis"]["data"])) for each in event["Records"]]
    time.sleep(_SECONDS * random())
    return {"state": {"records": [*state, *(f"{each['key']}/{each['n']}" for each in done)]}}


def poisoned(event, context):
    """Takes everything but what says that it is poison."""
    if any(json.loads(base64.b64decode(each["kinesis"]["data"])).get("poison") for each in event["Records"]):
        raise ValueError("poison")
    kinesis(event, context)


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
