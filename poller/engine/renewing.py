"""The leases of a mapping that this worker holds: this file renews them, little by little if they are many."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from poller.engine.stopping import StopScope
from poller.errors import Unavailable
from poller.events import LeaseWasLost
from poller.model import Lease, ShardId
from poller.ports import Observer, Store
from poller.rules.leasing import LeaseTimes

_AT_ONCE = 50
_PARTS_MAX = 40
_PART_SECONDS = 0.025
"""Thousands of renewals at once would hold up the polls of as many shards; in parts all have begun within a second."""


@dataclass(slots=True)
class Held:
    """A lease of this worker, and the scope of the task that reads the shard."""

    lease: Lease
    scope: StopScope


class Renewals:
    """Renews what is in ``held``, by shard; a lease that another worker owns by now stops the reader of its shard."""

    def __init__(
        self, mapping: str, held: dict[ShardId, Held], *, store: Store, observer: Observer, times: LeaseTimes
    ) -> None:
        self._mapping = mapping
        self._held = held
        self._store = store
        self._observer = observer
        self._times = times

    async def renew_all(self) -> None:
        """Raises `Unavailable` if the store is too slow: there must be time for another try."""
        with anyio.move_on_after(self._times.margin) as patience:
            async with anyio.create_task_group() as renewals:
                shards = list(self._held)
                step = max(_AT_ONCE, -(-len(shards) // _PARTS_MAX))
                for start in range(0, len(shards), step):
                    if start:
                        await anyio.sleep(_PART_SECONDS)
                    for shard in shards[start : start + step]:
                        if shard in self._held:  # else it was given back meanwhile
                            renewals.start_soon(self._renew, self._held[shard])
        if patience.cancelled_caught:
            raise Unavailable(f"the leases were not renewed within {self._times.margin:g} seconds")

    async def _renew(self, held: Held) -> None:
        started = anyio.current_time()
        renewed = await self._store.renew(held.lease)
        if renewed is None:
            self._observer(LeaseWasLost(self._mapping, held.lease.shard, "another worker owns the shard"))
            held.scope.stop(0)
        else:
            held.lease = renewed
            held.scope.extend(started + self._times.trusted)
