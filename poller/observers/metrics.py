"""Events as Prometheus metrics: this file is the list of all metrics, their names, units and labels.

Counters are labelled with the mapping only; what is told per shard are three ages and no more, since every series per
shard costs time at each scrape. Ages are computed while scraping (`poller.observers.ages`).
"""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from poller.events import (
    BatchInvoked,
    BatchRetried,
    CheckpointFailed,
    CheckpointSaved,
    Event,
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
from poller.mapping import State
from poller.observers.ages import ShardAges
from poller.observers.collectors import Shards, WithoutCreated
from poller.ports import Clock
from poller.rules.lifecycle import PROBLEM

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

POLL_RESULTS = ("records", "empty", "throttled", "expired", "error")
BATCH_OUTCOMES = ("success", "partial_failure", "function_error", "not_invoked", "payload_too_large")
WORKER_STATES = ("starting", "started", "draining", "stopped")

_AGES = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0, 604800.0)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)

_COUNTERS = {
    "records_fetched": "Records read from the stream; what is read again after a restart counts again (R-MET-1 Polled)",
    "bytes_fetched": "Bytes of the records read, in their form in the Lambda event",
    "records_delivered": "Records in attempts to invoke, refused ones too; each retry counts again (R-MET-1 Invoked)",
    "records_failed": "Records in attempts that were no full success: the whole batch each time (R-MET-1 FailedInvoke)",
    "records_succeeded": "Records that are done because the function took them",
    "records_filtered": "Records that no filter of the mapping wants (R-MET-1 FilteredOut)",
    "records_dropped": "Records given up, for their age or their retries, that no destination took (R-MET-1 Dropped)",
    "failure_records_delivered": "Records in failure reports that the destination took (R-MET-1 Delivered)",
    "failure_deliveries_failed": "Failure reports that the destination did not take (R-MET-2)",
    "inner_records_dropped": "Inner records of aggregates that belong to another shard (R-KPL-4)",
    "windows_closed": "Final invocations of tumbling windows that came to an end",
    "windows_terminated_early": "Times that the state of a tumbling window had grown too large",
    "streams_replaced": "Times that the stream was found to be a new one under the old name",
    "retries": "Times that what was left of a batch was queued to be invoked again",
    "splits": "Batches divided in two after a function error",
    "throttles": "Reads that the stream refused for being too many",
    "listings": "Times that all shards of the stream were listed",
    "shards_found": "Shards seen for the first time",
    "shards_finished": "Closed shards of which every record is done",
    "shard_failures": "Readers of shards that ended by something unforeseen, and start again after a rest",
    "leases_taken": "Leases taken by this worker",
    "leases_lost": "Leases that another worker took or that could not be renewed in time",
    "checkpoints_saved": "Checkpoints saved",
    "checkpoint_failures": "Checkpoints that could not be saved, and are tried again",
    "trimmed_gaps": "Times that the stream no longer held the records after a checkpoint: records are lost",
    "mapping_troubles": "Times that a mapping as a whole could not go on: stream gone, no permission, store away",
}


class Metrics:
    """Hears every event and keeps the metrics ``poller_*``; `render` gives their text.

    With more than ``shard_series_max`` shards the ages of single ones are not told, only the largest and the sum.
    Without a ``registry`` it has one of its own, with the process's memory, CPU and file descriptors in it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        version: str,
        shard_series_max: float = float("inf"),
        registry: CollectorRegistry | None = None,
    ) -> None:
        if registry is None:
            registry = CollectorRegistry()
            ProcessCollector(registry=registry)
        self._registry = registry
        self._ages = ShardAges(clock)
        self._tables = _Tables(registry)
        self._series: dict[str, _MappingSeries] = {}
        self._disabled: set[str] = set()
        state = Gauge("poller_worker_state", "1 for the state that the worker is in", ["state"], registry=registry)
        self._states = {name: state.labels(name) for name in WORKER_STATES}
        self._enter("starting")
        self._mappings = Gauge("poller_mappings", "Mappings that this worker runs", registry=registry)
        self._loop_lag = Histogram(
            "poller_loop_lag_seconds", "How late the event loop woke up", buckets=_SECONDS, registry=registry
        )
        self._last_loop_lag = Gauge("poller_loop_lag_last_seconds", "The latest such lateness", registry=registry)
        build = Info("poller_build", "The version that runs", registry=registry)
        build.info({"version": version, "python": platform.python_version()})
        registry.register(Shards(self._ages, self._running, shard_series_max))

    def __call__(self, event: Event) -> None:
        self._ages(event)
        match event:
            case WorkerStarted():
                self._enter("started")
                self._mappings.set(event.mappings)
            case WorkerDraining():
                self._enter("draining")
            case WorkerStopped():
                self._enter("stopped")
            case _:
                series = self._series.get(event.mapping)
                if series is None:
                    series = self._series[event.mapping] = _MappingSeries(self._tables, event.mapping)
                series(event)
                if isinstance(event, MappingChanged) and event.status.state is State.DISABLED:
                    self._disabled.add(event.mapping)

    def _running(self) -> list[str]:
        """The mappings that are not disabled. May be called from another thread: it only reads."""
        return [name for name in list(self._series) if name not in self._disabled]

    def loop_lag(self, seconds: float) -> None:
        """For `poller.observers.loop_lag.watch_loop_lag`."""
        self._loop_lag.observe(seconds)
        self._last_loop_lag.set(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format (`CONTENT_TYPE`); takes tens of milliseconds with thousands of shards.

        May run in a thread, so that the event loop does not wait for it.
        """
        return generate_latest(WithoutCreated(self._registry))

    def _enter(self, state: str) -> None:
        for name, gauge in self._states.items():
            gauge.set(1 if name == state else 0)


