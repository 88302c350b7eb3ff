"""``python -m tests.wire --seeds 2000``: this file runs many worlds and prints what came of them.

The last line is JSON. A run in which some fault was not met often enough proves nothing, and fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.simulation.seeds import Outcome, Tally, outcome_of, run_many
from tests.wire.faults import MUST_BE_SEEN
from tests.wire.world import run_seed

SEEDS_TO_SEE_ALL = 200
OFTEN = 20


def run_one(seed: int, span: str = "minutes") -> Outcome:
    return outcome_of(run_seed, seed, span)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.wire", description="Runs worlds behind the real client.")
    parser.add_argument("--seeds", type=int, default=SEEDS_TO_SEE_ALL, help="how many worlds")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    tally = Tally()
    seeds = range(options.first, options.first + options.seeds)
    for outcome in run_many(seeds, processes=options.processes, run=run_one):
        tally.add(outcome)
        for violation in outcome.violations[:3]:
            print(f"seed {outcome.seed}: {violation[:300]}", flush=True)
        if tally.seeds % 100 == 0:
            print(f"{tally.seeds} worlds, {time.monotonic() - started:.0f} s", flush=True)
    rare = {what: tally.seen[what] for what in MUST_BE_SEEN if tally.seen[what] < OFTEN}
    missing = rare if tally.seeds >= SEEDS_TO_SEE_ALL else {}
    print(*[f"not seen often enough: {what}, {count} times" for what, count in missing.items()], sep="\n")
    figures = {
        "what": "wire simulation",
        "seeds": options.seeds,
        "first": options.first,
        "failed": [outcome.seed for outcome in tally.failed],
        "slow": tally.slow,
        "simulated_hours": round(tally.virtual_seconds / 3600, 1),
        "cpu_seconds_a_seed": round(tally.cpu_seconds / max(tally.seeds, 1), 2),
        "attempts": tally.attempts,
        "crashes": tally.crashes,
        "faults_missing": len(missing),
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(figures))
    return 1 if tally.failed or tally.slow or missing else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
