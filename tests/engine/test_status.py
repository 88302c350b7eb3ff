"""States, reasons and last results of a mapping as Lambda words them, and what comes back by itself."""

from __future__ import annotations

import anyio
import pytest

from poller.engine.keeping import StatusKeeper
from poller.errors import SourceGone, Unavailable
from poller.events import LeaseTaken, MappingChanged, MappingTroubled, Polled, ShardsListed, StreamReplaced
from poller.invocation import FunctionFailed, NotInvoked, Succeeded
from poller.mapping import BatchPolicy, FailurePolicy, State
from poller.model import Listing, Shard, ShardId
from poller.stores.memory import MemoryStore
from tests.builders import mapping, record, records
from tests.engine.running import names, new_worker, poison, run
from tests.fakes import Heard, KeptSource, ScriptedSource, ScriptedTarget
from tests.virtual import VirtualClock, run_virtually

DENIED = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: kinesis:GetRecords on resource: x"


def states(seen):
    return [event.status.state.value for event in seen.heard.of(MappingChanged)]


def results(seen):
    return [event.status.result for event in seen.heard.of(MappingChanged)]


def last_status(store, of=None):
    async def look():
        return await store.status((of or mapping()).id)

    return run_virtually(look)


def rested(store):
    """A start with the mapping disabled."""
    heard = Heard()

    async def main():
        made = mapping(enabled=False)
        await StatusKeeper(made, store, heard, VirtualClock()).rest()

    run_virtually(main)
    return [event.status.state.value for event in heard.of(MappingChanged)]


def test_a_new_mapping_is_created_and_then_enabled():
    """R-STATE-1, R-STATE-2, R-STATE-5."""
    store = MemoryStore(VirtualClock())
    seen = run(KeptSource(records(1)), seconds=20, store=store)
    assert states(seen)[:2] == ["Creating", "Enabled"]
    status = last_status(store)
    assert (status.state, status.reason, status.result) == (State.ENABLED, "User action", "OK")


def test_polling_begins_within_seconds_of_the_creation_and_of_a_change():
    """R-STATE-13: Lambda takes a minute or more."""
    store, source = MemoryStore(VirtualClock()), KeptSource(records(1))
    assert run(source, seconds=10, store=store).target.moments[0] < 2
    source.records += records(2)
    changed = run(source, seconds=10, store=store, batch=BatchPolicy(batch_size=7))
    assert states(changed)[0] == "Updating"
    assert changed.target.moments[0] < 2


def test_nothing_changes_by_a_restart_and_changed_settings_are_an_update():
    """R-STATE-3."""
    store = MemoryStore(VirtualClock())
    run(KeptSource(records(1)), seconds=20, store=store)
    again = run(KeptSource(records(1)), seconds=20, store=store)
    assert states(again) == ["Enabled"]
    changed = run(KeptSource(records(1)), seconds=20, store=store, batch=BatchPolicy(batch_size=7))
    assert states(changed)[:2] == ["Updating", "Enabled"]


def test_what_is_disabled_and_enabled_again_goes_on_at_its_checkpoint():
    """R-STATE-11: what was put meanwhile is delivered, and nothing from the starting position again."""
    store = MemoryStore(VirtualClock())
    source = KeptSource(records(1, 2))
    run(source, seconds=20, store=store)
    assert rested(store) == ["Disabling", "Disabled"]
    assert last_status(store).result == "OK"
    source.records += records(3)
    again = run(source, seconds=20, store=store)
    assert states(again)[:2] == ["Enabling", "Enabled"]
    assert again.batches == [[3]]


def test_a_mapping_that_was_left_out_for_a_while_goes_on_at_its_checkpoint_and_another_one_begins_anew():
    """R-STATE-15: leaving it out of a configuration deletes nothing."""
    store, source = MemoryStore(VirtualClock()), KeptSource(records(1, 2))
    assert run(source, seconds=10, store=store).batches == [[1, 2]]
    source.records += records(3)
    assert run(source, seconds=10, store=store, function_name="another").batches == [[1, 2, 3]]
    assert run(source, seconds=10, store=store).batches == [[3]]


def test_a_mapping_that_was_disabled_from_the_start_is_disabled_after_its_creation():
    """R-STATE-2."""
    assert rested(MemoryStore(VirtualClock())) == ["Creating", "Disabled"]


def test_a_mapping_rests_once_its_store_answers():
    class Away(MemoryStore):
        tries = 0

        async def status(self, of):
            self.tries += 1
            if self.tries < 3:
                raise Unavailable("away")
            return await super().status(of)

    store = Away(VirtualClock())
    assert rested(store) == ["Creating", "Disabled"]
    assert store.tries == 3


