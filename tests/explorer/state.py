"""What a state of one shard holds: this file is its frozen values, and the names under which they are the same."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

from poller.invocation import Chunk
from poller.model import Checkpoint, Lease, Row, WorkerId
from tests.explorer.rules import Did

GONE = WorkerId("gone")
"""The name of every process that is no more."""
TOKEN = 9
"""The token of the lease in force; those before it count down from here, however many there were."""


class Lane(NamedTuple):
    """``chunks`` are to be done, the last one first; ``stage``: waits, invoked, settled (and to be saved), saving."""

    chunks: tuple[Chunk, ...] = ()
    stage: str = "waits"


class Session(NamedTuple):
    """One worker's time with the shard, from its take to its release.

    ``begun`` is the checkpoint it began at, ``None`` until it has read the row, and ``did`` what it did since.
    ``saving`` is what the store was asked to save. ``age``: ticks since the moment from which the lease is trusted;
    ``renewal``: the same of a renewal whose answer is under way.
    """

    lease: Lease
    begun: Checkpoint | None = None
    did: tuple[Did, ...] = ()
    lanes: tuple[Lane, ...] = ()
    saving: Checkpoint | None = None
    age: int = 0
    renewal: int | None = None
    stopping: bool = False
    leaving: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether all that was taken is done and saved."""
        return not any(lane.chunks or lane.stage != "waits" for lane in self.lanes)

    def with_lane(self, number: int, lane: Lane) -> Session:
        return self._replace(lanes=(*self.lanes[:number], lane, *self.lanes[number + 1 :]))


class Seat(NamedTuple):
    """What one worker has to do with the shard.

    ``free_in``: after so many ticks more it holds the lease for free; ``None`` if it has not seen this lease yet.
    ``wants`` is the lease that it is about to take, as it was read; ``read`` the checkpoint beside it, if that counts.
    """

    free_in: int | None = None
    wants: Lease | None = None
    read: Checkpoint | None = None
    session: Session | None = None


class ShardState(NamedTuple):
    """``row`` is ``None`` until the shard is listed; ``done`` are the records that were handled or given up.

    ``late`` is a save on its way whose sender no longer waits for it (at most one, the last).
    """

    row: Row | None
    seats: tuple[Seat, Seat] = (Seat(), Seat())
    done: frozenset[int] = frozenset()
    late: tuple[Lease, Checkpoint] | None = None

    def with_seat(self, number: int, seat: Seat) -> ShardState:
        return self._replace(seats=(seat, self.seats[1]) if number == 0 else (self.seats[0], seat))


class Move(NamedTuple):
    """A step and where it leads.

    ``eagerness``: in peace the most eager step is next, and those of 0 are not needed. ``fault``: 1 if it is one.
    ``attempts``: records go to the function. ``writer``: who changes the row. ``broken``: the promise it breaks.
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
    row, (first, second), done, late = state
    if row is None:
        return state
    token = row.lease.token
    known = {seat.session.lease.token for seat in state.seats if seat.session}
    known |= {late[0].token} if late else set()
    older = sorted(known - {token}, reverse=True)
    names = {token: TOKEN} | {each: TOKEN - 1 - rank for rank, each in enumerate(older)}
    moved = (token, row.lease.counter) != (TOKEN, 0)
    return ShardState(
        _with_lease(row, _named(row.lease, TOKEN)),
        (_seated(first, names, moved), _seated(second, names, moved)),
        done,
        late and (_named(late[0], names[late[0].token]), late[1]),
    )


def _seated(seat: Seat, names: dict[int, int], moved: bool) -> Seat:
    """What a worker saw of a lease that has moved is as good as nothing, and its take will fail."""
    free_in, wants, read, session = seat
    if session is not None:
        session = session._replace(lease=_named(session.lease, names[session.lease.token]))
    if not moved:
        return Seat(free_in, wants, read, session)
    return Seat(None, wants and _named(wants, -1), read, session)


@cache
def _named(lease: Lease, token: int) -> Lease:
    return replace(lease, token=token, counter=0)


@cache
def _with_lease(row: Row, lease: Lease) -> Row:
    return replace(row, lease=lease)
