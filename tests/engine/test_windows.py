"""Tumbling windows in virtual time: borders, state, ends, and what survives a restart."""

from __future__ import annotations

import json
from random import Random

import anyio
import pytest

from poller.engine.memory import Budget
from poller.events import RecordsDiscarded, WindowClosed
from poller.invocation import FunctionFailed, NotInvoked, Succeeded
from poller.mapping import BatchPolicy, FailurePolicy
from poller.model import Shard, ShardId
from poller.records import Page
from poller.rules import windows
from poller.rules.pacing import FANOUT
from poller.sources.polling import Answer
from poller.sources.subscribing import ShardSubscribing
from poller.stores.memory import MemoryStore
from tests.builders import STREAM, record
from tests.engine.running import run
from tests.fakes import Aggregator, Heard, KeptSource, ListDestination, ScriptedSource
from tests.virtual import EPOCH, VirtualClock

START = EPOCH - EPOCH % 30
"""EPOCH lies within a window of 30 seconds; this is where that begins."""


def at(*arrivals, first=1):
    """Records that arrived so many seconds after the beginning of the window."""
    return [record(number, arrived_at=START + seconds) for number, seconds in enumerate(arrivals, start=first)]


def windowed(records, target=None, *, seconds=30.0, ended=False, every=30, **settings):
    target = target or Aggregator()
    seen = run(
        KeptSource(records, page_records=100, ended=ended),
        target,
        seconds=seconds,
        tumbling_window_seconds=every,
        **settings,
    )
    return seen, target


def test_the_first_record_of_a_later_window_ends_the_one_before():
    """R-WIN-3, R-WIN-7, R-WIN-8: a separate call with the state and no records, then the next window starts empty."""
    seen, target = windowed(at(21, 22, 23, 31, 32))
    assert target.calls() == [
        ([1, 2, 3], {}, False, False),
        ([], {"n": 3}, True, False),
        ([4, 5], {}, False, False),
    ]
    assert seen.position() == "AFTER:5"
    assert target.moments[2] - target.moments[1] < 0.1
    (closed,) = seen.heard.of(WindowClosed)
    assert (closed.start, closed.end, closed.early) == (START, START + 30, False)


def test_the_event_has_what_lambda_sends():
    """R-WIN-2, R-WIN-4: aligned to the epoch, keys as they were recorded."""
    _, target = windowed(at(21))
    (event,) = target.events
    assert list(event) == [
        "Records",
        "shardId",
        "eventSourceARN",
        "window",
        "state",
        "isFinalInvokeForWindow",
        "isWindowTerminatedEarly",
    ]
    assert (event["shardId"], event["eventSourceARN"]) == ("shard-0", STREAM)
    assert event["window"] == {"start": "2023-11-14T22:13:00Z", "end": "2023-11-14T22:13:30Z"}


def test_the_state_goes_from_call_to_call():
    """R-WIN-6."""
    _, target = windowed(at(20, 21, 22, 23, 24), batch=BatchPolicy(batch_size=2))
    assert [state for _, state, _, _ in target.calls()] == [{}, {"n": 2}, {"n": 4}]


def test_the_end_of_a_shard_is_the_end_of_its_window():
    """R-WIN-8, R-SHARD-5."""
    seen, target = windowed(at(21, 22), ended=True)
    assert target.calls()[-1] == ([], {"n": 2}, True, False)
    assert seen.position() == "SHARD_END"


def test_a_child_begins_its_windows_anew():
    """R-WIN-8: no state is handed over, though the window of its records is the one that its parent ended."""
    source = ScriptedSource(Shard(ShardId("a"), closed=True), Shard(ShardId("b"), (ShardId("a"),)))
    source.add(at(21), shard="a", ended=True)
    source.add(at(22, first=2), shard="b")
    target = Aggregator()
    run(source, target, tumbling_window_seconds=30)
    assert target.calls()[:3] == [([1], {}, False, False), ([], {"n": 1}, True, False), ([2], {}, False, False)]
    assert [event["shardId"] for event in target.events[:3]] == ["a", "a", "b"]


def test_a_window_that_nothing_follows_ends_two_minutes_after_its_end():
    """R-WIN-8, R-WIN-9: not at its end, once only, and no window without records is ever called."""
    _, target = windowed(at(21), seconds=600)
    assert target.calls() == [([1], {}, False, False), ([], {"n": 1}, True, False)]
    ended_at = target.moments[-1] + EPOCH - (START + 30)
    assert windows.GRACE_SECONDS <= ended_at <= windows.GRACE_SECONDS + 3


def test_a_stream_that_does_not_answer_ends_no_window():
    """What it may still hold would come too late."""

    class Silent(KeptSource):
        async def _pages(self, position):
            async for page in super()._pages(position):
                yield page
                if page.records:
                    await anyio.sleep(500)

    target = Aggregator()
    run(Silent(at(21)), target, seconds=400, tumbling_window_seconds=30)
    assert len(target.events) == 1


