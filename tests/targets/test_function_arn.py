"""What a function is called, as failure documents and context objects name it (R-API-13, R-DEST-21, R-PORT-6)."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from poller.arns import lambda_arn
from poller.clock import SystemClock
from poller.config import AwsSettings, FunctionSettings, Settings, WorkerSettings
from poller.invocation import Succeeded
from poller.opening import function_arn, open_aws, open_target
from tests.builders import STREAM, invocation, mapping
from tests.http_endpoint import endpoint

REGION = "arn:aws:lambda:us-east-1:123456789012:function:"
ROLE = "arn:aws:iam::210987654321:role/poller"


@pytest.mark.parametrize(
    ("name", "arn"),
    [
        ("f", REGION + "f"),
        ("f:live", REGION + "f:live"),
        ("f:$LATEST", REGION + "f:$LATEST"),
        ("f:1", REGION + "f:1"),
        ("f:$LATEST.PUBLISHED", REGION + "f:$LATEST.PUBLISHED"),
        ("order-handler-1:live", REGION + "order-handler-1:live"),
        ("us-east-1:f", REGION + "us-east-1:f"),
        ("eu-west-1:function:f", "arn:aws:lambda:eu-west-1:123456789012:function:f"),
        ("function:f", REGION + "f"),
        ("function", REGION + "function"),
        ("a.b_c-d", REGION + "a.b_c-d"),
        ("123456789012", REGION + "123456789012"),
        ("000000000000:f", "arn:aws:lambda:us-east-1:000000000000:function:f"),
        ("000000000000:function:f", "arn:aws:lambda:us-east-1:000000000000:function:f"),
        ("000000000000:function:f:live", "arn:aws:lambda:us-east-1:000000000000:function:f:live"),
        ("eu-west-1:000000000000:function:f:1", "arn:aws:lambda:eu-west-1:000000000000:function:f:1"),
        ("us-gov-west-1:000000000000:function:f", "arn:aws:lambda:us-gov-west-1:000000000000:function:f"),
        ("arn:aws:lambda:f", REGION + "f"),
        (REGION + "f", REGION + "f"),
        (REGION + "f:prod", REGION + "f:prod"),
        (REGION + "f:$LATEST", REGION + "f:$LATEST"),
        ("arn:aws-cn:lambda:cn-north-1:000000000000:function:f:prod",) * 2,
        ("arn:aws-us-gov:lambda:us-gov-west-1:000000000000:function:f",) * 2,
        ("arn:aws-eusc:lambda:eusc-de-east-1:000000000000:function:f:1",) * 2,
    ],
)
def test_a_name_becomes_an_arn_with_its_qualifier_exactly_as_given(name, arn):
    """R-API-13."""
    assert lambda_arn(name, STREAM) == arn


def test_a_name_that_says_nothing_else_takes_all_of_its_surroundings():
    china = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders"
    arn = lambda_arn("f:live", china, region="cn-northwest-1", account="000000000000")
    assert arn == "arn:aws-cn:lambda:cn-northwest-1:000000000000:function:f:live"


def settings(region=None, functions=(), endpoint_url=None):
    return Settings(
        path=Path("poller.toml"),
        worker=WorkerSettings("w", 25.0),
        server=None,
        aws=AwsSettings(region, endpoint_url, {}),
        store_url="memory:",
        functions={each.name: each for each in functions},
        mappings=(),
    )


def calling(function_name):
    """A mapping of a stream in us-east-1, of account 123456789012."""
    return replace(mapping(), function_name=function_name)


@pytest.mark.parametrize(
    ("name", "region", "identity", "arn"),
    [
        ("f:live", None, "", "arn:aws:lambda:us-east-1:123456789012:function:f:live"),
        ("f:live", "eu-west-1", "", "arn:aws:lambda:eu-west-1:123456789012:function:f:live"),
        ("f:live", "eu-west-1", ROLE, "arn:aws:lambda:eu-west-1:210987654321:function:f:live"),
        ("f", None, "not an ARN", "arn:aws:lambda:us-east-1:123456789012:function:f"),
        ("000000000000:function:f:1", "eu-west-1", ROLE, "arn:aws:lambda:eu-west-1:000000000000:function:f:1"),
        ("arn:aws-cn:lambda:cn-north-1:000000000000:function:f:prod", "eu-west-1", ROLE, None),
    ],
)
def test_a_lambda_function_is_the_one_that_is_invoked(name, region, identity, arn):
    """R-DEST-21: with the qualifier that the mapping was made with."""
    assert function_arn(calling(name), settings(region), identity) == (arn or name)


@pytest.mark.parametrize("ways", [{"handler": "orders:handle", "url": None}, {"handler": None, "url": "http://x/"}])
def test_a_function_outside_lambda_is_named_as_one_beside_its_stream(ways):
    """R-PORT-6: the configured name, whatever role and region the worker has."""
    given = settings("eu-west-1", [FunctionSettings("handle-orders", **ways)])
    arn = "arn:aws:lambda:us-east-1:123456789012:function:handle-orders"
    assert function_arn(calling("handle-orders"), given, ROLE) == arn


def where_the_context_says(event, context):
    return context.invoked_function_arn


async def test_a_handler_is_told_the_arn_that_a_failure_document_would_name():
    """R-PORT-6."""
    function = FunctionSettings("handle-orders", f"{__name__}:where_the_context_says", None)
    given, made = settings(functions=[function]), calling("handle-orders")
    async with aclosing(open_aws(given.aws)) as aws, aclosing(open_target(made, given, aws, SystemClock())) as target:
        outcome = await target.invoke(invocation("id"))
    assert outcome == Succeeded(f'"{function_arn(made, given)}"'.encode())


@pytest.mark.parametrize(
    ("name", "region", "signed_for"),
    [
        ("f:live", None, "us-east-1"),
        ("f:live", "eu-west-1", "eu-west-1"),
        ("000000000000:function:f", "eu-west-1", "eu-west-1"),
        ("arn:aws:lambda:ap-south-1:000000000000:function:f:1", "eu-west-1", "ap-south-1"),
    ],
)
async def test_a_lambda_function_is_invoked_in_the_region_of_its_arn(name, region, signed_for, monkeypatch):
    """Lambda has mapping, stream and function in one region, so that of the stream counts unless another is set."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "sa-east-1")
    seen = []

    async def answer(request):
        seen.append(request.headers["Authorization"].split("/")[2])
        return web.Response(text="{}")

    async with endpoint(answer) as url:
        given = settings(region, endpoint_url=url[: -len("/orders")])
        async with (
            aclosing(open_aws(given.aws)) as aws,
            aclosing(open_target(calling(name), given, aws, SystemClock())) as target,
        ):
            assert await target.invoke(invocation("id")) == Succeeded(b"{}")
    assert seen == [signed_for] == [function_arn(calling(name), given).split(":")[3]]
