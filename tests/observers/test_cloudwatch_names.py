"""Who knows Lambda's metrics finds them here under the names that the page of compatibility gives them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from poller.engine.keeping import StatusKeeper
from poller.errors import SourceGone
from poller.events import LeaseTaken
from poller.invocation import NotInvoked, Succeeded
from poller.mapping import BatchPolicy, FailurePolicy
from poller.model import TRIM_HORIZON
from poller.observers.metrics import Metrics
from poller.stores.memory import MemoryStore
from tests.builders import mapping, record, records
from tests.engine.running import poison, run
from tests.fakes import ListDestination, ScriptedSource, ScriptedTarget
from tests.observers.test_metrics import EVERY, Clock, S, value
from tests.virtual import EPOCH, VirtualClock, run_virtually

PAGE = Path(__file__).parent.parent.parent / "docs" / "compatibility.md"
OF_LAMBDA = [
    "PolledEventCount",
    "FilteredOutEventCount",
    "InvokedEventCount",
    "FailedInvokeEventCount",
    "DroppedEventCount",
    "OnFailureDestinationDeliveredEventCount",
    "DestinationDeliveryFailures",
    "IteratorAge",
]


def names():
    """Per metric of CloudWatch the metrics that the page names for it."""
    section = PAGE.read_text().partition("\n## CloudWatch metrics\n")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if re.match(r"\| [A-Z]\w+ \| `", line)]
    return {row[1].strip(): re.findall(r"`(poller_\w+)`", row[2]) for row in rows}


def heard(*, answer=None, records=(), retention=None, **settings):
    """What a whole run counts, by Lambda's names."""
    metrics, source = Metrics(Clock(), version="1"), ScriptedSource(retention_seconds=retention)
    source.add(records)
    run(source, ScriptedTarget(answer), observers=[metrics], **settings)
    counters = {name: found[0] for name, found in names().items() if found[0].endswith("_total")}
    return {name: value(metrics, counter, mapping="orders") for name, counter in counters.items()}


def counts(**expected):
    """Of the counters all that are not named are 0, and none is missing."""
    return {name: expected.pop(name, 0) for name in OF_LAMBDA if name != "IteratorAge"} | expected


def test_every_metric_of_lambda_has_a_name_here_that_is_really_told():
    """R-MET-1, R-MET-3."""
    metrics = Metrics(Clock(), version="1")
    for event in (*EVERY[:-3], LeaseTaken("orders", S, TRIM_HORIZON)):
        metrics(event)
    told = set(re.findall(r"^(poller_\w+)", metrics.render().decode(), re.M))
    histograms = {name.removesuffix("_count") for name in told if name.endswith("_count")}
    assert list(names()) == OF_LAMBDA
    for found in names().values():
        assert found
        assert set(found) <= told | histograms


GIVEN_UP = {
    "answer": poison(1, 2, 3),
    "records": records(1, 2, 3),
    "failure": FailurePolicy(retries_max=0),
}


def test_records_that_fail_for_good_are_counted_as_recorded_when_the_destination_takes_them():
    """R-MET-2."""
    assert heard(**GIVEN_UP, destination=ListDestination()) == counts(
        PolledEventCount=3,
        InvokedEventCount=3,
        FailedInvokeEventCount=3,
        OnFailureDestinationDeliveredEventCount=3,
        DroppedEventCount=0,
    )


def test_records_that_fail_for_good_are_counted_as_recorded_when_the_destination_is_denied():
    """R-MET-2, R-DEST-8: the failure of the delivery is one, whatever was tried and however many the records are."""
    denied = ListDestination(*[SourceGone("denied")] * 10)
    assert heard(**GIVEN_UP, destination=denied) == counts(
        PolledEventCount=3,
        InvokedEventCount=3,
        FailedInvokeEventCount=3,
        DroppedEventCount=3,
        DestinationDeliveryFailures=1,
    )


def test_without_a_destination_what_is_given_up_is_dropped():
    """R-MET-1, C-8: as documented, although a recording showed no such datapoints."""
    assert heard(**GIVEN_UP) == counts(
        PolledEventCount=3, InvokedEventCount=3, FailedInvokeEventCount=3, DroppedEventCount=3
    )


def test_retries_and_refusals_count_each_time_and_filtered_records_were_polled():
    """R-MET-1."""
    answers = [NotInvoked("429"), NotInvoked("429"), Succeeded()]
    assert heard(
        answer=lambda batch: answers.pop(0),
        records=[record(1, key="odd"), record(2, key="even")],
        filter_patterns=('{"partitionKey":["odd"]}',),
    ) == counts(PolledEventCount=2, FilteredOutEventCount=1, InvokedEventCount=3, FailedInvokeEventCount=2)


def test_what_the_stream_lets_go_is_not_dropped():
    """R-MET-1, R-RETRY-8."""
    told = heard(answer=poison(1), records=records(1), retention=50.0, destination=ListDestination())
    assert told["InvokedEventCount"] > 5
    assert (told["DroppedEventCount"], told["OnFailureDestinationDeliveredEventCount"]) == (0, 0)


def test_the_iterator_age_is_that_of_the_last_record_when_the_batch_is_invoked():
    """R-MET-3, in seconds."""
    metrics, source = Metrics(Clock(), version="1"), ScriptedSource()
    source.add([record(1, arrived_at=EPOCH - 50), record(2, arrived_at=EPOCH - 30)])
    run(source, observers=[metrics], batch=BatchPolicy(window_seconds=10))
    name = names()["IteratorAge"][0]
    assert value(metrics, f"{name}_count", mapping="orders") == 1
    assert value(metrics, f"{name}_sum", mapping="orders") == pytest.approx(40, abs=1)


def test_a_mapping_that_is_disabled_counts_nothing():
    """R-MET-1."""
    metrics = Metrics(Clock(), version="1")

    async def main():
        clock = VirtualClock()
        await StatusKeeper(mapping(enabled=False), MemoryStore(clock), metrics, clock).rest()

    run_virtually(main)
    assert value(metrics, "poller_mapping_problem", mapping="orders") == 0  # it was heard of
    assert not any(value(metrics, found[0], mapping="orders") for found in names().values())
