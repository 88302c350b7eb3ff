"""Renewals of many leases: in parts, of those that are still held, and soon enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import anyio
import pytest

from poller.engine.renewing import Held, Renewals
from poller.engine.stopping import StopScope
from poller.errors import Unavailable
from poller.events import LeaseWasLost
from poller.model import Lease, MappingId, ShardId, WorkerId
from poller.rules.leasing import LeaseTimes
from tests.fakes import Heard
from tests.virtual import run_virtually

TIMES = LeaseTimes()


class SlowStore:
    """Renews each lease after ``seconds``, but those of ``others``; notes when it was asked for which."""

    def __init__(self, seconds=0.1, others=()):
        self.seconds = seconds
        self.others = others
        self.asked = []

    async def renew(self, lease):
        self.asked.append((anyio.current_time(), lease.shard))
        await anyio.sleep(self.seconds)
        return None if lease.shard in self.others else replace(lease, counter=lease.counter + 1)


def held(count):
    shards = [ShardId(f"shard-{number}") for number in range(count)]
    return {shard: Held(Lease(MappingId("m"), shard, WorkerId("w")), StopScope(TIMES.trusted)) for shard in shards}


def renew(count, store, meanwhile=lambda leases: None):
    """What was told, and the leases as they are afterwards."""
    heard = Heard()

    async def main():
        leases = held(count)
        renewals = Renewals("m", leases, store=store, observer=heard, times=TIMES)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(renewals.renew_all)
            await anyio.sleep(0.01)
            meanwhile(leases)
        return leases

    return heard, run_virtually(main)


@pytest.mark.parametrize(("count", "at_once"), [(1, 1), (50, 50), (51, 50), (2000, 50), (5000, 125)])
def test_few_begin_at_once_and_all_within_a_second(count, at_once):
    store = SlowStore()
    _, leases = renew(count, store)
    moments = Counter(at for at, _ in store.asked)
    assert max(moments.values()) == at_once
    assert max(moments) < 1.0
    assert [each.lease.counter for each in leases.values()] == [1] * count


def test_a_lease_that_was_given_back_meanwhile_is_not_renewed():
    store = SlowStore()
    renew(200, store, meanwhile=lambda leases: leases.pop(ShardId("shard-199")))
    assert len(store.asked) == 199


def test_one_that_another_worker_owns_is_told_and_not_renewed():
    lost = ShardId("shard-150")
    heard, leases = renew(200, SlowStore(others=(lost,)))
    assert [event.shard for event in heard.of(LeaseWasLost)] == [lost]
    assert leases[lost].lease.counter == 0


def test_one_that_is_given_back_at_this_moment_is_not_lost():
    """I12: the store has no owner of it any more, which is as it should be."""
    leaving = ShardId("shard-0")

    def give_back(leases):
        leases[leaving].given_back = True

    heard, _ = renew(200, SlowStore(others=(leaving,)), meanwhile=give_back)
    assert heard.of(LeaseWasLost) == []


def test_a_store_that_is_too_slow_leaves_time_for_another_try():
    with pytest.raises(ExceptionGroup) as raised:
        renew(200, SlowStore(seconds=5.0))
    assert raised.group_contains(Unavailable)
