"""The context object of an invocation: this file is Lambda's second argument, for handlers that run here."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CognitoIdentity:
    """Never filled in for a stream; there because handlers ask for it."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


@dataclass
class LambdaContext:
    """What Lambda's Python runtime passes beside the event, under the same names.

    ``deadline`` is of `time.monotonic`, so that the remaining time is right in every thread. Not frozen, since
    libraries hang things of their own on it.
    """

    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    deadline: float
    memory_limit_in_mb: str = "0"
    function_version: str = "$LATEST"
    client_context: object = None
    tenant_id: str | None = None
    identity: CognitoIdentity = field(default_factory=CognitoIdentity)

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        return f"[{self.function_version}]{self.aws_request_id.replace('-', '')}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the time-out; 0 after it."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))

    def log(self, message: str) -> None:
        print(message)
