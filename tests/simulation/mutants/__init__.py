"""Bugs that others shipped, put back in: this package is the proof that the worlds would see them.

Each is a small patch of the worker's own code, named for what it gets wrong; where it was seen in public its docstring
says so. ``patch`` is pytest's ``monkeypatch`` or anything with its ``setattr``.
"""

from __future__ import annotations

from inspect import getmembers, isfunction

from tests.simulation.mutants import failures, families, lanes, leases, reading, saving, telling, windows

MUTANTS = [
    function
    for module in (saving, families, reading, lanes, failures, leases, windows, telling)
    for name, function in getmembers(module, isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
]
