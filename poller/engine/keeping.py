"""How a mapping is, kept where people and the next start find it: this file hears, tells and saves its status."""

from __future__ import annotations

from dataclasses import replace

import anyio

from poller.errors import Unavailable
from poller.events import Event, MappingChanged, MappingTroubled
from poller.mapping import NOTHING_PROCESSED, EventSourceMapping, MappingStatus
from poller.ports import Clock, Observer, Store
from poller.rules.lifecycle import heard, listable_after, settled, started

RETRY_SECONDS = 5.0


class StatusKeeper:
    """Folds the events of one mapping into its status; what is new is told and saved by `keep`, now and then.

    Not at each event: with one shard that fails among others that do not, the last result changes with each batch.
    Several workers may keep one mapping's status; each saves only what it heard itself, and the last one counts.
    """

    def __init__(self, mapping: EventSourceMapping, store: Store, observer: Observer, clock: Clock) -> None:
        self._mapping = mapping
        self._store = store
        self._observer = observer
        self._clock = clock
        self._status = started(None, mapping, clock.now())
        self._kept: MappingStatus | None = None
        self._begun = False
        self._listable = True

    def hear(self, event: Event) -> None:
        self._listable = listable_after(event, before=self._listable)
        self._status = heard(self._status, event, listable=self._listable)

    async def keep(self, *, settles: bool) -> None:
        """Saves and tells what is new; ``settles``: the mapping runs, or rests if it is disabled. May be `Unavailable`.

        The first time it goes on from what was reported before.
        """
        if not self._begun:
            await self._begin()
        if settles:
            self._status = settled(self._status, enabled=self._mapping.enabled, now=self._clock.now())
        status = self._status
        if status != self._kept:
            await self._store.report(status)
            self._kept = status
            self._observer(MappingChanged(self._mapping.name, status))

    async def rest(self) -> None:
        """Keeps the status of a mapping that is disabled, for which nothing else runs (R-STATE-11)."""
        while True:
            try:
                await self.keep(settles=False)
                await self.keep(settles=True)
                return
            except Unavailable as problem:
                self._observer(MappingTroubled(self._mapping.name, str(problem)))
                await anyio.sleep(RETRY_SECONDS)

    async def _begin(self) -> None:
        before = await self._store.status(self._mapping.id)
        status = started(before, self._mapping, self._clock.now())
        if self._status.result != NOTHING_PROCESSED:  # something was heard before the store answered
            status = replace(status, result=self._status.result)
        self._status, self._begun = status, True
        self._kept = before
        if status == before:
            self._observer(MappingChanged(self._mapping.name, status))
