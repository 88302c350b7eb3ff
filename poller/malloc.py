"""Memory that is freed and soon asked for again: this file keeps the C library from giving it back to the kernel.

An answer of the services may be ten megabytes. By default each is mapped anew and given back when it is read, which
costs more than to read it: the kernel clears every page of it, each time.
"""

from __future__ import annotations

import ctypes
import os

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8
_LARGEST_BYTES = 32 * 1024 * 1024
_SPARE_BYTES = 64 * 1024 * 1024
_VARIABLES = {
    _MMAP_THRESHOLD: "MALLOC_MMAP_THRESHOLD_",
    _TRIM_THRESHOLD: "MALLOC_TRIM_THRESHOLD_",
    _ARENA_MAX: "MALLOC_ARENA_MAX",
}


def keep_freed_memory() -> None:
    """Up to 64 MiB, in one arena for all threads. Does nothing but with glibc; its own environment variables win."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for parameter, value in ((_MMAP_THRESHOLD, _LARGEST_BYTES), (_TRIM_THRESHOLD, _SPARE_BYTES), (_ARENA_MAX, 1)):
        if _VARIABLES[parameter] not in os.environ:
            mallopt(parameter, value)
