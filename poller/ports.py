"""The plugs between the engine and the world, with their contracts: this file is all that an adapter must know."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from poller.arns import DestinationKind
from poller.events import Event
from poller.invocation import FailureReport, Invocation, Outcome
from poller.mapping import MappingStatus
from poller.model import Checkpoint, Lease, Listing, MappingId, Position, Row, Shard, ShardId, WorkerId
from poller.records import Page


class Clock(Protocol):
    """Wall time. Waiting is anyio's, which tests make virtual."""

    def now(self) -> float:
        """Epoch seconds."""
        ...


class Observer(Protocol):
    """Hears every event; must neither wait nor raise."""

    def __call__(self, event: Event, /) -> None: ...


Room = Callable[[], AbstractContextManager[int | None]]
"""Entered for as long as an answer of records is on its way; gives how many it may hold, ``None`` for all there are."""


def all_room() -> AbstractContextManager[int | None]:
    """A `Room` that has no end."""
    return nullcontext()


class Source(Protocol):
    """One stream."""

    async def listing(self) -> Listing:
        """All shards, closed ones included, every page of them.

        Raises `Unavailable`, or `SourceGone` if there is no such stream or no permission.
        """
        ...

    def read(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        """Pages in order from ``position``, at the service's pace, until one says ``ended``; close it with `aclosing`.

        Throttles, service errors and expired iterators are overcome inside, and told as `Polled`. A page may wait
        as long as it likes before the next is asked for. Raises `PositionLost` if the position (or the shard) has
        left the stream, `SourceGone` as above.
        """
        ...

    def reread(self, shard: ShardId, position: Position) -> AsyncGenerator[Page, None]:
        """As `read`, beside a `read` of the same shard that is further on; never disturbs it (R-EFO-6)."""
        ...

    async def aclose(self) -> None: ...


class Target(Protocol):
    """One function."""

    async def invoke(self, invocation: Invocation) -> Outcome:
        """One attempt. Never raises for what a function or a service answers; ends when cancelled."""
        ...

    async def aclose(self) -> None: ...


class Destination(Protocol):
    """One place for what was given up."""

    kind: DestinationKind

    async def send(self, report: FailureReport) -> None:
        """Returns when it was accepted. Raises `Unavailable` or `SourceGone` if it was not; ends when cancelled."""
        ...

    async def aclose(self) -> None: ...


class Store(Protocol):
    """Checkpoints and leases of all mappings; every verb may raise `Unavailable`.

    A write whose answer was lost may have landed; each verb may be repeated safely. But a write that was asked for
    first never lands behind a later one of the same lease, which the lease itself could not tell.
    """

    async def rows(self, mapping: MappingId) -> Sequence[Row]:
        """All rows of a mapping, in no order; a dead owner that the store can recognise is given as ``None``."""
        ...

    async def create(
        self,
        mapping: MappingId,
        shards: Sequence[tuple[Shard, Checkpoint]],
        *,
        stream_created_at: float | None = None,
        replacing: Sequence[Row] = (),
    ) -> None:
        """Adds rows without an owner, all or none; rows that exist already stay as they are.

        Rows in ``replacing`` go first, in the same write, unless they are of another stream by now.
        """
        ...

    async def take(self, lease: Lease, owner: WorkerId) -> Lease | None:
        """Makes ``owner`` the owner, with a new token; ``None`` if token or counter are no longer ``lease``'s."""
        ...

    async def renew(self, lease: Lease) -> Lease | None:
        """The same lease with a higher counter; ``None`` if it is no longer the owner's."""
        ...

    async def release(self, lease: Lease) -> None:
        """Gives the lease back; does nothing if it is no longer the owner's."""
        ...

    async def save(self, lease: Lease, checkpoint: Checkpoint) -> None:
        """Writes the checkpoint, durably, if owner and token are still the lease's; else raises `LeaseLost`."""
        ...

    async def forget(self, mapping: MappingId, shards: Sequence[ShardId]) -> None:
        """Removes the rows of shards that have left the stream."""
        ...

    async def status(self, mapping: MappingId) -> MappingStatus | None:
        """What was reported last of a mapping, ``None`` if nothing was."""
        ...

    async def report(self, status: MappingStatus) -> None:
        """Keeps how a mapping is; the last report counts."""
        ...

    async def aclose(self) -> None: ...
