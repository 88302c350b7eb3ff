"""Circles of garbage: this file has Python look for them seldom, as what the worker makes goes by itself.

By default Python looks after every seven hundred objects, and through all of memory whenever that has grown by a
quarter. With a thousand shards the former is a third of what an idle poll costs, and the latter stops all of them for
tenths of a second. While a shard is read nothing that holds its records becomes part of a circle; a test sees to that.
"""

from __future__ import annotations

import gc

OBJECTS_BETWEEN = 100_000
"""More than thousands of idle shards make and drop within a second; as garbage, some ten megabytes."""


def look_seldom() -> None:
    """For the whole process."""
    _, *older = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN, *older)
