"""Lambda and SQS as they answer: this file is Invoke and SendMessage, over the simulated function and destination."""

from __future__ import annotations

import hashlib
import json
from asyncio import get_running_loop
from collections.abc import Callable

import anyio
from botocore.awsrequest import AWSPreparedRequest

from poller.invocation import FunctionFailed, Invocation, NotInvoked, Outcome, Succeeded
from poller.ports import Target
from tests.history import entries
from tests.history.log import History
from tests.simulation.faults import Faults
from tests.simulation.function import SimFunction
from tests.simulation.life import Life
from tests.wire.faults import PAGE
from tests.wire.session import Refused, Reply, Reset
from tests.wire.stream import content, packed

THROTTLE_REASONS = (
    "ReservedFunctionConcurrentInvocationLimitExceeded",
    "ReservedFunctionInvocationRateLimitExceeded",
    "ConcurrentInvocationLimitExceeded",
    "FunctionInvocationRateLimitExceeded",
    "CallerRateLimitExceeded",
    "ConcurrentSnapshotCreateLimitExceeded",
)

REFUSALS = (
    (500, "ServiceException"),
    (502, "EC2UnexpectedException"),
    (502, "KMSAccessDeniedException"),
    (403, "AccessDeniedException"),
    (404, "ResourceNotFoundException"),
    (409, "ResourceConflictException"),
    (424, "SnapStartTimeoutException"),
    (400, "SomethingNewException"),
)

ERRORS = (
    ("Unhandled", b'{"errorMessage":"it happens","errorType":"ValueError","stackTrace":[]}'),
    ("Handled", b'{"errorMessage":"it happens"}'),
    ("Unhandled", b'{"errorMessage":"2026-09-17T12:00:00.000Z c9b8fa9f Task timed out after 3.00 seconds"}'),
    ("Unhandled", b"RequestId: c9b8fa9f Error: Runtime exited with error: signal: killed Runtime.ExitError"),
    ("Unhandled", b""),
)

LATE = "it happens late"
"""How `SimFunction` says that it failed after its work."""


class WireFunction(SimFunction):
    """The function behind Lambda's front, as one worker reaches it; what it is given must be what was put.

    ``payload_bytes_max`` is a limit that single records always pass. ``lose_answers``: whether answers may be lost in
    a way that looks as if the function had not been reached, which uses up no retry.
    """

    def __init__(
        self,
        life: Life,
        faults: Faults,
        history: History,
        *,
        report: bool,
        poison: set[int],
        payload_bytes_max: int | None,
        lose_answers: bool,
        complain: Callable[[str], None],
    ) -> None:
        super().__init__(life, faults, history, report=report, poison=poison)
        self._payload_bytes_max = payload_bytes_max
        self._lose_answers = lose_answers
        self._complain = complain
        self._attempts = 0

    async def answer(self, request: AWSPreparedRequest) -> Reply:
        payload = bytes(request.body)
        event = json.loads(payload)
        records = event["Records"]
        if self._payload_bytes_max is not None and len(payload) > self._payload_bytes_max and len(records) > 1:
            self._faults.happened("payload too large", self._life.name)
            return _error(413, "RequestEntityTooLargeException")
        numbers = [self._checked(record, event) for record in records]
        if "kinesis" not in (records or [{"kinesis": None}])[0]:  # what the simulated function wants to know
            told = [{"kinesis": {"sequenceNumber": str(number)}} for number in numbers]
            payload = json.dumps({**event, "Records": told}).encode()
        self._attempts += 1  # a call brings no id of its own
        outcome = await self._invoked(f"{self._life.name}-{self._attempts}", payload, get_running_loop().time())
        match outcome:
            case Succeeded(answer):
                return _done(answer)
            case FunctionFailed(error):
                return await self._failed(late=error == LATE)
            case NotInvoked(_, retry_after_seconds):
                return self._refused(retry_after_seconds)
        raise AssertionError(outcome)

    def _refused(self, retry_after_seconds: float | None) -> Reply:
        kind = self._life.random.choice(["429", "429", "5xx", "page", "connection refused"])
        self._faults.seen[f"function {kind}"] += 1
        match kind:
            case "429":
                reply = _error(429, "TooManyRequestsException", Reason=self._life.random.choice(THROTTLE_REASONS))
                if retry_after_seconds is not None:
                    reply.headers["retry-after"] = f"{retry_after_seconds:.0f}"
                return reply
            case "5xx":
                return _error(*self._life.random.choice(REFUSALS))
            case "page":
                return Reply(self._life.random.choice([502, 503, 504]), PAGE, {"content-type": "text/html"})
        raise Refused

    async def _failed(self, *, late: bool) -> Reply:
        kind = "error"
        if late:
            losses = [*["answer reset"] * 3, "5xx after its work"] if self._lose_answers else []
            kind = self._life.random.choice(["error", "answer cut", "timed out", *losses])
        self._faults.seen[f"function {kind}"] += 1
        match kind:
            case "answer cut":
                said = b'{"batchItemFailures":[]}'
                return _done(said, said[: self._life.random.randrange(len(said))], cut=True)
            case "timed out":
                await self._life.waits(100.0)
            case "answer reset":
                raise Reset(self._life.random.choice(["", "closed"]))
            case "5xx after its work":
                return _error(500, "ServiceException")
        error, body = self._life.random.choice(ERRORS)
        reply = _done(body)
        reply.headers["x-amz-function-error"] = error
        return reply

    def _checked(self, record: dict, event: dict) -> int:
        """The number of a record that is whole: what it holds is what was put under it."""
        if "kinesis" in record:
            inner = record["kinesis"]
            number = int(inner["sequenceNumber"])
            whole = inner["data"] == packed(number)
            whole = whole and record["eventID"] == f"{self._history.shards.get(number)}:{number}"
            whole = whole and inner["partitionKey"] == self._history.keys[number]
        else:
            inner = record["dynamodb"]
            number = int(inner["SequenceNumber"])
            whole = inner["NewImage"]["said"] == {"S": content(number)}
            whole = whole and json.dumps(inner["Keys"], separators=(",", ":")) == self._history.keys.get(number)
        if not whole:
            self._complain(f"I1 a record that was never put so: {record}")
        return number


