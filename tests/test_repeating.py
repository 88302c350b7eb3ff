"""Calls that are made again and again: what is sent is what the SDK would send, whatever changes meanwhile."""

from __future__ import annotations

import re
from contextlib import aclosing, asynccontextmanager

import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from poller.aws import Aws
from poller.repeating import RepeatedCall
from poller.signing import learned
from tests.http_endpoint import endpoint

USER = ReadOnlyCredentials("AKIAUSER", "secret/of+the user", None)
ROLE = ReadOnlyCredentials("ASIAROLE", "secret", "token/of+a role==")
OTHER = ReadOnlyCredentials("ASIAOTHER", "another", "another token")
QUESTION = {"StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/orders", "ShardIterator": "it"}
ANSWER = {"Records": [], "NextShardIterator": "next", "MillisBehindLatest": 0}


def signed_by_the_sdk(url, headers, body, credentials, service="kinesis"):
    request = AWSRequest("POST", url, dict(headers), body)
    SigV4Auth(credentials, service, "eu-west-1").add_auth(request)
    return request


NAMES = st.from_regex(r"[Xx]-[A-Za-z]{1,8}", fullmatch=True)
VALUES = st.text("abc ./:;=,\t", min_size=1, max_size=12)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=4).filter(
    lambda found: len({each.lower() for each in found}) == len(found)
)


@given(
    path=st.from_regex(r"(/[A-Za-z0-9_.$:%~-]{1,9}){0,3}/?", fullmatch=True).filter(lambda path: "//" not in path),
    headers=HEADERS,
    bodies=st.tuples(st.binary(max_size=50), st.binary(max_size=50)),
    credentials=st.tuples(st.sampled_from([USER, ROLE]), st.sampled_from([USER, ROLE, OTHER])),
)
def test_what_is_signed_again_is_signed_as_by_the_sdk(path, headers, bodies, credentials):
    url = f"https://kinesis.eu-west-1.amazonaws.com{path}"
    first = signed_by_the_sdk(url, headers, bodies[0], credentials[0])
    request = learned("POST", url, dict(first.headers), bodies[0], credentials[0])
    if request is None:  # a path that is written in more than one way
        assert re.search(r"/\.{1,2}(/|$)", path)
        return
    later = signed_by_the_sdk(url, headers, bodies[1], credentials[1])
    signature = request.signature(bodies[1], credentials[1], later.headers["X-Amz-Date"])
    assert later.headers["Authorization"].endswith(f"Signature={signature}")


