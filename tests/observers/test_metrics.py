"""Metrics tell what happened, and ages that grow by themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from poller import events as all_events
from poller.arns import DestinationKind
from poller.events import (
    BatchInvoked,
    BatchRetried,
    CheckpointFailed,
    CheckpointSaved,
    FailureSent,
    InnerRecordsDropped,
    LeaseTaken,
    LeaseWasLost,
    MappingChanged,
    MappingTroubled,
    PageRead,
    Polled,
    PositionTrimmed,
    RecordsDiscarded,
    RecordsFiltered,
    RecordsSettled,
    ShardFailed,
    ShardFinished,
    ShardReleased,
    ShardsListed,
    StreamReplaced,
    WindowClosed,
    WorkerDraining,
    WorkerStarted,
    WorkerStopped,
)
from poller.invocation import Condition
from poller.mapping import MappingStatus, State
from poller.model import TRIM_HORIZON, MappingId, Position, SequenceNumber, ShardId
from poller.observers.metrics import Metrics

S = ShardId("shardId-000000000000")
ONE, NINE = SequenceNumber("1"), SequenceNumber("9")

EVERY = [
    Polled("orders", S, "throttled", 0.01, "slow down"),
    PageRead("orders", S, 10, 1000, 0.0, 990.0),
    BatchInvoked("orders", S, "id", 10, ONE, NINE, 1, "function_error", 0.5, "boom"),
    BatchRetried("orders", S, 10, 0.2, split=True),
    RecordsSettled("orders", S, 9, 7, Position("AFTER:9"), 995.0),
    RecordsFiltered("orders", S, 3),
    RecordsDiscarded("orders", S, Condition.RECORD_AGE_EXCEEDED, 2, ONE, NINE, 1, "too old"),
    RecordsDiscarded("orders", S, Condition.RETRY_ATTEMPTS_EXHAUSTED, 4, ONE, NINE, 1, "boom", delivered=True),
    FailureSent("orders", S, DestinationKind.SQS, 4, 0.1),
    FailureSent("orders", S, DestinationKind.SQS, 4, 0.1, "denied"),
    InnerRecordsDropped("orders", S, ONE, 6),
    WindowClosed("orders", S, 0, 30, early=False),
    WindowClosed("orders", S, 0, 30, early=True),
    PositionTrimmed("orders", S, TRIM_HORIZON, NINE, "trimmed"),
    CheckpointSaved("orders", S, Position("AFTER:9")),
    CheckpointFailed("orders", S, "away"),
    LeaseTaken("orders", S, TRIM_HORIZON),
    LeaseWasLost("orders", S, "taken"),
    ShardReleased("orders", S),
    ShardFinished("orders", S),
    ShardFailed("orders", S, "ValueError()", "Traceback"),
    ShardsListed("orders", 4, 2),
    MappingTroubled("orders", "no such stream"),
    StreamReplaced("orders", 2),
    MappingChanged("orders", MappingStatus(MappingId("uuid"), State.ENABLED, result="PROBLEM: no such stream")),
    WorkerStarted("w/1", 1),
    WorkerDraining(25.0),
    WorkerStopped(drained=True),
]


class Clock:
    def __init__(self):
        self.time = 1000.0

    def now(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def metrics(clock):
    return Metrics(clock, version="1.2.3")


def value(metrics, name, **labels):
    """The value of one series; ``None`` if it is not there."""
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_every_event_there_is_can_be_heard(metrics):
    kinds = {
        kind for kind in vars(all_events).values() if isinstance(kind, type) and kind.__module__ == "poller.events"
    }
    assert kinds - {all_events.ShardEvent} == {type(event) for event in EVERY}
    for event in EVERY:
        metrics(event)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("poller_polls_total", {"result": "throttled"}, 1),
        ("poller_polls_total", {"result": "records"}, 0),
        ("poller_throttles_total", {}, 1),
        ("poller_records_fetched_total", {}, 10),
        ("poller_bytes_fetched_total", {}, 1000),
        ("poller_records_delivered_total", {}, 10),
        ("poller_records_failed_total", {}, 10),
        ("poller_records_succeeded_total", {}, 7),
        ("poller_records_discarded_total", {"condition": "RecordAgeExceeded"}, 2),
        ("poller_records_dropped_total", {}, 2),
        ("poller_failure_records_delivered_total", {}, 4),
        ("poller_failure_deliveries_failed_total", {}, 1),
        ("poller_inner_records_dropped_total", {}, 6),
        ("poller_windows_closed_total", {}, 1),
        ("poller_windows_terminated_early_total", {}, 1),
        ("poller_streams_replaced_total", {}, 1),
        ("poller_mapping_problem", {}, 1),
        ("poller_batches_total", {"outcome": "function_error"}, 1),
        ("poller_batches_total", {"outcome": "success"}, 0),
        ("poller_records_filtered_total", {}, 3),
        ("poller_retries_total", {}, 1),
        ("poller_splits_total", {}, 1),
        ("poller_invocation_seconds_count", {}, 1),
        ("poller_invocation_seconds_sum", {}, 0.5),
        ("poller_checkpoints_saved_total", {}, 1),
        ("poller_checkpoint_failures_total", {}, 1),
        ("poller_leases_taken_total", {}, 1),
        ("poller_leases_lost_total", {}, 1),
        ("poller_trimmed_gaps_total", {}, 1),
        ("poller_shards", {}, 4),
        ("poller_shards_found_total", {}, 2),
        ("poller_shards_finished_total", {}, 1),
        ("poller_shard_failures_total", {}, 1),
        ("poller_mapping_troubles_total", {}, 1),
    ],
)
def test_counts_are_told_by_mapping(metrics, name, labels, expected):
    for event in EVERY:
        metrics(event)
    assert value(metrics, name, mapping="orders", **labels) == expected


def test_events_of_a_partial_failure_count_as_failed(metrics):
    """R-PBR-10: all records of a batch whose answer names failures."""
    metrics(BatchInvoked("orders", S, "id", 10, ONE, NINE, 1, "partial_failure", 0.5))
    assert value(metrics, "poller_records_failed_total", mapping="orders") == 10


def test_the_build_the_state_and_the_lag_of_the_loop_are_told(metrics):
    metrics(WorkerStarted("w/1", 3))
    metrics.loop_lag(0.2)
    assert value(metrics, "poller_build_info", version="1.2.3") == 1
    assert value(metrics, "poller_worker_state", state="started") == 1
    assert value(metrics, "poller_mappings") == 3
    assert value(metrics, "poller_loop_lag_last_seconds") == 0.2
    assert value(metrics, "process_resident_memory_bytes") > 0


def age(metrics):
    return value(metrics, "poller_iterator_age_seconds", mapping="orders", shard=S)


def test_the_iterator_age_of_a_stuck_shard_grows_by_itself(metrics, clock):
    metrics(LeaseTaken("orders", S, TRIM_HORIZON))
    metrics(PageRead("orders", S, 10, 1000, 0.0, 990.0))
    assert age(metrics) == 10
    clock.time += 100
    assert age(metrics) == 110


def test_above_a_number_of_shards_ages_are_told_by_mapping_only(clock):
    metrics = Metrics(clock, version="1.2.3", shard_series_max=2)

    def take(number):
        metrics(LeaseTaken("orders", ShardId(f"s-{number}"), TRIM_HORIZON))
        metrics(PageRead("orders", ShardId(f"s-{number}"), 10, 1000, 5.0 * number, 1000.0 - 10 * number))

    def told(name):
        return [value(metrics, f"poller_{name}{each}_seconds", mapping="orders") for each in ("", "_max", "_sum")]

    take(2)
    take(1)
    assert value(metrics, "poller_iterator_age_seconds", mapping="orders", shard="s-1") == 10
    assert (told("iterator_age"), told("behind"), told("checkpoint_age")) == ([20, 20, 30], [10, 10, 15], [0, 0, 0])
    take(3)
    assert (told("iterator_age"), told("behind")) == ([None, 30, 60], [None, 15, 30])
    clock.time += 1
    assert (told("checkpoint_age"), value(metrics, "poller_leases_held")) == ([None, 1, 3], 3)


def test_it_is_never_zero_merely_because_nothing_is_read(metrics, clock):
    metrics(LeaseTaken("orders", S, TRIM_HORIZON))
    clock.time += 30
    assert age(metrics) == 30  # nothing was read since the lease was taken
    metrics(PageRead("orders", S, 0, 0, 5.0, None))
    assert age(metrics) == 5
    clock.time += 60  # the stream does not answer any more
    assert age(metrics) == 65
    assert value(metrics, "poller_behind_seconds", mapping="orders") == 65


def test_an_answer_that_was_long_on_its_way_tells_how_it_was_when_it_was_asked_for(metrics, clock):
    metrics(LeaseTaken("orders", S, TRIM_HORIZON))
    metrics(PageRead("orders", S, 0, 0, 5.0, None, None, 27.0))
    assert age(metrics) == 32
    assert value(metrics, "poller_behind_seconds", mapping="orders") == 32


def test_where_the_service_tells_no_lag_more_is_behind_an_answer_with_records(metrics, clock):
    """As of DynamoDB, whose backlog would else look as young as the last answer whenever nothing waits here."""
    metrics(LeaseTaken("orders", S, TRIM_HORIZON))
    metrics(PageRead("orders", S, 1, 100, None, 940.0, 940.0))
    metrics(RecordsSettled("orders", S, 1, 1, Position("AFTER:1"), None))
    assert age(metrics) == 60
    clock.time += 5
    metrics(PageRead("orders", S, 0, 0, None, None))
    assert age(metrics) == 0


def test_a_shard_that_fails_keeps_its_age_while_it_rests(metrics, clock):
    metrics(LeaseTaken("orders", S, TRIM_HORIZON))
    metrics(PageRead("orders", S, 10, 1000, 0.0, 990.0))
    metrics(ShardFailed("orders", S, "ValueError()", "Traceback"))
    metrics(ShardReleased("orders", S))
    clock.time += 40
    assert age(metrics) == 50


def test_what_is_settled_makes_the_age_that_of_the_next_record(metrics, clock):
    metrics(LeaseTaken("orders", S, TRIM_HORIZON))
    metrics(PageRead("orders", S, 10, 1000, 0.0, 990.0))
    metrics(RecordsSettled("orders", S, 5, 5, Position("AFTER:5"), 998.0))
    assert age(metrics) == 2


@pytest.mark.parametrize("last", [ShardFinished("orders", S), LeaseWasLost("orders", S, "taken")])
def test_a_shard_that_is_no_longer_ours_is_not_told(metrics, last):
    metrics(LeaseTaken("orders", S, TRIM_HORIZON))
    assert value(metrics, "poller_leases_held", mapping="orders") == 1
    metrics(last)
    assert age(metrics) is None
    assert value(metrics, "poller_leases_held", mapping="orders") == 0


def test_the_age_of_a_checkpoint_grows_while_records_wait_and_a_note_is_no_progress(metrics, clock):
    metrics(LeaseTaken("orders", S, TRIM_HORIZON))
    metrics(PageRead("orders", S, 10, 1000, 0.0, 990.0))
    clock.time += 20
    metrics(CheckpointSaved("orders", S, TRIM_HORIZON))
    assert value(metrics, "poller_checkpoint_age_seconds", mapping="orders") == 20
    metrics(CheckpointSaved("orders", S, Position("AFTER:5")))
    assert value(metrics, "poller_checkpoint_age_seconds", mapping="orders") == 0


def test_the_page_of_metrics_names_each_of_them_and_no_other(metrics):
    for event in EVERY:
        metrics(event)
    kinds = {"counter": "_total"}
    there = {
        f"{family.name}{kinds.get(family.type, '')}"
        for family in text_string_to_metric_families(metrics.render().decode())
        if family.name.startswith("poller_")
    }
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == there
    named = {re.sub(r"_(sum|count|bucket)$", "", each) for each in re.findall(r"poller_\w+", page)}
    assert named - {re.sub(r"_(sum|count|bucket)$", "", each) for each in there} == set()


def test_a_disabled_mapping_holds_no_leases_and_is_no_alarm(metrics):
    metrics(ShardsListed("orders", 4, 2))
    metrics(MappingChanged("off", MappingStatus(MappingId("uuid"), State.DISABLED)))
    assert value(metrics, "poller_leases_held", mapping="orders") == 0
    assert value(metrics, "poller_leases_held", mapping="off") is None
