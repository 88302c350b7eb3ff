"""Events as log lines: this file is what an operator reads, and nothing of it is a record's content."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

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
from poller.observers.repetition import Repetition
from poller.ports import Clock
from poller.rules.lifecycle import PROBLEM

PROBLEM_LENGTH_MAX = 500


class Log:
    """Hears every event and writes what matters with ``logger``.

    At info and above: the life of the worker, its mappings and its leases, and every trouble. A trouble that repeats
    is told at once, then at most once a minute with how often it came, and once more when it is over. Records that
    are given up are told each time, since the line is their only trace. Batches are told at debug.
    """

    def __init__(self, logger: FilteringBoundLogger, clock: Clock) -> None:
        self._logger = logger
        self._repetition = Repetition(clock)
        self._listed: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case Polled():
                self._polled(event)
            case BatchInvoked() | BatchRetried():
                self._batch(event)
            case CheckpointSaved() | CheckpointFailed():
                self._checkpoint(event)
            case RecordsDiscarded() | PositionTrimmed() | FailureSent() | InnerRecordsDropped():
                self._loss(event)
            case ShardsListed() | MappingTroubled() | StreamReplaced() | MappingChanged():
                self._mapping(event)
            case WorkerStarted() | WorkerDraining() | WorkerStopped():
                self._worker(event)
            case PageRead() | RecordsFiltered() | RecordsSettled():
                pass  # what happens with every record that is well; `Metrics` counts it
            case _:
                self._shard(event)

    def _polled(self, event: Polled) -> None:
        where = {"mapping": event.mapping, "shard": event.shard}
        key = (event.mapping, event.shard, "poll")
        if event.result in ("records", "empty"):
            self._over("reading goes on", key, where)
            return
        count = self._repetition.again(key, event.result + event.problem)
        if count:
            self._logger.warning(
                "reading failed", **where, result=event.result, problem=_line(event.problem), times=count
            )

    def _batch(self, event: BatchInvoked | BatchRetried) -> None:
        where = {"mapping": event.mapping, "shard": event.shard}
        if isinstance(event, BatchRetried):
            told = {**where, "records": event.records, "wait_seconds": round(event.wait_seconds, 3)}
            self._logger.debug("batch will be retried", **told, split=event.split)
            return
        batch = {
            "request_id": event.request_id,
            "lane": event.lane,
            "records": event.records,
            "first": event.first,
            "last": event.last,
            "attempt": event.attempt,
            "outcome": event.outcome,
            "seconds": round(event.seconds, 3),
        }
        key = (event.mapping, event.shard, "batch")
        if event.outcome == "success":
            self._over("batches succeed again", key, where)
            self._logger.debug("batch succeeded", **where, **batch)
            return
        count = self._repetition.again(key, event.outcome + event.problem)
        if count:
            self._logger.warning("batch failed", **where, **batch, problem=_line(event.problem), times=count)

    def _checkpoint(self, event: CheckpointSaved | CheckpointFailed) -> None:
        where = {"mapping": event.mapping, "shard": event.shard}
        key = (event.mapping, event.shard, "checkpoint")
        if isinstance(event, CheckpointSaved):
            self._over("checkpoints are saved again", key, where)
            self._logger.debug("checkpoint saved", **where, position=str(event.position))
            return
        count = self._repetition.again(key, event.problem)
        if count:
            self._logger.warning("checkpoint not saved", **where, problem=_line(event.problem), times=count)

    def _loss(self, event: RecordsDiscarded | PositionTrimmed | FailureSent | InnerRecordsDropped) -> None:
        where = {"mapping": event.mapping, "shard": event.shard}
        match event:
            case PositionTrimmed():
                gap = {"after": str(event.after), "resumed_at": event.resumed_at, "problem": _line(event.problem)}
                self._logger.error("the stream no longer holds the records after the checkpoint", **where, **gap)
            case RecordsDiscarded():
                self._logger.error(
                    "records discarded",
                    **where,
                    problem=_line(event.problem),
                    condition=event.condition.value,
                    records=event.records,
                    first=event.first,
                    last=event.last,
                    attempts=event.attempts,
                    delivered=event.delivered,
                    request_id=event.request_id,
                    lane=event.lane,
                )
            case FailureSent(problem=""):
                told = {"destination": event.destination.value, "seconds": round(event.seconds, 3)}
                self._logger.debug("failure report sent", **where, records=event.records, **told)
            case FailureSent():
                told = {"destination": event.destination.value, "problem": _line(event.problem)}
                self._logger.error("failure report not delivered", **where, records=event.records, **told)
            case InnerRecordsDropped():
                told = {"records": str(event.records), "sequence_number": event.sequence_number}
                self._logger.warning("inner records of an aggregate belong to another shard", **where, **told)

    def _shard(
        self, event: LeaseTaken | LeaseWasLost | ShardReleased | ShardFinished | ShardFailed | WindowClosed
    ) -> None:
        where = {"mapping": event.mapping, "shard": event.shard}
        match event:
            case LeaseTaken():
                self._logger.info("shard taken", **where, position=str(event.position))
            case LeaseWasLost():
                self._logger.warning("lease lost", **where, problem=_line(event.problem))
            case ShardReleased():
                self._repetition.forget(event.mapping, event.shard)
                self._logger.info("shard released", **where)
            case ShardFinished():
                self._logger.info("shard finished", **where)
            case WindowClosed():
                self._logger.debug("window closed", **where, start=event.start, end=event.end, early=event.early)
            case ShardFailed():
                told = {**where, "problem": _line(event.problem)}
                # structlog's own key for a trace: the console shows it in lines of its own, JSON as one text.
                self._logger.error("shard failed, it starts again after a rest", **told, exception=event.traceback)

    def _mapping(self, event: ShardsListed | MappingTroubled | StreamReplaced | MappingChanged) -> None:
        match event:
            case StreamReplaced():
                text = "the stream was made anew under its name, it is read from its beginning"
                self._logger.warning(text, mapping=event.mapping, shards=event.shards)
            case MappingChanged():
                status = event.status
                told = {"uuid": status.mapping, "state": status.state.value, "reason": status.reason}
                tell = self._logger.warning if status.result.startswith(PROBLEM) else self._logger.info
                tell("mapping", mapping=event.mapping, **told, last_processing_result=_line(status.result))
            case _:
                self._listing(event)

    def _listing(self, event: ShardsListed | MappingTroubled) -> None:
        key = (event.mapping, "", "mapping")
        if isinstance(event, ShardsListed):
            self._over("the mapping goes on", key, {"mapping": event.mapping})
            if event.found or self._listed.get(event.mapping) != event.shards:
                self._logger.info("shards listed", mapping=event.mapping, shards=event.shards, found=event.found)
            self._listed[event.mapping] = event.shards
            return
        count = self._repetition.again(key, event.problem)
        if count:
            last = event.problem.strip().rpartition("\n")[2]
            trace = {"exception": event.problem} if last != event.problem.strip() else {}
            told = {"mapping": event.mapping, "problem": _line(last), "times": count}
            self._logger.error("the mapping cannot go on, it tries again", **told, **trace)

    def _worker(self, event: WorkerStarted | WorkerDraining | WorkerStopped) -> None:
        match event:
            case WorkerStarted():
                self._logger.info("worker started", worker=event.worker, mappings=event.mappings)
            case WorkerDraining():
                self._logger.info("worker draining", within_seconds=event.within_seconds)
            case WorkerStopped(drained=True):
                self._logger.info("worker stopped", drained=True)
            case WorkerStopped():
                self._logger.warning("worker stopped before everything came to rest", drained=False)

    def _over(self, message: str, key: tuple[str, str, str], where: dict[str, str]) -> None:
        """Tells that a trouble is over, if there was one."""
        ended = self._repetition.over(key)
        if ended is not None:
            self._logger.info(message, **where, after_seconds=round(ended.seconds, 1), failures=ended.times)


def _line(problem: str) -> str:
    """A problem as one line of a bearable length, without what a terminal would obey."""
    line = " ".join(problem.split())
    cut = line if len(line) <= PROBLEM_LENGTH_MAX else line[:PROBLEM_LENGTH_MAX] + "..."
    return "".join(character if character.isprintable() else "?" for character in cut)