class _Tables:
    """The metrics with their labels still open; one per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"poller_{name}", text, ["mapping", *more], registry=registry)

        def seconds(name: str, text: str) -> Histogram:
            return Histogram(f"poller_{name}_seconds", text, ["mapping"], buckets=_SECONDS, registry=registry)

        self.counters = {name: counter(name, text) for name, text in _COUNTERS.items()}
        self.polls = counter("polls", "Calls for records", "result")
        self.batches = counter("batches", "Attempts to invoke", "outcome")
        self.discarded = counter("records_discarded", "Records given up", "condition")
        self.poll_seconds = seconds("poll", "How long a call for records took")
        self.invocation_seconds = seconds("invocation", "How long an attempt to invoke took")
        self.iterator_age = Histogram(
            "poller_invocation_iterator_age_seconds",
            "Age of the last record of a batch when it was invoked (R-MET-3)",
            ["mapping"],
            buckets=_AGES,
            registry=registry,
        )
        self.shards = Gauge("poller_shards", "Shards at the last listing", ["mapping"], registry=registry)
        problem = "1 while the last processing result is a problem, as `poller mappings` tells it (R-STATE-6)"
        self.problem = Gauge("poller_mapping_problem", problem, ["mapping"], registry=registry)


class _MappingSeries:
    """The series of one mapping, looked up once, and all there from the start: a rate needs a first 0."""

    def __init__(self, tables: _Tables, mapping: str) -> None:
        self._counters = {name: counter.labels(mapping) for name, counter in tables.counters.items()}
        self._polls = {result: tables.polls.labels(mapping, result) for result in POLL_RESULTS}
        self._batches = {outcome: tables.batches.labels(mapping, outcome) for outcome in BATCH_OUTCOMES}
        self._discarded = {condition: tables.discarded.labels(mapping, condition) for condition in Condition}
        self._poll_seconds = tables.poll_seconds.labels(mapping)
        self._invocation_seconds = tables.invocation_seconds.labels(mapping)
        self._iterator_age = tables.iterator_age.labels(mapping)
        self._shards = tables.shards.labels(mapping)
        self._problem = tables.problem.labels(mapping)

    def __call__(self, event: Event) -> None:
        match event:
            case Polled():
                self._polls[event.result].inc()
                self._poll_seconds.observe(event.seconds)
                self._count("throttles", event.result == "throttled")
            case PageRead():
                self._count("records_fetched", event.records)
                self._count("bytes_fetched", event.size_bytes)
            case BatchInvoked():
                self._batches[event.outcome].inc()
                self._invocation_seconds.observe(event.seconds)
                self._count("records_delivered", event.records)
                self._count("records_failed", 0 if event.outcome == "success" else event.records)
                if event.iterator_age_seconds is not None:
                    self._iterator_age.observe(event.iterator_age_seconds)
            case BatchRetried():
                self._count("retries", 1)
                self._count("splits", event.split)
            case RecordsSettled():
                self._count("records_succeeded", event.succeeded)
            case RecordsFiltered():
                self._count("records_filtered", event.records)
            case RecordsDiscarded():
                self._discarded[event.condition].inc(event.records)
                of_lambda = event.condition is not Condition.RETENTION_EXPIRED  # that one is the stream's doing
                self._count("records_dropped", event.records if of_lambda and not event.delivered else 0)
            case FailureSent(problem=""):
                self._count("failure_records_delivered", event.records)
            case ShardsListed():
                self._shards.set(event.shards)
                self._count("listings", 1)
                self._count("shards_found", event.found)
            case _:
                self._count_once(event)

    def _count_once(self, event: Event) -> None:
        match event:
            case FailureSent():
                self._count("failure_deliveries_failed", 1)
            case InnerRecordsDropped():
                self._count("inner_records_dropped", event.records)
            case WindowClosed():
                self._count("windows_terminated_early" if event.early else "windows_closed", 1)
            case StreamReplaced():
                self._count("streams_replaced", 1)
            case LeaseTaken():
                self._count("leases_taken", 1)
            case LeaseWasLost():
                self._count("leases_lost", 1)
            case ShardFinished():
                self._count("shards_finished", 1)
            case ShardFailed():
                self._count("shard_failures", 1)
            case CheckpointSaved():
                self._count("checkpoints_saved", 1)
            case CheckpointFailed():
                self._count("checkpoint_failures", 1)
            case PositionTrimmed():
                self._count("trimmed_gaps", 1)
            case MappingTroubled():
                self._count("mapping_troubles", 1)
            case MappingChanged():
                self._problem.set(event.status.result.startswith(PROBLEM))
            case ShardReleased():
                pass  # shows in poller_leases_held
            case _:
                raise AssertionError(f"no metric hears {event}")

    def _count(self, name: str, amount: float) -> None:
        if amount:
            self._counters[name].inc(amount)
