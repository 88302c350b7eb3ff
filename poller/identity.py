"""Who reads the streams, as events name it: this file asks AWS for the worker's own role (R-EVT-4)."""

from __future__ import annotations

import anyio

from poller.aws import Aws
from poller.aws_errors import translated
from poller.errors import SourceGone, Unavailable

_SECONDS_MAX = 5.0


async def invoke_identity_arn(aws: Aws) -> str:
    """The ARN of the role or user whose credentials are used, empty if AWS does not say in time."""
    with anyio.move_on_after(_SECONDS_MAX):
        try:
            client = await aws.client("sts", read_timeout_seconds=_SECONDS_MAX)
            with translated("ask for the identity"):
                answer = await client.get_caller_identity()
                return role_arn(str(answer["Arn"]))
        except (Unavailable, SourceGone):
            pass
    return ""


def role_arn(arn: str) -> str:
    """The role behind an assumed one: ``arn:aws:sts::1:assumed-role/poller/i-2`` is ``arn:aws:iam::1:role/poller``."""
    head, _, name = arn.partition(":assumed-role/")
    if not name:
        return arn
    partition, account = head.split(":")[1], head.split(":")[4]
    return f"arn:{partition}:iam::{account}:role/{name.split('/')[0]}"
