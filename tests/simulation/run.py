"""``python -m tests.simulation.run SEED [LINES] [--day]``: this file replays one world and prints its last lines."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.simulation.settings import DAY
from tests.simulation.world import Result, run_seed


def replay(run: Callable[[int], Result], seed: int, lines: int | None) -> int:
    """Prints so many of the last lines of a world's timeline, all if ``None``; 1 if it broke a promise."""
    started = time.process_time()
    result = run(seed)
    told = result.history.timeline().splitlines()
    print(*told[-(lines or len(told)) :], sep="\n")
    print(*result.violations[:20], sep="\n")
    print(f"seed {seed}: {len(result.violations)} violations, {result.seconds:.0f} virtual seconds, ", end="")
    print(f"{time.process_time() - started:.2f} s, trace {result.trace[:16]}, seen {dict(result.faults.seen)}")
    return 1 if result.violations else 0


def options(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description="Replays one simulated world, and prints its timeline.")
    parser.add_argument("seed", type=int, metavar="SEED")
    parser.add_argument("lines", type=int, nargs="?", metavar="LINES", help="only so many of the last ones")
    return parser


def main(arguments: list[str]) -> int:
    parser = options("python -m tests.simulation.run")
    parser.add_argument("--day", action="store_true", help="a world of 26 hours")
    given = parser.parse_args(arguments)
    return replay(partial(run_seed, span=DAY) if given.day else run_seed, given.seed, given.lines)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
