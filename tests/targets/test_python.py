"""Handlers in this process get what Lambda would give them, and whatever they do wrong is a function error."""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import time
from contextlib import suppress
from decimal import Decimal

import anyio
import anyio.lowlevel
import pytest

from poller.errors import ConfigError
from poller.invocation import UNHANDLED, FunctionFailed, NotInvoked, Response, Succeeded
from poller.rules.partial_response import first_failure
from poller.targets.answers import ANSWER_BYTES_MAX
from poller.targets.python import PythonTarget, load_handler
from tests.builders import invocation
from tests.circles import circles

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"


def target(handler, timeout_seconds=5.0):
    return PythonTarget(handler, function_name="orders", function_arn=ARN, timeout_seconds=timeout_seconds)


def invoke(handler, payload=b'{"Records":[]}', **options):
    records = json.loads(payload)["Records"]
    return target(handler, **options).invoke(invocation("11111111-2222-3333-4444-555555555555", *records))


async def test_a_handler_gets_event_and_context_as_in_lambda():
    """R-INV-5: the request id is the batch's."""
    seen = {}

    def handler(event, context):
        seen.update(event=event, remaining=context.get_remaining_time_in_millis(), context=context)
        return {"batchItemFailures": []}

    assert await invoke(handler, b'{"Records":[{"n":1}]}') == Succeeded(b'{"batchItemFailures": []}')
    context = seen["context"]
    assert seen["event"] == {"Records": [{"n": 1}]}
    assert 4000 < seen["remaining"] <= 5000
    assert context.aws_request_id == "11111111-2222-3333-4444-555555555555"
    assert (context.function_name, context.invoked_function_arn) == ("orders", ARN)
    assert (context.function_version, context.memory_limit_in_mb) == ("$LATEST", "0")
    assert context.log_group_name == "/aws/lambda/orders"
    assert context.log_stream_name == "[$LATEST]11111111222233334444555555555555"
    assert context.identity.cognito_identity_id is None
    context.custom = "libraries hang things on it"


async def test_a_sync_handler_does_not_hold_up_the_event_loop():
    ticks = []

    async def tick():
        while True:
            ticks.append(threading.current_thread().name)
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        assert await invoke(lambda event, context: time.sleep(0.3)) == Succeeded(b"null")
        tasks.cancel_scope.cancel()
    assert len(ticks) > 5


async def test_an_async_handler_runs_on_the_loop_and_is_cancelled_at_its_time_out():
    ended = []

    async def handler(event, context):
        try:
            await anyio.sleep(60)
        finally:
            ended.append(context.get_remaining_time_in_millis())

    outcome = await invoke(handler, timeout_seconds=0.1)
    assert outcome == FunctionFailed("Task timed out after 0.10 seconds")
    assert ended == [0]


async def test_an_async_handler_that_swallows_its_time_out_has_not_succeeded():
    """R-INV-4: its records were not worked on."""

    async def handler(event, context):
        with suppress(anyio.get_cancelled_exc_class()):
            await anyio.sleep(60)

    assert await invoke(handler, timeout_seconds=0.1) == FunctionFailed("Task timed out after 0.10 seconds")
    with anyio.move_on_after(0.1) as stop:
        await invoke(handler, timeout_seconds=30)
    assert stop.cancelled_caught, "nor has it when it is stopped"


async def test_a_sync_handler_that_outlives_its_time_out_is_a_function_error_at_once():
    """R-INV-4."""
    release = threading.Event()
    started = time.monotonic()
    outcome = await invoke(lambda event, context: release.wait(30), timeout_seconds=0.2)
    assert time.monotonic() - started < 5
    release.set()
    assert outcome == FunctionFailed("Task timed out after 0.20 seconds")


def sync_raises(event, context):
    raise ValueError("no such order")


async def async_raises(event, context):
    raise KeyError("id")


def leaves(event, context):
    sys.exit(3)


class TimedOut(BaseException):
    """As those of gevent and func_timeout."""


def sync_runs_out_of_time(event, context):
    raise TimedOut("too slow")


async def async_runs_out_of_time(event, context):
    raise TimedOut("too slow")


def is_interrupted(event, context):
    raise KeyboardInterrupt


def raises_half_a_character(event, context):
    raise ValueError("no such order: \ud83d")


async def cancels_itself(event, context):
    raise anyio.get_cancelled_exc_class()


class Unspeakable(Exception):
    def __str__(self):
        raise OSError("no words")


def raises_what_cannot_be_told(event, context):
    raise Unspeakable


def raises_at_length(event, context):
    raise ValueError("x" * 10_000_000)


