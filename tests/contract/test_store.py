"""What every store promises, shown on each of them: this file is the contract of `poller.ports.Store`."""

from __future__ import annotations

from contextlib import aclosing

import anyio
import pytest

from poller.errors import LeaseLost
from poller.mapping import MappingStatus, State
from poller.model import (
    SHARD_END,
    TRIM_HORIZON,
    Checkpoint,
    MappingId,
    Position,
    SequenceNumber,
    Shard,
    ShardId,
    Window,
    WorkerId,
)
from poller.stores.memory import MemoryStore
from poller.stores.sqlite import SqliteStore

ORDERS, ITEMS = MappingId("orders"), MappingId("items")
A, B = WorkerId("a/1"), WorkerId("b/2")
S1, S2 = Shard(ShardId("s-1")), Shard(ShardId("s-2"), (ShardId("s-1"), ShardId("s-0")))
START = Checkpoint(TRIM_HORIZON)


class Clock:
    def __init__(self):
        self.time = 100.0

    def now(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path, clock):
    opened = MemoryStore(clock) if request.param == "memory" else SqliteStore(tmp_path / "poller.db", clock)
    async with aclosing(opened):
        yield opened


def after(number, outcome="success"):
    return Checkpoint(Position.after(SequenceNumber(str(number))), 12.5, outcome)


async def only(store, mapping=ORDERS):
    (row,) = await store.rows(mapping)
    return row


async def taken(store, owner=A):
    await store.create(ORDERS, [(S1, START)])
    lease = await store.take((await only(store)).lease, owner)
    assert lease is not None
    return lease


async def test_a_new_row_has_lineage_position_and_no_owner(store):
    await store.create(ORDERS, [(S1, START), (S2, Checkpoint(Position.at_timestamp(7)))])
    rows = {row.shard: row for row in await store.rows(ORDERS)}
    assert rows[S2.id].parents == S2.parents
    assert rows[S2.id].checkpoint == Checkpoint(Position("AT_TIMESTAMP:7.000"))
    assert [row.lease.owner for row in rows.values()] == [None, None]


async def test_nothing_new_may_be_created_where_all_is_replaced(store):
    await store.create(ORDERS, [])
    await store.create(ORDERS, [(S1, START)])
    await store.create(ORDERS, [], replacing=await store.rows(ORDERS))
    assert await store.rows(ORDERS) == []


async def test_mappings_do_not_see_each_others_rows(store):
    await store.create(ORDERS, [(S1, START)])
    await store.create(ITEMS, [(S1, after(5))])
    assert (await only(store, ITEMS)).checkpoint == after(5)
    assert (await only(store, ORDERS)).checkpoint == START


async def test_creating_again_leaves_a_row_as_it_is(store):
    """R-POS-1: a restart never begins anew."""
    lease = await taken(store)
    await store.save(lease, after(5))
    await store.create(ORDERS, [(S1, START), (S2, START)])
    rows = {row.shard: row for row in await store.rows(ORDERS)}
    assert rows[S1.id].checkpoint == after(5)
    assert rows[S1.id].lease.owner == A
    assert set(rows) == {S1.id, S2.id}


async def test_of_many_who_take_one_gets_the_shard(store):
    """R-PORT-2: one reader per shard."""
    await store.create(ORDERS, [(S1, START)])
    seen = (await only(store)).lease
    winners = []

    async def take(owner):
        if await store.take(seen, WorkerId(owner)) is not None:
            winners.append(owner)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(take, f"w-{number}/x")
    assert len(winners) == 1
    assert (await only(store)).lease.owner == winners[0]


async def test_a_lease_that_moved_since_it_was_seen_cannot_be_taken(store):
    lease = await taken(store)
    await store.renew(lease)
    assert await store.take(lease, B) is None


async def test_a_renewal_moves_the_counter_and_nothing_else(store):
    lease = await taken(store)
    renewed = await store.renew(lease)
    assert renewed is not None
    assert (renewed.token, renewed.counter, renewed.owner) == (lease.token, lease.counter + 1, A)
    assert (await only(store)).lease == renewed


async def test_a_renewal_may_be_repeated_with_the_old_lease_after_its_answer_was_lost(store):
    """And it moves the counter again: those who watch would take a shard whose counter stands still."""
    lease = await taken(store)
    assert await store.renew(lease)
    renewed = await store.renew(lease)
    assert renewed is not None
    assert renewed.counter == lease.counter + 2
    assert (await only(store)).lease == renewed
    await store.save(lease, after(1))  # and a save is fenced by the token alone


async def test_any_text_may_be_the_last_outcome(store):
    """A function may fail with half of a surrogate pair in its words, as of an emoji that was cut."""
    lease = await taken(store)
    await store.save(lease, after(1, "ValueError: bad \ud83d order"))
    row = await only(store)
    assert row.checkpoint.position == Position("AFTER:1")
    assert row.checkpoint.last_outcome.startswith("ValueError: bad ")


async def test_the_old_owner_can_neither_save_nor_renew_nor_release_after_a_takeover(store):
    """A zombie leaves the store as it is."""
    old = await taken(store)
    new = await store.take(old, B)
    assert new is not None
    with pytest.raises(LeaseLost):
        await store.save(old, after(9))
    assert await store.renew(old) is None
    await store.release(old)
    row = await only(store)
    assert (row.lease, row.checkpoint) == (new, START)


