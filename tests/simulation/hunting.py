"""The hunt for bugs that are put back in: this file patches, runs seed after seed, and tells how soon each is found."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.world import Result

SEEDS_MAX = 500
"""A bug that so many do not find asks for a better world or a better promise."""
ABSENT = object()

Mutant = Callable[["Patch"], None]
Run = Callable[[int], Result]


class Patch:
    """The part of pytest's ``monkeypatch`` that mutants need, also where there is no pytest."""

    def __init__(self) -> None:
        self._undo: list[tuple[object, str, object]] = []

    def setattr(self, owner: object, name: str, value: object, *, raising: bool = True) -> None:
        assert hasattr(owner, name) or not raising, f"{owner} has no {name}"
        self._undo.append((owner, name, vars(owner).get(name, ABSENT)))
        setattr(owner, name, value)

    def undo(self) -> None:
        for owner, name, value in reversed(self._undo):
            if value is ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
        self._undo.clear()


def killed_by(mutant: Mutant, run: Run, first: int = 1, count: int = SEEDS_MAX) -> tuple[int, str] | None:
    """The first seed that finds the bug, and what it said; ``None`` if so many do not."""
    patch = Patch()
    mutant(patch)
    try:
        for seed in range(first, first + count):
            try:
                violations = run(seed).violations
            except Exception as error:  # an assertion of the code's own is a find too
                return seed, repr(error)
            if violations:
                return seed, violations[0]
    finally:
        patch.undo()
    return None


def _hunted(mutant: Mutant, run: Run, count: int) -> tuple[str, int | None, str, float]:
    started = time.monotonic()
    found = killed_by(mutant, run, count=count)
    return mutant.__name__, found and found[0], found[1] if found else "", time.monotonic() - started


def hunt(arguments: list[str], *, prog: str, mutants: Sequence[Mutant], run: Run) -> int:
    """The verb of a command, whose last line is JSON; its exit code is 1 if a bug survives."""
    named = {each.__name__: each for each in mutants}
    parser = argparse.ArgumentParser(prog=prog, description="Puts known bugs back in, and tells which seed finds each.")
    parser.add_argument("names", nargs="*", choices=[[], *named], metavar="NAME", help="all if none is given")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="a bug that so many do not find has survived")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    wanted = [named[name] for name in options.names or named]
    started, found, survivors = time.monotonic(), {}, []
    with ProcessPoolExecutor(options.processes, max_tasks_per_child=1) as pool:
        for name, seed, said, seconds in pool.map(partial(_hunted, run=run, count=options.seeds), wanted):
            print(f"{name}: seed {seed} in {seconds:.0f} s: {said[:110]}", flush=True)
            if seed is None:
                survivors.append(name)
            else:
                found[name] = seed
    figures = {
        "what": prog,
        "mutants": len(wanted),
        "killed": len(found),
        "survivors": survivors,
        "most_seeds": max(found.values(), default=0),
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(figures))
    return 1 if survivors else 0
