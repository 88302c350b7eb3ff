"""Several batches of a shard side by side: keys keep their order, and a stuck lane holds up its own keys only."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from random import Random

import anyio
import pytest

from poller.errors import PositionLost
from poller.invocation import FunctionFailed, Succeeded
from poller.mapping import BatchPolicy, FailurePolicy
from poller.model import Checkpoint, Position, SequenceNumber, Shard, ShardId
from poller.records import Page, RenderedRecord
from poller.rules.envelope import payload
from poller.rules.ordering import lane_of
from poller.stores.memory import MemoryStore
from tests.builders import numbers, record
from tests.engine.running import names, poison, run
from tests.fakes import KeptSource, ListDestination, ScriptedSource, ScriptedTarget
from tests.virtual import EPOCH, VirtualClock


def keyed(count, *, keys=20, first=1):
    return [record(number, key=f"k-{number % keys}", arrived_at=EPOCH) for number in range(first, first + count)]


def lane(number, lanes, keys=20):
    return lane_of(f"k-{number % keys}", lanes)


def in_order(batches, keys=20):
    """Per key, the numbers as they were delivered."""
    seen = defaultdict(list)
    for batch in batches:
        for number in batch:
            seen[number % keys].append(number)
    return all(numbers == sorted(numbers) for numbers in seen.values())


def test_so_many_batches_are_under_way_at_once_and_never_two_of_a_lane():
    """R-PAR-1, R-PAR-3, R-BATCH-1, R-SHARD-6."""
    under_way, most = Counter(), [0]

    class Slow(ScriptedTarget):
        async def invoke(self, invocation):
            event = json.loads(payload(invocation))
            (of,) = {lane(int(each["kinesis"]["sequenceNumber"]), 4) for each in event["Records"]}
            under_way[of] += 1
            assert under_way[of] == 1
            most[0] = max(most[0], sum(under_way.values()))
            outcome = await super().invoke(invocation)
            under_way[of] -= 1
            return outcome

    seen = run(KeptSource(keyed(200)), Slow(seconds=1.0), lanes=4, batch=BatchPolicy(batch_size=5))
    assert most == [4]
    assert sum(len(batch) for batch in seen.batches) == 200
    assert in_order(seen.batches)


def test_each_shard_has_as_many_lanes_as_the_factor_says():
    """R-SHARD-6: three shards and two lanes make six batches at once."""
    source = ScriptedSource(*[Shard(ShardId(name)) for name in "abc"])
    for name in "abc":
        source.add(keyed(20), shard=name)
    under_way = []

    class Slow(ScriptedTarget):
        async def invoke(self, invocation):
            under_way.append(invocation.request_id)
            await anyio.sleep_forever()

    run(source, Slow(), lanes=2)
    assert len(under_way) == 6


@pytest.mark.parametrize(("lanes", "most"), [(1, 1), (4, 2)])
def test_a_shard_never_has_more_than_two_readings_at_a_time(lanes, most):
    """R-DDB-3, R-KIN-1: one, and with lanes another one for those that were full when the first one came by."""
    reading, seen_at_once = [0], [0]

    class Counted(KeptSource):
        async def _pages(self, position):
            reading[0] += 1
            seen_at_once[0] = max(seen_at_once[0], reading[0])
            try:
                async for page in super()._pages(position):
                    yield page
            finally:
                reading[0] -= 1

    source = Counted(keyed(2000), page_records=100)
    target = ScriptedTarget(
        lambda batch: FunctionFailed("boom") if {1, 2} & set(batch) and anyio.current_time() < 100 else Succeeded()
    )
    seen = run(source, target, seconds=600, lanes=lanes, batch=BatchPolicy(batch_size=50, ahead_records=100))
    assert seen.position() == "AFTER:2000"
    assert seen_at_once == [most]


@pytest.mark.parametrize("window", [0, 20, 300])
def test_a_slow_lane_does_not_slow_down_one_that_gathers(window):
    """R-PAR-3, R-BATCH-2: a lane with a batching window goes on reading, although another one is full."""
    slow = lane(7, 2)

    class Target(ScriptedTarget):
        async def invoke(self, invocation):
            event = json.loads(payload(invocation))
            if lane(int(event["Records"][0]["kinesis"]["sequenceNumber"]), 2) == slow:
                await anyio.sleep(200)
            return await super().invoke(invocation)

    target = Target()
    batch = BatchPolicy(batch_size=50, window_seconds=window, ahead_records=60)
    seen = run(KeptSource(keyed(600), page_records=10), target, seconds=150, lanes=2, batch=batch)
    quick = [number for number in range(1, 601) if lane(number, 2) != slow]
    done = [number for each in seen.batches for number in each if lane(number, 2) != slow]
    assert len(done) > len(quick) - 50
    assert in_order(seen.batches)


def test_a_stuck_lane_holds_up_its_own_keys_only_however_much_comes_behind_it():
    """R-PAR-3, R-RETRY-5: thousands of records pass it, and when it is free again it gets what it missed."""
    source = KeptSource(keyed(5000), page_records=100)
    stuck = lane(7, 2)
    free_at = 300.0
    target = ScriptedTarget(
        lambda batch: FunctionFailed("boom") if 7 in batch and anyio.current_time() < free_at else Succeeded()
    )
    seen = run(source, target, seconds=900, lanes=2, batch=BatchPolicy(batch_size=50, ahead_records=100))
    pairs = list(zip(target.moments, seen.batches, strict=True))
    passed = {number for moment, batch in pairs for number in batch if moment < 100 and lane(number, 2) != stuck}
    assert len(passed) == sum(lane(number, 2) != stuck for number in range(1, 5001))
    delivered = [number for _, batch in pairs for number in batch if 7 not in batch]
    tried = next(batch for _, batch in pairs if 7 in batch)
    assert sorted(delivered + tried) == list(range(1, 5001))  # each once, but for the retries of the stuck batch
    assert in_order([batch for _, batch in pairs if 7 not in batch])
    assert seen.position() == "AFTER:5000"
    assert source.reread_from


def test_a_restart_repeats_nothing_that_other_lanes_have_finished():
    """R-PAR-5, better than it asks: a position for each lane."""
    store = MemoryStore(VirtualClock())
    source = KeptSource(keyed(400), page_records=50)
    stuck = lane(3, 3)
    first = run(source, ScriptedTarget(poison(3)), seconds=60, store=store, lanes=3)
    row = first.rows["shard-0"]
    assert row.checkpoint.lanes[stuck] == Position("TRIM_HORIZON") == row.checkpoint.position
    second = run(source, seconds=60, store=store, lanes=3)
    again = {number for batch in second.batches for number in batch}
    assert again == {number for number in range(1, 401) if lane(number, 3) == stuck}
    assert second.position() == "AFTER:400"
    assert second.rows["shard-0"].checkpoint.lanes == ()


@pytest.mark.parametrize("seed", range(12))
def test_a_changed_factor_loses_reorders_and_repeats_nothing(seed):
    """R-STATE-14: whatever number of lanes comes after whatever other, with one lane stuck and another slow."""
    random = Random(seed)
    store = MemoryStore(VirtualClock())
    source = KeptSource(keyed(300), page_records=random.choice([7, 30, 100]))
    handled = []
    for lanes in random.choices([1, 2, 3, 7, 10], k=6):
        bad = random.randrange(1, 301)
        target = ScriptedTarget(poison(bad), random=Random(seed), seconds=0.5)
        batch = BatchPolicy(batch_size=random.choice([1, 4, 50]), ahead_records=random.choice([1, 20]))
        seen = run(source, target, seconds=random.choice([2, 10, 30]), store=store, lanes=lanes, batch=batch)
        handled += [numbers for numbers in seen.batches if bad not in numbers]
    handled += run(source, seconds=120, store=store, lanes=2).batches
    counts = Counter(number for batch in handled for number in batch)
    assert set(counts) == set(range(1, 301))
    assert max(counts.values()) == 1
    assert in_order(handled)


def test_batch_size_and_retries_and_bisect_count_for_each_lane():
    """R-PAR-4, R-PAR-7: the bounds of a report may enclose records of other lanes, its count does not."""
    bad, destination = 9, ListDestination()
    seen = run(
        KeptSource(keyed(40), page_records=40),
        ScriptedTarget(poison(bad)),
        lanes=2,
        batch=BatchPolicy(batch_size=10),
        failure=FailurePolicy(retries_max=1),
        destination=destination,
    )
    mine = [number for number in range(1, 41) if lane(number, 2) == lane(bad, 2)]
    lost = next(mine[at : at + 10] for at in range(0, len(mine), 10) if bad in mine[at : at + 10])
    assert seen.discards() == [("RetryAttemptsExhausted", 2, lost[0], lost[-1], len(lost))]
    (report,) = destination.reports
    assert numbers(report.records) == lost
    assert len(lost) < lost[-1] - lost[0] + 1
    assert all(len(batch) <= 10 for batch in seen.batches)
    assert {number for batch in seen.batches for number in batch} == set(range(1, 41))


def test_a_closed_shard_is_finished_when_its_last_lane_has_caught_up():
    """R-SHARD-2."""
    source = KeptSource(keyed(500), page_records=100, ended=True)
    free_at = 30.0
    target = ScriptedTarget(
        lambda batch: FunctionFailed("boom") if 5 in batch and anyio.current_time() < free_at else Succeeded()
    )
    seen = run(source, target, seconds=25, lanes=2, batch=BatchPolicy(batch_size=5, ahead_records=5))
    assert seen.position() != "SHARD_END"
    seen = run(source, target, seconds=120, lanes=2, batch=BatchPolicy(batch_size=5, ahead_records=5))
    assert seen.position() == "SHARD_END"
    assert source.reread_from


def test_partial_failures_settle_the_prefix_of_their_lane():
    seen = run(
        KeptSource(keyed(20), page_records=20),
        ScriptedTarget(names(13)),
        lanes=2,
        failure=FailurePolicy(retries_max=0, report_item_failures=True),
    )
    mine = [number for number in range(1, 21) if lane(number, 2) == lane(13, 2)]
    ((_, _, first, last, count),) = seen.discards()
    assert (first, last, count) == (13, mine[-1], len(mine) - mine.index(13))


def inner(number, index, *, last, key):
    return RenderedRecord(SequenceNumber(str(number)), key, EPOCH, record(number).body, None if last else index)


def test_a_lane_may_stop_inside_an_aggregate_and_goes_on_there():
    """R-KPL-3: inner records have one sequence number, and positions of their own."""
    size = 30
    aggregate = [inner(1, index, last=index == size - 1, key=f"k-{index}") for index in range(size)]
    source = KeptSource(aggregate, page_records=size)
    store = MemoryStore(VirtualClock())
    calls = []

    def fails_after_two(batch):
        calls.append(len(batch))
        return Succeeded() if len(calls) <= 2 else FunctionFailed("boom")

    first = run(source, ScriptedTarget(fails_after_two), seconds=5, store=store, batch=BatchPolicy(batch_size=5))
    assert first.position() == "AFTER:1:9"
    second = run(source, seconds=5, store=store, batch=BatchPolicy(batch_size=5))
    assert sum(len(batch) for batch in second.batches) == size - 10
    assert second.position() == "AFTER:1"


def test_what_lanes_of_earlier_settings_did_is_forgotten_once_all_is_done():
    store = MemoryStore(VirtualClock())
    source = KeptSource(keyed(100), page_records=100)
    run(source, ScriptedTarget(poison(3)), seconds=20, store=store, lanes=3)
    between = run(source, ScriptedTarget(poison(3)), seconds=20, store=store, lanes=2).rows["shard-0"].checkpoint
    assert [len(positions) for positions in between.earlier] == [3]
    after = run(source, seconds=20, store=store, lanes=2).rows["shard-0"].checkpoint
    assert after == Checkpoint(Position("AFTER:100"), EPOCH, after.last_outcome)


class LateEnd(KeptSource):
    """The end of its shard is told by an empty page of its own, as Kinesis and DynamoDB may do."""

    async def _pages(self, position):
        async for page in super()._pages(position):
            if page.ended and page.records:
                yield replace(page, ended=False)
                await anyio.sleep(0.1)
                page = Page((), 0.0, ended=True)
            yield page


def test_a_closed_shard_is_finished_though_the_last_of_it_holds_nothing_for_the_lane_that_fell_behind():
    """R-SHARD-2: such a lane hears that it has caught up, although that gives it nothing to do."""
    slow = lane(5, 2)
    other = next(key for key in range(20) if lane(key, 2) != slow)
    source = LateEnd([record(n, key=f"k-{5 if n <= 15 else other}", arrived_at=EPOCH) for n in range(1, 41)])
    source.page_records, source.ended = 5, True
    target = ScriptedTarget(
        lambda batch: FunctionFailed("boom") if 5 in batch and anyio.current_time() < 30 else Succeeded()
    )
    seen = run(source, target, seconds=120, lanes=2, batch=BatchPolicy(batch_size=5, ahead_records=5))
    assert source.reread_from
    assert {number for batch in seen.batches for number in batch} == set(range(1, 41))
    assert seen.position() == "SHARD_END"


@pytest.mark.parametrize("problem", [None, PositionLost("trimmed"), PositionLost("no such shard", shard_gone=True)])
def test_a_closed_shard_is_finished_though_what_a_lane_missed_has_left_the_stream(problem):
    """R-SHARD-2, R-SHARD-3: a stuck lane's backlog is trimmed, told or not, or the whole shard is gone meanwhile."""

    class Trimmed(LateEnd):
        def reread(self, shard, position):
            self.records.clear()
            if problem is not None and position != Position("TRIM_HORIZON"):
                return self._lost(position)
            return super().reread(shard, position)

        async def _lost(self, position):
            self.reread_from.append(position)
            await anyio.sleep(0.1)
            raise problem
            yield

    source = Trimmed(keyed(500), page_records=100, ended=True)
    target = ScriptedTarget(
        lambda batch: FunctionFailed("boom") if 5 in batch and anyio.current_time() < 30 else Succeeded()
    )
    seen = run(source, target, seconds=120, lanes=2, batch=BatchPolicy(batch_size=5, ahead_records=5))
    assert len(source.reread_from) in (1, 2)
    assert seen.position() == "SHARD_END"


def test_a_lane_that_fell_behind_is_given_nothing_of_a_stream_that_took_the_name_of_its_own():
    """R-SHARD-2: the shard has ended, so what the second reading finds beyond its end is another one's."""

    class MadeAnew(LateEnd):
        def reread(self, shard, position):
            self.records, self.ended = keyed(500, first=1001), False
            return super().reread(shard, position)

    source = MadeAnew(keyed(500), page_records=100, ended=True)
    target = ScriptedTarget(
        lambda batch: FunctionFailed("boom") if 5 in batch and anyio.current_time() < 30 else Succeeded()
    )
    seen = run(source, target, seconds=120, lanes=2, batch=BatchPolicy(batch_size=5, ahead_records=5))
    assert len(source.reread_from) == 1
    assert not [number for batch in seen.batches for number in batch if number > 500]
    assert seen.position() == "SHARD_END"