async def test_a_released_shard_has_no_owner_and_keeps_its_checkpoint(store):
    lease = await taken(store)
    await store.save(lease, after(3))
    await store.release(lease)
    row = await only(store)
    assert (row.lease.owner, row.checkpoint) == (None, after(3))
    with pytest.raises(LeaseLost):
        await store.save(lease, after(4))


async def test_the_same_owner_who_takes_again_is_fenced_from_its_first_lease(store):
    first = await taken(store)
    await store.release(first)
    second = await store.take((await only(store)).lease, A)
    assert second is not None
    with pytest.raises(LeaseLost):
        await store.save(first, after(1))
    await store.save(second, after(1))


async def test_a_save_keeps_everything_of_a_checkpoint_and_its_moment(store, clock):
    lease = await taken(store)
    clock.time = 200.0
    await store.save(lease, after("49590338271490256608559692538361571095921575989136588898"))
    row = await only(store)
    assert row.checkpoint == after("49590338271490256608559692538361571095921575989136588898")
    assert row.saved_at == 200.0


async def test_a_note_at_an_equal_position_is_written(store):
    lease = await taken(store)
    await store.save(lease, after(3, "success"))
    await store.save(lease, after(3, "boom"))
    assert (await only(store)).checkpoint.last_outcome == "boom"


async def test_a_finished_shard_stays_finished(store):
    lease = await taken(store)
    await store.save(lease, Checkpoint(SHARD_END))
    assert (await only(store)).finished


async def test_lanes_and_window_are_saved_with_the_position(store):
    """R-PAR-5, R-WIN-15: in one write."""
    lease = await taken(store)
    full = Checkpoint(
        Position("AFTER:5"),
        12.5,
        "success",
        lanes=(Position("AFTER:5"), Position("AFTER:9:2"), Position("AT_TIMESTAMP:7.000")),
        earlier=((Position("AFTER:5"), Position("AFTER:6")), (Position("AFTER:9"),)),
        window=Window(60, 90, '{"größe": 1}'.encode(), opened=True),
        by_inner_keys=True,
    )
    await store.save(lease, full)
    assert (await only(store)).checkpoint == full
    await store.save(lease, after(9))
    assert (await only(store)).checkpoint == after(9)


async def test_rows_of_an_earlier_stream_are_replaced_in_one_write(store):
    lease = await taken(store)
    await store.save(lease, Checkpoint(SHARD_END))
    old = await store.rows(ORDERS)
    await store.create(ORDERS, [(S1, START), (S2, START)], stream_created_at=2e9, replacing=old)
    rows = {row.shard: row for row in await store.rows(ORDERS)}
    assert {(row.stream_created_at, row.checkpoint, row.lease.owner) for row in rows.values()} == {(2e9, START, None)}
    with pytest.raises(LeaseLost):
        await store.save(lease, after(1))


async def test_a_save_for_an_earlier_stream_never_fits_the_lease_of_a_later_one(store):
    """It may have been held up on its way, and the same worker may own the shard of the same name again."""
    late = await taken(store)
    await store.create(ORDERS, [(S1, START)], stream_created_at=2e9, replacing=await store.rows(ORDERS))
    mine = await store.take((await only(store)).lease, A)
    with pytest.raises(LeaseLost):
        await store.save(late, Checkpoint(SHARD_END))
    await store.save(mine, after(1))


async def test_a_worker_that_is_late_does_not_replace_the_new_rows_too(store):
    await store.create(ORDERS, [(S1, START)], stream_created_at=1e9)
    old = await store.rows(ORDERS)
    await store.create(ORDERS, [(S1, START)], stream_created_at=2e9, replacing=old)
    lease = await store.take((await only(store)).lease, A)
    await store.save(lease, after(3))
    await store.create(ORDERS, [(S1, START)], stream_created_at=2e9, replacing=old)
    assert (await only(store)).checkpoint == after(3)


async def test_what_is_reported_last_of_a_mapping_is_kept(store):
    """R-STATE-1, R-STATE-6."""
    assert await store.status(ORDERS) is None
    await store.report(MappingStatus(ORDERS, State.CREATING, changed_at=100.0, settings="abc"))
    last = MappingStatus(ORDERS, State.ENABLED, "User action", "PROBLEM: Function call failed", 101.5, "abc")
    await store.report(last)
    assert await store.status(ORDERS) == last
    assert await store.status(ITEMS) is None


async def test_forgetting_removes_only_what_is_named(store):
    await store.create(ORDERS, [(S1, START), (S2, START)])
    await store.create(ITEMS, [(S1, START)])
    await store.forget(ORDERS, [S1.id, ShardId("never-there")])
    assert [row.shard for row in await store.rows(ORDERS)] == [S2.id]
    assert len(await store.rows(ITEMS)) == 1


async def test_a_lease_of_a_forgotten_row_is_lost(store):
    lease = await taken(store)
    await store.forget(ORDERS, [S1.id])
    with pytest.raises(LeaseLost):
        await store.save(lease, after(1))
    assert await store.renew(lease) is None
    assert await store.take(lease, B) is None
