"""Enhanced fan-out over real sockets, in HTTP/2 and in HTTP/1.1: the call, the event stream, and what can befall it."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import anyio
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from poller.aws import Aws
from poller.errors import PositionLost, SourceGone
from poller.events import Polled
from poller.model import TRIM_HORIZON, Position, SequenceNumber, Shard, ShardId
from poller.rules.pacing import FANOUT
from poller.sources.kinesis_fanout import FanoutSource
from tests.aggregates import aggregate, in_base64
from tests.builders import numbers
from tests.fakes import Heard
from tests.sources.pushing import (
    CHILDREN,
    CONSUMER_ARN,
    SHARD_ID,
    STREAM_ARN,
    Cable,
    Certificates,
    OneHolder,
    PushingKinesis,
    breaking_http_2,
    event,
    exception,
    message,
    pushes,
    raw,
    sealed,
    serving,
    stays,
)
from tests.sources.wire import ROLE, Clock

SHARD = ShardId(SHARD_ID)
NUMBER = "49590338271490256608559692538361571095921575989136588898"
AT_ONCE = replace(FANOUT, call_seconds=0.01, takeover_seconds=0.05)
"""Renewals need not wait for the service's limits, which are kept in virtual time (`test_subscribing`)."""


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@dataclass(frozen=True)
class Wire:
    """One of the protocols."""

    version: str
    certificates: Certificates | None


@pytest.fixture(params=["2", "1.1"], ids=["HTTP/2", "HTTP/1.1"])
def wire(request, certificates, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.authority))
    return Wire(request.param, certificates if request.param == "2" else None)


@asynccontextmanager
async def fanout(service, wire, *, pace=AT_ONCE, heard=None, deaggregate=False):
    async with (
        serving(service, tls=wire.certificates) as endpoint,
        fanout_from(endpoint, pace, heard, deaggregate=deaggregate) as source,
    ):
        yield source
    assert {asked.http_version for asked in service.asked if asked.operation == "SubscribeToShard"} <= {wire.version}


@asynccontextmanager
async def fanout_from(endpoint, pace=AT_ONCE, heard=None, *, deaggregate=False):
    aws = Aws(endpoint_url=endpoint)
    source = FanoutSource(
        aws,
        arn=CONSUMER_ARN,
        mapping="m",
        observer=heard or Heard(),
        clock=Clock(),
        random=Random(1),
        invoke_identity_arn=ROLE,
        deaggregate=deaggregate,
        pace=pace,
    )
    async with aclosing(aws), aclosing(source):
        with anyio.fail_after(30):
            yield source


async def pages_of(source, *, records, position=TRIM_HORIZON):
    """Pages until so many records were read, or the shard has ended."""
    got = []
    async with aclosing(source.read(SHARD, position)) as pages:
        async for page in pages:
            got.append(page)
            if page.ended or sum(len(each.records) for each in got) >= records:
                return got
    raise AssertionError("the pages ran out")


async def read(service, wire, *, records, position=TRIM_HORIZON, pace=AT_ONCE):
    """The numbers read, and the troubles told."""
    heard = Heard()
    async with fanout(service, wire, pace=pace, heard=heard) as source:
        got = await pages_of(source, records=records, position=position)
    return [number for page in got for number in numbers(page.records)], troubles(heard)


def troubles(heard):
    return [each.result for each in heard.of(Polled) if each.result not in ("records", "empty")]


async def until(condition):
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens on the other side of a socket
            await anyio.sleep(0.01)


def listed(*, closed=False):
    ended = {"EndingSequenceNumber": "9"} if closed else {}
    shards = [{"ShardId": SHARD_ID, "SequenceNumberRange": {"StartingSequenceNumber": "1", **ended}}]
    return {"ListShards": {"Shards": shards}}


# The call


