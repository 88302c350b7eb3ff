"""News for all who wait: this file is how the parts of a shard wake each other."""

from __future__ import annotations

import anyio


class Bell:
    """Rings for those who wait now. Who waits looks first, so that no ringing is missed."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        self._rung.set()
        self._rung = anyio.Event()

    async def wait(self, within_seconds: float = float("inf")) -> None:
        """Returns at the next ringing, or when the time is over."""
        with anyio.move_on_after(within_seconds):
            await self._rung.wait()
