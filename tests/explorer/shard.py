"""The whole life of one shard: this file numbers its states, and works out each one's steps once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from poller.errors import LeaseLost
from poller.model import Checkpoint, Lease, Row, WorkerId
from poller.rules.ordering import by_lane
from tests.explorer.state import GONE, Move, Seat, Session, ShardState, canonical
from tests.explorer.worker import Asked, Worker
from tests.explorer.world import WORKERS, World


class ShardLife:
    """All shards of a world live alike; whatever differs among them (name, gate) is told by `search.Search`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._workers = [Worker(world, number) for number in range(len(WORKERS))]
        self._records = frozenset(range(1, len(world.keys) + 1))
        self._number_of: dict[ShardState, int] = {}
        self._moves: dict[tuple[int, bool], list[Move]] = {}
        self.states: list[ShardState] = []

    def number(self, state: ShardState) -> int:
        """The number of a state, a new one if it is new."""
        number = self._number_of.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
        return number

    def all_done(self, number: int) -> bool:
        return self.states[number].done == self._records

    def moves(self, number: int, *, readable: bool) -> list[Move]:
        """Whatever may happen to the shard alone, under the names that all states share, and what it breaks."""
        before = self.states[number]
        moves = []
        for move in self._all_moves(before, readable):
            broken = move.broken or self._broken(before, move)
            after = canonical(move.after)
            if after != before or broken:
                moves.append(move._replace(after=after, broken=broken))
        return moves

    def _all_moves(self, state: ShardState, readable: bool) -> Iterator[Move]:
        for worker in self._workers:
            yield from worker.steps(state, readable=readable)
        if state.row is not None:
            yield self._tick(state)
        if state.late is not None:
            yield self._lands(state)

    def _tick(self, state: ShardState) -> Move:
        """Time passes; a fault if a process lets its lease pass by."""
        late = int(self._world.times.trusted) + self._world.late_ticks
        seats, stood_still = [], []
        for name, seat in zip(WORKERS, state.seats, strict=True):
            session = seat.session
            if session is not None and not session.leaving:
                if session.age + 1 == late:
                    stood_still.append(name)
                session = _older(session, late, self._world.times.margin)
            free_in = seat.free_in and seat.free_in - 1
            seats.append(replace(seat, free_in=free_in, session=session))
        text = "time passes over {}" + (f", {' and '.join(stood_still)} standing still" if stood_still else "")
        return Move(text, replace(state, seats=tuple(seats)), eagerness=not stood_still, fault=bool(stood_still))

    def _lands(self, state: ShardState) -> Move:
        lease, checkpoint = state.late
        store = Asked(self._world, state.row)
        try:
            store("save", lease, checkpoint)
            text = f"{lease.owner}'s late save of {checkpoint.position} of {{}} lands"
        except LeaseLost:
            text = f"{lease.owner}'s late save of {checkpoint.position} of {{}} is refused"
        return Move(text, replace(state, row=store.row, late=None), writer=lease)

    # What happens to several shards at once

    def listed(self, number: int, row: Row) -> int:
        return self.number(canonical(replace(self.states[number], row=row)))

    def crashed(self, number: int, worker: int) -> int:
        """Its memory is gone, and its name; what it sent may still land."""
        state, name = self.states[number], WORKERS[worker]
        session = state.seats[worker].session
        late = (session.lease, session.saving) if session and session.saving else state.late
        row = state.row and replace(state.row, lease=_of_the_dead(state.row.lease, name))
        late = late and (_of_the_dead(late[0], name), late[1])
        return self.number(canonical(replace(state, row=row, late=late).with_seat(worker, Seat())))

    def told_to_stop(self, number: int, worker: int) -> int:
        """Nothing is begun any more; a step under way may end."""
        state = self.states[number]
        session = state.seats[worker].session
        if session is None or session.leaving:
            return self.number(state.with_seat(worker, Seat(session=session)))
        return self.number(state.with_seat(worker, Seat(session=replace(session, stopping=True))))

    # Promises

    def _broken(self, before: ShardState, move: Move) -> str:
        row, after = before.row, move.after
        if after.row == row:
            return ""
        if move.writer is not None and (move.writer.owner, move.writer.token) != (row.lease.owner, row.lease.token):
            return "fence: a lease that was replaced changed the store"
        for lanes in set(self._world.lanes):
            passed = self._passed(after.row.checkpoint, lanes)
            if not passed <= after.done:
                return f"lost: the checkpoint passed {_listed(passed - after.done)}, never handled"
            if not self._passed(row.checkpoint, lanes) <= passed:
                return "back: the checkpoint went back"
        return ""

    def _passed(self, checkpoint: Checkpoint, lanes: int) -> frozenset[int]:
        """The records that nobody who begins at a checkpoint would deliver."""
        progress = self._world.progress(checkpoint, lanes)
        rest = [
            record
            for lane, share in zip(progress.lanes, by_lane(self._world.records, lanes), strict=True)
            for record in progress.without_done([each for each in share if each.place > lane.taken_to.place])
        ]
        return self._records - {int(record.sequence_number) for record in rest}


def _older(session: Session, age_max: int, renewal_max: float) -> Session:
    renewal = None if session.renewal is None or session.renewal >= renewal_max else session.renewal + 1
    return replace(session, age=min(session.age + 1, age_max), renewal=renewal)


def _of_the_dead(lease: Lease, name: str) -> Lease:
    return replace(lease, owner=GONE) if lease.owner == WorkerId(name) else lease


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, sorted(numbers)))
