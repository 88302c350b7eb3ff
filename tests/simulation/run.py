"""``python -m tests.simulation.run SEED [LINES]``: this file replays one world and prints its last lines."""

from __future__ import annotations

import sys
import time

from tests.simulation.world import run_seed


def main(arguments: list[str]) -> int:
    seed, lines = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 1_000_000
    started = time.process_time()
    result = run_seed(seed)
    print(*result.history.timeline().splitlines()[-lines:], sep="\n")
    print(*result.violations[:20], sep="\n")
    print(f"seed {seed}: {len(result.violations)} violations, {result.seconds:.0f} virtual seconds, ", end="")
    print(f"{time.process_time() - started:.2f} s, trace {result.trace[:16]}, seen {result.seen}")
    return 1 if result.violations else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