def test_the_headers_of_a_request_are_those_of_the_sdk_but_for_what_belongs_to_one_call():
    url = "https://kinesis.eu-west-1.amazonaws.com/"
    lasting = {"X-Amz-Target": "Kinesis_20131202.GetRecords", "User-Agent": "me"}
    sent = {**lasting, "amz-sdk-invocation-id": "one-call", "amz-sdk-request": "attempt=1"}
    request = learned("POST", url, dict(signed_by_the_sdk(url, sent, b"{}", ROLE).headers), b"{}", ROLE)
    headers = request.sign(b"{}", OTHER, 1789651658.9)
    authorization = headers.pop("Authorization")
    assert headers == {
        "X-Amz-Target": "Kinesis_20131202.GetRecords",
        "User-Agent": "me",
        "X-Amz-Date": "20260917T132738Z",
        "X-Amz-Security-Token": OTHER.token,
    }
    assert authorization.startswith(
        "AWS4-HMAC-SHA256 Credential=ASIAOTHER/20260917/eu-west-1/kinesis/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-security-token;x-amz-target, Signature="
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda headers: headers.pop("Authorization"),
        lambda headers: headers.update(Authorization="Bearer token"),
        lambda headers: headers.update({"X-Amz-Date": "20260917T125059Z"}),
        lambda headers: headers.update({"X-Amz-Target": "another"}),
        lambda headers: headers.update({"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}),
    ],
)
def test_a_request_that_was_signed_in_another_way_is_not_repeated(change):
    url = "https://kinesis.eu-west-1.amazonaws.com/"
    headers = dict(signed_by_the_sdk(url, {"X-Amz-Target": "one"}, b"{}", ROLE).headers)
    assert learned("POST", url, headers, b"{}", ROLE)
    change(headers)
    assert learned("POST", url, headers, b"{}", ROLE) is None
    assert learned("GET", url, headers, b"{}", ROLE) is None


class Clock:
    def now(self):
        return 1789651658.9


class Service:
    """Answers what it is told to, and keeps what it was asked by."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def __call__(self, request):
        self.requests.append((request.headers, await request.read()))
        status, body = self.answers.pop(0) if self.answers else (200, ANSWER)
        return web.json_response(body, status=status, content_type="application/x-amz-json-1.1")

    @property
    def by_the_sdk(self):
        """Of each request, whether it was the SDK's own."""
        return ["amz-sdk-invocation-id" in headers for headers, _ in self.requests]


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", USER.secret_key)


@asynccontextmanager
async def repeated(service):
    async with endpoint(service) as url, aclosing(Aws(endpoint_url=url[: -len("/orders")], region="eu-west-1")) as aws:
        yield RepeatedCall(aws, "kinesis", "GetRecords", region="eu-west-1", clock=Clock()), aws


async def test_the_sdk_makes_the_first_call_and_later_ones_are_like_it():
    service = Service()
    async with repeated(service) as (call, _):
        assert await call.send(b"{}") is None
        assert (await call.ask(QUESTION))["NextShardIterator"] == "next"
        response = await call.send(b'{"ShardIterator":"next"}')
        assert (response.status_code, b"NextShardIterator" in await response.content) == (200, True)
    (first, _), (second, body) = service.requests
    assert service.by_the_sdk == [True, False]
    assert body == b'{"ShardIterator":"next"}'
    changing = {"Authorization", "X-Amz-Date", "Content-Length", "amz-sdk-invocation-id", "amz-sdk-request"}
    assert {name: first[name] for name in first if name not in changing} == {
        name: second[name] for name in second if name not in changing
    }
    again = AWSRequest("POST", f"http://{second['Host']}/", _signed(second), body)
    again.context["timestamp"] = second["X-Amz-Date"]
    sdk = SigV4Auth(USER, "kinesis", "eu-west-1")
    signature = sdk.signature(sdk.string_to_sign(again, sdk.canonical_request(again)), again)
    assert second["Authorization"].endswith(f"Signature={signature}")
    assert second["X-Amz-Date"] == "20260917T132738Z"


def _signed(headers):
    names = re.search(r"SignedHeaders=([^,]+)", headers["Authorization"]).group(1).split(";")
    return {name: headers[name] for name in names if name != "host"}


async def test_a_call_that_is_unlearned_while_it_waits_for_credentials_is_made_by_the_sdk(monkeypatch):
    async with repeated(Service()) as (call, aws):
        await call.ask(QUESTION)
        assert (await call.send(b"{}")).status_code == 200

        async def renewed():
            call._request = None  # as another call does whose answer is a 403
            return USER

        monkeypatch.setattr(aws, "credentials", renewed)
        assert await call.send(b"{}") is None


async def test_an_error_means_what_the_sdk_makes_of_it():
    expired = (400, {"__type": "com.amazonaws.kinesis.v20131202#ExpiredIteratorException", "message": "too old"})
    service = Service((200, ANSWER), expired)
    async with repeated(service) as (call, _):
        await call.ask(QUESTION)
        response = await call.send(b"{}")
        with pytest.raises(ClientError) as raised:
            await call.ask(QUESTION, response)
        assert raised.value.response["Error"] == {"Code": "ExpiredIteratorException", "Message": "too old"}
        assert (await call.send(b"{}")).status_code == 200
    assert service.by_the_sdk == [True, False, False], "the SDK read the answer that was there, and asked for no other"


@pytest.mark.parametrize("status", [301, 307, 401, 403])
async def test_after_an_answer_that_puts_the_request_in_doubt_the_sdk_makes_a_new_one(status):
    service = Service((200, ANSWER), (status, {"__type": "ExpiredTokenException"}))
    async with repeated(service) as (call, _):
        await call.ask(QUESTION)
        assert (await call.send(b"{}")).status_code == status
        assert await call.send(b"{}") is None
        await call.ask(QUESTION)
        assert (await call.send(b"{}")).status_code == 200


async def test_credentials_are_those_of_the_moment(monkeypatch):
    service = Service()
    async with repeated(service) as (call, aws):
        await call.ask(QUESTION)
        await call.send(b"{}")

        async def renewed():
            return ROLE

        monkeypatch.setattr(aws, "credentials", renewed)
        await call.send(b"{}")
    assert [re.search("Credential=([A-Z]+)", headers["Authorization"]).group(1) for headers, _ in service.requests] == [
        *("AKIAUSER", "AKIAUSER", "ASIAROLE")
    ]
    assert service.requests[-1][0]["X-Amz-Security-Token"] == ROLE.token


async def test_credentials_that_were_renewed_in_between_leave_the_next_call_to_the_sdk(monkeypatch):
    service = Service()
    async with repeated(service) as (call, aws):
        await call.ask(QUESTION)
        mine = aws.credentials

        async def renewed():
            return ROLE

        monkeypatch.setattr(aws, "credentials", renewed)
        assert await call.send(b"{}") is None
        monkeypatch.setattr(aws, "credentials", mine)
        await call.ask(QUESTION)
        assert (await call.send(b"{}")).status_code == 200


async def test_a_call_by_the_sdk_beside_it_is_not_mistaken_for_it():
    service = Service()
    async with repeated(service) as (call, aws):
        await call.ask(QUESTION)
        client = await aws.client("kinesis", "eu-west-1")
        await client.get_records(**QUESTION)
        assert (await call.send(b"{}")).status_code == 200
    assert service.by_the_sdk == [True, True, False]
