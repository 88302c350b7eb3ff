"""What comes back from Lambda's Invoke, with the real client over a real socket (R-INV-1 to R-INV-5)."""

from __future__ import annotations

import gc
import gzip
import json
import os
import sys
import zlib
from contextlib import aclosing

import anyio
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import web
from botocore.session import Session

from poller.aws import Aws
from poller.clock import SystemClock
from poller.invocation import UNHANDLED, FunctionFailed, NotInvoked, PayloadTooLarge, Response, Succeeded
from poller.targets import lambda_function
from poller.targets.answers import ANSWER_BYTES_MAX, TOO_LARGE
from poller.targets.lambda_function import LambdaTarget
from tests.builders import invocation
from tests.http_endpoint import answering_and_working_on, breaking_off, endpoint, unreachable


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture(params=["the first call", "a later call"], autouse=True)
def calls(request, monkeypatch):
    """The first is the SDK's own; later ones repeat it, and must mean the same."""
    monkeypatch.setattr(sys.modules[__name__], "CALLS", 1 if request.param == "the first call" else 2)


CALLS = 1


async def invoke_at(url, function_name="orders", calls=1, **options):
    async with aclosing(Aws(endpoint_url=url[: -len("/orders")], **options)) as aws:
        target = LambdaTarget(aws, function_name=function_name, region="eu-west-1", clock=SystemClock())
        for _ in range(calls - 1):
            assert isinstance(await target.invoke(invocation("request-0")), Succeeded)
        return await target.invoke(invocation("request-1"))


async def invoke(answer, function_name="orders"):
    before = iter([web.json_response({}) for _ in range(CALLS - 1)])

    async def give(request):
        for earlier in before:
            return earlier
        return answer if isinstance(answer, web.Response) else await answer(request)

    async with endpoint(give) as url:
        return await invoke_at(url, function_name, CALLS)


async def invoke_each(answers):
    """The outcome of one invocation per answer, in order, all by one client: making it is what takes time."""
    left = iter(answers)

    async def give(request):
        return next(left)

    async with endpoint(give) as url, aclosing(Aws(endpoint_url=url[: -len("/orders")])) as aws:
        target = LambdaTarget(aws, function_name="orders", region="us-east-1", clock=SystemClock())
        return [await target.invoke(invocation("request-1")) for _ in answers]


def error(code, status, **headers):
    body = json.dumps({"Message": f"Lambda says no: {code}", "Type": "User"})
    return web.Response(status=status, text=body, headers={"x-amzn-ErrorType": code, **headers})


async def test_the_function_is_invoked_synchronously_with_the_exact_bytes():
    """R-PORT-10: what was measured is what is sent."""
    seen = {}

    async def answer(request):
        seen.update(path=request.path, kind=request.headers["X-Amz-Invocation-Type"], body=await request.read())
        seen["region"] = request.headers["Authorization"].split("/")[2]
        return web.Response(text='{"batchItemFailures":[]}')

    outcome = await invoke(answer, "arn:aws:lambda:eu-west-1:123456789012:function:orders:live")
    assert outcome == Succeeded(b'{"batchItemFailures":[]}')
    assert seen["path"].endswith("/invocations")
    assert "function:orders:live" in seen["path"].replace("%3A", ":")
    assert (seen["kind"], seen["body"], seen["region"]) == ("RequestResponse", b'{"Records":[]}', "eu-west-1")


async def test_an_answer_tells_the_version_that_ran_and_lambdas_own_request_id():
    """R-INV-5, R-DEST-23: the number behind an alias, and an id that a client of Invoke cannot choose."""
    headers = {"X-Amz-Executed-Version": "7", "x-amzn-RequestId": "c9b8fa9f"}
    outcome = await invoke(web.Response(text="{}", headers=headers), "orders:live")
    assert outcome == Succeeded(b"{}", Response(200, "7", None, "c9b8fa9f"))


