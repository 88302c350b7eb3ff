"""One batch: invoke, judge, report, settle, until nothing is pending: this file is the way of records to a function."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from poller.engine.checkpointing import Checkpointer
from poller.engine.reporting import Reporting
from poller.engine.stopping import StopScope
from poller.engine.surroundings import Surroundings
from poller.events import BatchInvoked, BatchRetried, RecordsDiscarded, RecordsSettled, WindowClosed
from poller.invocation import (
    Chunk,
    Closing,
    Condition,
    FailureReport,
    FunctionFailed,
    Invocation,
    NotInvoked,
    Outcome,
    PayloadTooLarge,
    Succeeded,
    Verdict,
)
from poller.mapping import FailurePolicy
from poller.model import MappingId, SequenceNumber, Window
from poller.ports import Target
from poller.records import Record
from poller.rules import windows
from poller.rules.envelope import TAIL, frame_bytes, payload_bytes, render, size_bytes, window_tail
from poller.rules.failure import expire, judge, seconds_to_expiry
from poller.rules.partial_response import with_failures_understood


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where the batches of a mapping go, and what its documents name.

    ``retention_seconds`` is asked each time, since a stream's retention may change.
    """

    mapping: MappingId
    source_arn: str
    function_arn: str
    target: Target
    policy: FailurePolicy
    payload_bytes_max: int
    retention_seconds: Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried with a chunk, and what came of it, ``problem`` in words; without an outcome it was too old."""

    chunk: Chunk
    request_id: str
    outcome: Outcome | None
    verdict: Verdict
    problem: str


class Delivery:
    """Delivers the batches of one lane, one after another and in order."""

    def __init__(
        self, here: Surroundings, wiring: Wiring, *, lane: int, reporting: Reporting, checkpointer: Checkpointer
    ) -> None:
        self._here = here
        self._wiring = wiring
        self._lane = lane
        self._reporting = reporting
        self._checkpointer = checkpointer

    async def deliver(self, whole: Chunk, scope: StopScope) -> None:
        """Returns when every record is settled or discarded, and saved as such.

        Chunks are worked off depth first, so that nothing overtakes (R-BIS-2).
        """
        pending = [(whole, self._new_id())]
        while pending:
            chunk, request_id = pending.pop()
            if self._has_no_room(chunk):
                pending.append((chunk, request_id))
                chunk, request_id = self._early_closing(), self._new_id()
            async with scope.finish():
                attempt = await self._attempt(chunk, request_id)
                await self._settle(attempt)
            for rest in reversed(attempt.verdict.pending):
                unchanged = len(rest.records) == len(chunk.records)
                pending.append((rest, attempt.request_id if unchanged else self._new_id()))
            window = self._window
            if window is not None and windows.grown_too_large(window) and chunk.closing is None:
                pending.append((self._early_closing(), self._new_id()))  # at once, before the rest (R-WIN-10)
            await self._pause(attempt.verdict)

    @property
    def _window(self) -> Window | None:
        return self._checkpointer.progress.window

    def _has_no_room(self, chunk: Chunk) -> bool:
        """Whether a single record, as larger batches are cut to fit, has no room beside the window's state."""
        if self._window is None or len(chunk.records) != 1:
            return False
        size = payload_bytes(Invocation("", chunk.records, self._tail(None)))
        return windows.state_is_in_the_way(self._window, size, self._wiring.payload_bytes_max)

    def _early_closing(self) -> Chunk:
        assert self._window is not None
        return Chunk((), closing=Closing(self._window, self._here.clock.now(), early=True))

    async def _attempt(self, chunk: Chunk, request_id: str) -> Attempt:
        expired = expire(chunk, self._here.clock.now(), self._wiring.policy, self._wiring.retention_seconds())
        if expired is not None:
            return Attempt(chunk, request_id, None, expired, "too old")
        started, started_at = anyio.current_time(), self._here.clock.now()
        outcome = await self._invoke(chunk, request_id)
        verdict = judge(chunk, outcome, self._wiring.policy, self._here.random.random())
        problem, name = "" if isinstance(outcome, Succeeded) else outcome.error, _name(outcome, verdict)
        attempt = Attempt(chunk, _answered_id(outcome) or request_id, outcome, verdict, problem or name)
        self._tell_attempt(attempt, name, problem, started, started_at)
        return attempt

    async def _invoke(self, chunk: Chunk, request_id: str) -> Outcome:
        invocation = Invocation(request_id, chunk.records, self._tail(chunk.closing))
        most = self._wiring.payload_bytes_max
        size = payload_bytes(invocation)
        if size > most:  # never reaches the function, yet counts (R-BATCH-7)
            return PayloadTooLarge(f"the event has {size} bytes, {most} are allowed")
        outcome = await self._wiring.target.invoke(invocation)
        if self._window is not None:
            outcome = windows.with_state(outcome, most - frame_bytes(invocation.tail) + len(self._window.state))
        if self._wiring.policy.report_item_failures and chunk.closing is None:
            outcome = with_failures_understood(outcome, [record.sequence_number for record in chunk.records])
        return outcome

    def _tail(self, closing: Closing | None) -> bytes:
        if self._window is None:
            return TAIL
        early = closing is not None and closing.early
        shard, arn = self._here.shard, self._wiring.source_arn
        return window_tail(shard, arn, self._window, final=closing is not None, early=early)

    async def _settle(self, attempt: Attempt) -> None:
        """Tells of what is given up, then saves: a crash between the two reports twice, never silently drops."""
        chunk, verdict = attempt.chunk, attempt.verdict
        if verdict.condition is not None:
            await self._give_up(attempt, verdict.condition)
        done = verdict.settled + verdict.discarded
        if not done and (chunk.closing is None or verdict.pending):
            await self._checkpointer.note(attempt.problem)
            return
        progress = self._checkpointer.progress
        progress.settle(self._lane, done)
        self._here.memory.take(-size_bytes(done))
        if progress.window is not None:
            progress.window = windows.following(progress.window, chunk, attempt.outcome, verdict)
        await self._checkpointer.settle(verdict.condition or attempt.problem)
        self._tell_settled(attempt)

    async def _give_up(self, attempt: Attempt, condition: Condition) -> None:
        delivered = None
        if self._reporting.destination is not None and condition is not Condition.RETENTION_EXPIRED:
            delivered = await self._reporting.send(self._report(attempt, condition))
        first, last = _bounds(attempt.verdict.discarded)
        self._here.observer(
            RecordsDiscarded(
                self._here.mapping,
                self._here.shard,
                condition=condition,
                records=len(attempt.verdict.discarded),
                first=first,
                last=last,
                attempts=attempt.verdict.attempts,
                problem=attempt.problem,
                delivered=delivered,
                request_id=attempt.request_id,
                lane=self._lane,
            )
        )

    def _report(self, attempt: Attempt, condition: Condition) -> FailureReport:
        outcome, discarded = attempt.outcome, attempt.verdict.discarded
        return FailureReport(
            id=self._new_id(),
            mapping=self._wiring.mapping,
            source_arn=self._wiring.source_arn,
            function_arn=self._wiring.function_arn,
            shard=self._here.shard,
            request_id=attempt.request_id,
            condition=condition,
            attempts=attempt.verdict.attempts,
            response=outcome.response if isinstance(outcome, Succeeded | FunctionFailed) else None,
            at=self._here.clock.now(),
            records=discarded,
            payload=render(discarded, self._tail(attempt.chunk.closing)),
            window=self._window,
            closing=attempt.chunk.closing,
        )

    async def _pause(self, verdict: Verdict) -> None:
        if not verdict.pending:
            return
        policy, retention = self._wiring.policy, self._wiring.retention_seconds()
        expiry = seconds_to_expiry(verdict.pending[0], self._here.clock.now(), policy, retention)
        wait = min(verdict.wait_seconds, expiry)
        records = sum(len(rest.records) for rest in verdict.pending)
        split = len(verdict.pending) > 1
        self._here.observer(BatchRetried(self._here.mapping, self._here.shard, records, wait, split))
        await anyio.sleep(wait)

    # What is told

    def _tell_attempt(self, attempt: Attempt, outcome: str, problem: str, started: float, started_at: float) -> None:
        records = attempt.chunk.records
        first, last = _bounds(records)
        self._here.observer(
            BatchInvoked(
                self._here.mapping,
                self._here.shard,
                request_id=attempt.request_id,
                records=len(records),
                first=first,
                last=last,
                attempt=attempt.chunk.attempts + attempt.chunk.refusals + 1,
                outcome=outcome,
                seconds=anyio.current_time() - started,
                problem=problem,
                iterator_age_seconds=max(0.0, started_at - records[-1].arrived_at) if records else None,
                lane=self._lane,
            )
        )

    def _tell_settled(self, attempt: Attempt) -> None:
        progress, closing = self._checkpointer.progress, attempt.chunk.closing
        if closing is not None:
            window = closing.window
            self._here.observer(
                WindowClosed(self._here.mapping, self._here.shard, window.start, window.end, closing.early)
            )
        self._here.observer(
            RecordsSettled(
                self._here.mapping,
                self._here.shard,
                records=len(attempt.verdict.settled) + len(attempt.verdict.discarded),
                succeeded=len(attempt.verdict.settled),
                position=progress.position,
                oldest_pending_at=progress.oldest_at,
            )
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._here.random.getrandbits(128), version=4))


def _bounds(records: tuple[Record, ...]) -> tuple[SequenceNumber, SequenceNumber]:
    """The first and the last sequence number; empty where there are no records."""
    if not records:
        return SequenceNumber(""), SequenceNumber("")
    return records[0].sequence_number, records[-1].sequence_number


def _answered_id(outcome: Outcome) -> str:
    """The name that the target gave to the request, as Lambda does; empty if it gave none (R-INV-5)."""
    return outcome.response.request_id if isinstance(outcome, Succeeded | FunctionFailed) else ""


def _name(outcome: Outcome, verdict: Verdict) -> str:
    match outcome:
        case Succeeded():
            return "partial_failure" if verdict.pending or verdict.discarded else "success"
        case FunctionFailed():
            return "function_error"
        case NotInvoked():
            return "not_invoked"
        case PayloadTooLarge():
            return "payload_too_large"
