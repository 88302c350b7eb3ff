"""One worker's way to all services: this file is where requests and answers take time, break, and are mangled."""

from __future__ import annotations

import json
from asyncio import get_running_loop
from collections.abc import Callable

from botocore.awsrequest import AWSPreparedRequest

from tests.simulation.faults import Faults
from tests.simulation.life import Life
from tests.wire.faults import KEY_REFUSALS, NO_ACCESS, PAGE, THROTTLES
from tests.wire.function import WireFunction, WireQueue
from tests.wire.mangling import without_a_member
from tests.wire.manners import Manners
from tests.wire.services import Problem, StreamService
from tests.wire.session import REGION, Refused, Reply, Reset, TimedOut

_SERVICES = {"Kinesis_20131202": "kinesis", "DynamoDBStreams_20120810": "dynamodb", "AmazonSQS": "sqs"}
"""What requests say they are for, and what they must be signed for."""

_NO_ANSWER_SECONDS = 40.0
"""Longer than clients wait."""


class WorkerLine:
    """See `tests.wire.session.Line`."""

    def __init__(
        self,
        life: Life,
        faults: Faults,
        *,
        service: StreamService,
        function: WireFunction,
        queue: WireQueue,
        manners: Manners,
        complain: Callable[[str], None],
    ) -> None:
        self._life = life
        self._faults = faults
        self._service = service
        self._function = function
        self._queue = queue
        self._manners = manners
        self._complain = complain
        self._before: dict[str, str] = {}  # the answer that gave us an iterator or a token

    async def ask(self, request: AWSPreparedRequest) -> Reply:
        headers = request.headers
        target = _text(headers.get("X-Amz-Target", ""))
        if not target:
            self._check_signature(headers, "lambda")
            return await self._function.answer(request)
        name, _, operation = target.partition(".")
        service = _SERVICES[name]
        self._check_signature(headers, service)
        question = json.loads(request.body)
        if service == "sqs":
            return await self._queue.answer(question)
        return await self._stream_call(service, operation, question)

    def _check_signature(self, headers, service: str) -> None:
        signed = _text(headers.get("Authorization", ""))
        if f"/{REGION}/{service}/aws4_request" not in signed:
            self._complain(f"a call of {service} is signed so: {signed}")

    async def _stream_call(self, service: str, operation: str, question: dict) -> Reply:
        asked_at = get_running_loop().time()
        iterator = question.get("ShardIterator", "")
        shard = iterator.partition("/")[0] or question.get("ShardId", "")
        if "NextToken" not in question:  # the pages here are small, and many
            self._manners.asked(self._life.name, service, operation, shard, asked_at)
        if iterator:
            self._manners.read(self._life.name, service, iterator, asked_at)
        await self._there()
        refusal = self._refusal(service, operation, question)
        if refusal is not None:
            return refusal
        try:
            answer = self._service.answers[operation](question, self._life)
        except Problem as problem:
            return _error(problem.code, str(problem), problem.status)
        if iterator and self._service.idle_after:
            self._manners.nothing(iterator, self._service.idle_after, asked_at)
        await self._life.takes_time("slow call")
        return await self._back(operation, question, answer)

    async def _there(self) -> None:
        await self._life.takes_time("slow call")
        if self._faults.is_away("stream") or self._life.strikes("connection refused"):
            raise Refused
        if self._life.strikes("connect timed out"):
            await self._life.waits(5.0)
            raise TimedOut

    def _refusal(self, service: str, operation: str, question: dict) -> Reply | None:
        """What is answered instead of doing what was asked for."""
        strikes, pick = self._life.strikes, self._life.random.choice
        if strikes("throttled"):
            return _error(pick(THROTTLES[service]), "Rate exceeded")
        if strikes("unavailable"):
            return _error(*pick([("InternalFailure", "", 500), ("ServiceUnavailable", "", 503)]))
        if strikes("unknown code"):
            odd = [b"[]", b"null", b'"oops"', b'{"__type":7}', b'{"message":"oops"}']
            return pick([_error("SomethingNewException"), Reply(400, pick(odd))])
        if strikes("error page"):
            return Reply(pick([403, 404, 429, 502, 503, 504]), PAGE, {"content-type": "text/html"})
        if strikes("error without words"):
            return Reply(pick([400, 403, 500, 503]), b"")
        if strikes("no access"):
            return _error(*pick(NO_ACCESS))
        if operation == "GetRecords" and service == "kinesis" and strikes("key refused"):
            code = pick(KEY_REFUSALS)
            self._faults.seen[code] += 1
            return _error(code)
        if operation == "GetRecords" and strikes("iterator expired"):
            return _error("ExpiredIteratorException")
        if "NextToken" in question and strikes("iterator expired"):
            return _error("ExpiredNextTokenException")
        return None

    async def _back(self, operation: str, question: dict, answer: str) -> Reply:
        """The service has done it; what arrives of its answer is another matter."""
        strikes, pick = self._life.strikes, self._life.random.choice
        if strikes("connection reset"):
            raise Reset(pick(["", "closed"]))
        if strikes("read timed out"):
            await self._life.waits(_NO_ANSWER_SECONDS)
        if strikes("body cut"):
            body = answer[: self._life.random.randrange(1, len(answer))].encode()
            return Reply(200, body, cut=pick([True, False]))
        if strikes("body empty"):
            return Reply(200, b"")
        if strikes("page instead of an answer"):
            return Reply(200, PAGE, {"content-type": "text/html"})
        if strikes("member missing"):
            return Reply(200, without_a_member(operation, answer, self._life.random).encode())
        return Reply(200, self._perhaps_repeated(operation, question, answer).encode())

    def _perhaps_repeated(self, operation: str, question: dict, answer: str) -> str:
        """Now and then the answer is that of the request before: the one that gave what this one asks with.

        One of another reading could not be told from the right one by anybody.
        """
        before = self._before.get(str(question.get("ShardIterator") or question.get("NextToken") or ""))
        if before is not None and self._life.strikes("answer repeated"):
            return before
        for name in ("ShardIterator", "NextShardIterator", "NextToken"):
            _, found, rest = answer.partition(f'"{name}":"')
            if found:
                self._before[rest.partition('"')[0]] = answer
        return answer


def _error(code: str, message: str = "said so", status: int = 400) -> Reply:
    return Reply(status, json.dumps({"__type": f"com.amazonaws.kinesis.v20131202#{code}", "message": message}).encode())


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
