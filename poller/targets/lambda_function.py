"""An AWS Lambda function: this file is the synchronous Invoke and the meaning of its answers (R-INV-1 to R-INV-5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiobotocore.response import AioStreamingBody  # type: ignore[attr-defined]  # of which its stubs know nothing

from poller.aws import Aws
from poller.aws_errors import AWS_ERRORS, error_code, translate
from poller.errors import SourceGone, Unavailable
from poller.invocation import (
    UNHANDLED,
    FunctionFailed,
    Invocation,
    NotInvoked,
    Outcome,
    PayloadTooLarge,
    Response,
    Succeeded,
)
from poller.ports import Clock
from poller.repeating import RepeatedCall
from poller.rules.envelope import payload
from poller.targets.answers import PART_BYTES, Unreadable, in_short, read_answer, retry_after_seconds

READ_TIMEOUT_SECONDS = 905.0
MANAGED_READ_TIMEOUT_SECONDS = 5405.0
"""No function runs longer than 15 minutes, durable ones included, or 90 on Lambda Managed Instances (R-INV-7).

A function's own time-out is Lambda's to enforce; these only end the wait for an answer that will never come.
"""

_MANAGED = ":$LATEST.PUBLISHED"

_TOO_LARGE = frozenset({"RequestTooLargeException", "SerializedRequestEntityTooLargeException"})
_TIMED_OUT = "ReadTimeoutError"


class LambdaTarget:
    """Invokes the function that ``function_name`` names: a name, a partial ARN or an ARN, with or without a qualifier.

    ``region`` is the function's. See `poller.ports.Target`.
    """

    def __init__(self, aws: Aws, *, function_name: str, region: str, clock: Clock) -> None:
        self._function_name = function_name
        self._question = {"FunctionName": function_name, "InvocationType": "RequestResponse"}
        managed = function_name.endswith(_MANAGED)
        self._invoke = RepeatedCall(
            aws,
            "lambda",
            "Invoke",
            region=region,
            clock=clock,
            read_timeout_seconds=MANAGED_READ_TIMEOUT_SECONDS if managed else READ_TIMEOUT_SECONDS,
            streamed=True,
        )

    async def invoke(self, invocation: Invocation) -> Outcome:
        try:
            event = payload(invocation)
            response = await self._invoke.send(event)
            if response is None or response.status_code != 200:
                answer = await self._invoke.ask({**self._question, "Payload": event}, response)
                metadata, body = answer["ResponseMetadata"], answer["Payload"]
                status, headers = metadata["HTTPStatusCode"], metadata["HTTPHeaders"]
            else:
                status, headers = response.status_code, response.headers
                body = AioStreamingBody(response.raw, headers.get("content-length"))
        except (SourceGone, Unavailable) as problem:  # no client: no credentials, no region
            return NotInvoked(str(problem))
        except AWS_ERRORS as error:
            return _refusal(error, self._function_name)
        return await _outcome(status, headers, body)

    async def aclose(self) -> None:
        """Nothing to do: the client is the door's."""


async def _outcome(status: int, headers: Mapping[str, str], payload: Any) -> Outcome:
    """The function ran; whatever becomes of its ``payload``, which is still to be read, it was an attempt."""
    response = Response(
        status_code=status,
        executed_version=headers.get("x-amz-executed-version") or "$LATEST",
        function_error=headers.get("x-amz-function-error") or None,
        request_id=headers.get("x-amzn-requestid", ""),  # Lambda chooses it (R-INV-5)
    )
    try:
        async with payload as stream:
            body = await read_answer(stream.iter_chunks(PART_BYTES), headers.get("content-encoding", ""))
    except Unreadable as problem:
        kind = response.function_error or UNHANDLED.function_error
        return FunctionFailed(str(problem), replace(response, function_error=kind))
    if response.function_error is not None:
        return FunctionFailed(_error_text(response.function_error, body), response)
    return Succeeded(body, response)


def _refusal(error: Exception, function_name: str) -> Outcome:
    """What an exception says about the attempt; whatever is not known did not reach the function, and never counts."""
    problem = in_short(str(translate(error, f"invoke {function_name}")))
    response: dict[str, Any] = getattr(error, "response", None) or {}
    metadata = response.get("ResponseMetadata", {})
    if error_code(error) in _TOO_LARGE or metadata.get("HTTPStatusCode") == 413:
        return PayloadTooLarge(problem)
    if error_code(error) == _TIMED_OUT:  # it was asked and may have run (R-INV-4)
        return FunctionFailed(problem)
    return NotInvoked(problem, retry_after_seconds(metadata.get("HTTPHeaders", {})))


def _error_text(kind: str, body: bytes) -> str:
    """What the function said of its failure: ``Unhandled: ValueError: no such order``."""
    try:
        said = json.loads(body)
        parts = [said.get("errorType"), said.get("errorMessage")]
    except (ValueError, AttributeError, RecursionError):
        parts = [in_short(body)]
    return in_short(": ".join([kind, *(str(part) for part in parts if part)]))