UNKNOWN = Succeeded(b'{"batchItemFailures":[{"itemIdentifier":"9"}]}')


@pytest.mark.parametrize(
    ("answer", "policy", "result"),
    [
        (lambda batch: Succeeded(), FailurePolicy(), "OK"),
        (names(2), FailurePolicy(report_item_failures=True), "OK"),
        (lambda batch: UNKNOWN, FailurePolicy(report_item_failures=True), "PROBLEM: Function call failed"),
        (poison(2), FailurePolicy(), "PROBLEM: Function call failed"),
    ],
)
def test_the_last_result_is_that_of_the_last_batch(answer, policy, result):
    """R-STATE-6, R-PBR-9."""
    store = MemoryStore(VirtualClock())
    run(KeptSource(records(1, 2)), ScriptedTarget(answer), seconds=20, store=store, failure=policy)
    assert last_status(store).result == result


def test_records_that_expire_unseen_leave_no_result_of_their_own():
    """R-STATE-7."""
    store = MemoryStore(VirtualClock())
    old = [record(1, arrived_at=1.0)]
    run(KeptSource(old), seconds=20, store=store, failure=FailurePolicy(age_seconds_max=60.0))
    assert last_status(store).result == "No records processed"


def test_a_deleted_function_is_tried_on_and_told_until_it_is_back():
    """R-STATE-9, R-INV-2: no budget is spent."""
    store = MemoryStore(VirtualClock())
    target = ScriptedTarget(
        lambda batch: NotInvoked("Function not found: f") if anyio.current_time() < 60 else Succeeded()
    )
    seen = run(KeptSource(records(1)), target, seconds=150, store=store, failure=FailurePolicy(retries_max=0))
    assert results(seen)[-2:] == ["PROBLEM: Function call failed: Function not found: f", "OK"]
    assert set(states(seen)[1:]) == {"Enabled"}
    assert seen.discards() == []


def test_lost_permission_changes_the_result_alone_and_reading_goes_on_where_it_was():
    """R-STATE-8, R-STATE-6: what was read before is still delivered, the lease is kept, nothing is repeated."""
    store = MemoryStore(VirtualClock())

    class Denied(KeptSource):
        async def _pages(self, position):
            if 10 < anyio.current_time() < 100:
                raise SourceGone("could not get records", said=DENIED)
            async for page in super()._pages(position):
                yield page
                if 10 < anyio.current_time() < 100:
                    raise SourceGone("could not get records", said=DENIED)

    source = Denied(records(1, 2), page_records=1)
    seen_at = []

    async def put_later():
        await anyio.sleep(50)
        source.records += records(3)

    target = ScriptedTarget(lambda batch: seen_at.append((anyio.current_time(), batch)) or Succeeded())
    heard = Heard()

    async def main():
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(new_worker(source, target, store, heard).run, stop)
            tasks.start_soon(put_later)
            await anyio.sleep(90)
            told = await store.status(mapping().id)
            assert (told.state, told.reason, told.result) == (State.ENABLED, "User action", f"PROBLEM: {DENIED}")
            await anyio.sleep(90)
            assert (await store.status(mapping().id)).result == "OK"
            stop.set()

    run_virtually(main)
    assert [batch for _, batch in seen_at] == [[1], [2], [3]]
    assert len(heard.of(LeaseTaken)) == 1
    assert len(heard.of(MappingTroubled)) < 12  # it looks again more and more slowly


def test_a_refused_listing_is_told_although_known_shards_are_read():
    """R-STATE-6, R-STATE-8: children would never be found, so that nobody may take it for well."""
    store = MemoryStore(VirtualClock())
    denied, read, listed = (
        MappingTroubled("orders", "denied", DENIED, listing=True),
        Polled("orders", ShardId("shard-0"), "empty", 0.01),
        ShardsListed("orders", 1, 0),
    )

    async def main():
        told, keeper = [], StatusKeeper(mapping(), store, Heard(), VirtualClock())
        for event in (read, denied, read, read, listed, read):
            keeper.hear(event)
            await keeper.keep(settles=True)
            told.append((await store.status(mapping().id)).result)
        return told

    nothing, problem = "No records processed", f"PROBLEM: {DENIED}"
    assert run_virtually(main) == [nothing, problem, problem, problem, problem, nothing]
    source = ScriptedSource()
    source.trouble = SourceGone("denied", said=DENIED)
    assert {event.listing for event in run(source, seconds=10).heard.of(MappingTroubled)} == {True}


