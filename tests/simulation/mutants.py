"""Bugs that others shipped, put back in: this file is the proof that the worlds would see them.

Each is a small patch of the worker's own code, named for what it gets wrong; where it was seen in public its docstring
says so. ``patch`` is pytest's ``monkeypatch`` or anything with its ``setattr``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import anyio
import anyio.lowlevel

from poller.engine import delivery, lane, lanes, reading, reporting, shard, stopping, supervisor
from poller.engine.checkpointing import Checkpointer
from poller.errors import PositionLost, Unavailable
from poller.invocation import FunctionFailed
from poller.model import TRIM_HORIZON, Listing, Position, precedes
from poller.observers import ages
from poller.rules import batching, failure, leasing, lineage, ordering, partial_response, windows
from poller.sources.polling import ShardPolling
from poller.sources.read_to import ReadTo
from poller.stores.memory import MemoryStore
from tests.simulation.source import SimSource

# What is done and what is saved


def checkpoint_before_the_function_is_called(patch):
    """node-KCL #10, lifion-kinesis, kinsumer."""
    attempt = delivery.Delivery._attempt

    async def early(self, chunk, request_id):
        if chunk.records and precedes(self._checkpointer.saved.position, chunk.records[-1].position):
            await self._checkpointer._save(replace(self._checkpointer.saved, position=chunk.records[-1].position))
        return await attempt(self, chunk, request_id)

    patch.setattr(delivery.Delivery, "_attempt", early)


def what_was_read_taken_for_done(patch):
    """Pulsar #8192: the checkpoint of what was fetched, not of what was processed."""
    patch.setattr(ordering.LaneProgress, "done_to", property(lambda self: self.taken_to))


def two_saves_at_a_time(patch):
    """The older one may land last."""

    async def settle(self, outcome):
        await self._save(self.progress.checkpoint(outcome))

    patch.setattr(Checkpointer, "settle", settle)


def a_save_that_failed_taken_for_done(patch):
    """The store was away, and nobody tries again."""

    async def hopeful(self, checkpoint):
        with suppress(Unavailable):
            await self._store.save(self._lease, checkpoint)
        self._saved = checkpoint

    patch.setattr(Checkpointer, "_save", hopeful)


def the_checkpoint_is_read_before_the_lease_is_taken(patch):
    """The owner before may have moved it meanwhile."""

    async def take(self, rows, shards):
        rows = list(rows)
        trusted_until = anyio.current_time() + self._times.trusted
        for row in rows:
            mine = await self._store.take(row.lease, self._owner)
            if mine is not None:
                held = self._held[row.shard] = supervisor.Held(mine, stopping.StopScope(trusted_until))
                shards.start_soon(self._hold, row, held)

    patch.setattr(supervisor.Supervisor, "_take", take)


def shard_end_saved_while_records_wait(patch):
    """fs2-aws #436, zio-kinesis #555."""

    async def run(self, scope):
        await self._checkpointer.finish()
        await straight(self, scope)

    straight = shard.ShardReader.run
    patch.setattr(shard.ShardReader, "run", run)


def shard_end_saved_while_a_lane_is_behind(patch):
    patch.setattr(lane.Lane, "is_behind", property(lambda self: False))


def shard_end_is_never_saved(patch):
    """Graylog #102, SPARK-18020: the children never start."""

    async def finish(self):
        pass

    patch.setattr(Checkpointer, "finish", finish)


# Shards and their families


def children_do_not_wait(patch):
    """artie #422, FLINK-35660."""
    patch.setattr(lineage, "readable", lambda rows, listing: [row for row in rows if not row.finished])


def children_wait_for_one_parent_only(patch):
    """async-kinesis, vmware-go-kcl, lifion-kinesis."""

    def one(rows, listing):
        finished = {row.shard for row in rows if row.finished}
        return [r for r in rows if not r.finished and (not r.parents or finished & set(r.parents))]

    patch.setattr(lineage, "readable", one)


