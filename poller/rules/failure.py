"""What becomes of a chunk: this file is Lambda's decision procedure for failed batches, as pure functions.

Every function returns a `Verdict`, for which ``settled + discarded + pending == chunk`` holds, in order. The closing of
a window goes the same way: it has no records, and is over when nothing is pending (R-WIN-12).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from poller.invocation import Chunk, Condition, FunctionFailed, NotInvoked, Outcome, PayloadTooLarge, Succeeded, Verdict
from poller.mapping import FailurePolicy
from poller.rules.pacing import backoff_seconds
from poller.rules.partial_response import first_failure

RETRY_AFTER_SECONDS_MAX = 900.0
"""A target's wish for a pause is granted up to here, so that one odd header cannot stop a shard for a day."""


def judge(chunk: Chunk, outcome: Outcome, policy: FailurePolicy, jitter: float) -> Verdict:
    """The verdict after one attempt; ``jitter`` is a random number in [0, 1)."""
    match outcome:
        case Succeeded() if chunk.closing is not None:
            return Verdict()
        case Succeeded(answer):
            failed_from = _failed_from(chunk, answer, policy)
            if failed_from is None:
                return Verdict(settled=chunk.records)
            if failed_from > 0:
                return _progressed(chunk, failed_from)
            return _failed(chunk, policy, jitter, halve=policy.bisect)
        case FunctionFailed():
            return _failed(chunk, policy, jitter, halve=policy.bisect)
        case PayloadTooLarge():
            # Batches are cut to Lambda's limit, so only a target with a lower one refuses several records at once.
            # Lambda has no such target; halving loses least, for those that fit are delivered (R-BATCH-7).
            return _failed(chunk, policy, jitter, halve=True)
        case NotInvoked(_, retry_after_seconds):
            return _refused(chunk, retry_after_seconds, jitter)
        case _:
            assert_never(outcome)


def expire(chunk: Chunk, now: float, policy: FailurePolicy, retention_seconds: float | None) -> Verdict | None:
    """The verdict on leading records that are too old; ``None`` if the chunk may be invoked (R-AGE-2, R-AGE-3).

    ``now`` is epoch seconds. What is left gets a fresh identity (R-AGE-8). Retention only ends *retries*
    (R-RETRY-8): a record that was read in time but never tried is still delivered. The closing of a window, which no
    stream keeps, it does not end (R-WIN-12).
    """
    tried = chunk.attempts + chunk.refusals > 0 and chunk.closing is None
    for limit, condition in (
        (policy.age_seconds_max, Condition.RECORD_AGE_EXCEEDED),
        (retention_seconds if tried else None, Condition.RETENTION_EXPIRED),
    ):
        count = 0 if limit is None else _leading_older(_arrivals(chunk), now, limit)
        if count:
            rest = chunk.records[count:]
            return Verdict(
                discarded=chunk.records[:count],
                condition=condition,
                attempts=chunk.attempts + 1,
                pending=(Chunk(rest),) if rest else (),
            )
    return None


def seconds_to_expiry(chunk: Chunk, now: float, policy: FailurePolicy, retention_seconds: float | None) -> float:
    """How long the head of a chunk may still wait, so that no pause outlasts its expiry; ``inf`` without a limit."""
    kept_seconds = None if chunk.closing is not None else retention_seconds
    limits = [limit for limit in (policy.age_seconds_max, kept_seconds) if limit is not None]
    if not limits:
        return float("inf")
    return max(0.0, _arrivals(chunk)[0] + min(limits) - now)


def _failed_from(chunk: Chunk, answer: bytes, policy: FailurePolicy) -> int | None:
    if not policy.report_item_failures:  # the answer means nothing then (R-INV-6)
        return None
    return first_failure(answer, [record.sequence_number for record in chunk.records])


def _progressed(chunk: Chunk, failed_from: int) -> Verdict:
    """The suffix is a new batch, invoked at once and never refilled (R-PBR-5, R-PBR-7)."""
    return Verdict(settled=chunk.records[:failed_from], pending=(Chunk(chunk.records[failed_from:]),))


def _failed(chunk: Chunk, policy: FailurePolicy, jitter: float, *, halve: bool) -> Verdict:
    if halve and len(chunk.records) > 1:  # uses no quota, starts at once, first half first (R-BIS-1, R-BIS-2, R-BIS-3)
        middle = len(chunk.records) // 2
        return Verdict(pending=(Chunk(chunk.records[:middle]), Chunk(chunk.records[middle:])))
    attempts = chunk.attempts + 1
    if policy.retries_max is not None and attempts > policy.retries_max:  # the whole batch, once (R-RETRY-4)
        return Verdict(discarded=chunk.records, condition=Condition.RETRY_ATTEMPTS_EXHAUSTED, attempts=attempts)
    wait = backoff_seconds(chunk.attempts, jitter)
    return Verdict(pending=(replace(chunk, attempts=attempts),), wait_seconds=wait)


def _refused(chunk: Chunk, retry_after_seconds: float | None, jitter: float) -> Verdict:
    """The function was not reached: no attempt is counted, whatever the budget (R-INV-2, R-RETRY-6)."""
    wish = min(retry_after_seconds or 0.0, RETRY_AFTER_SECONDS_MAX)
    wait = max(backoff_seconds(chunk.refusals, jitter), wish)
    return Verdict(pending=(replace(chunk, refusals=chunk.refusals + 1),), wait_seconds=wait)


def _arrivals(chunk: Chunk) -> Sequence[float]:
    """From when ages count."""
    if chunk.closing is not None:
        return (chunk.closing.due_at,)
    return [record.arrived_at for record in chunk.records]


def _leading_older(arrivals: Sequence[float], now: float, limit: float) -> int:
    young = (index for index, arrived_at in enumerate(arrivals) if arrived_at + limit > now)
    return next(young, len(arrivals))
