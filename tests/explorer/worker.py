"""What one worker does with one shard: this file is the order in which the engine asks the rules, step by step.

It follows `poller.engine`: `supervisor` (look, take, read the row again, renew, release), `shard` and `lane` (read, deal
out, finish), `delivery` (invoke, judge, settle) and `checkpointing` (one save at a time, tried until it is answered).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace

from poller.errors import LeaseLost
from poller.invocation import Chunk, FunctionFailed, Outcome, Succeeded, Verdict
from poller.model import SHARD_END, Checkpoint, Lease, Position, Row, WorkerId, precedes
from poller.rules.failure import expire
from poller.rules.leasing import LeaseWatch
from poller.rules.ordering import Progress, by_lane
from tests.explorer.state import Lane, Move, Seat, Session, ShardState
from tests.explorer.world import WORKERS, World
from tests.virtual import EPOCH, VirtualClock

LOOP = asyncio.new_event_loop()
"""The verbs of stores are coroutines that wait for nothing here."""
ENDLESS = 1e9
"""Seconds after which any record is too old."""


class Asked:
    """The real store, holding one row, and what it answers; ``row`` is what it holds afterwards."""

    def __init__(self, world: World, row: Row) -> None:
        self._store = world.store(VirtualClock())
        self._key = row.lease.mapping, row.shard
        self._store._rows[self._key] = row  # no verb of a store makes a row with an owner

    def __call__(self, verb: str, *arguments: object) -> object:
        return LOOP.run_until_complete(getattr(self._store, verb)(*arguments))

    @property
    def row(self) -> Row:
        return self._store._rows[self._key]


class Worker:
    """The steps of one of the two, in a shard that is in a given state."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number
        self.name = WorkerId(WORKERS[number])
        self._records = world.records
        self._lanes = world.lanes[number]

    def steps(self, state: ShardState, *, readable: bool) -> Iterator[Move]:
        """Whatever this worker may do next; ``readable``: the rows say that the shard may be read."""
        seat = state.seats[self._number]
        session = seat.session
        if state.row is None:
            return
        if session is None:
            yield from self._takes(state, seat, state.row) if seat.wants else self._looks(state, seat, readable)
        elif session.leaving:
            yield from self._leaves(state, session)
        elif session.begun is None:
            yield from self._begins(state, session, state.row)
        else:
            yield from self._works(state, session)
        if session is not None and not session.leaving:
            yield from self._trusts(state, session)

    # Leases

    def _looks(self, state: ShardState, seat: Seat, readable: bool) -> Iterator[Move]:
        row, ttl = state.row, int(self._world.times.ttl)
        watch = LeaseWatch(self.name, ttl)
        if seat.free_in is not None:
            watch.observe([row], seat.free_in - ttl)
        watch.observe([row], 0)
        if readable and watch.takeable([row], (), 0):
            read = None if self._world.reads_row_again else row.checkpoint
            yield self._seated("sees that {} is free", state, Seat(0, row.lease, read), eagerness=2)
        else:
            free_in = next((ticks for ticks in range(ttl) if watch.takeable([row], (), ticks)), ttl)
            yield self._seated("looks at the lease of {}", state, replace(seat, free_in=free_in), eagerness=2)

    def _takes(self, state: ShardState, seat: Seat, row: Row) -> Iterator[Move]:
        store = Asked(self._world, row)
        lease = store("take", seat.wants, self.name)
        if lease is None:
            yield self._seated("comes too late to take {}", state, Seat(seat.free_in), eagerness=3)
            return
        taken = replace(state, row=store.row)
        session = Session(lease, seat.read, lanes=(Lane(),) * self._lanes)
        yield self._goes_on("takes {}", taken, session, eagerness=3)
        yield self._seated("takes {}, but the answer is lost", taken, Seat(), fault=1)

    def _begins(self, state: ShardState, session: Session, row: Row) -> Iterator[Move]:
        if row.finished:
            yield self._seated("sees that {} is finished", state, Seat(), eagerness=7)
        else:
            text = f"begins with {{}} at {row.checkpoint.position}"
            yield self._goes_on(text, state, replace(session, begun=row.checkpoint), eagerness=7)

    def _trusts(self, state: ShardState, session: Session) -> Iterator[Move]:
        """What the lease has to do with time; `Shard.tick` lets it pass."""
        if session.age >= self._world.times.trusted:
            yield self._cut_off("trusts its lease of {} no longer", state, session)
        if self._world.renews and session.renewal is None:
            store = Asked(self._world, state.row)
            if store("renew", session.lease) is None:
                yield self._cut_off("hears that another one has {}", state, session)
            else:
                renewed = replace(state, row=store.row)
                yield self._goes_on("renews its lease of {}", renewed, replace(session, renewal=0), writer=session.lease)
        if session.renewal is not None:
            age = 0 if self._world.trusts_from_answer else session.renewal
            renewed_session = replace(session, renewal=None, age=min(age, session.age))
            yield self._goes_on("hears that {} is still its own", state, renewed_session)

    def _cut_off(self, text: str, state: ShardState, session: Session) -> Move:
        """The block and its steps are cancelled; what was sent to the store may still land."""
        if session.saving is not None:
            state = replace(state, late=(session.lease, session.saving))
        return self._goes_on(text, state, Session(session.lease, leaving=True))

    def _leaves(self, state: ShardState, session: Session) -> Iterator[Move]:
        store = Asked(self._world, state.row)
        store("release", session.lease)
        released = replace(state, row=store.row)
        text = "gives {} back" if released != state else "leaves {}"
        yield self._seated(text, released, Seat(), eagerness=7, writer=session.lease)
        if released != state:
            yield self._seated("leaves {}, but the store never hears of it", state, Seat(), fault=1)

    # Records

    def _works(self, state: ShardState, session: Session) -> Iterator[Move]:
        if session.saving is not None:
            yield from self._saves(state, session)
        elif session.stopping and all(lane.stage == "waits" for lane in session.lanes):
            yield self._goes_on("stops {}", state, Session(session.lease, leaving=True), eagerness=7)
        elif not session.stopping:
            yield from self._reads(state, session)
        for number, lane in enumerate(session.lanes):
            if lane.stage == "invoked":
                yield from self._answered(state, session, number)
            elif lane.stage == "waits" and lane.chunks and not session.stopping:
                yield from self._invokes(state, session, number)

    def _reads(self, state: ShardState, session: Session) -> Iterator[Move]:
        """Takes in the next page; at the end of the shard, and when all is done, finishes it."""
        progress = self._progress(session)
        front = min(lane.taken_to.place for lane in progress.lanes)
        page = [record for record in self._records if record.place > front][: self._world.batch_size]
        if not page:
            if not any(lane.chunks or lane.stage != "waits" for lane in session.lanes):
                saving = replace(progress.checkpoint(""), position=SHARD_END, lanes=(), earlier=())
                yield self._goes_on("has done all of {}", state, replace(session, saving=saving), eagerness=5)
            return
        end, did, lanes = page[-1].position, list(session.did), list(session.lanes)
        for number, (lane, share) in enumerate(zip(progress.lanes, by_lane(page, self._lanes), strict=True)):
            fresh = progress.without_done([record for record in share if record.place > lane.taken_to.place])
            if not precedes(lane.taken_to, end):
                continue
            if fresh and lanes[number].chunks:  # no room; the engine would read on for the others, and this once more
                return
            did.append(("took", number, tuple(map(_number, fresh)), end))
            if fresh:
                lanes[number] = Lane((Chunk(tuple(fresh)),))
        read = replace(session, did=tuple(did), lanes=tuple(lanes))
        if not any(lane.chunks for lane in lanes):
            read = replace(read, saving=self._progress(read).checkpoint(""))
        yield self._goes_on(f"reads {{}}/{_listed(page)}", state, read, eagerness=4)

    def _invokes(self, state: ShardState, session: Session, number: int) -> Iterator[Move]:
        chunk = session.lanes[number].chunks[-1]
        broken = self._out_of_order(state, chunk) or self._not_alone(state, session)
        invoked = _with_lane(session, number, replace(session.lanes[number], stage="invoked"))
        text = f"invokes the function with {{}}/{_listed(chunk.records)}"
        yield self._goes_on(text, state, invoked, eagerness=6, attempts=True, broken=broken)
        verdict = expire(chunk, EPOCH + ENDLESS, self._world.policy, None)
        if verdict is not None:
            yield self._judged(f"finds {{}}/{_listed(chunk.records)} too old", state, session, number, verdict)

    def _answered(self, state: ShardState, session: Session, number: int) -> Iterator[Move]:
        chunk = session.lanes[number].chunks[-1]
        handled = replace(state, done=state.done | set(map(_number, chunk.records)))
        failed = FunctionFailed("failed")
        answers: list[tuple[str, ShardState, Outcome, int]] = [
            ("done", handled, Succeeded(), 0),
            ("failed", state, failed, 0),
            ("done, but the answer is lost", handled, failed, 1),
        ]
        if self._world.policy.report_item_failures and len(chunk.records) > 1:
            first, second = chunk.records[:2]
            partly = replace(state, done=state.done | {_number(first)})
            answer = json.dumps({"batchItemFailures": [{"itemIdentifier": second.sequence_number}]}).encode()
            answers.append((f"done but for {second.sequence_number}", partly, Succeeded(answer), 0))
        for word, after, outcome, fault in answers:
            verdict = self._world.judge(chunk, outcome, self._world.policy, 0.0)
            text = f"hears from the function: {{}}/{_listed(chunk.records)} {word}"
            yield self._judged(text, after, session, number, verdict, eagerness=6 if word == "done" else 0, fault=fault)

    def _judged(
        self, text: str, state: ShardState, session: Session, number: int, verdict: Verdict, **more: int
    ) -> Move:
        """Settles what is done, and asks the store to save that unless another save is under way."""
        chunks = (*session.lanes[number].chunks[:-1], *reversed(verdict.pending))
        done = verdict.settled + verdict.discarded
        if not done:
            return self._goes_on(text, state, _with_lane(session, number, Lane(chunks)), **more)
        state = replace(state, done=state.done | set(map(_number, verdict.discarded)))
        session = replace(session, did=(*session.did, ("done", number, len(done), None)))
        return self._goes_on(text, state, self._asks(_with_lane(session, number, Lane(chunks, "settled"))), **more)

    def _asks(self, session: Session) -> Session:
        """One save for all lanes that wait for one."""
        if session.saving is not None or not any(lane.stage == "settled" for lane in session.lanes):
            return session
        lanes = tuple(replace(lane, stage="saving") if lane.stage == "settled" else lane for lane in session.lanes)
        return replace(session, lanes=lanes, saving=self._progress(session).checkpoint(""))

    def _saves(self, state: ShardState, session: Session) -> Iterator[Move]:
        checkpoint = session.saving
        what = f"{checkpoint.position} of {{}}"
        try:
            store = Asked(self._world, state.row)
            store("save", session.lease, checkpoint)
        except LeaseLost:
            refused = Session(session.lease, leaving=True)
            yield self._goes_on(f"may not save {what}", state, refused, eagerness=7)
            return
        saved = replace(state, row=store.row)
        yield self._goes_on(f"saves {what}", saved, self._saved(session), eagerness=7, writer=session.lease)
        yield self._goes_on(f"saves {what}, but the answer is lost", saved, session, fault=1, writer=session.lease)
        if not self._world.waits_for_store:
            sent = replace(state, late=(session.lease, checkpoint))
            yield self._goes_on(f"waits no longer for its save of {what}", sent, session, fault=1)

    def _saved(self, session: Session) -> Session:
        checkpoint = session.saving
        if checkpoint.position == SHARD_END:
            return Session(session.lease, leaving=True)
        lanes = tuple(replace(lane, stage="waits") if lane.stage == "saving" else lane for lane in session.lanes)
        session = replace(session, saving=None, lanes=lanes)
        if not any(lane.chunks or lane.stage != "waits" for lane in lanes):
            session = replace(session, begun=checkpoint, did=())  # whoever begins here knows as much
        return self._asks(session)

    def _progress(self, session: Session) -> Progress:
        """The real value, which is told again what was done."""
        progress = self._world.progress(session.begun, self._lanes)
        for verb, number, what, to in session.did:
            if verb == "took":
                progress.lanes[number].take([self._records[each - 1] for each in what], to)
            else:
                for _ in range(what):
                    progress.settle(number, [progress.lanes[number].oldest])
        return progress

    # Promises that an attempt may break

    def _out_of_order(self, state: ShardState, chunk: Chunk) -> str:
        first = {record.ordering_key: record.place for record in reversed(chunk.records)}
        before = [each for each in self._records if each.place < first.get(each.ordering_key, (0, 0, 0))]
        return "" if {*map(_number, before)} <= state.done else "order: an earlier record of the key is not done"

    def _not_alone(self, state: ShardState, session: Session) -> str:
        other = state.seats[1 - self._number].session
        late = self._world.times.trusted + self._world.late_ticks
        if other is None or session.age >= late or other.age >= late:
            return ""
        invoking = any(lane.stage == "invoked" for lane in other.lanes)
        return "exclusion: two workers attempt the shard, and neither stood still" if invoking else ""

    def _goes_on(self, text: str, state: ShardState, session: Session, **more: object) -> Move:
        return self._seated(text, state, Seat(session=session), **more)

    def _seated(self, text: str, state: ShardState, seat: Seat, **more: object) -> Move:
        return Move(f"{self.name} {text}", state.with_seat(self._number, seat), **more)


def _with_lane(session: Session, number: int, lane: Lane) -> Session:
    return replace(session, lanes=(*session.lanes[:number], lane, *session.lanes[number + 1 :]))


def _number(record) -> int:
    return int(record.sequence_number)


def _listed(records) -> str:
    return ",".join(str(_number(record)) for record in records)
