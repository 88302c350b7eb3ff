"""The role that events name is the worker's own (R-EVT-4)."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from aiohttp import web

from poller.aws import Aws
from poller.identity import invoke_identity_arn, role_arn
from tests.http_endpoint import endpoint

ANSWER = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:sts::123456789012:assumed-role/poller/i-1</Arn><UserId>u</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.mark.parametrize(
    ("arn", "role"),
    [
        ("arn:aws:sts::123456789012:assumed-role/poller/session", "arn:aws:iam::123456789012:role/poller"),
        ("arn:aws-cn:sts::1:assumed-role/a-b/x", "arn:aws-cn:iam::1:role/a-b"),
        ("arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:user/ann"),
    ],
)
def test_an_assumed_role_is_named_by_the_role(arn, role):
    assert role_arn(arn) == role


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [(200, ANSWER, "arn:aws:iam::123456789012:role/poller"), (500, "out of order", ""), (200, "garbage", "")],
)
async def test_it_is_asked_of_aws_and_empty_where_aws_does_not_say(status, text, expected):
    async def answer(request):
        return web.Response(status=status, text=text, content_type="text/xml")

    async with endpoint(answer) as url, aclosing(Aws(region="us-east-1", endpoint_url=url[: -len("/orders")])) as aws:
        assert await invoke_identity_arn(aws) == expected
