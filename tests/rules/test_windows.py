"""Borders, state and ends of tumbling windows, as tables."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.invocation import Chunk, Closing, Condition, FunctionFailed, NotInvoked, PayloadTooLarge, Succeeded, Verdict
from poller.model import ShardId, Window
from poller.rules.envelope import frame_bytes, render, size_bytes, window_tail
from poller.rules.windows import (
    GRACE_SECONDS,
    STATE_BYTES_MAX,
    due_closing,
    following,
    grown_too_large,
    state_is_in_the_way,
    window_for,
    with_state,
)
from tests.builders import record, records

OPEN = Window(60, 90, b'{"n":1}', opened=True)


@pytest.mark.parametrize(
    ("arrived_at", "current", "seconds", "expected"),
    [
        (1600067100.5, None, 120, (1600067040, 1600067160)),
        (60.0, None, 30, (60, 90)),
        (89.999, None, 30, (60, 90)),
        (90.0, None, 30, (90, 120)),
        (61.0, OPEN, 30, (60, 90)),
        (59.0, OPEN, 30, (60, 90)),  # an older stamp belongs to the open window
        (59.0, Window(90, 90), 30, (90, 120)),  # one of a window that is over to the next
        (200.0, Window(90, 90), 30, (180, 210)),
        (95.0, Window(90, 90), 60, (60, 120)),  # another length after a change of settings
        (61.0, OPEN, 7, (60, 90)),  # which leaves the open window as it is
    ],
)
def test_a_record_belongs_to_the_window_of_its_arrival(arrived_at, current, seconds, expected):
    """R-WIN-2, R-WIN-14."""
    window = window_for(record(1, arrived_at=arrived_at), current, seconds)
    assert (window.start, window.end) == expected


@given(st.floats(0, 4e9), st.integers(1, 900))
def test_windows_are_aligned_to_the_epoch_and_hold_their_records(arrived_at, seconds):
    """R-WIN-2."""
    window = window_for(record(1, arrived_at=arrived_at), None, seconds)
    assert window.start % seconds == 0
    assert window.end - window.start == seconds
    assert window.start <= arrived_at < window.end


@pytest.mark.parametrize(
    ("window", "head_at", "ended", "caught_up_at", "expected"),
    [
        (None, 61.0, False, 1e9, None),
        (Window(60, 90), None, True, 1e9, None),  # nothing was ever invoked
        (OPEN, 89.0, False, 1e9, None),
        (OPEN, 89.0, True, 1e9, None),
        (OPEN, 90.0, False, 0.0, "final"),
        (OPEN, None, True, 0.0, "final"),
        (OPEN, None, False, 90.0 + GRACE_SECONDS - 0.001, None),
        (OPEN, None, False, 90.0 + GRACE_SECONDS, "final"),
        (Window(60, 90, b"x" * (STATE_BYTES_MAX + 1), opened=True), 61.0, False, 0.0, "early"),
        (Window(60, 90, b"x" * STATE_BYTES_MAX, opened=True), 61.0, False, 0.0, None),
        (Window(60, 90, b"x" * (STATE_BYTES_MAX + 1), opened=True), 95.0, True, 0.0, "early"),
    ],
)
def test_a_closing_is_due_when_something_later_or_nothing_more_comes(window, head_at, ended, caught_up_at, expected):
    """R-WIN-7 to R-WIN-10."""
    head = None if head_at is None else record(1, arrived_at=head_at)
    closing = due_closing(window, head, 500.0, ended=ended, caught_up_at=caught_up_at)
    assert closing == (None if expected is None else Closing(window, 500.0, early=expected == "early"))


@pytest.mark.parametrize(
    ("answer", "is_state"),
    [
        (b'{"state":{}}', True),
        (b'{"state":[1,2]}', True),
        (b'{"state":0}', True),
        (b'{"state":""}', True),
        (b'{"state":"\\ud83d"}', True),
        (b'{"state":null}', False),
        (b'{"State":{}}', False),
        (b'{"state":NaN}', False),
        (b"[]", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_an_answer_must_have_a_state(answer, is_state):
    """R-WIN-5."""
    outcome = with_state(Succeeded(answer), 100)
    assert isinstance(outcome, Succeeded) is is_state


def test_other_outcomes_stay_as_they_are():
    for outcome in (FunctionFailed("boom"), NotInvoked("429")):
        assert with_state(outcome, 100) is outcome


@pytest.mark.parametrize(("most", "fits"), [(14, True), (13, False)])
def test_a_state_that_fits_in_no_event_is_a_failed_call(most, fits):
    """R-WIN-10, R-PORT-10: kept, it could never be taken away again. Its form is the compact one."""
    assert isinstance(with_state(Succeeded(b'{"state": {"text": "abc"}}'), most), Succeeded) is fits


BATCH = Chunk(records(1, 2))
FINAL, EARLY = Chunk((), closing=Closing(OPEN, 0.0)), Chunk((), closing=Closing(OPEN, 0.0, early=True))
SAID = Succeeded('{"state":{"größe": 2}}'.encode())


@pytest.mark.parametrize(
    ("chunk", "outcome", "verdict", "expected"),
    [
        (BATCH, SAID, Verdict(settled=BATCH.records), ('{"größe":2}', True)),
        (BATCH, SAID, Verdict(settled=BATCH.records[:1], pending=(Chunk(BATCH.records[1:]),)), ('{"größe":2}', True)),
        (BATCH, SAID, Verdict(pending=(BATCH,)), ('{"n":1}', False)),
        (BATCH, FunctionFailed(""), Verdict(pending=(BATCH,)), ('{"n":1}', False)),
        (
            BATCH,
            FunctionFailed(""),
            Verdict(discarded=BATCH.records, condition=Condition.RETRY_ATTEMPTS_EXHAUSTED),
            ('{"n":1}', True),
        ),
        (
            BATCH,
            PayloadTooLarge(),
            Verdict(discarded=BATCH.records, condition=Condition.RETRY_ATTEMPTS_EXHAUSTED),
            ('{"n":1}', False),
        ),
        (
            BATCH,
            None,
            Verdict(discarded=BATCH.records, condition=Condition.RECORD_AGE_EXCEEDED),
            ('{"n":1}', False),
        ),
        (FINAL, FunctionFailed(""), Verdict(pending=(FINAL,)), ('{"n":1}', False)),
        (EARLY, SAID, Verdict(), ("{}", False)),
    ],
)
def test_the_state_moves_with_progress_only(chunk, outcome, verdict, expected):
    """R-WIN-5, R-WIN-6, R-WIN-10, R-WIN-11."""
    before = Window(60, 90, b'{"n":1}')
    after = following(before, chunk, outcome, verdict)
    assert (after.state.decode(), after.opened) == expected
    assert (after.start, after.end) == (60, 90)


@pytest.mark.parametrize("verdict", [Verdict(), Verdict(condition=Condition.RETRY_ATTEMPTS_EXHAUSTED, attempts=3)])
def test_after_its_final_call_a_window_is_over_whatever_came_of_it(verdict):
    """R-WIN-7, R-WIN-12."""
    assert following(OPEN, FINAL, SAID, verdict) == Window(90, 90)


@pytest.mark.parametrize(
    ("size", "most", "opened", "expected"),
    [
        (100, 100, True, False),  # it fits as it is
        (101, 100, True, True),
        (105, 100, True, True),  # with the two bytes of an empty state it just fits
        (106, 100, True, False),
        (101, 100, False, False),  # no invocation would take the state
    ],
)
def test_a_state_is_in_the_way_of_what_fits_without_it(size, most, opened, expected):
    """R-WIN-10, R-PORT-10."""
    window = Window(60, 90, b'{"n":1}', opened)
    assert state_is_in_the_way(window, size, most) is expected


def test_a_state_is_too_large_by_its_bytes_not_by_its_characters():
    """R-WIN-10."""
    text = '"' + "ü" * (STATE_BYTES_MAX // 2) + '"'
    assert not grown_too_large(Window(0, 1, b"x" * STATE_BYTES_MAX))
    assert grown_too_large(Window(0, 1, text.encode()))


def test_the_frame_of_a_window_is_counted_to_the_byte():
    """R-PORT-10."""
    batch = records(1, 2, 3)
    for window in (OPEN, Window(0, 900, '{"größe":"x"}'.encode())):
        tail = window_tail(ShardId("shard-0"), "arn", window, final=True)
        rendered = render(batch, tail)
        assert len(rendered) == frame_bytes(tail) + size_bytes(batch) + len(batch) - 1
        event = json.loads(rendered)
        assert event["state"] == json.loads(window.state)
        assert (event["isFinalInvokeForWindow"], event["isWindowTerminatedEarly"]) == (True, False)
