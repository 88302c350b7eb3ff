"""Sequences recorded from Lambda itself, played to a whole worker in virtual time: deliveries and failure documents."""

from __future__ import annotations

import json

import pytest

from poller.invocation import FunctionFailed, NotInvoked
from poller.mapping import BatchPolicy, FailurePolicy
from poller.rules.failure_document import failure_document
from tests.builders import record
from tests.engine.running import deliver, names, poison, run
from tests.fakes import Aggregator, KeptSource, ListDestination, ScriptedSource, ScriptedTarget
from tests.virtual import EPOCH

MIB = 1024 * 1024
EXHAUSTED, TOO_OLD = "RetryAttemptsExhausted", "RecordAgeExceeded"
RAISED = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
DECLARED = {**RAISED, "functionError": None}
NO_RESPONSE = None


def played(*numbers, **settings):
    """A run, and its failure documents as a queue gets them."""
    destination = ListDestination()
    seen = deliver(*numbers, destination=destination, **settings)
    return seen, [json.loads(failure_document(report, with_payload=False)) for report in destination.reports]


def brief(documents):
    """Per document what the recordings tell of it.

    That is its condition, invoke count, first and last sequence number and batch size, and the whole context of its
    response, or that it has none.
    """
    return [
        (
            document["requestContext"]["condition"],
            document["requestContext"]["approximateInvokeCount"],
            int(document["KinesisBatchInfo"]["startSequenceNumber"]),
            int(document["KinesisBatchInfo"]["endSequenceNumber"]),
            document["KinesisBatchInfo"]["batchSize"],
            document.get("responseContext", NO_RESPONSE),
        )
        for document in documents
    ]


def test_a1_partial_responses_start_a_new_budget_for_the_rest():
    """R-PBR-1, R-PBR-2, R-PBR-4, R-PBR-5, R-PBR-7, R-RETRY-2.

    Records 1-5 come once, 6 five times: once with 4 and 5, then four times alone.
    """
    seen, documents = played(
        1, 2, 3, 4, 5, 6, answer=names(6), batch_size=3, window=1.0, retries_max=3, report_item_failures=True
    )
    assert seen.batches == [[1, 2, 3], [4, 5, 6], [6], [6], [6], [6]]
    assert brief(documents) == [(EXHAUSTED, 4, 6, 6, 1, DECLARED)]
    assert seen.position() == "AFTER:6"


def test_a2_a_handler_that_raises_is_tried_twice_with_one_retry():
    """R-RETRY-1, R-RETRY-4, R-DEST-23."""
    seen, documents = played(1, answer=poison(1), batch_size=1, retries_max=1)
    assert seen.batches == [[1], [1]]
    assert brief(documents) == [(EXHAUSTED, 2, 1, 1, 1, RAISED)]


def test_a3_a_record_that_is_too_old_at_the_start_never_reaches_the_handler():
    """R-AGE-2, R-AGE-4, R-DEST-24: its count reads 1 although nothing was invoked."""
    seen, documents = played(1, ages={1: 61}, retries_max=0, age_seconds_max=60.0)
    assert seen.batches == []
    assert brief(documents) == [(TOO_OLD, 1, 1, 1, 1, NO_RESPONSE)]


def test_a4_a_record_that_grows_too_old_while_it_is_retried_has_been_tried_about_eight_times():
    """R-RETRY-3, R-AGE-2, R-AGE-5: 0.2 s doubling fits nine attempts into 60 s; Lambda's count was 8."""
    seen, documents = played(1, answer=poison(1), seconds=90, age_seconds_max=60.0)
    assert len(seen.batches) == 9
    assert brief(documents) == [(TOO_OLD, 10, 1, 1, 1, NO_RESPONSE)]
    assert seen.target.moments[-1] - seen.target.moments[0] < 60