@pytest.mark.parametrize("memory_bytes", [2**28, 1])
def test_a_heartbeat_that_waited_in_a_buffer_ends_no_window(memory_bytes):
    """The function failed for long, and the front was held: what says that nothing more is there is minutes old."""
    pushed = [(at, Answer((), "2", 0.0)) for at in range(18, 280, 5)]
    pushed += [
        (1, Answer((record(1, arrived_at=EPOCH + 1), record(2, arrived_at=EPOCH + 1)), "2", 0.0)),
        (6, Answer((), "2", 0.0)),
        (9, Answer((record(3, arrived_at=EPOCH + 9),), "3", 0.0)),
    ]

    class Subscribed(ScriptedSource):
        def read(self, shard, position):
            return ShardSubscribing(
                self,
                shard,
                position,
                pace=FANOUT,
                due={},
                mapping="m",
                observer=Heard(),
                clock=VirtualClock(),
                random=Random(1),
            ).pages()

        async def subscribe(self, shard, position, continuation):
            self.pushed = sorted(pushed, key=lambda each: each[0])
            return self

        async def answer(self):
            at, answer = self.pushed.pop(0)
            await anyio.sleep(max(0.05, at - anyio.current_time()))
            return answer

        def was_closed(self, shard):
            return False

    target = Aggregator(lambda event: FunctionFailed("down") if anyio.current_time() < 200 else None)
    run(
        Subscribed(),
        target,
        seconds=280,
        batch=BatchPolicy(batch_size=1),
        tumbling_window_seconds=60,
        memory=Budget(memory_bytes),
    )
    done = [call[0] for call, at in zip(target.calls(), target.moments, strict=True) if at > 200]
    assert done[:3] == [[1], [2], [3]], "all in one window, before it is closed"


def test_a_state_that_leaves_no_room_for_a_record_is_handed_over_first():
    """R-WIN-10, R-PORT-10: the record fits, and must not be taken for one that is too large."""

    def answer(event):
        return Succeeded(json.dumps({"state": {} if event["isFinalInvokeForWindow"] else {"s": "x" * 9300}}).encode())

    three = [record(number, arrived_at=START + at, size=3000) for number, at in ((1, 1), (2, 2), (3, 40))]
    batch = BatchPolicy(batch_size=1, payload_bytes_max=10_000)
    seen, target = windowed(three, Aggregator(answer), seconds=60, batch=batch)
    assert [(numbers, bool(state), early) for numbers, state, _, early in target.calls()] == [
        ([1], False, False),
        ([], True, True),
        ([2], False, False),
        ([], True, False),
        ([3], False, False),
    ]
    assert not seen.heard.of(RecordsDiscarded)


def test_empty_answers_that_lie_far_apart_prove_nothing():
    """R-WIN-8: nobody knows what came while the stream did not answer."""

    class Away(ScriptedSource):
        async def _play(self, shard, position):
            for pause, numbers in ((0.1, [1]), (0.25, []), (200, []), (0.25, [2])):
                await anyio.sleep(pause)
                yield Page(tuple(record(number, arrived_at=START + 10 + number) for number in numbers))
            while True:
                await anyio.sleep(0.25)
                yield Page(())

    target = Aggregator()
    run(Away(), target, seconds=400, tumbling_window_seconds=30)
    assert target.calls() == [([1], {}, False, False), ([2], {"n": 1}, False, False), ([], {"n": 2}, True, False)]


def test_an_empty_answer_amid_a_backlog_ends_no_window():
    """R-WIN-8, R-WIN-14: DynamoDB gives such answers and tells no lag; records must count where they belong."""
    old = START - 7200

    class Backlog(ScriptedSource):
        async def _play(self, shard, position):
            for first in range(1, 100, 3):
                await anyio.sleep(0.1)
                yield Page(tuple(record(number, arrived_at=old + number) for number in range(first, first + 3)))
                if first % 2:
                    await anyio.sleep(0.1)
                    yield Page(())
            while True:
                await anyio.sleep(0.25)
                yield Page(())

    target = Aggregator()
    run(Backlog(), target, seconds=60, tumbling_window_seconds=30)
    finals = [state["n"] for _, state, final, _ in target.calls() if final]
    assert finals == [29, 30, 30, 10]
    assert [numbers for numbers, *_ in target.calls()][-1] == []


def test_an_older_stamp_behind_a_newer_one_counts_for_the_open_window():
    """R-WIN-14: no window opens twice, not even after its end."""
    _, target = windowed(at(21, 31, 22, 33))
    assert [numbers for numbers, *_ in target.calls()] == [[1], [], [2, 3, 4]]