def nested(event, context):
    answer = []
    for _ in range(100_000):
        answer = [answer]
    return answer


class Callable:
    async def __call__(self, event, context):
        raise OSError("disk")


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (sync_raises, r"ValueError: no such order \(test_python.py:\d+ in sync_raises\)"),
        (async_raises, r"KeyError: 'id' \(test_python.py:\d+ in async_raises\)"),
        (leaves, "SystemExit: 3"),
        (sync_runs_out_of_time, "TimedOut: too slow"),
        (async_runs_out_of_time, "TimedOut: too slow"),
        (is_interrupted, "KeyboardInterrupt"),
        (raises_half_a_character, r"ValueError: no such order: \\ud83d \("),
        (cancels_itself, "the handler cancelled itself"),
        (Callable(), "OSError: disk"),
        (raises_what_cannot_be_told, r"Unspeakable: \(its text cannot be had: OSError\)"),
        (raises_at_length, r"^ValueError: x{300}\.\.\. \(test_python.py:\d+ in raises_at_length\)$"),
        (nested, "RecursionError"),
        (lambda event, context: {1, 2}, "Object of type set is not JSON serializable"),
        (lambda event: None, "TypeError"),
    ],
)
async def test_whatever_a_handler_does_wrong_is_a_function_error(handler, error):
    """R-PORT-5."""
    outcome = await invoke(handler)
    assert isinstance(outcome, FunctionFailed)
    assert re.search(error, outcome.error), outcome.error
    assert outcome.response == UNHANDLED == Response(200, "$LATEST", "Unhandled", "")


async def test_an_answer_tells_what_lambda_would_and_leaves_the_request_id_to_the_batch():
    """R-PORT-6."""
    outcome = await invoke(lambda event, context: None)
    assert outcome == Succeeded(b"null", Response(200, "$LATEST", None, ""))