@pytest.mark.parametrize("kind", ["Unhandled", "Handled"])
async def test_an_error_of_the_function_counts_and_is_told_in_its_words(kind):
    """R-INV-1, R-DEST-23."""
    body = json.dumps({"errorType": "ValueError", "errorMessage": "no such order"})
    headers = {"X-Amz-Function-Error": kind, "X-Amz-Executed-Version": "$LATEST", "x-amzn-RequestId": "c9b8fa9f"}
    outcome = await invoke(web.Response(text=body, headers=headers))
    assert outcome == FunctionFailed(f"{kind}: ValueError: no such order", Response(200, "$LATEST", kind, "c9b8fa9f"))


SAID = {
    b"": "Unhandled",
    b"null": "Unhandled: null",
    b"[]": "Unhandled: []",
    b"{}": "Unhandled",
    b'"gone"': 'Unhandled: "gone"',
    b'{"errorType":null,"errorMessage":{"a":1}}': "Unhandled: {'a': 1}",
    b"\xff\xfe": "Unhandled: \ufffd\ufffd",
    rb'{"errorMessage":"no \ud83d"}': r"Unhandled: no \ud83d",
    b"[" * 100_000: f"Unhandled: {'[' * 289}...",
    b'{"errorMessage":"' + b"x" * 1_000_000 + b'"}': f"Unhandled: {'x' * 289}...",
}


async def test_whatever_a_failed_function_says_can_be_told():
    answers = [web.Response(body=body, headers={"X-Amz-Function-Error": "Unhandled"}) for body in SAID]
    assert await invoke_each(answers) == [FunctionFailed(said, UNHANDLED) for said in SAID.values()]


async def test_any_answer_of_a_function_that_did_not_fail_is_handed_on():
    """R-PBR-3: what it means is not the target's to say."""
    bodies = [b"", b"null", b"{}", b'""', b"[", b"\xff"]
    assert await invoke_each([web.Response(body=body) for body in bodies]) == [Succeeded(body) for body in bodies]


DECLARED = {
    shape.name: shape.metadata["error"]["httpStatusCode"]
    for shape in Session().get_service_model("lambda").operation_model("Invoke").error_shapes
}
"""Every error that AWS's own model of Invoke knows, with its status."""

TOO_LARGE_ERRORS = {"RequestTooLargeException", "SerializedRequestEntityTooLargeException"}
NOT_INVOKED_ERRORS = {
    "CodeArtifactUserDeletedException",
    "CodeArtifactUserFailedException",
    "CodeArtifactUserPendingException",
    "DurableExecutionAlreadyStartedException",
    "EC2AccessDeniedException",
    "EC2ThrottledException",
    "EC2UnexpectedException",
    "EFSIOException",
    "EFSMountConnectivityException",
    "EFSMountFailureException",
    "EFSMountTimeoutException",
    "ENILimitReachedException",
    "ENINotReadyException",
    "InvalidParameterValueException",
    "InvalidRequestContentException",
    "InvalidRuntimeException",
    "InvalidSecurityGroupIDException",
    "InvalidSubnetIDException",
    "InvalidZipFileException",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "ModeNotSupportedException",
    "NoPublishedVersionException",
    "RecursiveInvocationException",
    "ResourceConflictException",
    "ResourceNotFoundException",
    "ResourceNotReadyException",
    "S3FilesMountConnectivityException",
    "S3FilesMountFailureException",
    "S3FilesMountTimeoutException",
    "ServiceException",
    "ServiceQuotaExceededException",
    "SnapStartException",
    "SnapStartNotReadyException",
    "SnapStartRegenerationFailureException",
    "SnapStartTimeoutException",
    "SubnetIPAddressLimitReachedException",
    "TooManyRequestsException",
    "UnsupportedMediaTypeException",
}


def test_every_error_that_lambda_declares_has_its_class_here():
    assert sorted(DECLARED) == sorted(NOT_INVOKED_ERRORS | TOO_LARGE_ERRORS)


async def test_an_error_that_lambda_declares_never_reached_the_function():
    """R-INV-3; only the size of the payload counts as an attempt (R-BATCH-7)."""
    outcomes = await invoke_each([error(code, status) for code, status in DECLARED.items()])
    for code, outcome in zip(DECLARED, outcomes, strict=True):
        assert isinstance(outcome, PayloadTooLarge if code in TOO_LARGE_ERRORS else NotInvoked), outcome
        assert f"{code}: Lambda says no" in outcome.error


