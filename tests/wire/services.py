"""Kinesis and DynamoDB Streams as they answer: this file is their operations over a simulated stream."""

from __future__ import annotations

import json
from asyncio import get_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from poller.aws_errors import Expired, NotFound
from poller.errors import PositionLost, Unavailable
from poller.model import TRIM_HORIZON, Position, SequenceNumber, ShardId
from poller.sources.polling import Answer
from tests.simulation.life import Life
from tests.simulation.stream import SimShard, hash_range
from tests.virtual import EPOCH
from tests.wire.stream import ARNS, WireStream

NEXT_TOKEN_SECONDS = 300.0
Question = dict[str, object]


class Problem(Exception):
    """An error answer of a service."""

    def __init__(self, code: str, message: str = "said so", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class StreamService:
    """What both have in common; ``answers`` are the operations by name, each a function of question and asker.

    ``page_shards``: how many shards a page of a listing holds.
    """

    throttle = lost_at_reading = lost_at_seeking = ""

    def __init__(self, stream: WireStream, random: Random, page_shards: int) -> None:
        self._stream = stream
        self._random = random
        self._page_shards = page_shards
        self._arn = ARNS[stream.kind]
        self._seen: dict[tuple[str, float], dict[str, str]] = {}
        self.answers: dict[str, Callable[[Question, Life], str]] = {}
        self.idle_after = ""  # the iterator to go on with after an answer that there is nothing for now

    def _records(self, question: Question) -> tuple[str, Answer]:
        iterator = str(question["ShardIterator"])
        shard = iterator.partition("/")[0]
        self.idle_after = ""
        with self._refusing(self.lost_at_reading):
            answer = self._stream.records(ShardId(shard), iterator)
        if not answer.records and not answer.behind_seconds:
            self.idle_after = answer.iterator or ""
        return shard, answer

    def _iterator(self, question: Question, number: object) -> str:
        """``number`` is the one to start at or after."""
        shard = ShardId(str(question["ShardId"]))
        match question["ShardIteratorType"]:
            case "TRIM_HORIZON":
                position = TRIM_HORIZON
            case "LATEST":
                held = self._stream.shards[shard]
                position = Position.after(SequenceNumber(str(max([held.trimmed, *held.numbers]))))
            case "AT_TIMESTAMP":
                position = Position.at_timestamp(float(str(question["Timestamp"])))
            case "AFTER_SEQUENCE_NUMBER":
                position = Position.after(SequenceNumber(str(number)))
            case "AT_SEQUENCE_NUMBER":
                position = Position.after(SequenceNumber(str(int(str(number)) - 1)))
            case kind:
                raise Problem("ValidationException", f"no such type: {kind}")
        with self._refusing(self.lost_at_seeking):
            return f'{{"ShardIterator":"{self._stream.iterator(shard, position)}"}}'

    @contextmanager
    def _refusing(self, lost: str) -> Iterator[None]:
        """The words of the service for what a simulated stream cannot do."""
        try:
            yield
        except Expired as problem:
            raise Problem("ExpiredIteratorException") from problem
        except PositionLost as problem:
            raise Problem(lost) from problem
        except NotFound as problem:
            raise Problem("ResourceNotFoundException") from problem
        except Unavailable as problem:
            raise Problem(self.throttle, "Rate exceeded for shard") from problem

    def _listed(self, life: Life, after: str) -> tuple[list[str], str | None]:
        """A page of shards behind ``after``, and the last one of it if there are more.

        A listing may miss the youngest shards and not yet know of a closing, but is of one stream, and never forgets.
        """
        fresh = {shard.id: self._shard(shard) for shard in self._stream.shards.values()}
        asker = (life.name, self._stream.created_at)
        before = self._seen.get(asker)
        self._seen[asker] = fresh
        shards = before if before and life.strikes("listing lags") else fresh
        behind = [name for name in shards if name > after]
        page = behind[: self._page_shards]
        return [shards[name] for name in page], page[-1] if len(behind) > len(page) else None

    def _shard(self, shard: SimShard) -> str:
        raise NotImplementedError

    def _range(self, shard: SimShard) -> dict[str, str]:
        starts = str((shard.numbers or [self._stream.last])[0])
        ends = {"EndingSequenceNumber": str((shard.numbers or [shard.trimmed])[-1])} if shard.closed else {}
        return {"StartingSequenceNumber": starts, **ends}

    def _next_iterator(self, answer: Answer, life: Life) -> str:
        """Missing or null at the end, and now and then elsewhere too."""
        if answer.iterator is None or life.strikes("null iterator"):
            return self._random.choice(["", ',"NextShardIterator":null'])
        return f',"NextShardIterator":"{answer.iterator}"'


class Kinesis(StreamService):
    """Kinesis would go on from the oldest record, without a word, where this one refuses what is older.

    Nothing can tell such a gap (R-STATE-12); one that is refused must be told.
    """

    throttle = "ProvisionedThroughputExceededException"
    lost_at_reading = "ExpiredIteratorException"
    lost_at_seeking = "InvalidArgumentException"

    def __init__(self, stream: WireStream, random: Random, page_shards: int, retention_seconds: float) -> None:
        super().__init__(stream, random, page_shards)
        self._retention_hours = retention_seconds / 3600
        self.answers = {
            "ListShards": self._list_shards,
            "DescribeStreamSummary": self._describe,
            "GetShardIterator": self._get_iterator,
            "GetRecords": self._get_records,
        }

    def _list_shards(self, question: Question, life: Life) -> str:
        token, after, now = question.get("NextToken"), "", get_running_loop().time()
        if (token is None) is ("StreamARN" not in question):
            raise Problem("InvalidArgumentException", "NextToken and StreamARN cannot be provided together")
        if token is not None:
            created_at, after, issued_at = str(token).split("|")
            if now - float(issued_at) > NEXT_TOKEN_SECONDS or float(created_at) != self._stream.created_at:
                raise Problem("ExpiredNextTokenException")
        page, last = self._listed(life, after)
        following = "" if last is None else f',"NextToken":"{self._stream.created_at}|{last}|{now}"'
        return f'{{"Shards":[{",".join(page)}]{following}}}'

    def _describe(self, question: Question, life: Life) -> str:
        summary = {
            "StreamName": "orders",
            "StreamARN": self._arn,
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": self._retention_hours,
            "StreamCreationTimestamp": self._stream.created_at,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "OpenShardCount": len(self._stream.open_shards()),
        }
        return json.dumps({"StreamDescriptionSummary": summary})

    def _get_iterator(self, question: Question, life: Life) -> str:
        if ("StartingSequenceNumber" in question) is not str(question["ShardIteratorType"]).endswith("SEQUENCE_NUMBER"):
            raise Problem("InvalidArgumentException", "StartingSequenceNumber does not go with the type")
        return self._iterator(question, question.get("StartingSequenceNumber"))

    def _get_records(self, question: Question, life: Life) -> str:
        shard, answer = self._records(question)
        children = ""
        if answer.ended and shard in self._stream.shards:
            born = [self._child(each) for each in self._stream.children(self._stream.shards[shard])]
            children = f',"ChildShards":{json.dumps(born)}'
        texts = ",".join([record.raw for record in answer.records])  # type: ignore[attr-defined]
        behind = round((answer.behind_seconds or 0.0) * 1000)
        following = self._next_iterator(answer, life)
        return f'{{"Records":[{texts}],"MillisBehindLatest":{behind}{following}{children}}}'

    def _shard(self, shard: SimShard) -> str:
        parents = dict(zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False))
        hashes = hash_range(shard)
        return json.dumps(
            {"ShardId": shard.id, **parents, "HashKeyRange": hashes, "SequenceNumberRange": self._range(shard)}
        )

    def _child(self, shard: SimShard) -> dict[str, object]:
        return {"ShardId": shard.id, "ParentShards": list(shard.parents), "HashKeyRange": hash_range(shard)}