def children_wait_for_parents_that_are_gone(patch):
    """spanner tool #347: a child that is blocked for ever."""

    def blocked(rows, listing):
        finished = {row.shard for row in rows if row.finished}
        return [row for row in rows if not row.finished and finished.issuperset(row.parents)]

    patch.setattr(lineage, "readable", blocked)


def children_begin_at_the_newest_record(patch):
    """The mapping's starting position, LATEST, used for shards that are found later."""
    begin = lineage.starting_checkpoint

    def late(found, mapping, now, *, first_start):
        if first_start:
            return begin(found, mapping, now, first_start=True)
        return replace(begin(found, mapping, now, first_start=False), position=Position.at_timestamp(now))

    patch.setattr(lineage, "starting_checkpoint", late)


def closed_shards_are_never_opened(patch):
    """Redpanda Connect #2649."""
    unknown = lineage.unknown
    patch.setattr(lineage, "unknown", lambda listing, rows: [s for s in unknown(listing, rows) if not s.closed])


def rows_of_finished_shards_are_forgotten_at_once(patch):
    """DynamoDB Streams adapter up to 1.4: the family is read again from its beginning."""

    def forgettable(rows, listing, now):
        return [row.shard for row in rows if row.finished]

    patch.setattr(lineage, "forgettable", forgettable)


def only_the_first_page_of_a_listing(patch):
    """Redpanda Connect, Camel."""
    whole = SimSource.listing

    async def listing(self):
        found = await whole(self)
        return Listing(found.shards[:4], found.retention_seconds, found.stream_created_at)

    patch.setattr(SimSource, "listing", listing)


def a_stream_made_anew_taken_for_the_old_one(patch):
    """Rows keyed by the name alone: what the old stream's shards had done counts for the new one's."""
    patch.setattr(lineage, "of_another_stream", lambda rows, listing: [])


def the_newest_records_are_where_a_mapping_starts_each_time(patch):
    """LATEST that is not pinned: a crash before the first record loses what came meanwhile."""
    run = shard.ShardReader.run

    async def unpinned(self, scope):
        for each in self._checkpointer.progress.lanes:
            if each.taken_to.timestamp is not None:
                each.taken_to = each._settled_to = Position.at_timestamp(self._here.clock.now())
        await run(self, scope)

    patch.setattr(shard.ShardReader, "run", unpinned)


# Reading


def sequence_numbers_compared_as_text(patch):
    def unread(self, records):
        last = self.position.sequence_number or ""
        fresh = tuple(each for each in records if each.sequence_number > last)
        if fresh:
            self.position = Position.after(fresh[-1].sequence_number)
        return fresh

    patch.setattr(ReadTo, "unread", unread)


def the_position_after_a_record_is_one_too_far(patch):
    """AT and AFTER confused."""
    after = Position.after

    def too_far(sequence_number, inner=None):
        return after(str(int(sequence_number) + 1), inner)

    patch.setattr(Position, "after", staticmethod(too_far))


def missing_iterator_taken_for_the_end(patch):
    """node-KCL #25, kinesis-mock #413."""

    async def believed(self):
        return True

    patch.setattr(ShardPolling, "_is_closed", believed)


def the_last_records_of_a_shard_are_dropped(patch):
    """Telegraf: records and no next iterator in one answer."""
    page = ShardPolling._page

    async def without(self, answer):
        return await page(self, replace(answer, records=()) if answer.iterator is None else answer)

    patch.setattr(ShardPolling, "_page", without)


def expired_iterator_starts_at_the_oldest_record_and_forgets(patch):
    """async-kinesis, LocalStack."""
    ask = ShardPolling._ask

    async def forgetful(self):
        if self._iterator is None:
            self._iterator = "lost"
            self._iterator = await self._calls.iterator(self._shard, TRIM_HORIZON)
            self._iterator_at = self._asked_at
            self._read_to.position = TRIM_HORIZON
        return await ask(self)

    patch.setattr(ShardPolling, "_ask", forgetful)
    patch.setattr(reading, "_after", lambda page, read_to: page)
    patch.setattr(lanes, "_after", lambda share, position: share)