async def test_a_payload_that_is_too_large_is_known_by_its_code_alone():
    outcomes = await invoke_each([error(code, 400) for code in TOO_LARGE_ERRORS])
    assert [type(outcome) for outcome in outcomes] == [PayloadTooLarge] * 2


UNDECLARED = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "InternalFailure": 500,
    "InvalidSignatureException": 403,
    "ServiceUnavailableException": 503,
    "SomethingNewException": 418,
    "ThrottlingException": 400,
    "UnrecognizedClientException": 403,
}


async def test_an_error_that_is_not_declared_never_counts():
    """R-INV-3."""
    outcomes = await invoke_each([error(code, status) for code, status in UNDECLARED.items()])
    for code, outcome in zip(UNDECLARED, outcomes, strict=True):
        assert isinstance(outcome, NotInvoked), outcome
        assert code in outcome.error


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>" * 1000, b"null", b"[]", b"\xff"])
async def test_an_error_of_something_in_between_never_counts(body):
    """R-INV-3: proxies and balancers have no codes."""
    statuses = [302, 400, 403, 404, 408, 429, 500, 502, 503, 504]
    for outcome in await invoke_each([web.Response(status=status, body=body) for status in statuses]):
        assert isinstance(outcome, NotInvoked), outcome
        assert len(outcome.error) < 400


async def test_a_payload_that_something_in_between_refuses_is_too_large():
    """R-INV-3."""
    for outcome in await invoke_each([web.Response(status=413, text=text) for text in ("", "<html>no</html>", "{}")]):
        assert isinstance(outcome, PayloadTooLarge), outcome


async def test_a_throttle_names_the_seconds_to_wait():
    """What botocore calls ``retryAfterSeconds`` is the header, which is there whatever the code is."""
    wishes = {"3": 3.0, "Wed, 21 Oct 2026 07:28:30 GMT": 30.0, "soon": None, "-1": None}
    for code in ("TooManyRequestsException", "ThrottlingException", ""):
        sent = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
        outcomes = await invoke_each([error(code, 429, **sent, **{"Retry-After": wish}) for wish in wishes])
        assert [outcome.retry_after_seconds for outcome in outcomes] == list(wishes.values())


async def test_a_throttle_without_a_wish_has_none():
    assert (await invoke(error("TooManyRequestsException", 429))).retry_after_seconds is None


# Connections


async def never(request):
    await anyio.sleep(30)


async def test_no_answer_in_time_counts_since_the_function_may_have_run(monkeypatch):
    """R-INV-4."""
    monkeypatch.setattr(lambda_function, "READ_TIMEOUT_SECONDS", 0.2)
    outcome = await invoke(never)
    assert isinstance(outcome, FunctionFailed)
    assert outcome.response == UNHANDLED
    assert "ReadTimeoutError" in outcome.error


async def test_a_connection_that_does_not_come_about_does_not_count():
    """R-INV-4."""

    class Impatient(AIOHTTPSession):
        def __init__(self, *args, timeout, **options):
            super().__init__(*args, timeout=(0.1, timeout[1]), **options)

    with unreachable() as url:
        outcome = await invoke_at(url, http_session_cls=Impatient)
    assert isinstance(outcome, NotInvoked)
    assert "ConnectTimeoutError" in outcome.error


async def test_a_refused_connection_does_not_count():
    """R-INV-3."""
    assert isinstance(await invoke_at("http://127.0.0.1:1/orders"), NotInvoked)


async def test_a_connection_that_is_cut_before_the_answer_does_not_count():
    """R-INV-3."""

    async def cut(request):
        await request.read()
        request.transport.abort()

    assert isinstance(await invoke(cut), NotInvoked)


async def test_what_goes_on_behind_the_answer_is_not_waited_for():
    """R-INV-8: as extensions of a function do."""
    with anyio.fail_after(10):
        assert await invoke(answering_and_working_on) == Succeeded(b"{}")


