"""``python -m tests.explorer --states 5000000``: this file explores the large worlds and prints what came of them.

The last line is JSON. ``--traces`` prints the counter-examples in full.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.explorer.search import explore
from tests.explorer.worlds import COUNTER_EXAMPLES, LARGE, SMALL


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.explorer", description="Explores small worlds whole.")
    parser.add_argument("--states", type=int, default=1_000_000, help="the most states of each world")
    parser.add_argument("--traces", action="store_true", help="print the counter-examples, and explore no worlds")
    options = parser.parse_args(arguments)
    started, worlds, violations, unseen, busy = time.monotonic(), [], [], [], 0.0
    for world in [] if options.traces else SMALL + LARGE:
        found = explore(world, states_max=options.states)
        whole = "all of them, and all come to the end" if found.exhausted and not found.broken else "not all of them"
        print(f"{found.world}: {found.states} states, {whole}; {found.states / found.seconds:.0f} a second", flush=True)
        if found.broken:
            violations.append(f"{found.world}: {found.broken}")
            print(*found.trace, violations[-1], sep="\n", flush=True)
        worlds.append(found)
        busy += found.seconds
    for example in COUNTER_EXAMPLES:
        found = explore(example.world, heeds=lambda promise, example=example: promise.startswith(example.promise))
        if options.traces:
            print(f"\n{found.world}:", *found.trace, found.broken, sep="\n  ")
        if not found.broken:
            unseen.append(found.world)
    states = sum(found.states for found in worlds)
    figures = {
        "what": "explorer",
        "worlds": {found.world: found.states for found in worlds},
        "states": states,
        "steps": sum(found.steps for found in worlds),
        "shard_states": sum(found.shard_states for found in worlds),
        "explored_whole": sum(found.exhausted for found in worlds),
        "states_per_cpu_second": round(states / busy) if busy else 0,
        "counter_examples": len(COUNTER_EXAMPLES) - len(unseen),
        "counter_examples_not_found": unseen,
        "violations": violations,
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(figures))
    return 1 if violations or unseen else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
