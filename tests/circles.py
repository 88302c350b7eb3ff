"""What the collector of garbage would have to look for: this file finds what is left in circles."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def circles() -> Iterator[Callable[[], list[object]]]:
    """Gives a function that looks for circles, and tells all that is in them; until it is called nobody looks."""

    def look() -> list[object]:
        gc.collect()
        return list(gc.garbage)

    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield look
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
