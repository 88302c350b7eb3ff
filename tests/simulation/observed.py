"""What a simulated worker says of itself: this file writes it into the history, and tells recoveries apart."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right

from poller import events
from poller.rules.ordering import lane_of
from tests.history import entries
from tests.history.log import History
from tests.simulation.life import Life


class Observed:
    """Hears a worker as long as it lives.

    ``open_window`` gives the start of a shard's window and the numbers in its state, as the store has them. ``more``
    hears the same events.
    """

    def __init__(self, life: Life, history: History, *, open_window, more=()) -> None:
        self._life = life
        self._history = history
        self._open_window = open_window
        self._more = more
        self._troubled: set[tuple[str, str]] = set()
        self.failures: list[str] = []

    def __call__(self, event: events.Event) -> None:
        if self._life.dead:
            return
        for observer in self._more:
            observer(event)
        at, name = asyncio.get_running_loop().time(), self._life.name
        match event:
            case events.Polled():
                self._polled(event)
            case events.PageRead():
                if event.records:
                    self._history.add(entries.Fetched(at, name, event.shard, event.records))
            case events.RecordsFiltered():
                self._life.recovered("records filtered")
                self._history.add(entries.Settled(at, name, event.shard, event.records))
            case events.RecordsSettled():
                self._history.add(entries.Settled(at, name, event.shard, event.records))
            case events.BatchInvoked():
                self._invoked(event)
            case events.BatchRetried():
                self._life.recovered("batch divided" if event.split else "batch retried")
            case events.RecordsDiscarded():
                self._discarded(event, at)
            case events.FailureSent():
                self._life.recovered("report not taken" if event.problem else "report taken")
            case events.PositionTrimmed():
                self._life.recovered("gap told")
                resumed_at = None if event.resumed_at is None else int(event.resumed_at)
                self._history.add(entries.Gap(at, name, event.shard, str(event.after), resumed_at))
            case events.CheckpointFailed():
                self._troubled.add(("checkpoint", event.shard))
            case events.CheckpointSaved():
                self._over("checkpoint", event.shard, "checkpoint saved after failures")
            case events.ShardFailed():
                self.failures.append(f"{name} FAILED {event.shard}: {event.traceback}")
                self._history.add(entries.Noted(at, self.failures[-1]))
            case events.WorkerStarted():
                self._life.recovered("worker started")
                self._history.add(entries.Started(at, name, self._life.lanes, self._life.batch_size))
            case events.WorkerStopped():
                self._life.recovered("worker drained" if event.drained else "worker stopped in haste")
                self._history.add(entries.Stopped(at, name, event.drained))
            case events.ShardsListed():
                self._over("listing", "", "listed after failures")
                if event.found:
                    self._life.recovered("shards found")
            case events.MappingTroubled():
                self._troubled.add(("listing", ""))
            case _:
                self._leases(event, at)

    def _leases(self, event: events.Event, at: float) -> None:
        match event:
            case events.LeaseTaken():
                middle = event.position.sequence_number is not None
                self._life.recovered("shard taken in its middle" if middle else "shard taken at its start")
            case events.LeaseWasLost():
                self._life.recovered("lease lost")
                self._history.add(entries.Lost(at, self._life.name, event.shard))
            case events.ShardReleased():
                self._life.recovered("shard released")
            case events.ShardFinished():
                self._life.recovered("shard finished")
            case events.StreamReplaced():
                self._life.recovered("stream replaced")
            case events.WindowClosed():
                self._life.recovered("window closed")
            case _:
                return
        self._history.add(entries.Noted(at, f"{self._life.name} {event}"))

    def _polled(self, event: events.Polled) -> None:
        if event.result in ("records", "empty"):
            self._over("expired", event.shard, "read on with a new iterator")
            self._over("poll", event.shard, "read on after failures")
        else:
            self._troubled.add(("expired" if event.result == "expired" else "poll", event.shard))

    def _invoked(self, event: events.BatchInvoked) -> None:
        if event.outcome == "partial_failure":
            self._life.recovered("part of a batch handled")
        elif event.outcome == "success" and event.attempt > 1:
            self._life.recovered("batch handled after failures")

    def _discarded(self, event: events.RecordsDiscarded, at: float) -> None:
        if not event.records:
            self._life.recovered("window given up")
            self._history.add(entries.WindowEnded(at, event.shard, *self._open_window(event.shard)))
            return
        self._life.recovered(f"discarded: {event.condition}")
        first, last = int(event.first), int(event.last)
        numbers = self._of_lane(event.shard, first, last, event.lane)
        condition = str(event.condition)
        name, delivered = self._life.name, event.delivered
        self._history.add(entries.Discarded(at, name, event.shard, numbers, first, last, delivered, condition))

    def _over(self, what: str, shard: str, recovery: str) -> None:
        if (what, shard) in self._troubled:
            self._troubled.discard((what, shard))
            self._life.recovered(recovery)

    def _of_lane(self, shard: str, first: int, last: int, lane: int) -> tuple[int, ...]:
        keys, numbers = self._history.keys, self._history.numbers[shard]
        between = numbers[bisect_left(numbers, first) : bisect_right(numbers, last)]
        return tuple(number for number in between if lane_of(keys[number], self._life.lanes) == lane)