async def test_a_pushed_record_has_the_form_of_lambdas_event_to_the_byte(wire):
    """R-EFO-1, R-EFO-2, R-EFO-5: as one that was polled, but it names the consumer."""
    service = PushingKinesis([stays(event(raw(NUMBER, data="SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg=="), behind=1500))])
    async with fanout(service, wire) as source:
        (page,) = await pages_of(source, records=1)
    (record,) = page.records
    assert record.body.decode() == (
        '{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"1",'
        f'"sequenceNumber":"{NUMBER}",'
        '"data":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==","approximateArrivalTimestamp":1545084650.987},'
        '"eventSource":"aws:kinesis","eventVersion":"1.0",'
        f'"eventID":"shardId-000000000006:{NUMBER}",'
        '"eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/lambda-role",'
        f'"awsRegion":"us-east-2","eventSourceARN":"{CONSUMER_ARN}"}}'
    )
    assert (page.behind_seconds, page.ended, page.read_to) == (1.5, False, None)
    (asked,) = service.asked
    assert (asked.http_version, asked.method) == (wire.version, "POST")
    assert asked.question == {
        "ConsumerARN": CONSUMER_ARN,
        "ShardId": SHARD_ID,
        "StartingPosition": {"Type": "TRIM_HORIZON"},
    }
    assert asked.headers["content-type"] == "application/x-amz-json-1.1"
    assert asked.headers["x-amz-target"] == "Kinesis_20131202.SubscribeToShard"
    assert "stream-poller/" in asked.headers["user-agent"]