def expired_iterator_starts_at_the_newest_record(patch):
    """Tenzir PR 6188: rebuilt from the configured start, which silently skips."""
    failed = ShardPolling._failed

    def skipping(self, problem):
        failed(self, problem)
        if self._iterator is None:
            self._read_to.position = Position("AT_TIMESTAMP:9999999999")

    patch.setattr(ShardPolling, "_failed", skipping)


def an_iterator_is_used_for_ever(patch):
    """Benthos #139, FLINK-4514: the consumer never recovers from an expired one."""
    failed = ShardPolling._failed

    def stubborn(self, problem):
        kept = self._iterator
        failed(self, problem)
        self._iterator, self._iterator_at = kept, anyio.current_time()

    patch.setattr(ShardPolling, "_failed", stubborn)


def a_trimmed_position_is_tried_for_ever(patch):
    """LocalStack #12360."""

    async def again(self):
        position = TRIM_HORIZON if self._read_to.position is TRIM_HORIZON else self._read_to.position
        while True:
            try:
                self._iterator = self._iterator or await self._calls.iterator(self._shard, position)
                return await self._calls.records(self._shard, self._iterator)
            except PositionLost:
                self._iterator = None
                await anyio.sleep(1)

    patch.setattr(ShardPolling, "_ask", again)


def gaps_without_a_word(patch):
    """The DynamoDB Streams adapter jumps silently."""
    patch.setattr(reading.Cursor, "_tell_gap", lambda self, problem, page: None)


def what_does_not_fit_is_dropped(patch):
    """async-kinesis: a queue that is full loses what comes."""
    take = lane.Lane.take

    def lossy(self, wanted, to):
        take(self, wanted[: self._ahead_records], to)

    patch.setattr(lane.Lane, "take", lossy)


def nothing_holds_the_reading_back(patch):
    async def room(self):
        await anyio.lowlevel.checkpoint()

    patch.setattr(lanes.Lanes, "room_at_the_front", room)
    patch.setattr(lane.Lane, "is_full", property(lambda self: False))


# Lanes


def the_lane_that_is_furthest_makes_the_checkpoint(patch):
    patch.setattr(ordering, "_lowest", lambda positions: max(positions, key=lambda position: position.place))


def a_full_lane_forgets_what_it_did_not_take(patch):
    take_in = lanes.Lanes.take_in

    def forgetful(self, page, start):
        take_in(self, page, start)
        for each in self._lanes:
            if each.is_full and page.end is not None:
                each._progress.taken_to = max(each.taken_to, page.end, key=lambda position: position.place)

    patch.setattr(lanes.Lanes, "take_in", forgetful)


def keys_go_to_any_lane(patch):
    def dealt(records, count):
        return [records[number::count] for number in range(count)]

    patch.setattr(lanes, "by_lane", dealt)


def positions_of_other_lanes_taken_for_those_of_the_new_ones(patch):
    def mixed(self, saved, count):
        old = saved.lanes or (saved.position,)
        self.lanes = tuple(ordering.LaneProgress(old[number % len(old)]) for number in range(count))
        self._earlier, self.window, self._arrived_at = (), saved.window, saved.arrived_at

    patch.setattr(ordering.Progress, "__init__", mixed)


def what_a_lane_missed_is_sought_for_ever(patch):
    """It has left the stream: found by these worlds."""

    def take_in(self, page, start):
        whole(self, replace(page, ended=False), start)
        if page.ended:
            self._bell.ring()

    whole = lanes.Lanes.take_in
    patch.setattr(lanes.Lanes, "take_in", take_in)


# Failures


def a_failed_batch_is_skipped(patch):
    """Harlow's consumer and others: the loop goes on to the next batch."""
    patch.setattr(failure, "_failed", lambda chunk, *_, **__: failure.Verdict(settled=chunk.records))


