"""What comes back from Lambda's Invoke, with the real client over a real socket (R-INV-1 to R-INV-4)."""

from __future__ import annotations

import json
from contextlib import aclosing

import pytest
from aiohttp import web

from poller.aws import Aws
from poller.invocation import FunctionFailed, Invocation, NotInvoked, PayloadTooLarge, Succeeded
from poller.targets import lambda_function
from poller.targets.lambda_function import LambdaTarget
from tests.http_endpoint import endpoint


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


async def invoke(answer, function_name="orders"):
    async def give(request):
        return answer if isinstance(answer, web.Response) else await answer(request)

    async with endpoint(give) as url, aclosing(Aws(region="us-east-1", endpoint_url=url[: -len("/orders")])) as aws:
        target = LambdaTarget(aws, function_name=function_name)
        return await target.invoke(Invocation("id", b'{"Records":[]}'))


def error(code, status, **more):
    body = json.dumps({"message": "said so", "Type": "User", **more})
    return web.Response(status=status, text=body, headers={"x-amzn-ErrorType": code})


async def test_the_function_is_invoked_synchronously_with_the_exact_bytes():
    seen = {}

    async def answer(request):
        seen.update(path=request.path, kind=request.headers["X-Amz-Invocation-Type"], body=await request.read())
        seen["region"] = request.headers["Authorization"].split("/")[2]
        return web.Response(text='{"batchItemFailures":[]}')

    arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders:live"
    assert await invoke(answer, arn) == Succeeded(b'{"batchItemFailures":[]}')
    assert seen["path"].endswith("/invocations")
    assert "function:orders:live" in seen["path"].replace("%3A", ":")
    assert (seen["kind"], seen["body"], seen["region"]) == ("RequestResponse", b'{"Records":[]}', "eu-west-1")


async def test_an_error_of_the_function_counts_and_is_told_in_its_words():
    body = json.dumps({"errorType": "ValueError", "errorMessage": "no such order"})
    outcome = await invoke(web.Response(text=body, headers={"X-Amz-Function-Error": "Unhandled"}))
    assert outcome == FunctionFailed("Unhandled: ValueError: no such order")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("TooManyRequestsException", 429, NotInvoked),
        ("ServiceException", 500, NotInvoked),
        ("EC2ThrottledException", 502, NotInvoked),
        ("ENILimitReachedException", 502, NotInvoked),
        ("KMSDisabledException", 502, NotInvoked),
        ("EFSIOException", 410, NotInvoked),
        ("SnapStartNotReadyException", 409, NotInvoked),
        ("ResourceConflictException", 409, NotInvoked),
        ("ResourceNotReadyException", 502, NotInvoked),
        ("ResourceNotFoundException", 404, NotInvoked),
        ("AccessDeniedException", 403, NotInvoked),
        ("InvalidRequestContentException", 400, NotInvoked),
        ("RecursiveInvocationException", 400, NotInvoked),
        ("SomethingNewException", 418, NotInvoked),
        ("RequestTooLargeException", 413, PayloadTooLarge),
        ("SerializedRequestEntityTooLargeException", 413, PayloadTooLarge),
    ],
)
async def test_what_did_not_reach_the_function_never_counts(code, status, kind):
    """R-INV-3."""
    outcome = await invoke(error(code, status))
    assert isinstance(outcome, kind), outcome
    assert code in outcome.error


async def test_a_throttle_names_the_seconds_to_wait():
    answer = error("TooManyRequestsException", 429)
    answer.headers["Retry-After"] = "3"
    outcome = await invoke(answer)
    assert isinstance(outcome, NotInvoked)
    assert outcome.retry_after_seconds == 3.0


async def test_no_answer_in_time_counts_since_the_function_may_have_run(monkeypatch):
    """R-INV-4."""
    monkeypatch.setattr(lambda_function, "READ_TIMEOUT_SECONDS", 0.2)

    async def answer(request):
        import anyio

        await anyio.sleep(30)

    assert isinstance(await invoke(answer), FunctionFailed)


async def test_a_refused_connection_does_not_count():
    async with aclosing(Aws(region="us-east-1", endpoint_url="http://127.0.0.1:1")) as aws:
        outcome = await LambdaTarget(aws, function_name="orders").invoke(Invocation("id", b"{}"))
    assert isinstance(outcome, NotInvoked)


async def test_missing_credentials_do_not_count(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    outcome = await invoke(web.Response(text="{}"))
    assert isinstance(outcome, NotInvoked)
    assert "AWS_ACCESS_KEY_ID" in outcome.error