def test_a_record_that_comes_after_the_end_of_its_window_counts_for_the_next():
    """R-WIN-14, R-WIN-8."""

    class Late(KeptSource):
        async def _pages(self, position):
            async for page in super()._pages(position):
                yield page
                if anyio.current_time() > 200 and len(self.records) == 1:
                    self.records += at(25, first=2)

    target = Aggregator()
    run(Late(at(21)), target, seconds=600, tumbling_window_seconds=30)
    assert [numbers for numbers, *_ in target.calls()] == [[1], [], [2], []]
    assert len({event["window"]["start"] for event in target.events[2:]}) == 1
    assert target.events[2]["window"]["start"] == target.events[1]["window"]["end"]


def test_state_and_position_are_one_write_and_survive_a_restart():
    """R-WIN-6, R-WIN-15: nothing is counted twice and nothing is left out, whenever the worker ends."""
    store = MemoryStore(VirtualClock())
    records = at(20, 21, 22, 23, 24, 31)
    slow = Aggregator(lambda event: NotInvoked("later") if event["state"] == {"n": 4} else None)
    first, _ = windowed(records, slow, seconds=10, store=store, batch=BatchPolicy(batch_size=2))
    checkpoint = first.rows["shard-0"].checkpoint
    assert (str(checkpoint.position), checkpoint.window.state) == ("AFTER:4", b'{"n":4}')
    second, target = windowed(records, seconds=10, store=store, batch=BatchPolicy(batch_size=2))
    assert target.calls() == [
        ([5], {"n": 4}, False, False),
        ([], {"n": 5}, True, False),
        ([6], {}, False, False),
    ]
    assert second.rows["shard-0"].checkpoint.window.opened


def test_a_failed_call_comes_again_with_the_same_state_and_a_discard_leaves_it():
    """R-WIN-1, R-WIN-11, R-RETRY-1."""
    target = Aggregator(lambda event: FunctionFailed("boom") if _has(event, 2) else None)
    seen, _ = windowed(at(20, 21, 22), target, batch=BatchPolicy(batch_size=1), failure=FailurePolicy(retries_max=1))
    assert target.calls() == [
        ([1], {}, False, False),
        ([2], {"n": 1}, False, False),
        ([2], {"n": 1}, False, False),
        ([3], {"n": 1}, False, False),
    ]
    assert seen.discards() == [("RetryAttemptsExhausted", 2, 2, 2, 1)]


def _has(event, number):
    return any(each["kinesis"]["sequenceNumber"] == str(number) for each in event["Records"])


@pytest.mark.parametrize("answer", [b"", b"null", b"{}", b'{"state":null}', b"[1]", b"no json", b'{"state":NaN}'])
def test_an_answer_without_a_state_is_a_failed_call(answer):
    """R-WIN-5, R-INV-1."""
    seen, target = windowed(at(20), Aggregator(lambda event: Succeeded(answer)), failure=FailurePolicy(retries_max=1))
    assert len(target.events) == 2
    assert seen.discards() == [("RetryAttemptsExhausted", 2, 1, 1, 1)]


def test_the_answer_to_a_final_call_must_have_a_state_too():
    """R-WIN-5: the documents make no exception, although nothing becomes of it."""
    target = Aggregator(lambda event: Succeeded(b"{}") if event["isFinalInvokeForWindow"] else None)
    windowed(at(20, 31), target, failure=FailurePolicy(retries_max=1))
    assert [numbers for numbers, *_ in target.calls()] == [[1], [], [], [2]]


def test_a_partial_success_keeps_the_state_that_it_returned_and_no_progress_does_not():
    """R-WIN-5, R-PBR-5."""
    said = {"state": {"n": 1}, "batchItemFailures": [{"itemIdentifier": "2"}]}
    target = Aggregator(lambda event: Succeeded(json.dumps(said).encode()) if _has(event, 2) else None)
    windowed(at(20, 21, 22), target, failure=FailurePolicy(retries_max=0, report_item_failures=True))
    assert target.calls() == [([1, 2, 3], {}, False, False), ([2, 3], {"n": 1}, False, False)]


def test_a_state_over_a_mebibyte_is_taken_away_at_once_and_the_window_goes_on():
    """R-WIN-10: both flags, the whole state, no records; then an empty state in the same window."""
    large = {"n": "x" * windows.STATE_BYTES_MAX}
    target = Aggregator(lambda event: Succeeded(json.dumps({"state": large}).encode()) if _has(event, 2) else None)
    seen, _ = windowed(at(20, 21, 22, 31), target, batch=BatchPolicy(batch_size=1))
    assert target.calls() == [
        ([1], {}, False, False),
        ([2], {"n": 1}, False, False),
        ([], large, True, True),
        ([3], {}, False, False),
        ([], {"n": 1}, True, False),
        ([4], {}, False, False),
    ]
    assert len({event["window"]["start"] for event in target.events[:5]}) == 1
    assert [closed.early for closed in seen.heard.of(WindowClosed)] == [True, False]


