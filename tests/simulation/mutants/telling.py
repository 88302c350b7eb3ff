"""Mistakes about what operators are told: this file is bugs of metrics, logs and drains."""

from __future__ import annotations

from dataclasses import replace

from poller.engine import delivery, supervisor
from poller.invocation import FunctionFailed
from poller.observers import ages
from poller.rules import ordering


def an_age_that_stands_still(patch):
    """OpenSearch #19635, async-kinesis #73: set when something happens, and silent when nothing can."""
    patch.setattr(ages._Moments, "iterator_age", lambda self, now: self.behind_seconds or 0.0)


def an_age_that_forgets_what_a_full_lane_missed(patch):
    """Found by these worlds."""
    patch.setattr(ordering.LaneProgress, "pass_by", lambda self, missed, to: None)


def the_payload_in_a_log_line(patch):
    invoke = delivery.Delivery._invoke

    async def telling(self, chunk, request_id):
        outcome = await invoke(self, chunk, request_id)
        if isinstance(outcome, FunctionFailed) and chunk.records:
            return replace(outcome, error=f"{outcome.error}: {chunk.records[0].body.decode()}")
        return outcome

    patch.setattr(delivery.Delivery, "_invoke", telling)


def a_drain_that_was_cut_short_called_a_drain(patch):
    """Found by these worlds."""
    patch.setattr(
        supervisor.Supervisor, "drained", property(lambda self: True, lambda self, value: None), raising=False
    )


def batches_that_were_counted_twice(patch):
    tell = delivery.Delivery._tell_attempt

    def twice(self, attempt, outcome, started, started_at):
        tell(self, attempt, outcome, started, started_at)
        if attempt.chunk.attempts:
            tell(self, attempt, outcome, started, started_at)

    patch.setattr(delivery.Delivery, "_tell_attempt", twice)
