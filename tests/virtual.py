"""Virtual time with a deterministic order of tasks: this file is the loop on which hours pass in milliseconds."""

from __future__ import annotations

import asyncio
from asyncio import events, taskgroups, tasks
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, MutableSet
from contextlib import ExitStack, contextmanager
from contextvars import Context, copy_context
from functools import partial
from heapq import heappop, heappush
from typing import Any, TypeVar
from unittest.mock import patch

import anyio
import anyio._backends._asyncio as anyio_backend
import anyio._core._eventloop as anyio_eventloop

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


class _Handle:
    """A callback that waits for its turn, or for its time; it is what :class:`asyncio.Handle` is, and nothing more."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_when")

    def __init__(self, callback: Callable, args: tuple, context: Context | None, when: float) -> None:
        self._callback = callback
        self._args = args
        self._context = context or copy_context()
        self._when = when
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback, self._args = _nothing, ()

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        return self._when


def _nothing() -> None:
    """What a cancelled handle still does."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while nothing can be done; ``each_step`` runs before each turn.

    Its turns are its own rather than asyncio's: nothing is ever selected, so half the cost of a simulated world goes.
    """

    def __init__(self, each_step: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._now = 0.0
        self._each_step = each_step or _nothing
        self._turns: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._timers_made = 0

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable, *args: Any, context: Context | None = None) -> _Handle:
        handle = _Handle(callback, args, context, self._now)
        self._turns.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(self, when: float, callback: Callable, *args: Any, context: Context | None = None) -> _Handle:
        handle = _Handle(callback, args, context, when)
        self._timers_made += 1
        heappush(self._timers, (when, self._timers_made, handle))
        return handle

    def call_later(self, delay: float, callback: Callable, *args: Any, context: Context | None = None) -> _Handle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        """All turns until the loop is stopped, rather than one: asyncio calls this until then."""
        turns, timers, each_step = self._turns, self._timers, self._each_step
        while True:
            each_step()
            while timers and timers[0][2]._cancelled:
                heappop(timers)
            if not turns and not self._stopping:
                if not timers:
                    raise Deadlock("every task waits and no timer is set")
                self._now = max(self._now, timers[0][0])
            while timers and timers[0][0] <= self._now:
                turns.append(heappop(timers)[2])
            for _ in range(len(turns)):
                handle = turns.popleft()
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    self.call_exception_handler({"message": f"exception in {handle._callback}", "exception": error})
            if self._stopping:
                return


class VirtualClock:
    """Wall time on the running virtual loop; ``skew`` is how far this clock is off."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def now(self) -> float:
        return EPOCH + self.skew + asyncio.get_running_loop().time()


@contextmanager
def the_only(loop: VirtualLoop) -> Iterator[None]:
    """What asyncio and anyio look up again and again, as it is where this is the only loop.

    Their task groups and cancel scopes keep tasks in the order of insertion. Which library and which loop are running
    need not be asked: this takes them a system call and a tenth of the time of a simulated world.
    """
    swapped = {
        (anyio_backend, "set"): InsertionOrdered,
        (taskgroups, "set"): InsertionOrdered,
        (anyio_eventloop, "current_async_library"): lambda: "asyncio",
        (anyio_backend, "current_task"): partial(tasks._current_tasks.get, loop),
        (anyio, "current_time"): loop.time,
        (anyio, "sleep"): asyncio.sleep,
        **{(module, "get_running_loop"): lambda: loop for module in (asyncio, events, anyio_backend)},
    }
    with ExitStack() as swaps:
        for (module, name), ours in swapped.items():
            swaps.enter_context(patch.object(module, name, ours, create=True))
        yield


T = TypeVar("T")


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]], each_step: Callable[[], None] | None = None) -> T:
    """Runs ``main`` in virtual time, the same way each time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(each_step)) as runner, the_only(runner.get_loop()):
        return runner.run(main())
