"""A record processor of one shard: this file speaks the MultiLangDaemon's protocol over its pipes, a line a message.

It does what amazon_kclpy 3.1.3 does, which cannot be installed without its own download of jars: a line is read whole
by json, and each record in it becomes an object with its time as a datetime. Data stays in base64 until somebody asks
for it, which the handler does not: it does nothing. The position is saved after each call of it.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import datetime


class Record:
    """``data`` is in base64, as it came; ``binary_data`` is what it says."""

    def __init__(self, message):
        self.sequence_number = message["sequenceNumber"]
        self.sub_sequence_number = message["subSequenceNumber"]
        self.timestamp_millis = int(message["approximateArrivalTimestamp"])
        self.approximate_arrival_timestamp = datetime.fromtimestamp(self.timestamp_millis / 1000)
        self.partition_key = message["partitionKey"]
        self.data = message["data"]

    @property
    def binary_data(self):
        return base64.b64decode(self.data)


def handler(records):
    return None


def decoded(message):
    """A record for a record's object; the others stay as they are."""
    return Record(message) if message["action"] == "record" else message


def run(lines, out):
    """Until the lines end."""

    def say(message):
        out.write(f"\n{json.dumps(message)}\n")
        out.flush()

    def checkpoint():
        """Up to the last record that was given."""
        say({"action": "checkpoint", "sequenceNumber": None, "subSequenceNumber": None})
        answer = json.loads(lines.readline(), object_hook=decoded)
        if answer.get("error") is not None:
            sys.stderr.write(f"no checkpoint: {answer['error']}\n")

    while line := lines.readline():
        message = json.loads(line, object_hook=decoded)
        match message["action"]:
            case "processRecords":
                handler(message["records"])
                checkpoint()
            case "shardEnded" | "shutdownRequested":
                checkpoint()
        say({"action": "status", "responseFor": message["action"]})


if __name__ == "__main__":
    run(sys.stdin, sys.stdout)
