"""How late the event loop wakes up: this file is the watch that tells a handler or a store that blocks it."""

from __future__ import annotations

from collections.abc import Callable

import anyio


async def watch_loop_lag(report: Callable[[float], None], *, every_seconds: float = 0.5) -> None:
    """Calls ``report`` every ``every_seconds`` with the seconds by which the loop was late, until cancelled."""
    while True:
        started = anyio.current_time()
        await anyio.sleep(every_seconds)
        report(max(0.0, anyio.current_time() - started - every_seconds))