def test_a_state_just_as_large_as_allowed_goes_on():
    """R-WIN-10."""
    fits = {"n": "x" * (windows.STATE_BYTES_MAX - len('{"n":""}'))}
    target = Aggregator(lambda event: Succeeded(json.dumps({"state": fits}).encode()))
    _, _ = windowed(at(20, 21), target, batch=BatchPolicy(batch_size=1))
    assert [early for *_, early in target.calls()] == [False, False]


def test_the_state_counts_for_the_payload_limit():
    """R-BATCH-6, R-PORT-10: the exact bytes sent."""
    target = Aggregator(lambda event: Succeeded(json.dumps({"state": {"n": "x" * 3000}}).encode()))
    records = [record(number, arrived_at=START + 20, size=2000) for number in range(1, 5)]
    windowed(records, target, batch=BatchPolicy(batch_size=2, payload_bytes_max=6000))
    assert [numbers for numbers, *_ in target.calls()] == [[1, 2], [3], [4]]


def test_the_report_of_a_batch_has_its_window_and_the_event_as_it_was_sent():
    """R-WIN-13, R-DEST-5: the payload has the state as well."""
    destination = ListDestination()
    target = Aggregator(lambda event: FunctionFailed("boom") if _has(event, 2) else None)
    batch, failure = BatchPolicy(batch_size=1), FailurePolicy(retries_max=0)
    windowed(at(20, 21), target, batch=batch, failure=failure, destination=destination)
    (report,) = destination.reports
    assert (report.window.start, report.window.end, report.closing) == (START, START + 30, None)
    assert json.loads(report.payload) == target.events[1]
    assert target.events[1]["state"] == {"n": 1}


def test_the_end_of_a_window_that_fails_is_tried_again_then_reported_and_the_shard_goes_on():
    """R-WIN-12, R-DEST-2: its report has the window, and neither records nor a range."""
    destination = ListDestination()
    target = Aggregator(lambda event: FunctionFailed("boom") if event["isFinalInvokeForWindow"] else None)
    seen, _ = windowed(at(20, 31), target, failure=FailurePolicy(retries_max=2), destination=destination)
    assert [numbers for numbers, *_ in target.calls()] == [[1], [], [], [], [2]]
    (report,) = destination.reports
    assert (report.records, report.attempts, report.closing.window.state) == ((), 3, b'{"n":1}')
    assert json.loads(report.payload) == target.events[1]
    (lost,) = seen.heard.of(RecordsDiscarded)
    assert (lost.records, lost.first, lost.delivered) == (0, "", True)
    assert seen.position() == "AFTER:2"


def test_the_age_of_an_end_counts_from_when_it_is_due():
    """R-WIN-12: a limit of a minute must not drop the end of a window that waits two minutes for stragglers."""
    target = Aggregator(lambda event: FunctionFailed("boom") if event["isFinalInvokeForWindow"] else None)
    seen, _ = windowed(at(20), target, seconds=600, failure=FailurePolicy(age_seconds_max=60.0))
    assert len(target.events) > 3
    (lost,) = seen.heard.of(RecordsDiscarded)
    assert lost.condition == "RecordAgeExceeded"


def test_records_of_a_later_window_complete_the_batch_before_them():
    """A batching window does not hold up what nothing can be added to."""
    _, target = windowed(at(20, 21, 31), seconds=5, batch=BatchPolicy(window_seconds=60.0))
    assert target.calls() == [([1, 2], {}, False, False), ([], {"n": 2}, True, False)]


def test_a_batching_window_begins_when_the_last_call_of_a_tumbling_window_is_over():
    """R-BATCH-4."""

    class Slow(Aggregator):
        async def invoke(self, invocation):
            said = await super().invoke(invocation)
            await anyio.sleep(10 if self.events[-1]["isFinalInvokeForWindow"] else 0)
            return said

    target = Slow()
    windowed(at(20, 31), target, seconds=60, batch=BatchPolicy(window_seconds=15.0))
    assert [numbers for numbers, *_ in target.calls()] == [[1], [], [2]]
    assert 25 <= target.moments[2] - target.moments[1] < 26


def test_windows_that_are_switched_off_leave_no_trace_in_events():
    store = MemoryStore(VirtualClock())
    windowed(at(20), seconds=5, store=store)
    target = Aggregator(lambda event: Succeeded())
    seen = run(KeptSource(at(20, 21)), target, seconds=5, store=store)
    assert [list(event) for event in target.events] == [["Records"]]
    assert seen.rows["shard-0"].checkpoint.window is None
