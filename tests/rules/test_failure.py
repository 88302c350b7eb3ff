"""What becomes of a chunk, rule by rule, and the conservation law over all of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.invocation import (
    Chunk,
    Closing,
    Condition,
    FunctionFailed,
    NotInvoked,
    PayloadTooLarge,
    Succeeded,
    Verdict,
)
from poller.mapping import FailurePolicy
from poller.model import Window
from poller.rules.failure import RETRY_AFTER_SECONDS_MAX, expire, judge, seconds_to_expiry
from tests.builders import chunk, numbers, record, records
from tests.virtual import EPOCH

FAILED = FunctionFailed("boom")


def naming(*failed: int) -> Succeeded:
    return Succeeded(json.dumps({"batchItemFailures": [{"itemIdentifier": str(each)} for each in failed]}).encode())


def pending(verdict):
    return [numbers(rest.records) for rest in verdict.pending]


def test_success_settles_everything():
    """R-INV-1."""
    verdict = judge(chunk(1, 2), Succeeded(), FailurePolicy(), 0.5)
    assert (numbers(verdict.settled), verdict.pending) == ([1, 2], ())


def test_a_named_failure_means_nothing_unless_the_mapping_reports_item_failures():
    """R-INV-6."""
    assert numbers(judge(chunk(1, 2), naming(1), FailurePolicy(), 0.5).settled) == [1, 2]


def test_progress_settles_the_prefix_and_delivers_the_rest_at_once_as_a_new_batch():
    """R-PBR-2, R-PBR-5, R-PBR-7."""
    verdict = judge(chunk(1, 2, 3, attempts=5), naming(2), FailurePolicy(report_item_failures=True), 0.5)
    assert numbers(verdict.settled) == [1]
    assert pending(verdict) == [[2, 3]]
    assert (verdict.pending[0].attempts, verdict.wait_seconds) == (0, 0)


def test_no_progress_is_a_counted_retry_with_a_pause():
    """R-PBR-6, R-RETRY-3: about 0.2 s, then twice as long each time."""
    policy = FailurePolicy(report_item_failures=True)
    waits = []
    rest = chunk(1, 2)
    for attempts in (1, 2, 3):
        verdict = judge(rest, naming(1), policy, 0.0)
        (rest,) = verdict.pending
        assert rest.attempts == attempts
        waits.append(verdict.wait_seconds)
    assert waits == pytest.approx([0.2, 0.4, 0.8], rel=0.2)


@pytest.mark.parametrize("retries", [0, 1, 7])
def test_the_whole_batch_is_given_up_after_one_attempt_more_than_retries(retries):
    """R-RETRY-1, R-RETRY-4, R-PBR-8."""
    policy = FailurePolicy(retries_max=retries)
    rest, attempts = chunk(1, 2), 0
    while rest:
        verdict = judge(rest, FAILED, policy, 0.5)
        attempts += 1
        rest = verdict.pending[0] if verdict.pending else None
    assert (attempts, verdict.attempts) == (retries + 1, retries + 1)
    assert numbers(verdict.discarded) == [1, 2]
    assert verdict.condition is Condition.RETRY_ATTEMPTS_EXHAUSTED


def test_without_a_limit_a_batch_is_retried_for_ever():
    """R-RETRY-7."""
    assert judge(chunk(1, attempts=9_999), FAILED, FailurePolicy(), 0.5).pending[0].attempts == 10_000


@pytest.mark.parametrize("reporting", [False, True])
def test_bisect_halves_at_the_first_failure_without_using_budget(reporting):
    """R-BIS-1, R-BIS-2, R-BIS-3; R-BIS-5: a function error is one whether or not item failures are reported."""
    policy = FailurePolicy(bisect=True, retries_max=0, report_item_failures=reporting)
    verdict = judge(chunk(1, 2, 3, attempts=0), FAILED, policy, 0.5)
    assert pending(verdict) == [[1], [2, 3]]
    assert [rest.attempts for rest in verdict.pending] == [0, 0]
    assert verdict.wait_seconds == 0


def test_bisect_of_one_record_is_a_retry():
    """R-BIS-4."""
    verdict = judge(chunk(1), FAILED, FailurePolicy(bisect=True, retries_max=1), 0.5)
    assert verdict.pending[0].attempts == 1
    assert verdict.wait_seconds > 0


def test_bisect_with_named_failures_splits_where_they_begin_and_halves_only_without_progress():
    """R-BIS-5, R-BIS-6."""
    policy = FailurePolicy(bisect=True, report_item_failures=True)
    assert pending(judge(chunk(1, 2, 3, 4), naming(2), policy, 0.5)) == [[2, 3, 4]]
    assert pending(judge(chunk(2, 3, 4), naming(2), policy, 0.5)) == [[2], [3, 4]]


def test_a_batch_that_did_not_reach_the_function_costs_no_attempt_and_is_never_halved():
    """R-INV-2, R-RETRY-6, R-BIS-5."""
    policy = FailurePolicy(bisect=True, retries_max=0)
    verdict = judge(chunk(1, 2, refusals=50), NotInvoked("429"), policy, 0.5)
    (rest,) = verdict.pending
    assert (rest.attempts, rest.refusals, numbers(rest.records)) == (0, 51, [1, 2])
    assert verdict.wait_seconds >= 60


def test_a_target_may_ask_for_a_longer_pause_within_reason():
    """R-PORT-4: Retry-After is honoured."""
    assert judge(chunk(1), NotInvoked("503", 30.0), FailurePolicy(), 0.5).wait_seconds == 30.0
    assert judge(chunk(1), NotInvoked("503", 1e9), FailurePolicy(), 0.5).wait_seconds == RETRY_AFTER_SECONDS_MAX


def test_an_oversized_record_uses_up_attempts():
    """R-BATCH-7: retries 2 are three refusals, then it is given up."""
    policy = FailurePolicy(retries_max=2)
    assert judge(chunk(1, attempts=1), PayloadTooLarge(), policy, 0.5).pending[0].attempts == 2
    assert judge(chunk(1, attempts=2), PayloadTooLarge(), policy, 0.5).attempts == 3


def test_a_target_with_a_lower_limit_gets_halves():
    """R-BATCH-7: Lambda has no such target; halving loses least."""
    assert pending(judge(chunk(1, 2, 3), PayloadTooLarge(), FailurePolicy(retries_max=0), 0.5)) == [[1], [2, 3]]


def test_only_the_leading_old_records_expire():
    """R-AGE-1, R-AGE-3, R-AGE-4, R-AGE-8: the invoke count is attempts + 1, the rest starts anew."""
    old = record(1, arrived_at=EPOCH - 61)
    batch = Chunk((old, *records(2, 3)), attempts=4)
    verdict = expire(batch, EPOCH, FailurePolicy(age_seconds_max=60), None)
    assert verdict is not None
    assert (numbers(verdict.discarded), verdict.condition) == ([1], Condition.RECORD_AGE_EXCEEDED)
    assert verdict.attempts == 5
    assert [(numbers(rest.records), rest.attempts) for rest in verdict.pending] == [([2, 3], 0)]


def test_an_old_record_behind_a_young_one_waits_for_its_turn():
    """R-AGE-3."""
    batch = Chunk((record(1), record(2, arrived_at=EPOCH - 100)))
    assert expire(batch, EPOCH, FailurePolicy(age_seconds_max=60), None) is None


def test_the_age_limit_counts_whatever_the_retry_limit_says():
    """R-AGE-5, R-AGE-6."""
    old = chunk(1, arrived_at=EPOCH - 60)
    assert expire(old, EPOCH, FailurePolicy(age_seconds_max=60, retries_max=10_000), None) is not None
    assert expire(old, EPOCH, FailurePolicy(), None) is None


def test_a_clock_behind_the_source_expires_nothing():
    """R-PORT-8: a negative age is none."""
    assert expire(chunk(1, arrived_at=EPOCH + 500), EPOCH, FailurePolicy(age_seconds_max=60), 86_400) is None


def test_retention_ends_retries_and_never_a_first_attempt():
    """R-RETRY-8, R-KIN-6: what was read in time is tried at least once, so that nothing expires as a neighbour."""
    day = 86_400.0
    untried = chunk(1, 2, arrived_at=EPOCH - day - 1)
    assert expire(untried, EPOCH, FailurePolicy(), day) is None
    for tried in (Chunk(untried.records, attempts=1), Chunk(untried.records, refusals=1)):
        verdict = expire(tried, EPOCH, FailurePolicy(), day)
        assert verdict is not None
        assert verdict.condition is Condition.RETENTION_EXPIRED


def test_no_pause_outlasts_the_expiry_of_the_head():
    """R-AGE-2."""
    policy = FailurePolicy(age_seconds_max=60)
    assert seconds_to_expiry(chunk(1), EPOCH + 55, policy, 86_400) == 5
    assert seconds_to_expiry(chunk(1), EPOCH + 99, policy, None) == 0
    assert seconds_to_expiry(chunk(1), EPOCH, FailurePolicy(), None) == float("inf")


policies = st.builds(
    FailurePolicy,
    retries_max=st.none() | st.integers(0, 4),
    age_seconds_max=st.none() | st.floats(60, 604_800),
    bisect=st.booleans(),
    report_item_failures=st.booleans(),
)
batches = st.builds(
    lambda ages, attempts, refusals: Chunk(
        tuple(record(n, arrived_at=EPOCH - age) for n, age in enumerate(ages, 1)), attempts, refusals
    ),
    st.lists(st.floats(-1e3, 1e6), min_size=1, max_size=9),
    st.integers(0, 6),
    st.integers(0, 40),
)
outcomes = st.one_of(
    st.just(FAILED),
    st.just(PayloadTooLarge()),
    st.builds(NotInvoked, st.just("no"), st.none() | st.floats(0, 1e6)),
    st.just(Succeeded()),
    st.lists(st.integers(0, 10), max_size=4).map(lambda failed: naming(*failed)),
)


@given(batches, outcomes, policies, st.floats(0, 1, exclude_max=True))
def test_no_verdict_gains_loses_or_reorders_a_record(batch, outcome, policy, jitter):
    """The conservation law: settled + discarded + pending == chunk."""
    verdict = judge(batch, outcome, policy, jitter)
    rest = [each for part in verdict.pending for each in part.records]
    assert [*verdict.settled, *verdict.discarded, *rest] == list(batch.records)
    assert (verdict.condition is not None) == bool(verdict.discarded)
    assert all(part.records for part in verdict.pending)
    if isinstance(outcome, NotInvoked):
        assert not verdict.discarded


@given(batches, policies, st.none() | st.floats(86_400, 1e6))
def test_no_expiry_gains_loses_or_reorders_a_record(batch, policy, retention):
    """The conservation law again; and what expires is a leading run (R-AGE-3)."""
    verdict = expire(batch, EPOCH, policy, retention)
    if verdict is not None:
        rest = [each for part in verdict.pending for each in part.records]
        assert [*verdict.settled, *verdict.discarded, *rest] == list(batch.records)
        assert verdict.discarded
        assert not verdict.settled
        assert verdict.condition is not None


@given(batches, st.lists(outcomes, min_size=1, max_size=5), policies)
def test_a_batch_with_a_retry_limit_comes_to_an_end(batch, script, policy):
    """R-RETRY-1, R-BIS-4: with n records and N retries there are at most (2n - 1)(N + 1) counted attempts."""
    if policy.retries_max is None:
        return
    script = [each for each in script if not isinstance(each, NotInvoked)] or [FAILED]
    stack, counted = [Chunk(batch.records)], 0
    while stack:
        part = stack.pop()
        verdict = judge(part, script[counted % len(script)], policy, 0.0)
        counted += 1
        stack.extend(reversed(verdict.pending))
        assert counted <= 2 * len(batch.records) ** 2 * (policy.retries_max + 1)


END = Closing(Window(0, 60, b"{}", opened=True), due_at=EPOCH)


def test_the_end_of_a_window_is_over_when_the_function_took_it():
    """R-WIN-7: what it says of single records means nothing, for there are none."""
    policy = FailurePolicy(report_item_failures=True)
    said = Succeeded(b'{"state":{},"batchItemFailures":[{"itemIdentifier":"1"}]}')
    assert judge(Chunk((), closing=END), said, policy, 0.0) == Verdict()


def test_the_end_of_a_window_is_tried_again_and_given_up_like_a_batch():
    """R-WIN-12."""
    policy = FailurePolicy(retries_max=1, bisect=True)
    first = judge(Chunk((), closing=END), FunctionFailed("boom"), policy, 0.0)
    assert first.pending == (Chunk((), attempts=1, closing=END),)
    assert first.wait_seconds > 0
    second = judge(first.pending[0], FunctionFailed("boom"), policy, 0.0)
    assert (second.condition, second.attempts, second.pending) == (Condition.RETRY_ATTEMPTS_EXHAUSTED, 2, ())


def test_the_end_of_a_window_grows_old_from_when_it_is_due():
    """R-WIN-12."""
    policy = FailurePolicy(age_seconds_max=60.0)
    chunk = Chunk((), attempts=3, closing=END)
    assert expire(chunk, EPOCH + 59, policy, None) is None
    assert seconds_to_expiry(chunk, EPOCH + 59, policy, None) == 1
    assert expire(chunk, EPOCH + 100_000, FailurePolicy(), 86_400) is None  # no stream keeps it, and none drops it
    assert seconds_to_expiry(chunk, EPOCH + 100_000, FailurePolicy(), 86_400) == float("inf")
    old = expire(chunk, EPOCH + 60, policy, None)
    assert (old.condition, old.attempts, old.pending, old.discarded) == (Condition.RECORD_AGE_EXCEEDED, 4, (), ())