@pytest.mark.parametrize(
    ("position", "sent"),
    [
        (TRIM_HORIZON, {"Type": "TRIM_HORIZON"}),
        (Position.after(SequenceNumber(NUMBER)), {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": NUMBER}),
        (Position.after(SequenceNumber(NUMBER), 3), {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": NUMBER}),
        (Position.at_timestamp(1545084650.987), {"Type": "AT_TIMESTAMP", "Timestamp": 1545084650.987}),
    ],
)
async def test_a_subscription_starts_with_what_belongs_to_the_position(wire, position, sent):
    """R-POS-4, R-EFO-3, R-KPL-2: inside an aggregate it starts AT it, as AFTER would leave out its rest."""
    service = PushingKinesis([stays(event(raw(int(NUMBER) + 1)))])
    await read(service, wire, records=1, position=position)
    assert service.starts == [sent]


async def test_aggregates_are_opened_and_gone_on_with_from_inside(wire):
    """R-KPL-2, R-KPL-3."""
    outer = raw(17, data=in_base64(aggregate(("a", b"1"), ("b", b"2"), ("a", b"3"))))
    service = PushingKinesis([stays(event(outer, to="17"))], listed())
    async with fanout(service, wire, deaggregate=True) as source:
        (whole,) = await pages_of(source, records=3)
        (rest,) = await pages_of(source, records=2, position=Position.after(SequenceNumber("17"), 0))
    assert [(record.ordering_key, record.inner) for record in whole.records] == [("a", 0), ("b", 1), ("a", None)]
    assert rest.records == whole.records[1:]
    assert {record.sequence_number for record in whole.records} == {"17"}


async def test_the_call_is_signed_as_the_sdk_signs(wire, monkeypatch):
    """With the session's token, and the protocol's own headers left out."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "for a while")
    service = PushingKinesis([stays(event(raw(1)))])
    await read(service, wire, records=1)
    (asked,) = service.asked
    assert asked.headers["x-amz-security-token"] == "for a while"
    assert asked.headers["authorization"] == signature(asked)


def signature(asked):
    """What the SDK would make of the request that came."""
    scope = "https" if asked.http_version == "2" else "http"
    signed = asked.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-target", "x-amz-security-token"} <= set(signed)
    headers = {name: asked.headers[name] for name in signed if name != "host"}
    request = AWSRequest("POST", f"{scope}://{asked.headers['host']}/", headers=headers, data=asked.body)
    request.context["timestamp"] = asked.headers["x-amz-date"]
    auth = SigV4Auth(Credentials("test", "test", "for a while"), "kinesis", "us-east-2")
    canonical = auth.canonical_request(request)
    found = auth.signature(auth.string_to_sign(request, canonical), request)
    return f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={';'.join(signed)}, Signature={found}"


async def test_each_call_is_signed_with_the_credentials_of_its_moment(wire, monkeypatch, tmp_path):
    made = tmp_path / "credentials.json"
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {made}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")

    def issue(name):
        """For so short a time that they are asked for anew each time they are needed."""
        expires = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        made.write_text(json.dumps({"Version": 1, "AccessKeyId": name, "SecretAccessKey": "s", "Expiration": expires}))

    service = PushingKinesis([pushes(event(raw(1))), stays(event(raw(2)))])
    issue("FIRST")
    async with fanout(service, wire) as source, aclosing(source.read(SHARD, TRIM_HORIZON)) as pages:
        await anext(pages)
        issue("SECOND")
        assert numbers((await anext(pages)).records) == [2]
    used = [asked.headers["authorization"].partition("Credential=")[2].partition("/")[0] for asked in service.asked]
    assert used == ["FIRST", "SECOND"]


async def test_a_server_that_is_not_trusted_is_not_read(certificates, monkeypatch):
    """The bundle of the SDK's own setting is what counts."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    service, heard = PushingKinesis([stays(event(raw(1)))]), Heard()
    async with fanout(service, Wire("2", certificates), heard=heard) as source, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: pages_of(source, records=1))
        await until(lambda: len(troubles(heard)) == 2)
        tasks.cancel_scope.cancel()
    assert service.asked == []
    assert "CERTIFICATE_VERIFY_FAILED" in heard.of(Polled)[0].problem


async def test_http_2_is_what_is_asked_for_first():
    """A server may take the client's order for a wish."""
    said = bytearray()

    async def listen(stream):
        async with stream:
            said.extend(await stream.receive())

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, listen)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with fanout_from(f"https://127.0.0.1:{port}") as source:
            tasks.start_soon(lambda: pages_of(source, records=1))
            await until(lambda: said)
            tasks.cancel_scope.cancel()
    assert b"\x02h2\x08http/1.1" in said


# The stream


async def test_what_several_subscriptions_push_is_read_without_loss_or_repeat(wire):
    """R-EFO-3: each goes on AT the continuation, whose record may come again."""
    service = PushingKinesis(
        [
            pushes(event(raw(1), raw(2), to="2"), event(to="2"), event(raw(3), to="3")),
            pushes(event(raw(3), to="3"), event(raw(4), to="4"), event(to="9")),
            stays(event(raw(10), to="10")),
        ]
    )
    got, told = await read(service, wire, records=5)
    assert got == [1, 2, 3, 4, 10]
    assert service.starts[1:] == [
        {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "3"},
        {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "9"},
    ]
    assert told == ["expired", "expired"]


async def test_a_subscription_is_renewed_before_the_end_of_its_life(wire):
    """R-EFO-2: silently, and the old connection is closed before the new one is opened."""
    service = PushingKinesis([stays(event(raw(1), to="1")), stays(event(raw(2), to="2"))])
    got, told = await read(service, wire, records=2, pace=replace(AT_ONCE, life_seconds=1.0))
    assert (got, told) == ([1, 2], [])
    assert service.starts[1] == {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "1"}
    await until(lambda: service.open == 0)


async def test_the_initial_response_and_unknown_events_tell_nothing(wire):
    """Emulators leave the one out, the service may add others."""
    unknown = message({":event-type": "Weather", ":content-type": "text/plain", ":message-type": "event"}, b"fine")

    async def bare(push):
        for chunk in (event(raw(1)), unknown, event(raw(2))):
            await push(chunk)

    assert await read(PushingKinesis([bare]), wire, records=2) == ([1, 2], [])


async def test_events_may_come_in_pieces_and_together(wire):
    both = event(raw(1)) + event(raw(2), to="2")
    service = PushingKinesis([stays(both[:5], 0.05, both[5:30], 0.05, both[30:])])
    assert await read(service, wire, records=2) == ([1, 2], [])


@pytest.mark.parametrize("continuation", [..., None, "2"])
async def test_the_end_of_a_shard_names_its_children(wire, continuation):
    """R-EFO-3: there is no continuation then, or an emulator's; the last records are read."""
    service = PushingKinesis([stays(event(raw(1)), event(raw(2), to=continuation, ChildShards=CHILDREN))])
    async with fanout(service, wire) as source:
        pages = await pages_of(source, records=9)
    assert [numbers(page.records) for page in pages] == [[1], [2]]
    assert [page.ended for page in pages] == [False, True]


async def test_a_closed_shard_without_named_children_is_finished_by_iterators(wire):
    """R-EFO-3, R-EFO-6."""
    rest = {"Records": [raw(2)], "NextShardIterator": None, "MillisBehindLatest": 0, "ChildShards": CHILDREN}
    summary = {"StreamDescriptionSummary": {"RetentionPeriodHours": 24}}
    answers = {
        **listed(closed=True),
        "DescribeStreamSummary": summary,
        "GetShardIterator": {"ShardIterator": "it"},
        "GetRecords": rest,
    }
    service = PushingKinesis([stays(event(raw(1)), event())], answers)
    async with fanout(service, wire) as source:
        listing = await source.listing()
        pages = await pages_of(source, records=9)
    assert listing.shards == (Shard(SHARD, closed=True),)
    assert [numbers(page.records) for page in pages] == [[1], [], [2]]
    assert pages[-1].ended
    assert service.questions("GetShardIterator")[0]["StartingSequenceNumber"] == "1"


async def test_what_is_read_again_takes_no_subscription_over(wire):
    """R-EFO-6."""
    page = {"Records": [raw(7)], "NextShardIterator": "next", "MillisBehindLatest": 0}
    service = PushingKinesis([], {"GetShardIterator": {"ShardIterator": "it"}, "GetRecords": page})
    async with fanout(service, wire) as source, aclosing(source.reread(SHARD, TRIM_HORIZON)) as pages:
        assert numbers((await anext(pages)).records) == [7]
    assert service.questions() == []
    assert service.questions("GetRecords")[0]["StreamARN"] == STREAM_ARN


# Troubles


def refused(code, status=400):
    return status, {"__type": f"com.amazonaws.kinesis.v20131202#{code}", "message": "said so"}


@pytest.mark.parametrize("inside", [False, True], ids=["refused", "in the stream"])
@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("ResourceInUseException", "throttled"),
        ("LimitExceededException", "throttled"),
        ("KMSThrottlingException", "throttled"),
        ("InternalFailureException", "error"),
        ("NobodyKnowsThisException", "error"),
    ],
)
async def test_what_may_pass_is_told_and_tried_again(wire, code, result, inside):
    """R-EFO-2, R-KIN-7: known by its code."""
    trouble = pushes(event(raw(1), to="1"), error_of(code)) if inside else refused(code)
    service = PushingKinesis([trouble, stays(event(raw(1), to="1"), event(raw(2)))])
    assert await read(service, wire, records=2) == ([1, 2], [result])


