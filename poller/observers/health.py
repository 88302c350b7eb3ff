"""Whether the worker lives and whether it is ready: this file is the answer to an orchestrator's probes."""

from __future__ import annotations

from dataclasses import dataclass

from poller.events import Event, MappingTroubled, ShardsListed, WorkerDraining, WorkerStarted, WorkerStopped
from poller.ports import Clock

TICK_SECONDS_MAX = 30.0
"""An event loop that has not come round for so long is as good as dead."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer to a probe; ``reasons`` says, for people, why it is not ``good``, and is empty if it is."""

    good: bool
    reasons: tuple[str, ...] = ()


class Health:
    """Hears every event, and `tick` from the watch of the event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ticked_at: float | None = None
        self._state = "starting"
        self._mappings = 0
        self._listed: set[str] = set()
        self._troubled: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case WorkerStarted():
                self._state, self._mappings = "started", event.mappings
            case WorkerDraining():
                self._state = "draining"
            case WorkerStopped():
                self._state = "stopped"
            case ShardsListed():
                self._listed.add(event.mapping)
                self._troubled.discard(event.mapping)
            case MappingTroubled():
                self._troubled.add(event.mapping)
            case _:
                pass

    def tick(self) -> None:
        """The event loop came round; for `poller.observers.loop_lag.watch_loop_lag`."""
        self._ticked_at = self._clock.now()

    def live(self) -> Finding:
        """Bad if the loop ticked once and then no more; what is only busy or draining lives."""
        silent = 0.0 if self._ticked_at is None else self._clock.now() - self._ticked_at
        if silent > TICK_SECONDS_MAX:
            return Finding(good=False, reasons=(f"the event loop has not ticked for {silent:.0f} s",))
        return Finding(good=True)

    def ready(self) -> Finding:
        """Good once the worker has started and every mapping has listed its shards once, until it drains.

        A trouble later on does not make it unready: a restart elsewhere would not mend a stream that is away.
        """
        if self._state != "started":
            return Finding(good=False, reasons=(f"the worker is {self._state}",))
        missing = self._mappings - len(self._listed)
        if missing <= 0:
            return Finding(good=True)
        reasons = [f"{missing} of {self._mappings} mappings have not listed their shards yet"]
        reasons += [f"mapping {name} is troubled, see the log" for name in sorted(self._troubled - self._listed)]
        return Finding(good=False, reasons=tuple(reasons))
