"""Memory: with too much of it in use shards read less ahead, and none of them stands still for another."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from poller.engine.memory import ON_THE_WAY_BYTES, Budget, Holding
from poller.events import PageRead
from poller.invocation import FunctionFailed, Succeeded
from poller.mapping import BatchPolicy
from poller.model import Shard, ShardId
from poller.rules.ordering import lane_of
from poller.rules.pacing import few_records
from poller.stores.memory import MemoryStore
from tests.builders import record, records
from tests.engine.running import a_mapping, new_worker
from tests.fakes import Aggregator, Heard, KeptSource, ScriptedSource, ScriptedTarget
from tests.virtual import EPOCH, VirtualClock, run_virtually

STUCK, WELL = ShardId("shard-0"), ShardId("shard-1")


def test_a_budget_is_short_while_all_shards_together_hold_as_much():
    budget = Budget(100)
    one, other = Holding(budget), Holding(budget)
    one.take(60)
    assert not other.is_short
    other.take(40)
    assert one.is_short
    other.take(-1)
    assert not one.is_short
    other.take(61)
    one.close()
    one.close()
    assert budget.held_bytes == 100
    other.close()
    assert budget.held_bytes == 0


def test_what_was_asked_for_counts_as_if_it_were_there():
    """Or the first answers of many shards with a backlog would come all at once."""
    budget = Budget(2 * ON_THE_WAY_BYTES)
    with budget.asked(7) as one, budget.asked(7) as two, budget.asked(7) as three:
        assert (one, two, three) == (None, None, 7)
        assert not budget.is_short  # nothing is held yet
    budget.held_bytes = ON_THE_WAY_BYTES
    with budget.asked(7) as one, budget.asked(7) as two:
        assert (one, two) == (None, 7)
    budget.held_bytes *= 2
    with budget.asked(7) as one:
        assert one == 7


def two_shards(budget, pages=6, batch_size=100):
    """Runs two minutes in which the first shard's function always fails; the pages of both are read one by one."""
    source = ScriptedSource(Shard(STUCK), Shard(WELL))
    for number in range(pages):
        source.add(records(*range(10 * number + 1, 10 * number + 6)), shard=STUCK)
        source.add(records(*range(10 * number + 501, 10 * number + 506)), shard=WELL)

    def answer(numbers):
        return FunctionFailed("no") if min(numbers) < 500 else Succeeded()

    async def main():
        heard, target, stop = Heard(), ScriptedTarget(answer), anyio.Event()
        mapping = a_mapping(batch=BatchPolicy(batch_size=batch_size, window_seconds=5))
        worker = new_worker(source, target, MemoryStore(VirtualClock()), heard, mapping=mapping, memory=budget)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run, stop)
            await anyio.sleep(120)
            stop.set()
        return heard, target

    heard, target = run_virtually(main)
    read = Counter(each.shard for each in heard.of(PageRead) if each.records)
    return read, {number for batch in target.batches for number in batch if number > 500}


def test_with_room_a_shard_reads_on_while_its_records_wait():
    assert two_shards(Budget())[0] == {STUCK: 6, WELL: 6}


def test_without_room_it_reads_on_when_it_is_done_and_holds_up_no_other():
    read, handled = two_shards(Budget(1), batch_size=5)
    assert read == {STUCK: 1, WELL: 6}
    assert len(handled) == 30


def without_room(source, target, mapping, *, seconds):
    """Runs a worker while others use the memory up, for as long as it takes."""
    budget = Budget(1000)
    budget.held_bytes = 10_000

    async def main():
        stop = anyio.Event()
        worker = new_worker(source, target, MemoryStore(VirtualClock()), Heard(), mapping=mapping, memory=budget)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run, stop)
            await anyio.sleep(seconds)
            stop.set()

    run_virtually(main)


@pytest.mark.parametrize(("lanes", "batch_size"), [(1, 300), (10, 100)])
def test_without_room_a_batch_that_waits_for_its_window_is_still_filled(lanes, batch_size):
    """I14: or the window would wait for records, and the reading for the window."""
    target = ScriptedTarget()
    source = KeptSource(records(*range(1, 20_001)), page_records=few_records(batch_size, lanes))
    mapping = a_mapping(batch=BatchPolicy(batch_size=batch_size, window_seconds=60.0), lanes=lanes)

    without_room(source, target, mapping, seconds=130)
    assert sum(map(len, target.batches)) == 20_000


def test_what_a_reader_held_is_given_back_when_it_ends():
    budget = Budget(1)
    two_shards(budget)
    assert budget.held_bytes == 0


def test_what_is_done_is_given_back_while_the_reader_goes_on():
    source, budget = ScriptedSource(Shard(WELL)), Budget()
    source.add(records(501, 502, 503), shard=WELL)

    def answer(numbers):
        assert budget.held_bytes == sum(len(each.body) for each in records(*numbers))
        return Succeeded()

    async def main():
        stop = anyio.Event()
        worker = new_worker(source, ScriptedTarget(answer), MemoryStore(VirtualClock()), Heard(), memory=budget)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run, stop)
            await anyio.sleep(30)
            assert budget.held_bytes == 0
            stop.set()

    run_virtually(main)


def test_without_room_the_end_of_a_window_lets_the_reading_go_on():
    """I14: it is no batch, yet after it there is room again."""
    start = EPOCH - EPOCH % 30 - 600
    old = [record(number, arrived_at=start + number / 2) for number in range(1, 1001)]
    target = Aggregator()
    mapping = a_mapping(batch=BatchPolicy(batch_size=1000, window_seconds=60.0), tumbling_window_seconds=10)
    without_room(KeptSource(old, page_records=100), target, mapping, seconds=100)
    assert sum(len(event["Records"]) for event in target.events) == 1000


def test_without_room_nothing_is_read_that_would_not_be_with_it():
    """A full lane must not be passed by while another one gathers: what it missed is read twice."""
    keys = {lane_of(f"k{number}", 2): f"k{number}" for number in range(50)}
    mixed = [record(number, key=keys[int(number % 20 != 1)]) for number in range(1, 2001)]

    def answer(batch):
        stuck = anyio.current_time() < 50 and any(number % 20 != 1 for number in batch)
        return FunctionFailed("no") if stuck else Succeeded()

    source, target = KeptSource(mixed, page_records=20), ScriptedTarget(answer)
    mapping = a_mapping(batch=BatchPolicy(batch_size=100, window_seconds=60.0), lanes=2)
    without_room(source, target, mapping, seconds=400)
    assert source.reread_from == []
    assert {number for batch in target.batches for number in batch} == set(range(1, 2001))
