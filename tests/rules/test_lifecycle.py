"""States of a mapping at a start and after it, and the words for how it went last."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.arns import DestinationKind
from poller.events import (
    BatchInvoked,
    BatchRetried,
    CheckpointFailed,
    FailureSent,
    LeaseWasLost,
    MappingTroubled,
    PageRead,
    Polled,
    RecordsDiscarded,
    RecordsSettled,
    ShardFailed,
    ShardsListed,
)
from poller.invocation import Condition
from poller.mapping import BatchPolicy, FailurePolicy, MappingStatus, State
from poller.model import Position, SequenceNumber, ShardId
from poller.rules.lifecycle import RESULT_LENGTH_MAX, heard, listable_after, settings_mark, settled, started
from tests.builders import mapping

S = ShardId("shardId-000000000000")
ONE, NINE = SequenceNumber("1"), SequenceNumber("9")
ON, OFF = mapping(), replace(mapping(), enabled=False)
OLD, NEW = settings_mark(mapping(batch=BatchPolicy(batch_size=7))), settings_mark(mapping())
EARLIER, NOW = 1000.0, 2000.0


def was(state: State, settings: str = NEW) -> MappingStatus:
    return MappingStatus(ON.id, state, result="OK", changed_at=EARLIER, settings=settings)


# What counts as a setting


def test_the_mark_of_settings_is_the_same_in_every_process_and_version():
    """If this changes, every mapping looks updated after the next start."""
    made = mapping(
        batch=BatchPolicy(batch_size=10, window_seconds=1.5),
        failure=FailurePolicy(retries_max=3, age_seconds_max=60.0, bisect=True),
        filter_patterns=('{"data":{"größe":[1]}}',),
    )
    assert settings_mark(made) == "82a0dfce238d7087"


CHANGES = {
    "starting_position": "LATEST",
    "starting_timestamp": 5.5,
    "batch": BatchPolicy(batch_size=99),
    "failure": FailurePolicy(retries_max=0),
    "filter_patterns": ("{}",),
    "lanes": 2,
    "tumbling_window_seconds": 30,
    "destination": "file:///tmp/failures",
    "deaggregate": True,
}


@given(st.lists(st.sampled_from(sorted(CHANGES)), max_size=3, unique=True))
def test_every_setting_counts(keys):
    changed = replace(mapping(), **{key: CHANGES[key] for key in keys})
    assert (settings_mark(changed) == NEW) is (not keys)


@pytest.mark.parametrize(
    "changed",
    [
        replace(ON, name="another label"),
        OFF,
        mapping(batch=BatchPolicy(window_seconds=0)),  # 0 is 0.0
    ],
)
def test_a_label_is_no_setting_nor_is_enabled_nor_how_a_number_is_written(changed):
    assert settings_mark(changed) == NEW


def test_a_limit_of_nothing_is_not_no_limit():
    marks = {settings_mark(mapping(failure=FailurePolicy(retries_max=each))) for each in (None, 0, 1)}
    assert len(marks) == 3


# States


def test_the_states_are_lambdas_seven_words():
    """R-STATE-1."""
    words = ["Creating", "Enabling", "Enabled", "Disabling", "Disabled", "Updating", "Deleting"]
    assert [state.value for state in State] == words


@pytest.mark.parametrize(
    ("before", "now", "state"),
    [
        (None, ON, State.CREATING),
        (None, OFF, State.CREATING),
        (was(State.DELETING), ON, State.CREATING),
        (was(State.CREATING), ON, State.CREATING),
        (was(State.CREATING), OFF, State.CREATING),
        (was(State.CREATING, OLD), ON, State.CREATING),
        (was(State.ENABLED), ON, State.ENABLED),
        (was(State.ENABLED, OLD), ON, State.UPDATING),
        (was(State.ENABLED), OFF, State.DISABLING),
        (was(State.ENABLED, OLD), OFF, State.DISABLING),
        (was(State.ENABLING), ON, State.ENABLING),
        (was(State.ENABLING, OLD), ON, State.UPDATING),
        (was(State.ENABLING), OFF, State.DISABLING),
        (was(State.UPDATING), ON, State.UPDATING),
        (was(State.UPDATING, OLD), ON, State.UPDATING),
        (was(State.UPDATING), OFF, State.DISABLING),
        (was(State.DISABLED), ON, State.ENABLING),
        (was(State.DISABLED, OLD), ON, State.ENABLING),
        (was(State.DISABLED), OFF, State.DISABLED),
        (was(State.DISABLED, OLD), OFF, State.UPDATING),
        (was(State.DISABLING), ON, State.ENABLING),
        (was(State.DISABLING), OFF, State.DISABLING),
        (was(State.DISABLING, OLD), OFF, State.UPDATING),
    ],
)
def test_a_start_has_a_state_by_what_was_known_and_what_is_wanted(before, now, state):
    """R-STATE-2, R-STATE-3; a worker that died half-way is among them."""
    status = started(before, now, NOW)
    assert (status.state, status.settings, status.reason) == (state, NEW, "User action")


@pytest.mark.parametrize("state", [State.CREATING, State.ENABLING, State.ENABLED, State.UPDATING])
def test_a_start_with_nothing_new_is_the_same_value(state):
    before = was(state)
    assert started(before, ON, NOW) is before


def test_a_change_has_its_moment_and_keeps_the_last_result():
    """R-STATE-3: recorded as Disabling with the result OK."""
    assert started(was(State.ENABLED), OFF, NOW) == replace(was(State.DISABLING), changed_at=NOW)
    assert started(was(State.CREATING, OLD), ON, NOW) == replace(was(State.CREATING), changed_at=NOW)


def test_a_new_mapping_has_processed_nothing_and_nor_has_one_that_was_deleted_before():
    """R-STATE-6, R-STATE-15."""
    new = MappingStatus(ON.id, State.CREATING, "User action", "No records processed", NOW, NEW)
    assert started(None, ON, NOW) == new
    assert started(was(State.DELETING), ON, NOW) == new


@pytest.mark.parametrize("before", [None, *(was(each, mark) for each in State for mark in (OLD, NEW))])
@pytest.mark.parametrize(("now", "state"), [(ON, State.ENABLED), (OFF, State.DISABLED)])
def test_every_start_settles_into_enabled_or_disabled(before, now, state):
    """R-STATE-2, R-STATE-3."""
    first = started(before, now, NOW)
    rest = settled(first, enabled=now.enabled, now=NOW + 1)
    assert rest.state is state
    assert rest == first or rest == replace(first, state=state, changed_at=NOW + 1)
    assert settled(rest, enabled=now.enabled, now=NOW + 2) is rest
    assert started(rest, now, NOW + 3) is rest


def test_a_mapping_on_its_way_out_never_settles():
    """R-STATE-4."""
    going = was(State.DELETING)
    assert settled(going, enabled=True, now=NOW) is going


# The last processing result


def invoked(outcome: str, problem: str = "") -> BatchInvoked:
    return BatchInvoked("orders", S, "id", 9, ONE, NINE, 1, outcome, 0.1, problem)


def polled(result: str) -> Polled:
    return Polled("orders", S, result, 0.01, "" if result in ("records", "empty") else "slow down")


DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: dynamodb:DescribeStream on "
    "resource: arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026 with an explicit deny in an "
    "identity-based policy"
)
GONE = "Requested resource not found: Stream: arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026 not found"
AWAY = "could not list the shards of orders: ConnectError: refused"
NOTHING, OK, FAILED = "No records processed", "OK", "PROBLEM: Function call failed"
UNREACHED, UNPOLLED = f"{FAILED}: HTTP 503: busy", f"PROBLEM: Polling failed: {AWAY}"
EVERY = [NOTHING, OK, FAILED, UNREACHED, UNPOLLED, f"PROBLEM: {DENIED}", f"PROBLEM: {GONE}"]


@pytest.mark.parametrize("before", EVERY)
@pytest.mark.parametrize(
    ("event", "after"),
    [
        (invoked("success"), OK),
        (invoked("partial_failure"), OK),
        (invoked("function_error", "Unhandled: ValueError: of the user's"), FAILED),
        (invoked("payload_too_large", "the event has 7000000 bytes"), FAILED),
        (invoked("not_invoked", "HTTP 503: busy"), UNREACHED),
        (MappingTroubled("orders", f"could not list: AccessDeniedException: {DENIED}", DENIED), f"PROBLEM: {DENIED}"),
        (MappingTroubled("orders", f"could not list: ResourceNotFoundException: {GONE}", GONE), f"PROBLEM: {GONE}"),
        (MappingTroubled("orders", AWAY), UNPOLLED),
        (ShardFailed("orders", S, "ValueError()", "Traceback"), "PROBLEM: Polling failed: ValueError()"),
    ],
)
def test_batches_and_troubles_write_the_result_whatever_it_was(before, event, after):
    """R-STATE-6, R-STATE-8, R-STATE-9, R-STATE-10 and R-PBR-9."""
    status = replace(was(State.ENABLED), result=before)
    assert heard(status, event) == replace(status, result=after)


@pytest.mark.parametrize("before", EVERY)
@pytest.mark.parametrize(
    "event",
    [
        polled("throttled"),
        polled("expired"),
        polled("error"),
        PageRead("orders", S, 9, 900, 0.0, None),
        BatchRetried("orders", S, 9, 0.2, split=False),
        RecordsDiscarded("orders", S, Condition.RETRY_ATTEMPTS_EXHAUSTED, 9, ONE, NINE, 3, "boom"),
        RecordsDiscarded("orders", S, Condition.RECORD_AGE_EXCEEDED, 9, ONE, NINE, 0, "too old"),
        RecordsSettled("orders", S, 9, 9, Position("AFTER:9"), None),
        FailureSent("orders", S, DestinationKind.SQS, 9, 0.1, "denied"),
        CheckpointFailed("orders", S, "away"),
        LeaseWasLost("orders", S, "taken"),
    ],
)
def test_nothing_else_writes_the_result(before, event):
    """R-STATE-7: giving up records has no word of its own, even before the first batch."""
    status = replace(was(State.ENABLED), result=before)
    assert heard(status, event) is status


@pytest.mark.parametrize("event", [polled("records"), polled("empty"), ShardsListed("orders", 4, 0)])
@pytest.mark.parametrize("before", EVERY)
def test_reading_ends_a_trouble_of_the_stream_and_a_listing_one_of_ours(before, event):
    """R-STATE-8: access returns. A function that fails goes on failing, however well the stream is read."""
    denied_or_gone = before in EVERY[-2:]
    ends = before == UNPOLLED if isinstance(event, ShardsListed) else denied_or_gone
    status = replace(was(State.ENABLED), result=before)
    after = heard(status, event)
    assert after.result == (NOTHING if ends else before)
    assert ends or after is status


def test_reading_ends_no_trouble_while_the_shards_cannot_be_listed():
    """R-STATE-6, R-STATE-8: a trouble of another kind changes nothing of that."""
    status, told = was(State.ENABLED), []
    listable = True
    denied = MappingTroubled("orders", "denied", DENIED, listing=True)
    for event in (denied, polled("empty"), MappingTroubled("orders", "x", GONE), ShardsListed("orders", 1, 0)):
        listable = listable_after(event, before=listable)
        status = heard(status, event, listable=listable)
        told.append((listable, status.result))
    problems = [f"PROBLEM: {DENIED}"] * 2 + [f"PROBLEM: {GONE}"] * 2
    assert told == list(zip([False, False, False, True], problems, strict=True))
    assert heard(status, polled("empty"), listable=listable).result == NOTHING


@pytest.mark.parametrize(
    "event", [invoked("success"), invoked("function_error"), MappingTroubled("orders", "x", DENIED)]
)
def test_what_repeats_is_the_same_value(event):
    first = heard(was(State.ENABLED), event)
    assert heard(first, pickle.loads(pickle.dumps(event))) is first


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize(
    "event", [invoked("not_invoked", "gone"), MappingTroubled("orders", "x", GONE), polled("empty")]
)
def test_no_event_moves_the_state_nor_its_moment(state, event):
    """R-STATE-8, R-STATE-9: it stays Enabled with its reason."""
    after = heard(was(state), event)
    assert replace(after, result="OK") == was(state)


def test_of_a_trace_the_last_line_is_told():
    trace = 'Traceback (most recent call last):\n  File "supervisor.py", line 1\nValueError: odd\n'
    assert (
        heard(was(State.ENABLED), MappingTroubled("orders", trace)).result == "PROBLEM: Polling failed: ValueError: odd"
    )


@given(st.text(max_size=2000), st.sampled_from(["said", "problem", "not_invoked"]))
def test_a_result_is_one_line_of_bounded_length_that_no_terminal_obeys(text, place):
    event = {
        "said": MappingTroubled("orders", "x", text),
        "problem": MappingTroubled("orders", text),
        "not_invoked": invoked("not_invoked", text),
    }[place]
    result = heard(was(State.ENABLED), event).result
    assert result.startswith("PROBLEM:")
    assert result.isprintable()
    assert len(result) <= RESULT_LENGTH_MAX


def test_a_long_text_keeps_its_beginning():
    result = heard(was(State.ENABLED), MappingTroubled("orders", "x", "denied " * 500)).result
    assert (len(result), result[:22], result[-3:]) == (RESULT_LENGTH_MAX, "PROBLEM: denied denied", "...")