def a_refusal_taken_for_success(patch):
    """Vector #12145: a negative result is ignored."""
    patch.setattr(failure, "_refused", lambda chunk, *_: failure.Verdict(settled=chunk.records))


def refusals_use_up_the_retries(patch):
    def counted(chunk, wish, jitter):
        return failure.Verdict(pending=(replace(chunk, attempts=chunk.attempts + 1),), wait_seconds=1.0)

    patch.setattr(failure, "_refused", counted)


def one_retry_too_many(patch):
    patch.setattr(failure, "_failed", _with_retries(failure._failed, 1))


def one_retry_too_few(patch):
    patch.setattr(failure, "_failed", _with_retries(failure._failed, -1))


def _with_retries(failed, more):
    def other(chunk, policy, jitter, *, halve):
        most = None if policy.retries_max is None else policy.retries_max + more
        return failed(chunk, replace(policy, retries_max=most), jitter, halve=halve)

    return other


def bisect_loses_the_middle(patch):
    failed = failure._failed

    def lossy(chunk, policy, jitter, *, halve):
        verdict = failed(chunk, policy, jitter, halve=halve)
        if len(verdict.pending) == 2 and len(verdict.pending[1].records) > 1:
            first, second = verdict.pending
            return replace(verdict, pending=(first, replace(second, records=second.records[1:])))
        return verdict

    patch.setattr(failure, "_failed", lossy)


def the_later_half_goes_first(patch):
    failed = failure._failed

    def swapped(chunk, policy, jitter, *, halve):
        verdict = failed(chunk, policy, jitter, halve=halve)
        return replace(verdict, pending=verdict.pending[::-1])

    patch.setattr(failure, "_failed", swapped)


def partial_success_taken_for_a_full_one(patch):
    patch.setattr(failure, "_progressed", lambda chunk, failed_from: failure.Verdict(settled=chunk.records))


def the_last_failure_that_is_named_counts(patch):
    """Everything after the first one must be delivered again."""
    first = partial_response.first_failure

    def last(answer, sequence_numbers):
        found = [number for number in sequence_numbers if f'"{number}"'.encode() in answer]
        return sequence_numbers.index(found[-1]) if found else first(answer, sequence_numbers)

    patch.setattr(failure, "first_failure", last)


def an_answer_that_makes_no_sense_taken_for_success(patch):
    """Unknown, empty and missing identifiers."""
    first = partial_response.first_failure

    def hopeful(answer, sequence_numbers):
        return first(answer, sequence_numbers) or None

    patch.setattr(failure, "first_failure", hopeful)


def ages_are_looked_at_once_only(patch):
    """A batch that is retried for longer than its records may be old."""
    expire = failure.expire

    def once(chunk, now, policy, retention_seconds):
        return expire(chunk, now, policy, retention_seconds) if chunk.attempts + chunk.refusals == 0 else None

    patch.setattr(delivery, "expire", once)


def discards_without_a_word(patch):
    settle = delivery.Delivery._settle

    async def silent(self, *arguments):
        here, self._here = self._here, replace(self._here, observer=lambda event: None)
        await settle(self, *arguments)
        self._here = here

    patch.setattr(delivery.Delivery, "_settle", silent)


def a_report_that_was_refused_called_delivered(patch):
    async def hopeful(self, report):
        await send(self, report)
        return True

    send = reporting.Reporting.send
    patch.setattr(reporting.Reporting, "send", hopeful)


# Leases


def no_fence_in_the_store(patch):
    """vmware-go-kcl, lifion-kinesis, Harlow's consumer, async-kinesis: a zombie commits."""
    patch.setattr(MemoryStore, "_row_of", lambda self, lease: self._rows.get((lease.mapping, lease.shard)))