class DynamoDB(StreamService):
    throttle = "LimitExceededException"
    lost_at_reading = lost_at_seeking = "TrimmedDataAccessException"

    def __init__(self, stream: WireStream, random: Random, page_shards: int) -> None:
        super().__init__(stream, random, page_shards)
        self.answers = {
            "DescribeStream": self._describe,
            "GetShardIterator": self._get_iterator,
            "GetRecords": self._get_records,
        }

    def _describe(self, question: Question, life: Life) -> str:
        if question["StreamArn"] != self._arn:
            raise Problem("ResourceNotFoundException")
        page, last = self._listed(life, str(question.get("ExclusiveStartShardId", "")))
        following = "" if last is None else f',"LastEvaluatedShardId":"{last}"'
        return (
            f'{{"StreamDescription":{{"StreamArn":"{self._arn}","StreamLabel":"2026-09-17T12:00:00.000",'
            f'"StreamStatus":"ENABLED","StreamViewType":"NEW_IMAGE","CreationRequestDateTime":{EPOCH - 100.0},'
            f'"TableName":"orders","Shards":[{",".join(page)}]{following}}}}}'
        )

    def _get_iterator(self, question: Question, life: Life) -> str:
        return self._iterator(question, question.get("SequenceNumber"))

    def _get_records(self, question: Question, life: Life) -> str:
        _, answer = self._records(question)
        texts = ",".join([record.raw for record in answer.records])  # type: ignore[attr-defined]
        return f'{{"Records":[{texts}]{self._next_iterator(answer, life)}}}'

    def _shard(self, shard: SimShard) -> str:
        parent = {"ParentShardId": shard.parents[0]} if shard.parents else {}
        return json.dumps({"ShardId": shard.id, "SequenceNumberRange": self._range(shard), **parent})
