"""Bugs that others shipped, put back in: this package is the proof that the worlds would see them.

Each is a small patch of the worker's own code, named for what it gets wrong; where it was seen in public its docstring
says so. ``patch`` is pytest's ``monkeypatch`` or anything with its ``setattr``.
"""

from __future__ import annotations

from inspect import getmembers, isfunction

from tests.simulation.mutants import failures, families, lanes, leases, reading, saving, seldom, telling, windows


def _of(*modules):
    return [
        function
        for module in modules
        for name, function in getmembers(module, isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]


MUTANTS = _of(saving, families, reading, lanes, failures, leases, windows, telling)

SELDOM_FOUND = _of(seldom)
"""Which the search leaves out; their seeds are kept."""
