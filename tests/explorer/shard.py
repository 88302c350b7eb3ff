"""The whole life of one shard: this file numbers its states, and works out each one's steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from poller.model import Lease, Row
from tests.explorer import rules
from tests.explorer.rules import LOST
from tests.explorer.state import GONE, Move, Seat, Session, ShardState, canonical
from tests.explorer.worker import Worker
from tests.explorer.world import WORKERS, World


class ShardLife:
    """All shards of a world live alike; what differs among them, their names and gates, is told from outside."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._workers = [Worker(world, number) for number in range(len(WORKERS))]
        self._numbers: dict[ShardState, int] = {}
        self._states: list[ShardState] = []
        self._row_numbers: dict[Row | None, int] = {}
        self.row_of: list[int] = []
        """For each state the number of its row."""

    def number(self, state: ShardState) -> int:
        """The number of a state, a new one if it is new."""
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
            self.row_of.append(self._row_numbers.setdefault(state.row, len(self._row_numbers)))
        return number

    @property
    def count(self) -> int:
        return len(self._states)

    def row(self, number: int) -> Row | None:
        return self._states[number].row

    def all_done(self, number: int) -> bool:
        return len(self._states[number].done) == len(self._world.keys)

    def moves(self, number: int, *, readable: bool) -> Iterator[tuple[Move, int]]:
        """Whatever may happen to the shard alone, with the number of what follows, and what it breaks."""
        before = self._states[number]
        for move in self._all_moves(before, readable):
            broken = move.broken or self._broken(before, move)
            after = canonical(move.after)
            if after != before or broken:
                yield move._replace(broken=broken), self.number(after)

    def _all_moves(self, state: ShardState, readable: bool) -> Iterator[Move]:
        for worker in self._workers:
            yield from worker.steps(state, readable=readable)
        if state.row is not None:
            yield self._tick(state)
        if state.late is not None:
            yield self._lands(state)

    def _tick(self, state: ShardState) -> Move:
        """Time passes, which is a fault if a process lets its lease pass by."""
        seats, still = [], []
        for name, (free_in, wants, read, session) in zip(WORKERS, state.seats, strict=True):
            if session is not None and not session.leaving:
                if session.age + 1 == self._world.stood_still_at:
                    still.append(name)
                session = self._older(session)
            seats.append(Seat(free_in and free_in - 1, wants, read, session))
        text = "time passes over {}"
        if still:
            text += f" while {' and '.join(still)} {'stands' if len(still) == 1 else 'stand'} still"
        return Move(text, state._replace(seats=tuple(seats)), eagerness=int(not still), fault=int(bool(still)))

    def _older(self, session: Session) -> Session:
        """An answer to a renewal is not waited for any longer than the margin."""
        age, renewal = min(session.age + 1, self._world.stood_still_at), session.renewal
        if renewal is not None:
            renewal = None if renewal >= self._world.answer_ticks_max else renewal + 1
        return session._replace(age=age, renewal=renewal)

    def _lands(self, state: ShardState) -> Move:
        lease, saving = state.late
        answer, held = rules.asked(self._world, state.row, "save", lease, saving)
        how = "is refused" if answer == LOST else "lands"
        text = f"the late save of {saving.position} of {{}} by {lease.owner} {how}"
        return Move(text, state._replace(row=held, late=None), writer=lease)

    # What happens to several shards at once

    def crashed(self, number: int, worker: int) -> int:
        """Its memory is gone, and its name; what it sent may still land."""
        state, name = self._states[number], WORKERS[worker]
        row, session, late = state.row, state.seats[worker].session, state.late
        if session is not None and session.saving is not None:
            late = session.lease, session.saving
        if row is not None:
            row = replace(row, lease=_of_the_dead(row.lease, name))
        late = late and (_of_the_dead(late[0], name), late[1])
        return self.number(canonical(state._replace(row=row, late=late).with_seat(worker, Seat())))

    def told_to_stop(self, number: int, worker: int) -> int:
        """Nothing is begun any more; a step under way may end."""
        state = self._states[number]
        session = state.seats[worker].session
        if session is not None and session.begun is None:
            session = Session(session.lease, leaving=True)
        elif session is not None and not session.leaving:
            session = session._replace(stopping=True)
        return self.number(state.with_seat(worker, Seat(session=session)))

    # Promises that a change of the row may break

    def _broken(self, before: ShardState, move: Move) -> str:
        row, after = before.row, move.after
        if after.row == row:
            return ""
        if move.writer is not None and (move.writer.owner, move.writer.token) != (row.lease.owner, row.lease.token):
            return "fence: a lease that is no longer in force changed the store"
        for lanes in set(self._world.lanes):
            passed = rules.passed(self._world, lanes, after.row.checkpoint)
            unseen = passed - after.done
            if unseen:
                return f"lost: the checkpoint passed {','.join(map(str, sorted(unseen)))}, which was never handled"
            if not rules.passed(self._world, lanes, row.checkpoint) <= passed:
                return "back: the checkpoint in the store went back"
        return ""


def _of_the_dead(lease: Lease, name: str) -> Lease:
    return replace(lease, owner=GONE) if lease.owner == name else lease
