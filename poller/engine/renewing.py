"""The leases of a mapping that this worker holds: this file renews them, little by little if they are many."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from poller.engine.stopping import StopScope
from poller.errors import Unavailable
from poller.events import LeaseWasLost
from poller.model import Lease, ShardId
from poller.ports import Observer, Store
from poller.rules.leasing import PART_SECONDS, LeaseTimes, in_parts


@dataclass(slots=True)
class Held:
    """A lease of this worker, and the scope of the task that reads the shard.

    ``given_back`` once that has begun, ``lost`` once it is known.
    """

    lease: Lease
    scope: StopScope
    given_back: bool = False
    lost: bool = False


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
                for number, shards in enumerate(in_parts(list(self._held))):
                    if number:
                        await anyio.sleep(PART_SECONDS)
                    for shard in shards:
                        if shard in self._held:  # else it was given back meanwhile
                            renewals.start_soon(self._renew, self._held[shard])
        if patience.cancelled_caught:
            raise Unavailable(f"the leases were not renewed within {self._times.margin:g} seconds")

    async def _renew(self, held: Held) -> None:
        started = anyio.current_time()
        renewed = await self._store.renew(held.lease)
        if held.given_back:
            return  # it has no owner, or still us for a moment
        if renewed is None:
            self.tell_lost(held, "another worker owns the shard")
            held.scope.stop(0)
        else:
            held.lease = renewed
            held.scope.extend(started + self._times.trusted)

    def tell_lost(self, held: Held, problem: str) -> None:
        """Tells it once: the renewal, the reader and each of its lanes find it out by themselves (I12)."""
        if not held.lost:
            held.lost = True
            self._observer(LeaseWasLost(self._mapping, held.lease.shard, problem))
