"""Freed memory is kept where the C library can be told so, and where nobody has told it something else."""

from __future__ import annotations

import ctypes
import gc
from types import SimpleNamespace

import pytest

from poller.garbage import OBJECTS_BETWEEN, look_seldom
from poller.malloc import keep_freed_memory


@pytest.fixture
def told(monkeypatch):
    """What the library was told: parameter and value."""
    calls = []
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *call: calls.append(call)))
    return calls


def test_the_library_keeps_up_to_64_mebibytes_in_one_arena(told):
    keep_freed_memory()
    assert told == [(-3, 32 * 1024 * 1024), (-1, 64 * 1024 * 1024), (-8, 1)]


def test_what_the_environment_says_wins(told, monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    keep_freed_memory()
    assert [parameter for parameter, _ in told] == [-3, -1]


def test_another_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()


def test_garbage_in_circles_is_looked_for_seldom():
    before = gc.get_threshold()
    try:
        look_seldom()
        assert gc.isenabled()
        assert gc.get_threshold() == (OBJECTS_BETWEEN, *before[1:])
    finally:
        gc.set_threshold(*before)
