"""Virtual time with a deterministic order of tasks: this file is the loop on which hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from asyncio import taskgroups
from collections.abc import Callable, Coroutine, Iterator, MutableSet
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio._backends._asyncio as anyio_backend

EPOCH = 1_700_000_000.0


class Deadlock(Exception):
    """Nothing is scheduled and nothing can happen any more."""


class InsertionOrdered(MutableSet):
    """A set that is walked in the order of insertion; hash order would differ from run to run."""

    def __init__(self, items=()):
        self._items = dict.fromkeys(items)

    def __contains__(self, item):
        return item in self._items

    def __iter__(self):
        return iter(tuple(self._items))

    def __len__(self):
        return len(self._items)

    def add(self, item):
        self._items[item] = None

    def discard(self, item):
        self._items.pop(item, None)


class _Selector(selectors.SelectSelector):
    """Does not wait: it moves its loop's time forward instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None):
        if timeout is None:
            raise Deadlock("every task waits and no timer is set")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while nothing can be done; ``each_step`` runs before each turn."""

    def __init__(self, each_step: Callable[[], None] | None = None) -> None:
        self._virtual = _Selector()
        self._each_step = each_step
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def _run_once(self) -> None:
        if self._each_step is not None:
            self._each_step()
        super()._run_once()


class VirtualClock:
    """Wall time on the running virtual loop; ``skew`` is how far this clock is off."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def now(self) -> float:
        return EPOCH + self.skew + asyncio.get_running_loop().time()


@contextmanager
def ordered_tasks() -> Iterator[None]:
    """Swaps the insertion-ordered set into the task groups and cancel scopes of anyio and asyncio."""
    modules = (anyio_backend, taskgroups)
    for module in modules:
        module.set = InsertionOrdered
    try:
        yield
    finally:
        for module in modules:
            del module.set


T = TypeVar("T")


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]], each_step: Callable[[], None] | None = None) -> T:
    """Runs ``main`` in virtual time, the same way each time."""
    with ordered_tasks(), asyncio.Runner(loop_factory=lambda: VirtualLoop(each_step)) as runner:
        return runner.run(main())
