"""``python -m tests.processes.server``: this file is a Kinesis for tests that is fast, and may be killed at any moment.

It serves one stream over HTTP: what reads it, what writes it, what reshards it, and a place for failures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import anyio
from aiohttp import web

from poller.aws_errors import Expired, NotFound
from poller.errors import PositionLost, Unavailable
from poller.model import TRIM_HORIZON, Position, SequenceNumber, ShardId
from tests.history import entries
from tests.processes.stream import KeptStream, run_in_real_time
from tests.simulation.stream import SimShard, hash_range

ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
FAILURES = "/failures"
_MEDIA = "application/x-amz-json-1.1"

Question = dict[str, object]


class Problem(Exception):
    """An error answer; ``code`` is AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Kinesis:
    """The operations over a stream; each is a function of a question."""

    def __init__(self, stream: KeptStream) -> None:
        self._stream = stream
        self.answers: dict[str, Callable[[Question], dict[str, object]]] = {
            "ListShards": self._list_shards,
            "DescribeStreamSummary": self._describe,
            "GetShardIterator": self._get_iterator,
            "GetRecords": self._get_records,
            "PutRecord": self._put_record,
            "PutRecords": self._put_records,
            "SplitShard": self._split,
            "MergeShards": self._merge,
        }

    def answer(self, operation: str, question: Question) -> dict[str, object]:
        """Raises `Problem`. What happened is in the journal before the answer is out."""
        try:
            return self.answers[operation](question)
        except Expired as problem:
            raise Problem("ExpiredIteratorException", str(problem)) from problem
        except PositionLost as problem:
            raise Problem("InvalidArgumentException", str(problem)) from problem
        except (NotFound, KeyError) as problem:
            raise Problem("ResourceNotFoundException", str(problem)) from problem
        except Unavailable as problem:
            raise Problem("ProvisionedThroughputExceededException", "Rate exceeded for shard") from problem
        finally:
            self._stream.journal.write()

    def _list_shards(self, question: Question) -> dict[str, object]:
        return {"Shards": [self._shard(each) for each in self._stream.shards.values()]}

    def _describe(self, question: Question) -> dict[str, object]:
        summary = {
            "StreamName": "orders",
            "StreamARN": ARN,
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": self._stream.created_at,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "OpenShardCount": len(self._stream.open_shards()),
        }
        return {"StreamDescriptionSummary": summary}

    def _get_iterator(self, question: Question) -> dict[str, object]:
        shard = ShardId(str(question["ShardId"]))
        match question["ShardIteratorType"]:
            case "TRIM_HORIZON":
                position = TRIM_HORIZON
            case "AT_TIMESTAMP":
                position = Position.at_timestamp(float(str(question["Timestamp"])))
            case "AFTER_SEQUENCE_NUMBER":
                position = Position.after(SequenceNumber(str(question["StartingSequenceNumber"])))
            case kind:
                raise Problem("ValidationException", f"no such type here: {kind}")
        return {"ShardIterator": self._stream.iterator(shard, position)}

    def _get_records(self, question: Question) -> dict[str, object]:
        iterator = str(question["ShardIterator"])
        shard = self._stream.shards[iterator.partition("/")[0]]
        answer = self._stream.records(ShardId(shard.id), iterator)
        said: dict[str, object] = {
            "Records": [record.raw() for record in answer.records],  # type: ignore[attr-defined]
            "MillisBehindLatest": round((answer.behind_seconds or 0.0) * 1000),
        }
        if answer.iterator is not None:
            said["NextShardIterator"] = answer.iterator
        if answer.ended:
            said["ChildShards"] = [
                {"ShardId": each.id, "ParentShards": list(each.parents), "HashKeyRange": hash_range(each)}
                for each in self._stream.children(shard)
            ]
        return said

    def _put_record(self, question: Question) -> dict[str, object]:
        return self._put(str(question["PartitionKey"]))

    def _put_records(self, question: Question) -> dict[str, object]:
        records: list[dict[str, str]] = question["Records"]  # type: ignore[assignment]
        return {"FailedRecordCount": 0, "Records": [self._put(each["PartitionKey"]) for each in records]}

    def _put(self, key: str) -> dict[str, object]:
        """Keys are ``k-`` and a number; the data is not looked at, see `tests.processes.stream.content`."""
        number = self._stream.put(int(key.removeprefix("k-")))
        return {"SequenceNumber": str(number), "ShardId": "shardId-000000000000"}

    def _split(self, question: Question) -> dict[str, object]:
        self._stream.split(self._stream.shards[str(question["ShardToSplit"])])
        return {}

    def _merge(self, question: Question) -> dict[str, object]:
        self._stream.merge(self._stream.shards[str(question["ShardToMerge"])])
        return {}

    def _shard(self, shard: SimShard) -> dict[str, object]:
        numbers = {"StartingSequenceNumber": str((shard.numbers or [self._stream.last])[0])}
        if shard.closed:
            numbers["EndingSequenceNumber"] = str((shard.numbers or [shard.trimmed])[-1])
        parents = dict(zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False))
        return {"ShardId": shard.id, **parents, "HashKeyRange": hash_range(shard), "SequenceNumberRange": numbers}


class Server:
    """The stream over HTTP."""

    def __init__(self, stream: KeptStream) -> None:
        self._stream = stream
        self._kinesis = Kinesis(stream)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=64 * 2**20)
        application.router.add_post("/", self._call)
        application.router.add_post(FAILURES, self._accept)
        return application

    async def _call(self, request: web.Request) -> web.Response:
        operation = request.headers["X-Amz-Target"].partition(".")[2]
        try:
            answer = self._kinesis.answer(operation, json.loads(await request.read()))
        except Problem as problem:
            said = {"__type": problem.code, "message": str(problem)}
            return web.Response(status=400, body=json.dumps(said).encode(), content_type=_MEDIA)
        return web.Response(body=json.dumps(answer).encode(), content_type=_MEDIA)

    async def _accept(self, request: web.Request) -> web.Response:
        batch = json.loads(await request.read())["KinesisBatchInfo"]
        first, last = int(batch["startSequenceNumber"]), int(batch["endSequenceNumber"])
        self._stream.journal.add(entries.Accepted(anyio.current_time(), batch["shardId"], first, last))
        self._stream.journal.write()
        return web.Response(status=204)


async def serve(arguments: argparse.Namespace) -> None:
    stream = KeptStream(arguments.journal, shards=arguments.shards)
    runner = web.AppRunner(Server(stream).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", arguments.port, reuse_address=True).start()
    while True:
        await anyio.sleep(5)
        if arguments.retention:
            stream.grow_old(arguments.retention)
            stream.journal.write()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True, help="where all is kept that happens to the stream")
    parser.add_argument("--shards", type=int, default=2, help="how many a new stream has")
    parser.add_argument("--retention", type=float, default=0.0, help="seconds; what is older is trimmed")
    run_in_real_time(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