async def test_an_answer_that_breaks_off_counts_since_the_function_has_run():
    """R-INV-1: to deliver again without counting would be right only if the function had not been reached."""
    headers = {"X-Amz-Executed-Version": "7", "x-amzn-RequestId": "c9b8fa9f"}
    outcome = await invoke(breaking_off(after=b'{"batchItem', headers=headers))
    assert isinstance(outcome, FunctionFailed)
    assert "broke off" in outcome.error
    assert outcome.response == Response(200, "7", "Unhandled", "c9b8fa9f")


async def test_an_answer_that_stops_in_the_middle_counts(monkeypatch):
    monkeypatch.setattr(lambda_function, "READ_TIMEOUT_SECONDS", 0.2)

    async def stop(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await anyio.sleep(30)

    outcome = await invoke(stop)
    assert isinstance(outcome, FunctionFailed)
    assert outcome.error == "the answer did not end in time"


async def test_one_connection_serves_many_invocations():
    """And the SDK's own the first."""
    peers = set()

    async def answer(request):
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(text="{}")

    async with (
        endpoint(answer) as url,
        aclosing(Aws(endpoint_url=url[: -len("/orders")])) as aws,
    ):
        target = LambdaTarget(aws, function_name="orders", region="us-east-1", clock=SystemClock())
        for _ in range(3):
            assert await target.invoke(invocation("id")) == Succeeded(b"{}")
    assert len(peers) == 2


async def test_missing_credentials_do_not_count(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(sys.modules[__name__], "CALLS", 1)
    outcome = await invoke(web.Response(text="{}"))
    assert isinstance(outcome, NotInvoked)
    assert "AWS_ACCESS_KEY_ID" in outcome.error


async def test_credentials_that_come_later_are_found(monkeypatch, tmp_path):
    """R-STATE-8: as where the place that has them was away for a moment."""
    found = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    for name in found:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    async def answer(request):
        return web.Response(text="{}")

    async with endpoint(answer) as url, aclosing(Aws(endpoint_url=url[: -len("/orders")])) as aws:
        target = LambdaTarget(aws, function_name="orders", region="us-east-1", clock=SystemClock())
        for _ in range(2):
            assert isinstance(await target.invoke(invocation("id")), NotInvoked)
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        assert await target.invoke(invocation("id")) == Succeeded(b"{}")


# What Lambda would not have let pass


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_an_answer_that_something_in_between_has_packed_is_unpacked(encoding, pack):
    """The client asks for plain answers and hands on what it gets, which as JSON would mean nothing."""
    seen = {}

    async def answer(request):
        seen["accepted"] = request.headers["Accept-Encoding"]
        return web.Response(body=pack(b'{"batchItemFailures":[]}'), headers={"Content-Encoding": encoding})

    assert await invoke(answer) == Succeeded(b'{"batchItemFailures":[]}')
    assert seen["accepted"] == "identity"


async def test_an_answer_that_nobody_can_unpack_is_no_success():
    answer = web.Response(body=b"\x0b\x01\x80{}\x03", headers={"Content-Encoding": "br"})
    outcome = await invoke(answer)
    assert outcome == FunctionFailed("the answer is packed in a way that nobody asked for: br", UNHANDLED)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_an_answer_above_lambdas_cap_is_a_function_error(encoding):
    body = b"x" * (ANSWER_BYTES_MAX + 1)
    answer = web.Response(
        body=body if encoding == "identity" else gzip.compress(body),
        headers={"Content-Encoding": encoding, "x-amzn-RequestId": "c9b8fa9f"},
    )
    assert await invoke(answer) == FunctionFailed(TOO_LARGE, Response(200, "$LATEST", "Unhandled", "c9b8fa9f"))


async def test_an_endless_answer_is_not_read_to_its_end_and_its_connection_is_given_up(recwarn):
    async def pour(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(2**20))

    assert await invoke(pour) == FunctionFailed(TOO_LARGE, UNHANDLED)
    gc.collect()
    assert [each for each in recwarn if "Unclosed connection" in str(each.message)] == []
