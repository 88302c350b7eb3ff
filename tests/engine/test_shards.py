"""One mapping's shards in virtual time: families, leases, gaps, stops, and troubles that stay where they are."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import anyio
import pytest

from poller.errors import LeaseLost, PositionLost, SourceGone, Unavailable
from poller.events import (
    BatchInvoked,
    CheckpointFailed,
    LeaseTaken,
    LeaseWasLost,
    MappingTroubled,
    PositionTrimmed,
    ShardFailed,
    ShardFinished,
    ShardReleased,
    WorkerStopped,
)
from poller.invocation import FunctionFailed, NotInvoked, Succeeded
from poller.mapping import BatchPolicy, FailurePolicy
from poller.model import TRIM_HORIZON, Checkpoint, Listing, Position, Shard, ShardId, WorkerId
from poller.records import Page
from poller.stores.memory import MemoryStore
from poller.targets import python
from poller.targets.python import PythonTarget
from tests.builders import mapping, record, records
from tests.engine.running import deliver, new_worker, poison, run
from tests.fakes import Heard, KeptSource, ScriptedSource, ScriptedTarget
from tests.virtual import EPOCH, VirtualClock, run_virtually


def family(*, both=False):
    """Parents a and b, and their child c; ``both``: a merge."""
    return ScriptedSource(
        Shard(ShardId("a"), closed=True),
        Shard(ShardId("b"), closed=True),
        Shard(ShardId("c"), (ShardId("a"), ShardId("b")) if both else (ShardId("a"),)),
    )


def test_a_child_waits_until_every_record_of_both_parents_is_done():
    """R-SHARD-1, R-SHARD-2: a stuck batch at the end of one parent blocks the child of a merge."""
    source = family(both=True)
    source.add(records(1), shard="a", ended=True)
    source.add(records(2), shard="b", ended=True)
    source.add(records(3), shard="c")
    stuck_until = 20.0
    target = ScriptedTarget(
        lambda batch: FunctionFailed("boom") if 2 in batch and anyio.current_time() < stuck_until else Succeeded()
    )
    seen = run(source, target, seconds=60)
    order = [batch[0] for batch in seen.batches]
    assert order[-2:] == [2, 3]
    assert target.moments[order.index(3)] > stuck_until
    assert [seen.position(shard) for shard in "abc"] == ["SHARD_END", "SHARD_END", "AFTER:3"]


def test_a_shard_that_ends_while_the_stream_is_listed_does_not_keep_its_children_waiting():
    """R-KIN-9: the listing that was under way does not hold them yet."""

    class Slow(ScriptedSource):
        async def listing(self):
            self.listings += 1
            listing = Listing(tuple(self.shards))
            if self.listings == 2:
                second.set()
            await anyio.sleep(1)
            return listing

        async def read(self, shard, position):
            if shard == "parent":
                await second.wait()
                self.shards.append(Shard(ShardId("child"), (ShardId("parent"),)))
                yield Page((record(1),), 0.0, ended=True)
            else:
                yield Page((record(2),), 0.0, ended=True)

    moments, second = {}, anyio.Event()

    def watch(event):
        if isinstance(event, ShardFinished | LeaseTaken):
            moments.setdefault((type(event), event.shard), anyio.current_time())

    seen = run(Slow(Shard(ShardId("parent"))), seconds=70, observers=(watch,))
    assert seen.batches == [[1], [2]]
    assert moments[LeaseTaken, "child"] - moments[ShardFinished, "parent"] < 5


def test_an_other_parents_trouble_does_not_hold_up_a_child_of_a_split():
    """R-SHARD-1, R-SHARD-4."""
    source = family()
    source.add(records(1), shard="a", ended=True)
    source.add(records(2), shard="b", ended=True)
    source.add(records(3), shard="c")
    seen = run(source, ScriptedTarget(poison(2)), seconds=30)
    assert [3] in seen.batches
    assert seen.position("b") == "TRIM_HORIZON"


def test_the_leftover_of_a_closed_shard_is_delivered_though_its_window_is_open():
    """R-SHARD-5."""
    source = ScriptedSource(Shard(ShardId("shard-0"), closed=True))
    source.add(records(1, 2), ended=True)
    seen = run(source, seconds=20, batch=BatchPolicy(window_seconds=300))
    assert seen.batches == [[1, 2]]
    assert seen.heard.of(ShardFinished)


def test_a_window_gathers_what_comes_in_it():
    """R-BATCH-2, R-BATCH-4."""
    source = ScriptedSource()
    for number in range(1, 6):
        source.add(records(number))
    seen = run(source, seconds=20, batch=BatchPolicy(window_seconds=10))
    assert seen.batches == [[1, 2, 3, 4, 5]]


class Steady:
    """Stands in for randomness, so that a scripted target takes exactly its time."""

    def random(self):
        return 1.0


def test_the_window_of_what_is_left_over_opens_when_the_invocation_is_complete():
    """R-BATCH-4, R-BATCH-5: the last short piece of a cut page waits for a window of its own."""
    source = ScriptedSource()
    source.add(records(1, 2, 3))
    target = ScriptedTarget(seconds=5.0, random=Steady())
    seen = run(source, target, seconds=40, batch=BatchPolicy(batch_size=2, window_seconds=10))
    assert seen.batches == [[1, 2], [3]]
    first, second = target.moments
    assert 15 <= second - first < 15.5


def test_what_comes_while_a_batch_is_under_way_goes_together_as_far_as_a_batch_holds():
    """R-BATCH-3."""
    source = ScriptedSource()
    source.add(records(1))
    for number in range(2, 7):
        source.add(records(number))
    target = ScriptedTarget(seconds=5.0, random=Steady())
    seen = run(source, target, seconds=40, batch=BatchPolicy(batch_size=3))
    assert seen.batches == [[1], [2, 3, 4], [5, 6]]


def test_a_batch_is_closed_before_the_record_that_would_pass_the_payload_limit():
    """R-BATCH-6, R-PORT-10."""
    seen = deliver(1, 2, 3, sizes={1: 3_000_000, 2: 3_000_000, 3: 3_000_000})
    assert seen.batches == [[1, 2], [3]]


def test_a_short_batch_does_not_wait_for_its_window_when_it_grows_too_old():
    """R-BATCH-8."""
    seen = deliver(1, window=300.0, seconds=100, age_seconds_max=60.0)
    assert seen.discards() == [("RecordAgeExceeded", 1, 1, 1, 1)]


def test_throttles_of_the_function_never_count():
    """R-INV-2, R-RETRY-6, R-BIS-5: neither the budget nor bisect is touched."""
    answers = [NotInvoked("429")] * 5 + [Succeeded()]
    seen = deliver(1, 2, answer=lambda batch: answers.pop(0), retries_max=0, bisect=True)
    assert seen.batches == [[1, 2]] * 6
    assert len(set(seen.target.request_ids)) == 1
    assert seen.discards() == []


def test_a_wish_to_retry_later_is_granted():
    """R-PORT-4."""
    answers = [NotInvoked("503", retry_after_seconds=30), Succeeded()]
    seen = deliver(1, answer=lambda batch: answers.pop(0))
    assert seen.target.moments[1] - seen.target.moments[0] >= 30


def test_another_limit_of_retries_counts_from_the_next_start_at_the_checkpoint():
    """R-RETRY-9: with a whole new budget for the batch that was stuck."""
    store = MemoryStore(VirtualClock())
    stuck = run(KeptSource(records(1, 2)), ScriptedTarget(poison(1)), seconds=30, store=store)
    assert len(stuck.batches) > 5
    assert stuck.discards() == []
    limited = FailurePolicy(retries_max=1)
    seen = run(KeptSource(records(1, 2)), ScriptedTarget(poison(1)), seconds=30, store=store, failure=limited)
    assert seen.batches == [[1, 2]] * 2
    assert seen.discards() == [("RetryAttemptsExhausted", 2, 1, 2, 2)]


def test_an_answer_means_nothing_without_the_setting():
    """R-INV-6."""
    seen = deliver(1, 2, answer=lambda batch: Succeeded(b'{"batchItemFailures":[{"itemIdentifier":"1"}]}'))
    assert seen.batches == [[1, 2]]


def test_a_gap_is_told_with_its_bounds_and_reading_goes_on():
    """R-DDB-6, R-STATE-12: never silently."""
    source = ScriptedSource()
    source.add(records(1, 2))
    source.pages["shard-0"].append(PositionLost("trimmed"))
    source.add(records(7, 8))
    seen = run(source)
    (gap,) = seen.heard.of(PositionTrimmed)
    assert (str(gap.after), gap.resumed_at) == ("AFTER:2", "7")
    assert seen.batches == [[1, 2], [7, 8]]


@pytest.mark.parametrize("behind_seconds", [0.0, None])
def test_a_gap_at_the_end_of_a_quiet_shard_is_told_at_once_and_again_with_its_end(behind_seconds):
    """DynamoDB says of no answer how far behind it is: an empty one is all that there is to know."""
    source = ScriptedSource()
    source.add(records(1, 2))
    quiet = Page((), behind_seconds)
    source.pages["shard-0"] += [PositionLost("trimmed"), quiet, quiet, Page(tuple(records(7)), behind_seconds)]
    gaps = run(source).heard.of(PositionTrimmed)
    assert [(str(gap.after), gap.resumed_at) for gap in gaps] == [("AFTER:2", None), ("AFTER:2", "7")]


def test_a_gap_before_the_first_wanted_record_leads_back_to_the_starting_moment():
    """R-POS-1: going to the oldest record instead would deliver what was there before the mapping."""
    source = ScriptedSource()
    source.pages["shard-0"].append(PositionLost("trimmed while older records were left out"))
    run(source, seconds=10, starting_position="LATEST")
    first, second = [position for _, position in source.reads]
    assert first.timestamp is not None
    assert second == first


def test_a_shard_that_has_left_the_stream_is_told_and_finished():
    source = ScriptedSource()
    source.add(records(1))
    source.pages["shard-0"].append(PositionLost("gone", shard_gone=True))
    seen = run(source)
    (gap,) = seen.heard.of(PositionTrimmed)
    assert (str(gap.after), gap.resumed_at) == ("AFTER:1", None)
    assert seen.position() == "SHARD_END"


def test_records_that_come_again_after_a_gap_are_not_delivered_again():
    source = ScriptedSource()
    source.add(records(5, 6))
    source.pages["shard-0"].append(PositionLost("refused"))
    source.add(records(4, 5, 6, 7))
    seen = run(source)
    assert seen.batches == [[5, 6], [7]]


def test_an_unforeseen_error_ends_one_shard_for_a_rest_and_no_other():
    """R-SHARD-4, and traps of readers that die silently: it starts again from the checkpoint."""
    source = ScriptedSource(Shard(ShardId("a")), Shard(ShardId("b")))
    source.add(records(1), shard="a")
    source.pages["a"].append(RuntimeError("a bug"))
    source.add(records(1, 3), shard="a")
    source.add(records(2), shard="b")
    seen = run(source)
    (failed,) = seen.heard.of(ShardFailed)
    assert failed.shard == "a"
    assert "RuntimeError" in failed.traceback
    assert [2] in seen.batches
    assert seen.position("a") == "AFTER:3"


def test_a_stream_that_is_gone_is_looked_for_until_it_is_back():
    """R-STATE-8, R-STATE-10."""
    source = ScriptedSource()
    source.trouble = SourceGone("no such stream")
    source.add(records(1))

    def answer(batch):
        return Succeeded()

    async def main():
        heard, target, store = Heard(), ScriptedTarget(answer), MemoryStore(VirtualClock())
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(new_worker(source, target, store, heard).run, stop)
            await anyio.sleep(120)
            assert target.batches == []
            source.trouble = None
            await anyio.sleep(90)
            stop.set()
        assert target.batches == [[1]]
        assert len(heard.of(MappingTroubled)) < 20

    run_virtually(main)


class Flaky(MemoryStore):
    """A store that is away while ``away`` says so."""

    away = False

    async def save(self, lease, checkpoint):
        if self.away:
            raise Unavailable("the store is away")
        await super().save(lease, checkpoint)


def test_a_store_that_is_away_holds_up_the_shard_and_loses_nothing():
    """The batch is not invoked again for it, and the next one waits."""
    source = ScriptedSource()
    source.add(records(1, 2))

    async def main():
        heard, target, store = Heard(), ScriptedTarget(), Flaky(VirtualClock())
        stop = anyio.Event()
        store.away = True
        async with anyio.create_task_group() as tasks:
            worker = new_worker(source, target, store, heard, mapping=mapping(batch=BatchPolicy(batch_size=1)))
            tasks.start_soon(worker.run, stop)
            await anyio.sleep(10)
            assert target.batches == [[1]]
            assert len(heard.of(CheckpointFailed)) > 3
            store.away = False
            await anyio.sleep(10)
            assert target.batches == [[1], [2]]
            stop.set()

    run_virtually(main)


def test_latest_is_pinned_at_the_first_start_so_that_a_crash_loses_nothing():
    """R-POS-1, R-POS-3; a shard found later is read from its beginning."""
    source = ScriptedSource(Shard(ShardId("old"), closed=True), Shard(ShardId("open")))
    seen = run(source, seconds=5, starting_position="LATEST")
    assert seen.position("old") == "SHARD_END"
    assert seen.rows["open"].checkpoint.position.timestamp == pytest.approx(EPOCH, abs=1)

    async def main():
        store = MemoryStore(VirtualClock())
        for number in range(2):
            stop = anyio.Event()
            async with anyio.create_task_group() as tasks:
                made = mapping(starting_position="LATEST")
                tasks.start_soon(new_worker(source, ScriptedTarget(), store, Heard(), mapping=made).run, stop)
                await anyio.sleep(10)
                stop.set()
            source.shards.append(Shard(ShardId(f"late-{number}")))
        return {row.shard: str(row.checkpoint.position) for row in await store.rows(made.id)}

    positions = run_virtually(main)
    assert positions["open"].startswith(f"AT_TIMESTAMP:{int(EPOCH)}")
    assert positions["late-0"] == "TRIM_HORIZON"


def test_at_timestamp_is_where_the_shards_of_a_first_start_begin():
    """R-POS-4, R-POS-5."""
    seen = run(ScriptedSource(), seconds=5, starting_position="AT_TIMESTAMP", starting_timestamp=1234.5)
    assert seen.source.reads[0] == (ShardId("shard-0"), Position("AT_TIMESTAMP:1234.500"))


def test_a_shard_that_is_stuck_slows_no_other_down():
    """R-SHARD-4."""

    def seconds(*, stuck):
        source = ScriptedSource(Shard(ShardId("shard-0")), Shard(ShardId("shard-1")))
        source.add(records(1))
        for number in range(100, 600):
            source.add(records(number), shard="shard-1")
        target = ScriptedTarget(lambda batch: FunctionFailed("boom") if stuck and batch == [1] else Succeeded())
        run(source, target, seconds=60, batch=BatchPolicy(batch_size=1))
        assert target.batches.count([1]) > 5 if stuck else target.batches.count([1]) == 1
        return target.moments[target.batches.index([599])] - target.moments[target.batches.index([100])]

    assert seconds(stuck=True) < 1.1 * seconds(stuck=False)


def test_a_drain_lets_the_batch_under_way_finish_and_gives_the_shard_back():
    source = ScriptedSource()
    source.add(records(1))
    target = ScriptedTarget(seconds=8.0)

    async def main():
        heard, store, stop = Heard(), MemoryStore(VirtualClock()), anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(new_worker(source, target, store, heard).run, stop)
            await anyio.sleep(2)
            assert target.batches
            stop.set()
        (row,) = await store.rows(mapping().id)
        return heard, row

    heard, row = run_virtually(main)
    assert str(row.checkpoint.position) == "AFTER:1"
    assert row.lease.owner is None
    assert heard.of(ShardReleased)
    assert heard.of(WorkerStopped)[0].drained


def test_a_drain_ends_in_its_time_although_a_batch_does_not():
    """Trap: a handler longer than the pod's grace; the lease is given back, nothing is saved."""
    source = ScriptedSource()
    source.add(records(1))

    class Endless(ScriptedTarget):
        async def invoke(self, invocation):
            self.batches.append([1])
            await anyio.sleep(10**6)

    async def main():
        heard, store, stop = Heard(), MemoryStore(VirtualClock()), anyio.Event()
        target = Endless()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(new_worker(source, target, store, heard, drain_seconds=5.0).run, stop)
            await anyio.sleep(2)
            assert target.batches
            started = anyio.current_time()
            stop.set()
        assert anyio.current_time() - started == pytest.approx(5.0, abs=0.5)
        (row,) = await store.rows(mapping().id)
        assert (row.lease.owner, str(row.checkpoint.position)) == (None, "TRIM_HORIZON")
        assert not heard.of(WorkerStopped)[0].drained

    run_virtually(main)


