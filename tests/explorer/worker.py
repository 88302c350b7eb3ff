"""What one worker does with one shard: this file is the order in which the engine asks the rules, step by step.

It follows `poller.engine`: `supervisor` (look, take, read the row again, renew, release), `shard` and `lane` (read,
deal out, finish), `delivery` (invoke, judge, settle), `checkpointing` (one save at a time, tried until it is answered).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace

from poller.invocation import Chunk, FunctionFailed, Succeeded, Verdict
from poller.model import SHARD_END, Row, WorkerId
from poller.records import Record
from tests.explorer import rules
from tests.explorer.rules import LOST, Did
from tests.explorer.state import Lane, Move, Seat, Session, ShardState
from tests.explorer.world import WORKERS, World

FAILED = FunctionFailed("failed")
PEACE = {"look": 2, "take": 3, "read": 4, "finish": 5, "invoke": 6, "answer": 7}
"""How eager the steps are by which a world comes to its end if nothing goes wrong."""


class Worker:
    """The steps of one of the two, in a shard that is in a given state."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number
        self.name = WorkerId(WORKERS[number])
        self._lanes = world.lanes[number]

    def steps(self, state: ShardState, *, readable: bool) -> Iterator[Move]:
        """Whatever this worker may do next; ``readable``: the rows say that the shard may be read."""
        row, seat = state.row, state.seats[self._number]
        session = seat.session
        if row is None:
            return
        if session is None:
            yield from self._takes(state, seat, row) if seat.wants else self._looks(state, seat, row, readable)
        elif session.leaving:
            yield from self._leaves(state, session, row)
        else:
            yield from self._trusts(state, session, row)
            yield from self._begins(state, session, row) if session.begun is None else self._works(state, session, row)

    # Leases

    def _looks(self, state: ShardState, seat: Seat, row: Row, readable: bool) -> Iterator[Move]:
        free_in = rules.free_in(self._world, self.name, row, seat.free_in)
        if readable and free_in == 0:
            read = None if self._world.reads_row_again else row.checkpoint
            yield self._seated("sees that {} is free", state, Seat(0, row.lease, read), eagerness=PEACE["look"])
        else:
            yield self._seated("looks at the lease of {}", state, Seat(free_in), eagerness=PEACE["look"])

    def _takes(self, state: ShardState, seat: Seat, row: Row) -> Iterator[Move]:
        lease, held = rules.asked(self._world, row, "take", seat.wants, self.name)
        if lease is None:
            yield self._seated("comes too late to take {}", state, Seat(seat.free_in), eagerness=PEACE["take"])
            return
        taken = state._replace(row=held)
        session = Session(lease, seat.read, lanes=(Lane(),) * self._lanes)
        yield self._goes_on("takes {}", taken, session, eagerness=PEACE["take"])
        yield self._seated("takes {}, but the answer is lost", taken, Seat(), fault=1)

    def _begins(self, state: ShardState, session: Session, row: Row) -> Iterator[Move]:
        if row.finished:
            yield self._seated("sees that {} is finished", state, Seat(), eagerness=PEACE["take"])
        else:
            begun = session._replace(begun=row.checkpoint)
            text = f"begins with {{}} at {row.checkpoint.position}"
            yield self._goes_on(text, state, begun, eagerness=PEACE["take"])

    def _trusts(self, state: ShardState, session: Session, row: Row) -> Iterator[Move]:
        """What the lease has to do with time; `shard` lets it pass."""
        if session.age >= self._world.times.trusted:
            yield self._cut_off("trusts its lease of {} no longer", state, session)
        if self._world.renews and session.renewal is None:
            lease, held = rules.asked(self._world, row, "renew", session.lease)
            if lease is None:
                yield self._cut_off("hears that another one has {}", state, session)
            else:
                renewed, asks = state._replace(row=held), session._replace(renewal=0)
                yield self._goes_on("renews its lease of {}", renewed, asks, writer=session.lease)
        if session.renewal is not None:
            age = 0 if self._world.trusts_from_answer else min(session.renewal, session.age)
            hears = session._replace(renewal=None, age=age)
            yield self._goes_on("hears that its lease of {} is renewed", state, hears)

    def _cut_off(self, text: str, state: ShardState, session: Session) -> Move:
        """The block and its steps are cancelled; what was sent to the store may still land."""
        if session.saving is not None:
            state = state._replace(late=(session.lease, session.saving))
        return self._goes_on(text, state, Session(session.lease, leaving=True))

    def _leaves(self, state: ShardState, session: Session, row: Row) -> Iterator[Move]:
        _, held = rules.asked(self._world, row, "release", session.lease)
        text = "leaves {}" if held == row else "gives {} back"
        released = state._replace(row=held)
        yield self._seated(text, released, Seat(), eagerness=PEACE["answer"], writer=session.lease)
        if held != row:
            yield self._seated("leaves {}, and the store never hears of it", state, Seat(), fault=1)

    # Records

    def _works(self, state: ShardState, session: Session, row: Row) -> Iterator[Move]:
        if session.saving is not None:
            yield from self._saves(state, session, row)
        elif session.stopping and all(lane.stage == "waits" for lane in session.lanes):
            leaving = Session(session.lease, leaving=True)
            yield self._goes_on("stops reading {}", state, leaving, eagerness=PEACE["answer"])
        elif not session.stopping:
            yield from self._reads(state, session)
        for number, lane in enumerate(session.lanes):
            if lane.stage == "invoked":
                yield from self._hears(state, session, number)
            elif lane.stage == "waits" and lane.chunks and not session.stopping:
                yield from self._invokes(state, session, number)

    def _reads(self, state: ShardState, session: Session) -> Iterator[Move]:
        """Takes in the next page; at the end of the shard, and when all is done, finishes it."""
        page, takes = rules.next_page(self._world, self._lanes, session.begun, session.did)
        if not page and session.is_idle:
            saving = replace(self._checkpoint(session), position=SHARD_END, lanes=(), earlier=())
            yield self._goes_on("has done all of {}", state, session._replace(saving=saving), eagerness=PEACE["finish"])
        if not page or any(take.records and session.lanes[take.lane].chunks for take in takes):
            return  # where a lane has no room the engine reads on for the others, and this once more
        read = session._replace(did=(*session.did, *takes))
        for take in takes:
            if take.records:
                read = read.with_lane(take.lane, Lane((Chunk(take.records),)))
        if read.is_idle:
            read = read._replace(saving=self._checkpoint(read))
        yield self._goes_on(f"reads {{}}/{_listed(page)}", state, read, eagerness=PEACE["read"])

    def _invokes(self, state: ShardState, session: Session, number: int) -> Iterator[Move]:
        chunk = session.lanes[number].chunks[-1]
        broken = self._out_of_order(state, chunk) or self._not_alone(state, session)
        invoked = session.with_lane(number, session.lanes[number]._replace(stage="invoked"))
        text = f"invokes the function with {{}}/{_listed(chunk.records)}"
        yield self._goes_on(text, state, invoked, eagerness=PEACE["invoke"], attempts=True, broken=broken)
        verdict = rules.too_old(self._world, chunk)
        if verdict is not None:
            yield self._judged(f"finds {{}}/{_listed(chunk.records)} too old", state, session, number, verdict)

    def _hears(self, state: ShardState, session: Session, number: int) -> Iterator[Move]:
        chunk = session.lanes[number].chunks[-1]
        text = f"hears that {{}}/{_listed(chunk.records)}"
        handled = state._replace(done=state.done | set(map(rules.number, chunk.records)))
        judged = rules.verdict(self._world, chunk, Succeeded())
        yield self._judged(f"{text} is handled", handled, session, number, judged, eagerness=PEACE["answer"])
        judged = rules.verdict(self._world, chunk, FAILED)
        yield self._judged(f"{text} failed", state, session, number, judged)
        yield self._judged(f"{text} failed (but it is handled)", handled, session, number, judged, fault=1)
        if self._world.policy.report_item_failures and len(chunk.records) > 1:
            first, second = chunk.records[:2]
            partly = state._replace(done=state.done | {rules.number(first)})
            answer = json.dumps({"batchItemFailures": [{"itemIdentifier": second.sequence_number}]})
            judged = rules.verdict(self._world, chunk, Succeeded(answer.encode()))
            yield self._judged(f"{text} failed from {rules.number(second)} on", partly, session, number, judged)

    def _judged(
        self, text: str, state: ShardState, session: Session, number: int, verdict: Verdict, **more: int
    ) -> Move:
        """Settles what is done, and asks the store to save that unless another save is under way."""
        chunks = (*session.lanes[number].chunks[:-1], *reversed(verdict.pending))
        done = verdict.settled + verdict.discarded
        if not done:
            return self._goes_on(text, state, session.with_lane(number, Lane(chunks)), **more)
        state = state._replace(done=state.done | set(map(rules.number, verdict.discarded)))
        session = session.with_lane(number, Lane(chunks, "settled"))
        session = session._replace(did=(*session.did, Did(number, done=len(done))))
        return self._goes_on(text, state, self._asks(session), **more)

    def _asks(self, session: Session) -> Session:
        """One save for all lanes that wait for one."""
        if session.saving is not None or not any(lane.stage == "settled" for lane in session.lanes):
            return session
        lanes = tuple(Lane(lane.chunks, "saving") if lane.stage == "settled" else lane for lane in session.lanes)
        return session._replace(lanes=lanes, saving=self._checkpoint(session))

    def _saves(self, state: ShardState, session: Session, row: Row) -> Iterator[Move]:
        what = f"{session.saving.position} of {{}}"
        answer, held = rules.asked(self._world, row, "save", session.lease, session.saving)
        if answer == LOST:
            refused = Session(session.lease, leaving=True)
            yield self._goes_on(f"may not save {what}", state, refused, eagerness=PEACE["answer"])
            return
        saved, writer = state._replace(row=held), session.lease
        yield self._goes_on(f"saves {what}", saved, self._saved(session), eagerness=PEACE["answer"], writer=writer)
        yield self._goes_on(f"saves {what}, but the answer is lost", saved, session, fault=1, writer=writer)
        if not self._world.waits_for_store:
            sent = state._replace(late=(session.lease, session.saving))
            yield self._goes_on(f"saves {what} again, while the first try is on its way", sent, session, fault=1)

    def _saved(self, session: Session) -> Session:
        saved = session.saving
        if saved.position == SHARD_END:
            return Session(session.lease, leaving=True)
        lanes = tuple(Lane(lane.chunks) if lane.stage == "saving" else lane for lane in session.lanes)
        session = session._replace(saving=None, lanes=lanes)
        if session.is_idle and rules.all_done(self._world, self._lanes, session.begun, session.did):
            return session._replace(begun=saved, did=())  # whoever begins here knows as much
        return self._asks(session)

    def _checkpoint(self, session: Session):
        return rules.checkpoint(self._world, self._lanes, session.begun, session.did)

    # Promises that an attempt may break

    def _out_of_order(self, state: ShardState, chunk: Chunk) -> str:
        first = {record.ordering_key: record.place for record in reversed(chunk.records)}
        for record in self._world.records:
            if record.place < first.get(record.ordering_key, (0, 0, 0)) and rules.number(record) not in state.done:
                return f"order: {rules.number(record)} of the same key is not done"
        return ""

    def _not_alone(self, state: ShardState, session: Session) -> str:
        other, stood_still = state.seats[1 - self._number].session, self._world.stood_still_at
        if other is None or session.age >= stood_still or other.age >= stood_still:
            return ""
        invoking = any(lane.stage == "invoked" for lane in other.lanes)
        return "exclusion: two workers attempt one shard, and neither stood still" if invoking else ""

    def _goes_on(self, text: str, state: ShardState, session: Session, **more) -> Move:
        return self._seated(text, state, Seat(session=session), **more)

    def _seated(self, text: str, state: ShardState, seat: Seat, **more) -> Move:
        return Move(f"{self.name} {text}", state.with_seat(self._number, seat), **more)


def _listed(records: Iterable[Record]) -> str:
    return ",".join(str(rules.number(record)) for record in records)