def test_a5_only_what_is_too_old_is_discarded_and_the_rest_is_one_batch():
    """R-AGE-3."""
    seen, documents = played(1, 2, 3, 4, 5, 6, ages={1: 61}, batch_size=10, retries_max=0, age_seconds_max=60.0)
    assert seen.batches == [[2, 3, 4, 5, 6]]
    assert brief(documents) == [(TOO_OLD, 1, 1, 1, 1, NO_RESPONSE)]


def test_a6_a_batch_that_fails_as_a_whole_is_given_up_as_a_whole_under_one_request_id():
    """R-RETRY-4, R-INV-5, R-PBR-6."""
    seen, documents = played(1, 2, 3, 4, answer=poison(2), retries_max=2)
    assert seen.batches == [[1, 2, 3, 4]] * 3
    assert len(set(seen.target.request_ids)) == 1
    assert brief(documents) == [(EXHAUSTED, 3, 1, 4, 4, RAISED)]


def test_a7_the_rest_after_a_partial_success_has_one_new_request_id_and_is_given_up_together():
    """R-PBR-5, R-PBR-8, R-INV-5: records 3 and 4 would have succeeded, and go with 2."""
    seen, documents = played(1, 2, 3, 4, answer=names(2), retries_max=1, report_item_failures=True)
    assert seen.batches == [[1, 2, 3, 4], [2, 3, 4], [2, 3, 4]]
    first, second, third = seen.target.request_ids
    assert first != second == third
    assert brief(documents) == [(EXHAUSTED, 2, 2, 4, 3, DECLARED)]
    assert documents[0]["requestContext"]["requestId"] == third


def test_a8_bisect_isolates_the_poisoned_record_depth_first():
    """R-BIS-1 to R-BIS-4."""
    seen, documents = played(1, 2, 3, 4, answer=poison(2), retries_max=2, bisect=True)
    assert seen.batches == [[1, 2, 3, 4], [1, 2], [1], [2], [2], [2], [3, 4]]
    assert brief(documents) == [(EXHAUSTED, 3, 2, 2, 1, RAISED)]


def test_a8_with_partial_responses_progress_cuts_and_its_absence_halves():
    """R-BIS-6."""
    seen, documents = played(1, 2, 3, 4, answer=names(2), retries_max=0, bisect=True, report_item_failures=True)
    assert seen.batches == [[1, 2, 3, 4], [2, 3, 4], [2], [3, 4]]
    assert brief(documents) == [(EXHAUSTED, 1, 2, 2, 1, DECLARED)]


@pytest.mark.parametrize(("retries", "count"), [(0, 1), (2, 3)])
def test_a9_a_record_over_the_payload_limit_uses_up_its_attempts_and_the_next_one_goes_on(retries, count):
    """R-BATCH-7, R-DEST-24: it never reaches the handler; all within 1.4 s or so."""
    seen, documents = played(1, 2, sizes={1: 6 * MIB}, retries_max=retries)
    assert seen.batches == [[2]]
    assert brief(documents) == [(EXHAUSTED, count, 1, 1, 1, NO_RESPONSE)]
    assert seen.target.moments[0] < 3


def test_a_record_over_the_payload_limit_blocks_until_it_is_too_old_if_retries_have_no_limit():
    """R-BATCH-7."""
    seen, documents = played(1, 2, ages={2: -60}, sizes={1: 6 * MIB}, age_seconds_max=60.0, seconds=90)
    assert seen.batches == [[2]]
    assert seen.target.moments[0] >= 59
    assert [(condition, last) for condition, _, _, last, *_ in brief(documents)] == [(TOO_OLD, 1)]


def test_a10_a_page_larger_than_a_batch_is_cut_in_order_and_delivered_at_once():
    """R-BATCH-5."""
    seen = deliver(1, 2, 3, 4, 5, batch_size=2)
    assert seen.batches == [[1, 2], [3, 4], [5]]
    assert seen.target.moments[-1] - seen.target.moments[0] < 0.1


