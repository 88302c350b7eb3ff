"""``python -m tests.simulation --seeds 20000``: this file runs many worlds and prints what came of them.

The last line is JSON. A run in which something did not happen that must be seen proves nothing, and fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.simulation.seeds import Tally, run_many
from tests.simulation.seen import PAIRS, missing


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Runs many simulated worlds.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds of some minutes")
    parser.add_argument("--days", type=int, default=0, help="how many worlds of 26 hours")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    tally = Tally()
    for span, count in (("day", options.days), ("minutes", options.seeds)):
        for outcome in run_many(range(options.first, options.first + count), span=span, processes=options.processes):
            tally.add(outcome)
            for violation in outcome.violations[:3]:
                print(f"seed {outcome.seed} ({span}): {violation}", flush=True)
            if tally.seeds % 500 == 0:
                print(f"{tally.seeds} worlds, {time.monotonic() - started:.0f} s", flush=True)
    unseen = missing(tally.seen, tally.pairs, tally.seeds)
    print(*[f"not seen often enough: {pair}" for pair in unseen[:20]], sep="\n")
    seconds = time.monotonic() - started
    figures = {
        "what": "simulation",
        "seeds": options.seeds,
        "days": options.days,
        "first": options.first,
        "failed": [outcome.seed for outcome in tally.failed],
        "slow": tally.slow,
        "simulated_hours": round(tally.virtual_seconds / 3600, 1),
        "times_real_time": round(tally.virtual_seconds / max(seconds, 1e-9)),
        "times_cpu_time": round(tally.virtual_seconds / max(tally.cpu_seconds, 1e-9)),
        "attempts": tally.attempts,
        "crashes": tally.crashes,
        "pairs_asked_for": len(PAIRS),
        "pairs_missing": len(unseen),
        "seconds": round(seconds),
    }
    print(json.dumps(figures))
    return 1 if tally.failed or tally.slow or unseen else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
