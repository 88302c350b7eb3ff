"""How soon the worlds find each bug that is put back in: ``python -m tests.simulation.hunt [NAME ...]``.

The last line is JSON. A bug that many seeds do not find asks for a better world or a better promise.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.mutants import MUTANTS
from tests.simulation.world import run_seed

SEEDS_MAX = 500


class Patch:
    """The part of pytest's ``monkeypatch`` that mutants need, for a process that ends soon."""

    def __init__(self) -> None:
        self._undo: list[tuple[object, str, object]] = []

    def setattr(self, owner: object, name: str, value: object, *, raising: bool = True) -> None:
        self._undo.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, value)

    def undo(self) -> None:
        for owner, name, value in reversed(self._undo):
            setattr(owner, name, value)
        self._undo.clear()


def killed_by(mutant, first: int = 1, count: int = SEEDS_MAX) -> tuple[int, str] | None:
    """The first seed that finds the bug, and what it said; ``None`` if so many do not."""
    patch = Patch()
    mutant(patch)
    try:
        for seed in range(first, first + count):
            try:
                violations = run_seed(seed).violations
            except Exception as error:  # an assertion of the code's own is a find too
                return seed, repr(error)
            if violations:
                return seed, violations[0]
    finally:
        patch.undo()
    return None


def _hunt(name: str) -> tuple[str, int | None, str, float]:
    mutant = next(each for each in MUTANTS if each.__name__ == name)
    started = time.monotonic()
    found = killed_by(mutant)
    return name, found and found[0], found[1] if found else "", time.monotonic() - started


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.hunt", description=__doc__)
    parser.add_argument("names", nargs="*", default=[each.__name__ for each in MUTANTS], metavar="NAME")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    started, found, survivors = time.monotonic(), {}, []
    with ProcessPoolExecutor(options.processes, max_tasks_per_child=1) as pool:
        for name, seed, said, seconds in pool.map(_hunt, options.names):
            print(f"{name}: seed {seed} in {seconds:.0f} s: {said[:110]}", flush=True)
            if seed is None:
                survivors.append(name)
            else:
                found[name] = seed
    figures = {
        "what": "mutants",
        "mutants": len(options.names),
        "killed": len(found),
        "survivors": survivors,
        "most_seeds": max(found.values(), default=0),
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(figures))
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