def test_a_drain_that_the_end_of_the_lease_cuts_short_is_not_called_a_drain():
    """What the function has done is then not saved, and the next owner repeats it."""
    source = ScriptedSource()
    source.add(records(1))

    class Away(MemoryStore):
        away = False

        async def renew(self, lease):
            return await self._unless_away(super().renew(lease))

        async def save(self, lease, checkpoint):
            await self._unless_away(super().save(lease, checkpoint))

        async def _unless_away(self, call):
            if self.away:
                call.close()
                raise Unavailable("no connection")
            return await call

    async def main():
        heard, store, stop = Heard(), Away(VirtualClock()), anyio.Event()
        target = ScriptedTarget(seconds=30.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(new_worker(source, target, store, heard, drain_seconds=60.0).run, stop)
            await anyio.sleep(2)
            assert target.batches
            assert not heard.of(BatchInvoked)
            store.away = True
            stop.set()
        assert anyio.current_time() < 20
        return heard

    assert not run_virtually(main).of(WorkerStopped)[0].drained


def test_a_handler_of_many_minutes_keeps_its_lease():
    """Renewals never share a path with delivery; a second worker finds nothing to take."""
    source = ScriptedSource()
    source.add(records(1))
    other = ScriptedSource()

    async def main():
        store, stop = MemoryStore(VirtualClock()), anyio.Event()
        one, two = Heard(), Heard()
        target = ScriptedTarget(seconds=3000.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(new_worker(source, target, store, one, owner="a/1").run, stop)
            await anyio.sleep(3)
            tasks.start_soon(new_worker(other, ScriptedTarget(), store, two, owner="b/2").run, stop)
            await anyio.sleep(3000)
            stop.set()
        assert target.batches == [[1]]
        assert not two.of(LeaseTaken)
        assert not one.of(LeaseWasLost)

    run_virtually(main)


def test_one_slow_renewal_costs_no_lease():
    """It is given up in time for another try within the trusted time."""
    source = ScriptedSource()
    source.add(records(1))

    class SlowOnce(MemoryStore):
        renewals = 0

        async def renew(self, lease):
            self.renewals += 1
            if self.renewals == 1:
                await anyio.sleep(30)
            return await super().renew(lease)

    seen = run(source, ScriptedTarget(seconds=40.0, random=Steady()), store=SlowOnce(VirtualClock()))
    assert seen.batches == [[1]]
    assert not seen.heard.of(LeaseWasLost)
    (trouble,) = seen.heard.of(MappingTroubled)
    assert trouble.problem == "the leases were not renewed within 3 seconds"


def test_a_lease_that_is_given_back_while_it_is_renewed_is_not_called_lost():
    """I12: the shard is finished, and the store slow."""

    class Slow(MemoryStore):
        given_back = False

        async def release(self, lease):
            await super().release(lease)
            self.given_back = True
            await anyio.sleep(1.9)
            self.given_back = False

        async def renew(self, lease):
            renewed = await super().renew(lease)
            seen_without_owner.append(self.given_back and renewed is None)
            return renewed

    seen_without_owner = []
    seen = run(KeptSource(records(*range(1, 45)), page_records=1, ended=True), seconds=20, store=Slow(VirtualClock()))
    assert seen.position() == "SHARD_END"
    assert any(seen_without_owner)
    assert seen.heard.of(LeaseWasLost) == []


def test_a_lease_that_is_lost_is_told_once_however_many_lanes_find_it_out():
    """I12."""
    source = ScriptedSource()
    source.add([record(number, key=f"k{number}") for number in range(1, 40)])

    async def main():
        store, stop, heard = MemoryStore(VirtualClock()), anyio.Event(), Heard()
        made = mapping(lanes=10, batch=BatchPolicy(batch_size=1))
        target = ScriptedTarget(seconds=8.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(new_worker(source, target, store, heard, mapping=made).run, stop)
            await anyio.sleep(2)
            (row,) = await store.rows(made.id)
            assert await store.take(row.lease, WorkerId("other/1"))
            await anyio.sleep(12)
            stop.set()
        assert len(target.batches) > 5
        return heard

    assert len(run_virtually(main).of(LeaseWasLost)) == 1


def test_a_silent_owners_shard_is_taken_over_after_a_lease_time_and_the_silent_one_is_fenced():
    """R-PORT-2; no clock is compared."""
    source = ScriptedSource()

    async def main():
        store, stop, heard = MemoryStore(VirtualClock()), anyio.Event(), Heard()
        await store.create(mapping().id, [(source.shards[0], Checkpoint(Position("TRIM_HORIZON")))])
        (row,) = await store.rows(mapping().id)
        silent = await store.take(row.lease, WorkerId("gone/1"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(new_worker(source, ScriptedTarget(), store, heard).run, stop)
            await anyio.sleep(14.9)
            assert not heard.of(LeaseTaken)
            await anyio.sleep(7)
            assert heard.of(LeaseTaken)
            with pytest.raises(LeaseLost):
                await store.save(silent, Checkpoint(Position("AFTER:1")))
            stop.set()

    run_virtually(main)


def test_each_attempt_is_told_with_its_number_and_outcome():
    answers = [FunctionFailed("boom"), NotInvoked("429"), Succeeded()]
    seen = deliver(1, answer=lambda batch: answers.pop(0))
    told = [(event.attempt, event.outcome, event.problem) for event in seen.heard.of(BatchInvoked)]
    assert told == [(1, "function_error", "boom"), (2, "not_invoked", "429"), (3, "success", "")]


def test_what_is_read_ahead_while_a_batch_fails_is_not_delivered_before_it():
    """R-RETRY-5, R-BATCH-9."""
    source = ScriptedSource()
    source.add(records(1, 2))
    source.add(records(3, 4))
    failures = [True] * 5

    def answer(batch):
        return FunctionFailed("boom") if 1 in batch and failures and failures.pop() else Succeeded()

    seen = run(source, ScriptedTarget(answer))
    assert seen.batches == [[1, 2]] * 6 + [[3, 4]]


def test_age_is_looked_at_before_every_part_of_a_divided_batch():
    """R-BIS-7."""
    source = ScriptedSource()
    source.add([record(1), record(2, arrived_at=EPOCH - 55), record(3, arrived_at=EPOCH + 50)])
    failure = FailurePolicy(bisect=True, age_seconds_max=60.0)
    seen = run(source, ScriptedTarget(poison(1)), seconds=120, failure=failure)
    assert [3] in seen.batches
    assert [discard[0] for discard in seen.discards()] == ["RecordAgeExceeded"] * 2


def test_shards_of_a_stream_that_showed_none_at_first_are_read_from_their_beginning():
    """R-POS-1, R-POS-3: what is put between two listings would be left out by a later moment."""

    class Late(ScriptedSource):
        async def listing(self):
            found = await super().listing()
            return found if self.listings > 1 else replace(found, shards=())

    source = Late()
    source.add(records(1))
    seen = run(source, seconds=60, starting_position="LATEST")
    assert source.reads[0] == ("shard-0", TRIM_HORIZON)
    assert seen.batches == [[1]]


def test_latest_is_pinned_to_a_moment_behind_the_first_listing():
    """R-POS-3: what it shows as closed is left out, and was closed by then."""

    class Slow(ScriptedSource):
        async def listing(self):
            await anyio.sleep(5)
            return await super().listing()

    source = Slow(Shard(ShardId("old"), closed=True), Shard(ShardId("shard-0")))
    seen = run(source, seconds=20, starting_position="LATEST")
    assert seen.position("old") == "SHARD_END"
    assert seen.rows["shard-0"].checkpoint.position.timestamp >= EPOCH + 5


async def forgotten(number):
    """A guard that is not taken back: it fires when the handler has long been done."""
    if number == 2:
        asyncio.get_running_loop().call_later(0.05, asyncio.current_task().cancel)


async def swallowed(number):
    """As some libraries do it: the task stays one that was asked to end."""
    if number == 2:
        asyncio.current_task().cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        await asyncio.sleep(60)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("guard", [forgotten, swallowed])
def test_a_handler_that_cancels_its_task_cancels_none_of_the_workers(guard, lanes):
    """R-PORT-5, I1."""
    calls, handled = [], set()

    async def handler(event, context):
        calls.append(event)
        await guard(len(calls))
        handled.update(int(each["kinesis"]["sequenceNumber"]) for each in event["Records"])

    target = PythonTarget(handler, function_name="f", function_arn="arn", timeout_seconds=5)
    seen = run(KeptSource(records(*range(1, 31)), page_records=5), target, seconds=60, lanes=lanes)
    assert handled == set(range(1, 31))
    assert not seen.heard.of(ShardFailed)
    assert seen.position() == "AFTER:30"


def test_a_task_of_the_shard_that_somebody_cancels_does_not_end_the_shard(monkeypatch):
    """I1: its group ends in silence, and what was not delivered would never be."""
    monkeypatch.setattr(python, "_apart", lambda awaitable: awaitable)  # the handler has the lane's own task

    async def handler(event, context):
        if len(handled) == 10:
            asyncio.get_running_loop().call_later(0.05, asyncio.current_task().cancel)
        handled.extend(int(each["kinesis"]["sequenceNumber"]) for each in event["Records"])

    handled = []
    target = PythonTarget(handler, function_name="f", function_arn="arn", timeout_seconds=5)
    seen = run(KeptSource(records(*range(1, 31)), page_records=5), target, seconds=60)
    assert set(handled) == set(range(1, 31))
    (failed,) = seen.heard.of(ShardFailed)
    assert "ended before the shard did" in failed.problem
    assert not seen.heard.of(ShardFinished)
