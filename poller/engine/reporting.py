"""Reports of what was given up, on their way to the mapping's destination: this file tries, but never for long."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from poller.engine.surroundings import Surroundings
from poller.errors import SourceGone, Unavailable
from poller.events import FailureSent
from poller.invocation import FailureReport
from poller.ports import Destination
from poller.rules.pacing import backoff_seconds

TRIES = 3
TRY_SECONDS = 10.0
SECONDS_MAX = 20.0
"""Lambda tries once (R-DEST-8). Six megabytes may take some seconds, and no shard waits longer than this."""


@dataclass(frozen=True, slots=True)
class Reporting:
    """Sends reports to ``destination``, if there is one."""

    here: Surroundings
    destination: Destination | None

    async def send(self, report: FailureReport) -> bool:
        """Whether the destination took it; it is never tried again later (R-DEST-8)."""
        assert self.destination is not None
        started, problem = anyio.current_time(), ""
        for failures in range(TRIES):
            left = started + SECONDS_MAX - anyio.current_time()
            if left <= 0:
                break
            problem = await self._try(self.destination, report, min(TRY_SECONDS, left))
            if not problem:
                break
            await anyio.sleep(backoff_seconds(failures, self.here.random.random()) if failures < TRIES - 1 else 0)
        self.here.observer(
            FailureSent(
                self.here.mapping,
                self.here.shard,
                destination=self.destination.kind,
                records=len(report.records),
                seconds=anyio.current_time() - started,
                problem=problem,
            )
        )
        return not problem

    async def _try(self, destination: Destination, report: FailureReport, within_seconds: float) -> str:
        """What went wrong; empty if nothing did."""
        with anyio.move_on_after(within_seconds):
            try:
                await destination.send(report)
            except (Unavailable, SourceGone) as problem:
                return str(problem) or type(problem).__name__
            return ""
        return f"no answer within {within_seconds:.1f} seconds"
