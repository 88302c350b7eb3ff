"""A stop that lets the step under way finish: this file is the cancel scope whose deadline is a lease."""

from __future__ import annotations

from types import TracebackType

import anyio
from anyio.lowlevel import checkpoint

_NEVER = float("inf")


class StopScope:
    """Cancels its block at the lease's end or when told to stop; only marked steps may go on for a grace.

    All moments are of the loop's clock (`anyio.current_time`). A block that is cut off ends silently.
    """

    def __init__(self, trusted_until: float) -> None:
        self._block = anyio.CancelScope(deadline=trusted_until)
        self._steps: list[anyio.CancelScope] = []  # one per lane at most, in the order of their beginning
        self._trusted_until = trusted_until
        self._stop_at = _NEVER
        self.cut_off = False
        """Whether a step was not let finish."""

    def __enter__(self) -> StopScope:
        self._block.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return bool(self._block.__exit__(kind, error, traceback))

    @property
    def ran_out(self) -> bool:
        """Whether the lease's end, and not a stop, ended the block."""
        return self._block.cancelled_caught and self._stop_at == _NEVER

    def extend(self, trusted_until: float) -> None:
        """The lease was renewed: block and steps may run until then."""
        self._trusted_until = trusted_until
        if not self._block.cancel_called:
            self._block.deadline = trusted_until
        self._set_step_deadlines()

    def stop(self, grace_seconds: float) -> None:
        """Cancels the block now; steps under way may take ``grace_seconds`` more, but never outlive the lease."""
        self._stop_at = min(self._stop_at, anyio.current_time() + grace_seconds)
        self._block.cancel()
        self._set_step_deadlines()

    def finish(self) -> Step:
        """Marks a step that, once begun, a stop lets finish: invoke, judge, save."""
        return Step(self)

    def begin(self) -> anyio.CancelScope:
        """For a `Step`: what it runs in."""
        step = anyio.CancelScope(shield=True, deadline=self._step_deadline)
        self._steps.append(step)
        return step

    def end(self, step: anyio.CancelScope) -> None:
        """The step is over, in whatever way. One that runs out swallows its own cancellation, and would run on."""
        self._steps.remove(step)
        if step.cancelled_caught:
            self.cut_off = True
            self._block.cancel()

    @property
    def _step_deadline(self) -> float:
        return min(self._trusted_until, self._stop_at)

    def _set_step_deadlines(self) -> None:
        for step in self._steps:
            step.deadline = self._step_deadline


class Step:
    """One step of a `StopScope`. Not a generator, as there is one for each batch."""

    def __init__(self, scope: StopScope) -> None:
        self._scope = scope

    async def __aenter__(self) -> None:
        await checkpoint()  # nothing is begun after a stop
        self._step = self._scope.begin()
        self._step.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        swallowed = bool(self._step.__exit__(kind, error, traceback))
        self._scope.end(self._step)
        if self._step.cancelled_caught:
            await checkpoint()  # without this the shard would run on without its lease
        return swallowed