async def test_an_answer_above_lambdas_cap_is_a_function_error():
    """R-INV-1; the cap is on the JSON text, quotes and all."""
    most = ANSWER_BYTES_MAX - len('""')
    assert len((await invoke(lambda event, context: "x" * most)).answer) == ANSWER_BYTES_MAX
    assert len((await invoke(lambda event, context: "ü" * (most // 2))).answer) == ANSWER_BYTES_MAX
    assert await invoke(lambda event, context: "x" * (most + 1)) == FunctionFailed(
        "Response payload size exceeded maximum allowed payload size (6291556 bytes).", UNHANDLED
    )


async def async_raises(event, context):
    raise ValueError("no")


@pytest.mark.parametrize("handler", [sync_raises, async_raises])
async def test_an_attempt_that_failed_leaves_its_event_in_no_circle(handler):
    """Circles are looked for seldom: until then each failure of a large batch would be kept."""
    asked = target(handler)
    await asked.invoke(invocation("request-0"))
    with circles() as look:
        for _ in range(3):
            assert isinstance(await asked.invoke(invocation("request-1")), FunctionFailed)
        found = look()
    assert [each for each in found if isinstance(each, dict | BaseException)] == []


async def test_a_stop_goes_through_an_async_handler():
    with anyio.move_on_after(0.1) as scope:
        await invoke(lambda event, context: time.sleep(1) or 1, timeout_seconds=30)
    assert scope.cancelled_caught


async def test_each_attempt_has_a_copy_of_its_own():
    """R-PORT-5."""
    seen = []

    def handler(event, context):
        seen.append(len(event["Records"]))
        event["Records"].clear()

    one = target(handler)
    for _ in range(2):
        await one.invoke(invocation("id", 1, 2))
    assert seen == [2, 2]


async def test_an_answer_may_hold_what_lambda_can_serialise():
    assert await invoke(lambda event, context: {"n": Decimal("1.5"), "t": "ü"}) == Succeeded(
        '{"n": 1.5, "t": "ü"}'.encode()
    )
    assert await invoke(lambda event, context: [Decimal(5), float("nan")]) == Succeeded(b"[5, NaN]")
    assert await invoke(lambda event, context: b"packed") == Succeeded(b"packed")


async def test_a_thread_that_cannot_be_started_is_no_attempt(monkeypatch):
    """R-INV-1, R-INV-2: the handler was never called."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    called = []
    outcome = await invoke(lambda event, context: called.append(event))
    assert outcome == NotInvoked("the handler could not be called: can't start new thread")
    assert not called


async def test_a_decorated_coroutine_is_awaited():
    async def inner(event, context):
        await anyio.lowlevel.checkpoint()
        return "done"

    assert await invoke(lambda event, context: inner(event, context)) == Succeeded(b'"done"')


def test_a_handler_is_found_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "my_handlers.py").write_text("class A:\n    def go(event, context):\n        return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_handler("my_handlers:A.go")({}, None) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no.such.module:f", "cannot be imported: ModuleNotFoundError"),
        ("json:nothing", "json has no function 'nothing'"),
        ("json:__name__", "has no function"),
        ("broken_handlers:f", r"cannot be imported: ZeroDivisionError.*broken_handlers.py:1"),
        ("leaving_handlers:f", "cannot be imported: SystemExit"),
    ],
)
def test_a_handler_that_cannot_be_had_is_a_configuration_error(name, problem, tmp_path, monkeypatch):
    (tmp_path / "broken_handlers.py").write_text("1 / 0")
    (tmp_path / "leaving_handlers.py").write_text("raise SystemExit(1)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=problem):
        load_handler(name)


# Handlers written for Lambda with AWS Lambda Powertools, unmodified


def kinesis_event(*payloads):
    records = [
        {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": "k",
                "sequenceNumber": str(number),
                "data": base64.b64encode(json.dumps(payload).encode()).decode(),
                "approximateArrivalTimestamp": 1545084650.987,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"shardId-000000000006:{number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::123456789012:role/r",
            "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/orders",
        }
        for number, payload in enumerate(payloads, start=1)
    ]
    return json.dumps({"Records": records}).encode()


def powertools_handler(event_type):
    from aws_lambda_powertools.utilities.batch import BatchProcessor, process_partial_response

    processor = BatchProcessor(event_type=event_type)

    def record_handler(record):
        payload = record.kinesis.data_as_json() if hasattr(record, "kinesis") else record.dynamodb.new_image
        if payload.get("bad"):
            raise ValueError("bad")

    def handler(event, context):
        return process_partial_response(
            event=event, record_handler=record_handler, processor=processor, context=context
        )

    return handler


async def test_the_batch_processor_of_powertools_reports_the_failed_record_of_a_kinesis_batch():
    from aws_lambda_powertools.utilities.batch import EventType

    handler = powertools_handler(EventType.KinesisDataStreams)
    outcome = await invoke(handler, kinesis_event({"id": 1}, {"bad": True}, {"id": 3}))
    assert isinstance(outcome, Succeeded)
    assert first_failure(outcome.answer, ["1", "2", "3"]) == 1
    assert first_failure((await invoke(handler, kinesis_event({"id": 1}))).answer, ["1"]) is None


async def test_the_batch_processor_of_powertools_raises_when_a_whole_batch_fails():
    from aws_lambda_powertools.utilities.batch import EventType

    outcome = await invoke(powertools_handler(EventType.KinesisDataStreams), kinesis_event({"bad": True}))
    assert isinstance(outcome, FunctionFailed)
    assert "BatchProcessingError" in outcome.error


async def test_the_batch_processor_of_powertools_reads_dynamodb_events():
    from aws_lambda_powertools.utilities.batch import EventType

    records = [
        {
            "eventID": "c4ca4238a0b923820dcc509a6f75849b",
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1789651658.0,
                "Keys": {"id": {"S": "a"}},
                "NewImage": {"id": {"S": "a"}, "bad": {"BOOL": number == 2}},
                "SequenceNumber": f"44215845000000000174504390{number}",
                "SizeBytes": 46,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026-09-17T12:00:00.000",
        }
        for number in (1, 2)
    ]
    payload = json.dumps({"Records": records}).encode()
    outcome = await invoke(powertools_handler(EventType.DynamoDBStreams), payload)
    assert isinstance(outcome, Succeeded)
    numbers = [each["dynamodb"]["SequenceNumber"] for each in records]
    assert first_failure(outcome.answer, numbers) == 1


async def test_the_logger_and_tracer_context_of_powertools_accept_the_context():
    from aws_lambda_powertools import Logger

    logger = Logger(service="orders", stream=sys.stderr)

    @logger.inject_lambda_context
    def handler(event, context):
        logger.info("seen")
        return logger.get_current_keys()["function_request_id"]

    outcome = await invoke(handler)
    assert outcome == Succeeded(b'"11111111-2222-3333-4444-555555555555"')


async def test_what_a_handler_shields_from_its_time_out_is_done_first():
    """As clients close their connections; and the next attempt must not run beside it."""
    done = []

    async def handler(event, context):
        try:
            await anyio.sleep(60)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
                await anyio.to_thread.run_sync(time.sleep, 0.05)
                done.append("closed")

    assert isinstance(await invoke(handler, timeout_seconds=0.05), FunctionFailed)
    assert done == ["closed"]