def error_of(code):
    """As an exception of the stream's model, or, for what that does not have, as an error."""
    if code in ("LimitExceededException", "NobodyKnowsThisException"):
        return message({":message-type": "error", ":error-code": code, ":error-message": "said so"}, b"")
    return exception(code)


@pytest.mark.parametrize("inside", [False, True], ids=["refused", "in the stream"])
@pytest.mark.parametrize("code", ["KMSAccessDeniedException", "KMSDisabledException", "KMSOptInRequired"])
async def test_what_may_not_be_decrypted_is_lost_access(wire, code, inside):
    """R-KIN-7, R-STATE-8."""
    service = PushingKinesis([pushes(exception(code)) if inside else refused(code)])
    with pytest.raises(SourceGone, match=code):
        await read(service, wire, records=1)


async def test_a_service_in_trouble_may_answer_without_a_word_of_its_protocol(wire):
    service = PushingKinesis([(503, b"<html>busy</html>"), (200, b"{}"), stays(event(raw(1)))])
    assert await read(service, wire, records=1) == ([1], ["error", "error"])


async def test_access_that_is_denied_is_told_to_the_mapping(wire):
    """R-STATE-8."""
    with pytest.raises(SourceGone, match="AccessDeniedException: said so"):
        await read(PushingKinesis([refused("AccessDeniedException")]), wire, records=1)


