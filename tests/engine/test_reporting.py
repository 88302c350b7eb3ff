"""What is given up goes to the mapping's destination before it counts as done, and never holds a shard up for long."""

from __future__ import annotations

import json

import pytest

from poller.arns import DestinationKind
from poller.engine import reporting
from poller.errors import SourceGone, Unavailable
from poller.events import BatchInvoked, CheckpointSaved, FailureSent, RecordsDiscarded
from poller.invocation import FunctionFailed, PayloadTooLarge, Response, Succeeded
from poller.mapping import BatchPolicy, FailurePolicy
from tests.builders import STREAM, record, records
from tests.engine.running import FUNCTION_ARN, names, poison, run
from tests.fakes import ListDestination, ScriptedSource, ScriptedTarget
from tests.virtual import EPOCH


def given_up(destination, *numbers, answer=None, seconds=60.0, ages=(), retention=None, batch=None, **failure):
    source = ScriptedSource(retention_seconds=retention)
    source.add([record(number, arrived_at=EPOCH - dict(ages).get(number, 0)) for number in numbers])
    policy = FailurePolicy(**failure)
    target = ScriptedTarget(answer or poison(*numbers))
    return run(source, target, seconds=seconds, batch=batch, failure=policy, destination=destination)


def test_a_report_has_all_that_a_document_needs():
    """R-DEST-2, R-DEST-3, R-DEST-21: one report for the batch."""
    destination = ListDestination()
    seen = given_up(destination, 1, 2, 3, retries_max=1)
    (report,) = destination.reports
    assert (report.mapping, report.shard) == (seen.rows["shard-0"].lease.mapping, "shard-0")
    assert (report.source_arn, report.function_arn) == (STREAM, FUNCTION_ARN)
    assert (report.condition, report.attempts) == ("RetryAttemptsExhausted", 2)
    assert report.response == Response(function_error="Unhandled")
    assert report.request_id == seen.target.request_ids[0]
    assert report.records == records(1, 2, 3)
    assert len(json.loads(report.payload)["Records"]) == 3
    assert EPOCH < report.at < EPOCH + 60
    (lost,) = seen.heard.of(RecordsDiscarded)
    assert (lost.delivered, lost.request_id) == (True, report.request_id)
    (sent,) = seen.heard.of(FailureSent)
    assert (sent.destination, sent.records, sent.problem) == (DestinationKind.SQS, 3, "")


def test_the_request_is_the_one_that_the_target_named_last():
    """R-INV-5: also if the batch is given up for its age, or the last attempt got no answer."""
    answers = [FunctionFailed("boom", Response(function_error="Unhandled", request_id="theirs"))]
    for limits in ({"retries_max": 1}, {"age_seconds_max": 60.0}):
        destination, script = ListDestination(), iter(answers)
        seen = given_up(
            destination, 1, answer=lambda batch, script=script: next(script, FunctionFailed("no answer")), **limits
        )
        (report,) = destination.reports
        (lost,) = seen.heard.of(RecordsDiscarded)
        told = [event.request_id for event in seen.heard.of(BatchInvoked)]
        assert {report.request_id, lost.request_id, *told} == {"theirs"}
        assert len(told) == len(seen.batches) > 1


def test_a_declared_failure_is_reported_as_one():
    """R-PBR-4, R-PBR-8: without a function error, and the whole rest at once."""
    destination = ListDestination()
    given_up(destination, 1, 2, 3, answer=names(2), retries_max=0, report_item_failures=True)
    (report,) = destination.reports
    assert report.response == Response()
    assert report.records == records(2, 3)


def test_records_that_are_too_old_or_events_that_are_too_large_have_no_response():
    """R-DEST-24, R-AGE-4."""
    destination = ListDestination()
    given_up(destination, 1, 2, ages={1: 61}, answer=lambda batch: Succeeded(), age_seconds_max=60.0)
    given_up(destination, 3, answer=lambda batch: PayloadTooLarge(), retries_max=0)
    assert [(str(each.condition), each.attempts, each.response) for each in destination.reports] == [
        ("RecordAgeExceeded", 1, None),
        ("RetryAttemptsExhausted", 1, None),
    ]


