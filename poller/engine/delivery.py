"""One batch: invoke, judge, settle, until nothing is pending: this file is the way of records to a function."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from random import Random

import anyio

from poller.engine.checkpointing import Checkpointer
from poller.engine.stopping import StopScope
from poller.events import BatchInvoked, BatchRetried, RecordsDiscarded, RecordsSettled
from poller.invocation import (
    Chunk,
    FunctionFailed,
    Invocation,
    NotInvoked,
    Outcome,
    PayloadTooLarge,
    Succeeded,
    Verdict,
)
from poller.mapping import FailurePolicy
from poller.model import Record, ShardId
from poller.ports import Clock, Observer, Target
from poller.rules.envelope import render
from poller.rules.failure import expire, judge, seconds_to_expiry


class Delivery:
    """Delivers the batches of one shard, one after another and in order.

    ``retention_seconds`` is asked each time, since a stream's retention may change.
    """

    def __init__(
        self,
        *,
        mapping: str,
        shard: ShardId,
        target: Target,
        policy: FailurePolicy,
        payload_bytes_max: int,
        retention_seconds: Callable[[], float | None],
        checkpointer: Checkpointer,
        observer: Observer,
        clock: Clock,
        random: Random,
    ) -> None:
        self._mapping = mapping
        self._shard = shard
        self._target = target
        self._policy = policy
        self._payload_bytes_max = payload_bytes_max
        self._retention_seconds = retention_seconds
        self._checkpointer = checkpointer
        self._observer = observer
        self._clock = clock
        self._random = random

    async def deliver(self, records: tuple[Record, ...], scope: StopScope, behind: Record | None) -> None:
        """Returns when every record is settled or discarded, and saved as such.

        Chunks are worked off depth first, so that nothing overtakes (R-BIS-2). ``behind`` is the record that waits
        next in the shard, if any.
        """
        pending = [(Chunk(records), self._new_request_id())]
        while pending:
            chunk, request_id = pending.pop()
            after = pending[-1][0].records[0] if pending else behind
            async with scope.finish():
                verdict, problem = await self._attempt(chunk, request_id)
                await self._settle(verdict, problem, after)
            for rest in reversed(verdict.pending):
                unchanged = len(rest.records) == len(chunk.records)
                pending.append((rest, request_id if unchanged else self._new_request_id()))
            await self._pause(verdict)

    async def _attempt(self, chunk: Chunk, request_id: str) -> tuple[Verdict, str]:
        """The verdict, and what went wrong in words."""
        expired = expire(chunk, self._clock.now(), self._policy, self._retention_seconds())
        if expired is not None:
            return expired, "too old"
        started = anyio.current_time()
        outcome = await self._invoke(chunk, request_id)
        verdict = judge(chunk, outcome, self._policy, self._random.random())
        problem = "" if isinstance(outcome, Succeeded) else outcome.error
        self._observer(
            BatchInvoked(
                self._mapping,
                self._shard,
                request_id=request_id,
                records=len(chunk.records),
                first=chunk.records[0].sequence_number,
                last=chunk.records[-1].sequence_number,
                attempt=chunk.attempts + chunk.refusals + 1,
                outcome=_name(outcome, verdict),
                seconds=anyio.current_time() - started,
                problem=problem,
            )
        )
        return verdict, problem or _name(outcome, verdict)

    async def _invoke(self, chunk: Chunk, request_id: str) -> Outcome:
        payload = render(chunk.records)
        if len(payload) > self._payload_bytes_max:  # never reaches the function, yet counts (R-BATCH-7)
            return PayloadTooLarge(f"the event has {len(payload)} bytes, {self._payload_bytes_max} are allowed")
        return await self._target.invoke(Invocation(request_id, payload))

    async def _settle(self, verdict: Verdict, problem: str, behind: Record | None) -> None:
        """Tells of what is given up, then saves: a crash between the two reports twice, never silently drops."""
        if verdict.condition is not None:
            self._observer(
                RecordsDiscarded(
                    self._mapping,
                    self._shard,
                    condition=verdict.condition,
                    records=len(verdict.discarded),
                    first=verdict.discarded[0].sequence_number,
                    last=verdict.discarded[-1].sequence_number,
                    attempts=verdict.attempts,
                    problem=problem,
                )
            )
        done = verdict.settled + verdict.discarded
        if not done:
            await self._checkpointer.note(problem)
            return
        await self._checkpointer.settle(done[-1], verdict.condition or problem)
        oldest = verdict.pending[0].records[0] if verdict.pending else behind
        self._observer(
            RecordsSettled(
                self._mapping,
                self._shard,
                records=len(done),
                succeeded=len(verdict.settled),
                position=self._checkpointer.position,
                oldest_pending_at=oldest.arrived_at if oldest else None,
            )
        )

    async def _pause(self, verdict: Verdict) -> None:
        if not verdict.pending:
            return
        head = verdict.pending[0]
        expiry = seconds_to_expiry(head, self._clock.now(), self._policy, self._retention_seconds())
        wait = min(verdict.wait_seconds, expiry)
        split = len(verdict.pending) > 1
        self._observer(
            BatchRetried(
                self._mapping,
                self._shard,
                records=sum(len(rest.records) for rest in verdict.pending),
                wait_seconds=wait,
                split=split,
            )
        )
        await anyio.sleep(wait)

    def _new_request_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


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