async def test_a_stream_a_consumer_and_a_shard_that_are_gone_are_told_apart(wire):
    """R-STATE-10, R-SHARD-3: the service has one code for all three."""
    gone = refused("ResourceNotFoundException")
    with pytest.raises(SourceGone):
        await read(PushingKinesis([gone], {"ListShards": gone}), wire, records=1)
    with pytest.raises(SourceGone):
        await read(PushingKinesis([pushes(exception("ResourceNotFoundException"))], listed()), wire, records=1)
    with pytest.raises(PositionLost) as caught:
        await read(PushingKinesis([gone], {"ListShards": {"Shards": []}}), wire, records=1)
    assert caught.value.shard_gone


async def test_a_refused_sequence_number_is_a_lost_position(wire):
    """R-STATE-12."""
    service = PushingKinesis([refused("InvalidArgumentException")])
    with pytest.raises(PositionLost):
        await read(service, wire, records=1, position=Position.after(SequenceNumber(NUMBER)))


def corrupt(frame, at):
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


@pytest.mark.parametrize(
    "garbled",
    [
        pytest.param(event(raw(2), to="2")[:-7], id="cut off"),
        pytest.param(corrupt(event(raw(2), to="2"), 2), id="wrong length"),
        pytest.param(corrupt(event(raw(2), to="2"), -9), id="wrong payload"),
        pytest.param(sealed(b"\x05abc", b"{}"), id="broken headers"),
        pytest.param(b"<html>no event stream at all</html>", id="another format"),
        pytest.param(event(to="2", Records=...), id="no records"),
        pytest.param(event(to="2", MillisBehindLatest=...), id="no lag"),
        pytest.param(event({**raw(2), "Data": None}, to="2"), id="no data"),
        pytest.param(event(raw("two"), to="2"), id="no number"),
        pytest.param(event(raw(2), to="two"), id="no continuation"),
        pytest.param(message({":event-type": "SubscribeToShardEvent", ":message-type": "event"}, b"{"), id="no JSON"),
    ],
)
async def test_a_garbled_event_is_no_event_and_never_a_skip(wire, garbled):
    """What follows starts at the last good place."""
    service = PushingKinesis([pushes(event(raw(1), to="1"), garbled), stays(event(raw(2), to="2"))])
    assert await read(service, wire, records=2) == ([1, 2], ["error"])
    assert service.starts[1] == {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": "1"}


async def test_a_connection_that_breaks_is_made_anew(wire):
    """In the middle of an event."""
    service = PushingKinesis([stays(event(raw(1), to="1"), event(raw(2), to="2")[:50]), stays(event(raw(2)))])
    heard, cable = Heard(), Cable()
    await cable.lay()
    async with (
        aclosing(cable),
        serving(service, tls=wire.certificates) as endpoint,
        fanout_from(cable.to(endpoint), heard=heard) as source,
        aclosing(source.read(SHARD, TRIM_HORIZON)) as pages,
    ):
        assert numbers((await anext(pages)).records) == [1]
        await until(lambda: service.pushed == 3)
        cable.cut()
        assert numbers((await anext(pages)).records) == [2]
    assert troubles(heard) == ["error"]


async def test_a_server_that_breaks_the_protocol_is_called_again(certificates, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.authority))
    heard = Heard()
    answers = (event(raw(1), to="1"), event(raw(2), to="2"))
    async with breaking_http_2(certificates, *answers) as endpoint, fanout_from(endpoint, heard=heard) as source:
        assert numbers(await records_of(source, SHARD, 2)) == [1, 2]
    assert troubles(heard) == ["error"]
    assert "ProtocolError" in heard.of(Polled)[1].problem


