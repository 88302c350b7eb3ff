"""One mapping: list shards, hold leases, keep one reader per held shard: this file is what lets no shard starve."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Iterable
from random import Random

import anyio
from anyio.abc import TaskGroup

from poller.engine.checkpointing import Checkpointer
from poller.engine.delivery import Wiring
from poller.engine.keeping import StatusKeeper
from poller.engine.memory import Budget, Holding
from poller.engine.renewing import Held, Renewals
from poller.engine.reporting import Reporting
from poller.engine.rests import Rests
from poller.engine.shard import Plan, ShardReader
from poller.engine.stopping import StopScope
from poller.engine.surroundings import Surroundings
from poller.errors import LeaseLost, SourceGone, Unavailable
from poller.events import (
    LeaseTaken,
    MappingTroubled,
    ShardFailed,
    ShardReleased,
    ShardsListed,
    StreamReplaced,
)
from poller.mapping import EventSourceMapping
from poller.model import Lease, Listing, Row, ShardId, WorkerId
from poller.ports import Clock, Destination, Observer, Source, Store, Target
from poller.rules import lineage
from poller.rules.filtering import Filters
from poller.rules.leasing import LeaseTimes, LeaseWatch
from poller.rules.ordering import Progress

RELEASE_SECONDS_MAX = 2.0
"""How long a leaving reader tries to give its lease back; after that the lease runs out by itself."""
RETRY_RENEWAL_SECONDS = 1.0


class Supervisor:
    """Runs one mapping until stopped; whatever happens to one shard, the others never notice (R-SHARD-4)."""

    def __init__(
        self,
        *,
        mapping: EventSourceMapping,
        source: Source,
        target: Target,
        destination: Destination | None,
        function_arn: str,
        store: Store,
        owner: WorkerId,
        status: StatusKeeper,
        observer: Observer,
        clock: Clock,
        random: Random,
        times: LeaseTimes,
        memory: Budget,
    ) -> None:
        self._mapping = mapping
        self._source = source
        self._destination = destination
        self._store = store
        self._owner = owner
        self._status = status
        self._observer = observer
        self._clock = clock
        self._random = random
        self._times = times
        self._memory = memory
        self._plan = Plan(
            Filters(mapping.filter_patterns), mapping.batch, mapping.lanes, mapping.tumbling_window_seconds
        )
        self._wiring = Wiring(
            mapping=mapping.id,
            source_arn=mapping.source_arn,
            function_arn=function_arn,
            target=target,
            policy=mapping.failure,
            payload_bytes_max=mapping.batch.payload_bytes_max,
            retention_seconds=lambda: self._listing.retention_seconds if self._listing else None,
        )
        self._watch = LeaseWatch(owner, times.ttl)
        self._held: dict[ShardId, Held] = {}
        self._renewals = Renewals(mapping.name, self._held, store=store, observer=observer, times=times)
        self._shard_rests: Rests[ShardId] = Rests()
        self._listing_rests: Rests[str] = Rests()
        self._listing: Listing | None = None
        self._stream_created_at: float | None = None
        self._list_at = 0.0
        self._looking = anyio.CancelScope()
        self._wake = anyio.Event()
        self.drained = True
        """Whether every step that was under way at the stop came to its end."""

    async def run(self) -> None:
        """Returns after `stop`, when the last shard has come to rest and its lease is given back."""
        async with anyio.create_task_group() as renewing:
            renewing.start_soon(self._renew_for_ever)
            async with anyio.create_task_group() as shards:
                with self._looking:
                    await self._look_for_ever(shards)
            renewing.cancel_scope.cancel()

    def stop(self, grace_seconds: float) -> None:
        """Takes no more shards and stops those held; steps under way may take ``grace_seconds`` more."""
        self._looking.cancel()
        for held in self._held.values():
            held.scope.stop(grace_seconds)

    # Looking: which shards are there, and which of them are ours to read

    async def _look_for_ever(self, shards: TaskGroup) -> None:
        while True:
            self._wake = anyio.Event()
            await self._contained(lambda: self._look_round(shards), self._tell_trouble)
            with anyio.move_on_after(self._times.scan_every):
                await self._wake.wait()

    async def _look_round(self, shards: TaskGroup) -> None:
        await self._status.keep(settles=self._listing is not None)
        await self._look(shards)
        await self._status.keep(settles=self._listing is not None)

    async def _look(self, shards: TaskGroup) -> None:
        if anyio.current_time() >= self._list_at and not await self._contained(self._list, self._tell_listing):
            rest = self._listing_rests.begin("", anyio.current_time(), self._random.random())
            if self._list_at:  # else a shard has ended meanwhile, and its children may be there
                self._list_at = anyio.current_time() + min(rest, self._times.list_every)
        if self._listing is None:
            return
        known = await self._store.rows(self._mapping.id)
        # Those of a stream that is no more may still be there, if the store was away when they were to be replaced.
        old = lineage.of_another_stream(known, self._stream_created_at)
        rows = [row for row in known if row not in old]
        now = anyio.current_time()
        self._watch.observe(rows, now)
        busy = [*self._held, *self._shard_rests.resting(now)]
        await self._take(self._watch.takeable(lineage.readable(rows, self._listing), busy, now), shards)

    async def _list(self) -> None:
        """Lists the stream and gives every new shard its row, all of a first start in one write (R-POS-3).

        Where rows are of another stream, this one of its name begins anew (R-STATE-10).
        """
        self._list_at = anyio.current_time() + self._times.list_every  # before: a shard that ends now sets it back
        listing = await self._source.listing()
        at = self._clock.now()  # after the listing: a shard that it shows as closed holds nothing that is younger
        known = await self._store.rows(self._mapping.id)
        self._stream_created_at = listing.stream_created_at
        old = lineage.of_another_stream(known, self._stream_created_at)
        rows = [row for row in known if row not in old]
        new = lineage.unknown(listing, rows)
        first = not known and self._listing is None  # what follows a listing without shards came later
        starts = [(each, lineage.starting_checkpoint(each, self._mapping, at, first_start=first)) for each in new]
        for row in old:
            if row.shard in self._held:
                self._held[row.shard].scope.stop(0)
        if starts or old:
            await self._store.create(
                self._mapping.id, starts, stream_created_at=listing.stream_created_at, replacing=old
            )
        if old:
            self._observer(StreamReplaced(self._mapping.name, len(old)))
        forgettable = lineage.forgettable(rows, listing, at)
        if forgettable:
            await self._store.forget(self._mapping.id, forgettable)
        self._listing = listing
        self._observer(ShardsListed(self._mapping.name, len(listing.shards), len(new)))

    async def _take(self, rows: Iterable[Row], shards: TaskGroup) -> None:
        """Takes leases and starts a reader for each."""
        trusted_until = anyio.current_time() + self._times.trusted
        taken: dict[ShardId, Lease] = {}

        async def take(lease: Lease) -> None:
            mine = await self._store.take(lease, self._owner)
            if mine is not None:
                taken[mine.shard] = mine

        async with anyio.create_task_group() as takes:
            for row in rows:
                takes.start_soon(take, row.lease)
        if not taken:
            return
        # Read again: until the take, the owner before us could still move the checkpoint.
        for row in await self._store.rows(self._mapping.id):
            lease = taken.get(row.shard)
            if lease is not None and not row.finished:
                held = self._held[row.shard] = Held(lease, StopScope(trusted_until))
                if self._looking.cancel_called:  # the stop came meanwhile, and did not find it
                    held.scope.stop(0)
                shards.start_soon(self._hold, row, held)

    # Holding: one task per shard

    async def _hold(self, row: Row, held: Held) -> None:
        shard = row.shard
        self._observer(LeaseTaken(self._mapping.name, shard, row.checkpoint.position))
        with held.scope:
            calm = await self._contained(lambda: self._read(row, held), lambda error: self._tell_shard(held, error))
            if not calm:
                self._shard_rests.begin(shard, anyio.current_time(), self._random.random())
        if held.scope.cut_off and self._looking.cancel_called:
            self.drained = False
        if held.scope.ran_out:
            self._renewals.tell_lost(held, "the lease was not renewed in time")
        held.given_back = True
        with anyio.move_on_after(RELEASE_SECONDS_MAX, shield=True):
            await self._contained(lambda: self._store.release(held.lease), self._tell_trouble)
        del self._held[shard]
        self._observer(ShardReleased(self._mapping.name, shard))

    async def _read(self, row: Row, held: Held) -> None:
        here = Surroundings(
            self._mapping.name, row.shard, self._observer, self._clock, self._random, Holding(self._memory)
        )
        progress = Progress(row.checkpoint, self._mapping.lanes, by_inner_keys=self._mapping.deaggregate)
        reader = ShardReader(
            here,
            source=self._source,
            plan=self._plan,
            wiring=self._wiring,
            reporting=Reporting(here, self._destination),
            checkpointer=Checkpointer(
                here, store=self._store, lease=held.lease, saved=row.checkpoint, progress=progress
            ),
        )
        await reader.run(held.scope)
        self._list_at = 0.0  # children may be there by now
        self._wake.set()

    # Renewing: never shares a path with delivery, so that no back-pressure can hold it up

    async def _renew_for_ever(self) -> None:
        pause = self._times.renew_every
        while True:
            await anyio.sleep(pause)
            calm = await self._contained(self._renewals.renew_all, self._tell_trouble)
            pause = self._times.renew_every if calm else RETRY_RENEWAL_SECONDS

    # The bulkhead: what escapes a shard is told, and ends there

    async def _contained(self, work: Callable[[], Awaitable[None]], tell: Callable[[Exception], None]) -> bool:
        try:
            await work()
        except Exception as error:  # the one place: whatever it was, the other shards and mappings go on
            for cause in _causes(error):
                tell(cause)
            return False
        return True

    def _tell_listing(self, error: Exception) -> None:
        self._tell_trouble(error, listing=True)

    def _tell_trouble(self, error: Exception, *, listing: bool = False) -> None:
        known = isinstance(error, Unavailable | SourceGone)
        problem = str(error) if known else "".join(traceback.format_exception(error))
        said = error.said if isinstance(error, SourceGone) else ""
        self._observer(MappingTroubled(self._mapping.name, problem, said, listing))

    def _tell_shard(self, held: Held, error: Exception) -> None:
        match error:
            case LeaseLost():
                self._renewals.tell_lost(held, str(error))
            case SourceGone() | Unavailable():
                self._tell_trouble(error)
            case _:
                trace = "".join(traceback.format_exception(error))
                self._observer(ShardFailed(self._mapping.name, held.lease.shard, repr(error), trace))


def _causes(error: Exception) -> list[Exception]:
    """The single exceptions of a group, however nested."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    return [cause for part in error.exceptions for cause in _causes(part)]