@pytest.mark.parametrize(("batch_size", "reported"), [(10, [(1, 2, 3)]), (1, [(1,), (2,), (3,)])])
def test_neighbours_that_are_too_old_are_one_report_if_they_are_of_one_batch(batch_size, reported):
    """R-AGE-7."""
    destination = ListDestination()
    seen = given_up(
        destination,
        *range(1, 6),
        ages={1: 70, 2: 65, 3: 61},
        answer=lambda batch: Succeeded(),
        age_seconds_max=60.0,
        batch=BatchPolicy(batch_size=batch_size),
    )
    assert [report.records for report in destination.reports] == [
        tuple(record(number, arrived_at=EPOCH - {1: 70, 2: 65, 3: 61}[number]) for number in group)
        for group in reported
    ]
    assert [number for batch in seen.batches for number in batch] == [4, 5]


def test_what_was_taken_or_is_not_wanted_is_not_reported():
    """R-DEST-2: nor is the part of a batch that had succeeded before the rest was given up."""
    destination, source = ListDestination(), ScriptedSource()
    source.add([record(number, key="odd" if number % 2 else "even") for number in range(1, 6)])
    run(
        source,
        ScriptedTarget(names(5)),
        failure=FailurePolicy(retries_max=0, report_item_failures=True),
        filter_patterns=('{"partitionKey":["odd"]}',),
        destination=destination,
    )
    (report,) = destination.reports
    assert [each.sequence_number for each in report.records] == ["5"]


def test_records_that_the_stream_lets_go_are_told_but_not_reported():
    """R-RETRY-8, R-DEST-2."""
    destination = ListDestination()
    seen = given_up(destination, 1, seconds=200, retention=100.0)
    (lost,) = seen.heard.of(RecordsDiscarded)
    assert (lost.condition, lost.delivered, destination.tries) == ("RetentionExpired", None, 0)


def test_each_half_of_a_divided_batch_has_a_report_of_its_own():
    """R-DEST-3, R-BIS-4."""
    destination = ListDestination()
    given_up(destination, 1, 2, retries_max=0, bisect=True)
    assert [report.records for report in destination.reports] == [records(1), records(2)]
    assert len({report.id for report in destination.reports}) == 2
    assert len({report.request_id for report in destination.reports}) == 2


@pytest.mark.parametrize("trouble", [Unavailable("away"), SourceGone("denied")])
def test_a_destination_that_is_away_for_a_moment_is_tried_again(trouble):
    destination = ListDestination(trouble, trouble)
    seen = given_up(destination, 1, retries_max=0)
    assert (destination.tries, len(destination.reports)) == (3, 1)
    assert seen.heard.of(RecordsDiscarded)[0].delivered is True


def test_one_that_stays_away_is_told_and_the_shard_goes_on():
    """R-DEST-8, R-DEST-9: and it is never tried again later."""
    destination = ListDestination(*[Unavailable("denied")] * 3)
    seen = given_up(destination, 1, 2, answer=poison(1), retries_max=0, batch=BatchPolicy(batch_size=1))
    assert destination.reports == []
    assert seen.batches == [[1], [2]]
    (sent,) = seen.heard.of(FailureSent)
    assert "denied" in sent.problem
    assert seen.heard.of(RecordsDiscarded)[0].delivered is False
    assert seen.position() == "AFTER:2"


def test_one_that_never_answers_holds_the_shard_up_for_seconds_only():
    """R-DEST-8."""
    seen = given_up(
        ListDestination(seconds=1e6), 1, 2, answer=poison(1), retries_max=0, batch=BatchPolicy(batch_size=1)
    )
    waited = seen.target.moments[1] - seen.target.moments[0]
    assert waited < reporting.SECONDS_MAX + 2
    assert seen.heard.of(FailureSent)[0].problem == "no answer within 9.8 seconds", "the try before was not the last"


def test_nothing_counts_as_done_before_its_report_was_sent():
    """A crash between the two reports twice, and loses nothing."""
    seen = given_up(ListDestination(seconds=1.0), 1, retries_max=0)
    order = [type(event) for event in seen.heard.events if isinstance(event, CheckpointSaved | FailureSent)]
    assert order == [FailureSent, CheckpointSaved]


def test_without_a_destination_a_discard_is_only_told():
    seen = given_up(None, 1, retries_max=0)
    assert seen.heard.of(RecordsDiscarded)[0].delivered is None
    assert seen.heard.of(FailureSent) == []
