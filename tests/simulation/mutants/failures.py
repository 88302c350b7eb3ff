"""Mistakes about failed batches: this file is bugs of retries, bisect, partial answers and reports."""

from __future__ import annotations

from dataclasses import replace

from poller.engine import delivery, reporting
from poller.rules import failure, partial_response


def a_failed_batch_is_skipped(patch):
    """Harlow's consumer and others: the loop goes on to the next batch."""
    patch.setattr(failure, "_failed", lambda chunk, *_, **__: failure.Verdict(settled=chunk.records))


def a_refusal_taken_for_success(patch):
    """Vector #12145: a negative result is ignored."""
    patch.setattr(failure, "_refused", lambda chunk, *_: failure.Verdict(settled=chunk.records))


def refusals_use_up_the_retries(patch):
    def counted(chunk, wish, jitter):
        return failure.Verdict(pending=(replace(chunk, attempts=chunk.attempts + 1),), wait_seconds=1.0)

    patch.setattr(failure, "_refused", counted)


def one_retry_too_many(patch):
    patch.setattr(failure, "_failed", _with_retries(failure._failed, 1))


def one_retry_too_few(patch):
    patch.setattr(failure, "_failed", _with_retries(failure._failed, -1))


def _with_retries(failed, more):
    def other(chunk, policy, jitter, *, halve):
        most = None if policy.retries_max is None else policy.retries_max + more
        return failed(chunk, replace(policy, retries_max=most), jitter, halve=halve)

    return other


def bisect_loses_the_middle(patch):
    failed = failure._failed

    def lossy(chunk, policy, jitter, *, halve):
        verdict = failed(chunk, policy, jitter, halve=halve)
        if len(verdict.pending) == 2 and len(verdict.pending[1].records) > 1:
            first, second = verdict.pending
            return replace(verdict, pending=(first, replace(second, records=second.records[1:])))
        return verdict

    patch.setattr(failure, "_failed", lossy)


def the_later_half_goes_first(patch):
    failed = failure._failed

    def swapped(chunk, policy, jitter, *, halve):
        verdict = failed(chunk, policy, jitter, halve=halve)
        return replace(verdict, pending=verdict.pending[::-1])

    patch.setattr(failure, "_failed", swapped)


def partial_success_taken_for_a_full_one(patch):
    patch.setattr(failure, "_progressed", lambda chunk, failed_from: failure.Verdict(settled=chunk.records))


def the_last_failure_that_is_named_counts(patch):
    """Everything after the first one must be delivered again."""
    first = partial_response.first_failure

    def last(answer, sequence_numbers):
        found = [number for number in sequence_numbers if f'"{number}"'.encode() in answer]
        return sequence_numbers.index(found[-1]) if found else first(answer, sequence_numbers)

    patch.setattr(failure, "first_failure", last)


def an_answer_that_makes_no_sense_taken_for_success(patch):
    """Unknown, empty and missing identifiers."""
    failures = partial_response._failures

    def hopeful(answer, sequence_numbers):
        try:
            return failures(answer, sequence_numbers)
        except (ValueError, RecursionError):
            return []

    patch.setattr(partial_response, "_failures", hopeful)


def ages_are_looked_at_once_only(patch):
    """A batch that is retried for longer than its records may be old."""
    expire = failure.expire

    def once(chunk, now, policy, retention_seconds):
        return expire(chunk, now, policy, retention_seconds) if chunk.attempts + chunk.refusals == 0 else None

    patch.setattr(delivery, "expire", once)


def discards_without_a_word(patch):
    settle = delivery.Delivery._settle

    async def silent(self, *arguments):
        here, self._here = self._here, replace(self._here, observer=lambda event: None)
        await settle(self, *arguments)
        self._here = here

    patch.setattr(delivery.Delivery, "_settle", silent)


def a_report_that_was_refused_called_delivered(patch):
    async def hopeful(self, report):
        await send(self, report)
        return True

    send = reporting.Reporting.send
    patch.setattr(reporting.Reporting, "send", hopeful)