async def test_a_silent_service_is_given_up(wire):
    service = PushingKinesis([stays(event(raw(1), to="1")), stays(event(raw(2)))])
    got, told = await read(service, wire, records=2, pace=replace(AT_ONCE, silence_seconds=3.0))
    assert got == [1, 2]
    assert set(told) == {"error"}  # more than one where a busy machine's server is silent, too
    await until(lambda: service.open == 0)


# One among many


async def test_a_page_that_is_held_holds_the_service_back_and_no_other_shard(wire):
    """R-EFO-4, R-PORT-3, R-SHARD-4: nothing is read meanwhile, and nothing is lost."""
    size, count = 1_000_000, 60

    async def flood(push):
        for number in range(1, count + 1):
            await push(event(raw(number, data="A" * size), to=str(number)))
        await anyio.sleep_forever()

    service = PushingKinesis([flood, stays(*[event(raw(n), to=str(n)) for n in range(1, 4)])])
    async with fanout(service, wire) as source, aclosing(source.read(SHARD, TRIM_HORIZON)) as pages:
        got = numbers((await anext(pages)).records)
        pushed = -1
        while pushed != service.pushed:  # until the service is stuck
            pushed = service.pushed
            await anyio.sleep(0.5)
        assert pushed < count - 20
        assert numbers(await records_of(source, ShardId("shardId-000000000009"), 3)) == [1, 2, 3]
        while len(got) < count:
            got += numbers((await anext(pages)).records)
    assert got == list(range(1, count + 1))


async def records_of(source, shard, count):
    got = []
    async with aclosing(source.read(shard, TRIM_HORIZON)) as pages:
        while len(got) < count:
            got += (await anext(pages)).records
    return got


async def test_hundreds_of_shards_are_subscribed_to_at_once(wire):
    """More than a server allows on one connection, where the last would wait without end."""
    service = PushingKinesis([stays(event(raw(1), to="1"))])
    async with fanout(service, wire) as source, anyio.create_task_group() as tasks:
        for shard in range(250):
            tasks.start_soon(lambda shard=shard: records_of(source, ShardId(f"shardId-{shard:012}"), 2))
        await until(lambda: service.open == 250)
        tasks.cancel_scope.cancel()
    await until(lambda: service.open == 0)


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_an_ended_reading_closes_its_connection_at_once_and_leaves_nothing(wire, how):
    service = PushingKinesis([stays(event(raw(1), to="1"))])
    async with fanout(service, wire) as source:
        before = asyncio.all_tasks()
        if how == "closed":
            await pages_of(source, records=1)
        else:
            with anyio.move_on_after(1.0) as scope:
                await pages_of(source, records=2)
            assert scope.cancelled_caught
        closed_at = anyio.current_time()
        await until(lambda: service.open == 0)
        assert anyio.current_time() - closed_at < 0.5
        await until(lambda: not of_this_program(asyncio.all_tasks() - before))
    assert service.opened == 1


def of_this_program(tasks):
    """Without those of the server."""
    return [task for task in tasks if "hypercorn" not in repr(task)]


async def test_two_sources_hand_a_shard_over_and_lose_nothing(wire):
    """R-EFO-2: the new one is refused at first, then takes over; the old one hears of it and can come back."""
    service, heard, old_heard = OneHolder(), Heard(), Heard()
    pace = replace(FANOUT, call_seconds=0.1, takeover_seconds=OneHolder.BARRED_SECONDS)
    async with (
        serving(service, tls=wire.certificates) as endpoint,
        fanout_from(endpoint, pace, old_heard) as old,
        fanout_from(endpoint, pace, heard) as new,
        aclosing(old.read(SHARD, TRIM_HORIZON)) as old_pages,
    ):
        old_got = numbers((await anext(old_pages)).records)
        got = numbers(await records_of(new, SHARD, 3))
        while "throttled" not in troubles(old_heard) or len(old_got) < 10:
            old_got += numbers((await anext(old_pages)).records)
    assert got == [1, 2, 3]
    assert old_got == list(range(1, len(old_got) + 1))
    assert troubles(heard)[0] == "throttled"