class CountedTarget:
    """A target, whose outcomes the world counts; see `poller.ports.Target`."""

    def __init__(self, target: Target, outcomes, life: Life) -> None:
        self._life = life
        self._target = target
        self._outcomes = outcomes

    async def invoke(self, invocation: Invocation) -> Outcome:
        outcome = await self._target.invoke(invocation)
        if not self._life.dead:  # a dead one can get no answer
            self._outcomes[type(outcome).__name__] += 1
        return outcome

    async def aclose(self) -> None:
        await self._target.aclose()


class WireQueue:
    """SQS, as one worker reaches it."""

    def __init__(self, life: Life, faults: Faults, history: History) -> None:
        self._life = life
        self._faults = faults
        self._history = history
        self._messages = 0

    async def answer(self, question: dict) -> Reply:
        await self._life.takes_time("destination slow")
        if self._faults.is_away("destination"):
            raise Refused
        if self._life.strikes("destination refused"):
            return self._refused()
        if self._life.strikes("receipt missing"):  # something in between has answered
            return self._life.random.choice([Reply(200, b"{}"), Reply(200, b""), Reply(200, PAGE)])
        document = json.loads(question["MessageBody"])
        batch = document.get("KinesisBatchInfo") or document["DDBStreamBatchInfo"]
        if "startSequenceNumber" in batch:
            first, last = int(batch["startSequenceNumber"]), int(batch["endSequenceNumber"])
            self._history.add(entries.Accepted(anyio.current_time(), batch["shardId"], first, last))
        await self._life.takes_time("destination slow")
        if self._life.strikes("connection reset"):
            raise Reset("")
        self._messages += 1
        digest = hashlib.md5(question["MessageBody"].encode(), usedforsecurity=False).hexdigest()
        receipt = {"MD5OfMessageBody": digest, "MessageId": f"{self._life.name}-{self._messages}"}
        return Reply(200, json.dumps(receipt).encode())

    def _refused(self) -> Reply:
        words = (
            (400, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue;Sender"),
            (403, "AccessDeniedException", ""),
            (400, "RequestThrottled", ""),
            (400, "KmsDisabled", ""),
            (500, "InternalFailure", ""),
        )
        status, code, old = self._life.random.choice(words)
        reply = Reply(status, json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": "no"}).encode())
        if old:
            reply.headers["x-amzn-query-error"] = old
        return reply


def _done(answer: bytes, sent: bytes | None = None, *, cut: bool = False) -> Reply:
    headers = {
        "content-type": "application/json",
        "content-length": str(len(answer)),
        "x-amzn-requestid": "c9b8fa9f-5a7f-4c1e-af9c-0c604cde93a5",
        "x-amz-executed-version": "$LATEST",
    }
    return Reply(200, answer if sent is None else sent, headers, cut)


def _error(status: int, code: str, **more: str) -> Reply:
    headers = {"content-type": "application/json", "x-amzn-errortype": code}
    return Reply(status, json.dumps({"Type": "User", "message": "no", **more}).encode(), headers)
