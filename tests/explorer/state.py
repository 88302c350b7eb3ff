"""What a state of one shard holds: this file is its frozen values, and the names under which they are the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from poller.invocation import Chunk
from poller.model import Checkpoint, Lease, Position, Row, WorkerId

GONE = WorkerId("gone")
"""The name of every process that is no more."""
TOKEN = 9
"""The token of the lease in force; those before it count down from here, however many there were."""


@dataclass(frozen=True, slots=True)
class Lane:
    """``chunks`` are to be worked off, the last one first; ``stage``: waits, invoked, settled (to be saved) or saving."""

    chunks: tuple[Chunk, ...] = ()
    stage: str = "waits"


@dataclass(frozen=True, slots=True)
class Session:
    """One worker's time with the shard, from its take to its release.

    ``begun`` is the checkpoint from which ``did`` tells the real `Progress` all that was taken and done since;
    ``None`` until the row was read. ``age``: ticks since the moment from which the lease is trusted; ``renewal``: the
    same of a renewal whose answer is under way. ``saving`` is what the store was asked to save.
    """

    lease: Lease
    begun: Checkpoint | None = None
    did: tuple[tuple[str, int, tuple[int, ...] | int, Position | None], ...] = ()
    lanes: tuple[Lane, ...] = ()
    saving: Checkpoint | None = None
    age: int = 0
    renewal: int | None = None
    stopping: bool = False
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Seat:
    """What one worker has to do with the shard.

    ``free_in``: after so many ticks more it holds the lease for free; ``None`` if it has not seen this lease yet.
    ``wants`` is the lease that it is about to take, as it was read; ``read`` the checkpoint beside it, if that counts.
    """

    free_in: int | None = None
    wants: Lease | None = None
    read: Checkpoint | None = None
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class ShardState:
    """``row`` is ``None`` until the shard is listed; ``done`` are the records that were handled or given up.

    ``late`` is a save on its way whose sender no longer waits for it (at most one, the last).
    """

    row: Row | None
    seats: tuple[Seat, Seat] = (Seat(), Seat())
    done: frozenset[int] = frozenset()
    late: tuple[Lease, Checkpoint] | None = None

    def with_seat(self, number: int, seat: Seat) -> ShardState:
        seats = (seat, self.seats[1]) if number == 0 else (self.seats[0], seat)
        return replace(self, seats=seats)


class Move(NamedTuple):
    """A step and where it leads. ``eagerness``: which step comes first in peace; 0 for what peace does not need.

    ``attempts``: records go to the function. ``fault``: 1 if it counts as one. ``broken``: the promise it breaks.
    """

    text: str
    after: ShardState
    eagerness: int = 0
    fault: int = 0
    attempts: bool = False
    writer: Lease | None = None
    broken: str = ""


def canonical(state: ShardState) -> ShardState:
    """The same state under the names that all states share; its predecessor had them already.

    Sound because rules and store only ask whether two tokens (or counters) are equal, and count the present one up.
    """
    row = state.row
    if row is None:
        return state
    lease = row.lease
    known = {seat.session.lease.token for seat in state.seats if seat.session}
    known |= {state.late[0].token} if state.late else set()
    older = sorted(known - {lease.token}, reverse=True)
    names = {lease.token: TOKEN} | {token: TOKEN - 1 - rank for rank, token in enumerate(older)}
    moved = (lease.token, lease.counter) != (TOKEN, 0)

    def renamed(known: Lease) -> Lease:
        return replace(known, token=names[known.token], counter=0)

    def seated(seat: Seat) -> Seat:
        """What a worker saw of a lease that has moved is as good as nothing, and its take will fail."""
        session = seat.session and replace(seat.session, lease=renamed(seat.session.lease))
        wants = replace(seat.wants, token=-1) if seat.wants and moved else seat.wants
        return Seat(None if moved else seat.free_in, wants, seat.read, session)

    first, second = map(seated, state.seats)
    late = state.late and (renamed(state.late[0]), state.late[1])
    return ShardState(replace(row, lease=renamed(lease)), (first, second), state.done, late)
