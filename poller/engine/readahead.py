"""One page on its way from reader to delivery: this file is the slot that lets a shard read one page ahead."""

from __future__ import annotations

import anyio

from poller.model import Page


class PageSlot:
    """Holds at most one page.

    Not a memory stream: a page waits in the slot until it is taken, so a wait that ends by its deadline at the very
    moment of arrival cannot lose it.
    """

    def __init__(self) -> None:
        self._page: Page | None = None
        self._filled = anyio.Event()
        self._emptied = anyio.Event()

    async def put(self, page: Page) -> None:
        """Waits for room; this is the back-pressure on the reader."""
        while self._page is not None:
            await self._emptied.wait()
        self._page = page
        self._emptied = anyio.Event()
        self._filled.set()

    async def get(self, within_seconds: float) -> Page | None:
        """The next page; ``None`` if none came in time."""
        with anyio.move_on_after(within_seconds):
            await self._filled.wait()
        page, self._page = self._page, None
        if page is not None:
            self._filled = anyio.Event()
            self._emptied.set()
        return page
