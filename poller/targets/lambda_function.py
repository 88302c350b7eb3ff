"""An AWS Lambda function: this file is the synchronous Invoke and the meaning of its answers (R-INV-1 to R-INV-4)."""

from __future__ import annotations

import json
from typing import Any

from poller.aws import AWS_ERRORS, Aws, error_code, translate
from poller.errors import SourceGone, Unavailable
from poller.invocation import FunctionFailed, Invocation, NotInvoked, Outcome, PayloadTooLarge, Succeeded

READ_TIMEOUT_SECONDS = 905.0
"""No function runs longer than 15 minutes; its own time-out is Lambda's to enforce."""

_TOO_LARGE = frozenset({"RequestTooLargeException", "RequestEntityTooLargeException", "413"})
_TIMED_OUT = "ReadTimeoutError"


class LambdaTarget:
    """Invokes the function that ``function_name`` names: a name, a partial ARN or an ARN, with or without a qualifier.

    Runs in the region of the ARN, else in that of ``aws``. See `poller.ports.Target`.
    """

    def __init__(self, aws: Aws, *, function_name: str) -> None:
        self._aws = aws
        self._function_name = function_name
        parts = function_name.split(":")
        self._region = parts[3] if parts[0] == "arn" else None

    async def invoke(self, invocation: Invocation) -> Outcome:
        try:
            client = await self._aws.client("lambda", self._region, read_timeout_seconds=READ_TIMEOUT_SECONDS)
            answer = await client.invoke(
                FunctionName=self._function_name, InvocationType="RequestResponse", Payload=invocation.payload
            )
            body = bytes(await answer["Payload"].read())
            function_error = answer.get("FunctionError")
        except (SourceGone, Unavailable) as problem:  # no client: no credentials, no region
            return NotInvoked(str(problem))
        except AWS_ERRORS as error:
            return _refusal(error, self._function_name)
        return FunctionFailed(_error_text(str(function_error), body)) if function_error else Succeeded(body)

    async def aclose(self) -> None:
        """Nothing to do: the client is the door's."""


def _refusal(error: Exception, function_name: str) -> Outcome:
    """What an exception says about the attempt; whatever is not known did not reach the function, and never counts."""
    problem = str(translate(error, f"invoke {function_name}"))
    response: dict[str, Any] = getattr(error, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if error_code(error) in _TOO_LARGE or status == 413:
        return PayloadTooLarge(problem)
    if error_code(error) == _TIMED_OUT:  # it was asked and may have run (R-INV-4)
        return FunctionFailed(problem)
    return NotInvoked(problem, _seconds(response.get("retryAfterSeconds")))


def _seconds(value: object) -> float | None:
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        return None


def _error_text(kind: str, body: bytes) -> str:
    """What the function said of its failure: ``Unhandled: ValueError: no such order``."""
    try:
        said = json.loads(body)
        parts = [said.get("errorType"), said.get("errorMessage")]
    except (ValueError, AttributeError):
        parts = [body[:200].decode(errors="replace")]
    return ": ".join([kind, *(str(part) for part in parts if part)])