def test_a_batch_in_trouble_keeps_its_budget_while_the_stream_is_away():
    """R-STATE-8: the retries of what was read go on, whatever becomes of the reading."""
    source = ScriptedSource()
    source.add(records(1))
    source.pages["shard-0"] += [SourceGone("denied", said=DENIED)] * 3
    seen = run(source, ScriptedTarget(lambda batch: FunctionFailed("boom")), failure=FailurePolicy(retries_max=4))
    assert seen.batches == [[1]] * 5
    assert len(set(seen.target.request_ids)) == 1


class Deletable(KeptSource):
    """A stream that is deleted and made anew under its name, as ``lives`` say: (from when, created at, records)."""

    def __init__(self, *lives):
        super().__init__([])
        self.lives = lives

    def _life(self):
        return [life for life in self.lives if life[0] <= anyio.current_time()][-1]

    async def listing(self):
        _, mark, found = self._life()
        if found is None:
            raise SourceGone("could not list", said="Stream orders under account 1 not found.")
        return Listing((Shard(ShardId("shard-0")),), stream_created_at=mark)

    async def _pages(self, position):
        _, mark, found = self._life()
        if found is None:
            raise SourceGone("could not read", said="Stream orders under account 1 not found.")
        self.records = found
        async for page in super()._pages(position):
            if self._life()[1] != mark:
                raise SourceGone("could not read", said="Stream orders under account 1 not found.")
            yield page


def test_a_deleted_stream_is_looked_for_slowly_and_read_from_its_beginning_when_it_is_there_again():
    """R-STATE-10: its sequence numbers are no position in the new one, nor is LATEST, since all of it is new."""
    store = MemoryStore(VirtualClock())
    source = Deletable((0, 1e9, records(5, 6)), (50, 0, None), (200, 2e9, records(1, 2, 3)))
    seen = run(source, seconds=400, store=store, starting_position="TRIM_HORIZON")
    assert seen.batches == [[5, 6], [1, 2, 3]]
    assert "PROBLEM: Stream orders under account 1 not found." in results(seen)
    assert results(seen)[-1] == "OK"
    assert set(states(seen)[1:]) == {"Enabled"}
    assert len(seen.heard.of(StreamReplaced)) == 1
    assert seen.rows["shard-0"].stream_created_at == 2e9


def test_a_finished_shard_of_a_deleted_stream_does_not_hide_one_of_the_same_name():
    store = MemoryStore(VirtualClock())
    first = KeptSource(records(5), ended=True)
    first.listing = Deletable((0, 1e9, [])).listing
    assert run(first, seconds=20, store=store).position() == "SHARD_END"
    seen = run(Deletable((0, 2e9, records(1, 2))), seconds=60, store=store, starting_position="LATEST")
    assert seen.batches == [[1, 2]]


class AwayForCreating(MemoryStore):
    """Cannot make rows while ``away``, but for the first ones."""

    away = True

    async def create(self, mapping, shards, **more):
        if self.away and await self.rows(mapping):
            raise Unavailable("the store is away")
        await super().create(mapping, shards, **more)


def test_rows_of_a_deleted_stream_are_not_read_by_while_they_cannot_be_replaced():
    """They would be read until the next listing that succeeds, and all of it again then."""
    store, heard, target = AwayForCreating(VirtualClock()), Heard(), ScriptedTarget()
    source = Deletable((0, 1e9, records(5, 6)), (50, 0, None), (60, 2e9, records(7, 8, 9)))

    async def main():
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(new_worker(source, target, store, heard).run, stop)
            await anyio.sleep(400)
            assert target.batches == [[5, 6]]
            assert heard.of(StreamReplaced) == []
            store.away = False
            await anyio.sleep(100)
            stop.set()

    run_virtually(main)
    assert target.batches == [[5, 6], [7, 8, 9]]
    assert len(heard.of(StreamReplaced)) == 1


def test_two_workers_find_the_new_stream_without_losing_each_others_work():
    store, heard = MemoryStore(VirtualClock()), Heard()
    source = Deletable((0, 1e9, records(5, 6)), (50, 0, None), (60, 2e9, records(1, 2, 3)))
    target = ScriptedTarget()

    async def main():
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for name in ("w/1", "w/2"):
                tasks.start_soon(new_worker(source, target, store, heard, owner=name).run, stop)
            await anyio.sleep(300)
            stop.set()
        (row,) = await store.rows(mapping().id)
        return row

    row = run_virtually(main)
    assert str(row.checkpoint.position) == "AFTER:3"
    assert [number for batch in target.batches for number in batch] == [5, 6, 1, 2, 3]
