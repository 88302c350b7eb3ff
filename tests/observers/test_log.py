"""What an operator reads at 3 a.m.: every trouble, no flood, and no record."""

from __future__ import annotations

import io
import json
import logging

import pytest

from poller.events import (
    BatchInvoked,
    MappingChanged,
    MappingTroubled,
    Polled,
    RecordsDiscarded,
    ShardFailed,
    ShardsListed,
)
from poller.invocation import Condition
from poller.mapping import MappingStatus, State
from poller.model import MappingId
from poller.observers.log import Log
from poller.observers.logging_setup import configure_logging
from tests.observers.test_metrics import EVERY, NINE, ONE, Clock, S


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture(autouse=True)
def quiet():
    yield
    logging.getLogger().handlers.clear()


@pytest.fixture
def log(clock, stream):
    return Log(configure_logging(stream=stream, level="INFO"), clock)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_event_can_be_heard_and_a_line_is_json(log, stream):
    for event in EVERY:
        log(event)
    told = lines(stream)
    assert {"records discarded", "lease lost", "shard finished", "worker started"} <= {line["event"] for line in told}
    assert all({"timestamp", "level", "event"} <= set(line) for line in told)


def test_what_is_given_up_is_told_with_its_bounds_and_reason_each_time(log, stream):
    """R-RETRY-4: one line for the whole batch."""
    for _ in range(3):
        log(RecordsDiscarded("orders", S, Condition.RETRY_ATTEMPTS_EXHAUSTED, 4, ONE, NINE, 3, "boom"))
    assert len(lines(stream)) == 3
    told = lines(stream)[0]
    assert (told["level"], told["condition"], told["records"]) == ("error", "RetryAttemptsExhausted", 4)
    assert (told["first"], told["last"], told["attempts"], told["problem"]) == ("1", "9", 3, "boom")


def test_a_trouble_that_repeats_is_told_once_a_minute_and_when_it_is_over(log, stream, clock):
    for second in range(150):
        clock.time = 1000.0 + second
        log(Polled("orders", S, "throttled", 0.01, f"request {second} was one too many"))
    log(Polled("orders", S, "records", 0.01))
    told = lines(stream)
    assert [line["event"] for line in told] == ["reading failed"] * 3 + ["reading goes on"]
    assert told[1]["times"] == 60
    assert told[-1]["failures"] == 150


def test_batches_that_fail_are_told_with_their_attempt(log, stream):
    log(BatchInvoked("orders", S, "id", 10, ONE, NINE, 2, "function_error", 0.5, "ValueError: boom"))
    (told,) = lines(stream)
    assert (told["level"], told["attempt"], told["problem"]) == ("warning", 2, "ValueError: boom")


def test_an_unforeseen_failure_has_its_trace(log, stream):
    log(ShardFailed("orders", S, "ValueError()", "Traceback (most recent call last):\n  the place"))
    assert "the place" in lines(stream)[0]["exception"]


def test_the_trouble_of_a_mapping_is_told_and_its_end(log, stream):
    log(MappingTroubled("orders", "could not list: ResourceNotFoundException"))
    log(ShardsListed("orders", 2, 0))
    assert [line["event"] for line in lines(stream)][:2] == [
        "the mapping cannot go on, it tries again",
        "the mapping goes on",
    ]


@pytest.mark.parametrize(
    ("state", "result", "level"),
    [
        (State.CREATING, "No records processed", "info"),
        (State.ENABLED, "OK", "info"),
        (State.ENABLED, "PROBLEM: Function call failed", "warning"),
        (State.DISABLING, "PROBLEM: User: a is not authorized to perform: kinesis:ListShards", "warning"),
    ],
)
def test_a_mapping_is_told_in_lambdas_words_and_with_a_warning_while_it_has_a_problem(
    log, stream, state, result, level
):
    """R-STATE-1, R-STATE-5, R-STATE-6."""
    log(MappingChanged("orders", MappingStatus(MappingId("uuid"), state, result=result)))
    (told,) = lines(stream)
    del told["timestamp"], told["logger"]
    assert told == {
        "event": "mapping",
        "level": level,
        "mapping": "orders",
        "uuid": "uuid",
        "state": state.value,
        "reason": "User action",
        "last_processing_result": result,
    }


def test_a_terminal_gets_lines_for_people_and_control_characters_do_not_reach_it(clock):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    log = Log(configure_logging(stream=stream), clock)
    log(MappingTroubled("orders", "evil \x1b[2J words"))
    assert "\x1b[2J" not in stream.getvalue()
    assert "orders" in stream.getvalue()
    with pytest.raises(ValueError):
        json.loads(stream.getvalue())


def test_libraries_log_into_the_same_stream_but_never_their_requests(log, stream):
    logging.getLogger("handlers").warning("from a handler")
    logging.getLogger("botocore").debug("the body of a record")
    logging.getLogger("httpx").info("a request")
    logging.getLogger("hpack.hpack").debug("the signature of a request")
    assert [line["event"] for line in lines(stream)] == ["from a handler"]
