"""How soon the worlds find each bug that is put back in: ``python -m tests.wire.hunt [NAME ...]``.

The last line is JSON. A bug that many seeds do not find asks for a better world or a better promise.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.hunt import Patch
from tests.wire.mutants import MUTANTS
from tests.wire.world import run_seed

SEEDS_MAX = 200


def killed_by(mutant, count: int = SEEDS_MAX) -> tuple[int, str] | None:
    """The first seed that finds the bug, and what it said; ``None`` if so many do not."""
    patch = Patch()
    mutant(patch)
    try:
        for seed in range(1, 1 + count):
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
    started = time.process_time()
    found = killed_by(mutant)
    return name, found and found[0], found[1] if found else "", time.process_time() - started


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.wire.hunt", description=__doc__)
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
        "what": "wire mutants",
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