def test_a11_the_final_call_of_a_window_comes_before_the_first_of_the_next():
    """R-WIN-2, R-WIN-7, R-WIN-8: windows of 10 s; the call without records has the state, the next one an empty one."""
    start = EPOCH - EPOCH % 10
    target = Aggregator()
    arrivals = {1: start + 1, 2: start + 9, 3: start + 10}
    source = KeptSource([record(number, arrived_at=at) for number, at in arrivals.items()])
    run(source, target, seconds=20, tumbling_window_seconds=10)
    assert target.calls() == [([1, 2], {}, False, False), ([], {"n": 2}, True, False), ([3], {}, False, False)]
    one, final, two = [event["window"] for event in target.events]
    assert one == final == {"start": "2023-11-14T22:13:20Z", "end": "2023-11-14T22:13:30Z"}
    assert two == {"start": "2023-11-14T22:13:30Z", "end": "2023-11-14T22:13:40Z"}


def test_without_a_window_a_batch_is_what_one_read_gave():
    """R-BATCH-3."""
    source = ScriptedSource()
    source.add([record(1), record(2)])
    source.add([record(3)])
    assert run(source, seconds=10).batches == [[1, 2], [3]]


def test_the_backoff_before_retries_doubles_from_a_fifth_of_a_second():
    """R-RETRY-3: recorded 202-282 ms before the first retry, 391 ms before the second."""
    seen = deliver(1, answer=poison(1), retries_max=3)
    gaps = [later - earlier for earlier, later in zip(seen.target.moments, seen.target.moments[1:], strict=False)]
    for gap, expected in zip(gaps, (0.2, 0.4, 0.8), strict=True):
        assert expected <= gap <= expected * 1.1 + 0.01


def test_bisect_alone_does_not_unblock():
    """R-BIS-4: a single record without a limit is tried until it is too old, and what is behind it waits."""
    settings = {"answer": poison(1), "bisect": True, "ages": {2: -30}, "age_seconds_max": 60.0}
    seen, documents = played(1, 2, seconds=50, **settings)
    assert seen.batches[:3] == [[1, 2], [1], [1]]
    assert [2] not in seen.batches
    assert documents == []
    seen, documents = played(1, 2, seconds=70, **settings)
    assert seen.batches[-1] == [2]
    assert [(condition, size) for condition, _, _, _, size, _ in brief(documents)] == [(TOO_OLD, 1)]


def test_a_function_that_cannot_be_reached_is_tried_until_the_records_are_too_old():
    """R-INV-2, R-RETRY-6, R-AGE-2: no attempt was counted, whatever the limit of retries."""
    seen, documents = played(1, answer=lambda batch: NotInvoked("429"), retries_max=0, age_seconds_max=60.0, seconds=90)
    assert len(seen.batches) > 5
    assert brief(documents) == [(TOO_OLD, 1, 1, 1, 1, NO_RESPONSE)]


def test_without_limits_a_failing_batch_is_tried_until_the_stream_lets_it_go():
    """R-RETRY-7, R-RETRY-8, R-AGE-6: -1 is until retention, and nothing behind it is invoked meanwhile (R-RETRY-5)."""
    source = ScriptedSource(retention_seconds=3600.0)
    source.add([record(1), record(2, arrived_at=EPOCH + 3000)])
    target = ScriptedTarget(lambda numbers: FunctionFailed("boom"))
    seen = run(source, target, seconds=3590, batch=BatchPolicy(batch_size=1), failure=FailurePolicy())
    assert {number for batch in seen.batches for number in batch} == {1}
    assert seen.discards() == []
    source.add([record(1), record(2, arrived_at=EPOCH + 3000)])
    seen = run(source, target, seconds=3700, batch=BatchPolicy(batch_size=1), failure=FailurePolicy())
    assert seen.discards()[0][0] == "RetentionExpired"
    assert seen.batches[-1] == [2]
