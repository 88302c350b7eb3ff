"""Virtual time is the same each time only while task groups walk their tasks in order."""

from __future__ import annotations

import asyncio

import anyio
import anyio._backends._asyncio as anyio_backend
import pytest

from tests.virtual import Deadlock, InsertionOrdered, run_virtually


def test_the_ordered_set_is_what_anyios_and_asyncios_task_groups_really_use():
    """Should a new version keep its tasks elsewhere, simulations would no longer be replayable: this says so."""
    found = {}

    async def main():
        async with anyio.create_task_group() as group:
            found["scope"] = type(group.cancel_scope._tasks)
            found["group"] = type(group._tasks)
        async with asyncio.TaskGroup() as native:
            found["native"] = type(native._tasks)

    run_virtually(main)
    assert set(found.values()) == {InsertionOrdered}, found
    assert not hasattr(anyio_backend, "set")


def test_tasks_are_cancelled_in_the_order_of_their_start():
    order = []

    async def sleep(number):
        try:
            await anyio.sleep(1000)
        finally:
            order.append(number)

    async def main():
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(sleep, number)
            await anyio.sleep(1)
            group.cancel_scope.cancel()

    run_virtually(main)
    assert order == list(range(50))


def test_hours_pass_in_no_time_and_a_standstill_is_told():
    async def day():
        await anyio.sleep(86_400)
        return anyio.current_time()

    assert run_virtually(day) >= 86_400

    async def standstill():
        await anyio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtually(standstill)
