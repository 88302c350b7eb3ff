"""``python -m tests.wire.run SEED [LINES]``: this file replays one world and prints its last lines."""

from __future__ import annotations

import sys
import time

from tests.wire.world import run_seed


def main(arguments: list[str]) -> int:
    seed, *lines = [int(each) for each in arguments]
    started = time.process_time()
    result = run_seed(seed)
    told = result.history.timeline().splitlines()
    print(*told[-(lines[0] if lines else len(told)) :], sep="\n")
    print(*result.violations[:20], sep="\n")
    print(f"seed {seed}: {len(result.violations)} violations, {result.seconds:.0f} virtual seconds, ", end="")
    print(f"{time.process_time() - started:.2f} s, trace {result.trace[:16]}, seen {dict(result.faults.seen)}")
    return 1 if result.violations else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