def the_fence_is_looked_at_before_the_write(patch):
    """Read, then write: the lease may be lost between."""
    save = MemoryStore.save

    async def late(self, lease, checkpoint):
        if self._row_of(lease) is None:
            await save(self, lease, checkpoint)
        await anyio.sleep(1)
        key = (lease.mapping, lease.shard)
        self._rows[key] = replace(self._rows[key], checkpoint=checkpoint)

    patch.setattr(MemoryStore, "save", late)


def giving_back_wipes_the_new_owner(patch):
    """async-kinesis on DynamoDB."""

    async def release(self, lease):
        row = self._rows.get((lease.mapping, lease.shard))
        if row is not None:
            self._move(row, replace(row.lease, owner=None))

    patch.setattr(MemoryStore, "release", release)


def a_lease_is_taken_although_its_owner_lives(patch):
    """Bento #1012: workers steal from each other, and from themselves."""
    patch.setattr(leasing.LeaseWatch, "_is_free", lambda self, row, now: True)


def a_lease_is_trusted_for_ever(patch):
    """A worker that was cut off goes on although another one has its shard."""

    async def never(self):
        await anyio.sleep_forever()

    begin = stopping.StopScope.__init__
    patch.setattr(stopping.StopScope, "__init__", lambda self, until: begin(self, float("inf")))
    patch.setattr(supervisor.Supervisor, "_renew_for_ever", never)


# Windows


def the_state_of_a_window_kept_in_memory_only(patch):
    kept = ordering.Progress.checkpoint

    def without(self, outcome):
        return replace(kept(self, outcome), window=None)

    patch.setattr(ordering.Progress, "checkpoint", without)


def a_batch_that_mixes_windows(patch):
    patch.setattr(batching.Batcher, "fit", lambda self, frame_bytes, border: None)


def a_partial_success_leaves_the_state_as_it_was(patch):
    following = windows.following

    def forgetful(window, chunk, outcome, verdict):
        after = following(window, chunk, outcome, verdict)
        return replace(after, state=window.state) if verdict.settled and verdict.pending else after

    patch.setattr(windows, "following", forgetful)


def a_window_that_is_over_stays_open(patch):
    following = windows.following

    def open_still(window, chunk, outcome, verdict):
        after = following(window, chunk, outcome, verdict)
        return window if chunk.closing is not None and after.start != window.start else after

    patch.setattr(windows, "following", open_still)


# What operators see


def an_age_that_stands_still(patch):
    """OpenSearch #19635, async-kinesis #73: set when something happens, and silent when nothing can."""
    patch.setattr(ages._Moments, "iterator_age", lambda self, now: self.behind_seconds or 0.0)


def an_age_that_forgets_what_a_full_lane_missed(patch):
    """Found by these worlds."""
    patch.setattr(ordering.LaneProgress, "pass_by", lambda self, missed, to: None)


def the_payload_in_a_log_line(patch):
    invoke = delivery.Delivery._invoke

    async def telling(self, chunk, request_id):
        outcome = await invoke(self, chunk, request_id)
        if isinstance(outcome, FunctionFailed) and chunk.records:
            return replace(outcome, error=f"{outcome.error}: {chunk.records[0].body.decode()}")
        return outcome

    patch.setattr(delivery.Delivery, "_invoke", telling)


def a_drain_that_was_cut_short_called_a_drain(patch):
    """Found by these worlds."""
    patch.setattr(
        supervisor.Supervisor, "drained", property(lambda self: True, lambda self, value: None), raising=False
    )


def batches_that_were_counted_twice(patch):
    tell = delivery.Delivery._tell_attempt

    def twice(self, attempt, outcome, started, started_at):
        tell(self, attempt, outcome, started, started_at)
        if attempt.chunk.attempts:
            tell(self, attempt, outcome, started, started_at)

    patch.setattr(delivery.Delivery, "_tell_attempt", twice)


MUTANTS = [
    each
    for name, each in list(globals().items())
    if callable(each) and getattr(each, "__module__", "") == __name__ and not name.startswith("_")
]
