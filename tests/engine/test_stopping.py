"""A stop lets the steps under way finish, for a grace, and never beyond the lease: several at once, as of lanes."""

from __future__ import annotations

import asyncio

import anyio

from poller.engine.stopping import StopScope
from poller.stores.memory import MemoryStore
from tests.builders import mapping, records
from tests.engine.running import new_worker
from tests.fakes import Heard, KeptSource, ScriptedTarget
from tests.virtual import VirtualClock, run_virtually


def stepping(*seconds, stop_at=None, grace=10.0, trusted_until=1e9, extend=None):
    """Runs a step of each length at once, and gives which were finished, and when all had come to rest."""
    finished = []

    async def step(scope, length):
        async with scope.finish():
            await anyio.sleep(length)
            finished.append(length)
        await anyio.sleep_forever()

    async def main():
        with StopScope(trusted_until) as scope:
            async with anyio.create_task_group() as tasks:
                for length in seconds:
                    tasks.start_soon(step, scope, length)
                if extend is not None:
                    await anyio.sleep(extend[0])
                    scope.extend(extend[1])
                if stop_at is not None:
                    await anyio.sleep(stop_at - anyio.current_time())
                    scope.stop(grace)
        return scope.ran_out, anyio.current_time()

    ran_out, ended_at = run_virtually(main)
    return finished, ran_out, ended_at


def test_every_step_under_way_may_finish_within_the_grace():
    assert stepping(5, 8, stop_at=1) == ([5, 8], False, 8)


def test_a_step_that_outlives_the_grace_is_cut_off_and_the_others_are_not():
    assert stepping(5, 30, stop_at=1) == ([5], False, 11)


def test_no_step_outlives_the_lease():
    assert stepping(5, 30, trusted_until=20) == ([5], True, 20)
    assert stepping(5, 30, stop_at=1, grace=100, trusted_until=20) == ([5], False, 20)


def test_a_renewal_moves_the_end_of_every_step():
    assert stepping(25, 30, trusted_until=20, extend=(10, 28), stop_at=27, grace=100) == ([25], False, 28)


def test_nothing_is_begun_after_a_stop():
    begun = []

    async def main():
        with StopScope(1e9) as scope:
            scope.stop(100)
            async with scope.finish():
                begun.append(1)

    run_virtually(main)
    assert begun == []


def test_a_stop_that_comes_while_leases_are_taken_is_heard_by_their_readers():
    """In one turn of the loop with the store's last answer, when nothing of what was taken is known yet."""
    source = KeptSource(records(*range(1, 5001)), page_records=10)
    target, stop = ScriptedTarget(), anyio.Event()

    class Answering(MemoryStore):
        taken = False

        async def take(self, lease, owner):
            self.taken = True
            return await super().take(lease, owner)

        async def rows(self, mapping):
            found = await super().rows(mapping)
            if self.taken and not stop.is_set():
                answered = anyio.Event()
                asyncio.get_running_loop().call_soon(lambda: (stop.set(), answered.set()))
                await answered.wait()
            return found

    async def main():
        store = Answering(VirtualClock())
        with anyio.fail_after(30):
            await new_worker(source, target, store, Heard(), drain_seconds=25).run(stop)
        (row,) = await store.rows(mapping().id)
        return row

    assert run_virtually(main).lease.owner is None
    assert target.batches == []
