"""``python -m tests.machines [--examples N]``: this file runs every machine so many times, and tells how it went.

The last line is one JSON object; the exit code is 1 if a machine found that a promise is not kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machines.running import profile
from tests.machines.test_batcher import Batching
from tests.machines.test_checkpointer import Checkpointing
from tests.machines.test_lanes import Lanes
from tests.machines.test_stores import InMemory, InOneFile

MACHINES = {each.__name__: each for each in (Batching, Lanes, Checkpointing, InMemory, InOneFile)}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.machines")
    parser.add_argument(
        "machines", nargs="*", metavar="MACHINE", help=f"of {', '.join(MACHINES)}; all if none is named"
    )
    parser.add_argument("--examples", type=int, default=2_000, help="of each machine (2000)")
    asked = parser.parse_args(arguments)
    started, broken = time.monotonic(), []
    names = asked.machines or list(MACHINES)
    chosen = settings(profile(1), max_examples=asked.examples, derandomize=False)
    for name in names:
        begun = time.monotonic()
        try:
            run_state_machine_as_test(MACHINES[name], settings=chosen)
        except Exception:
            traceback.print_exc()
            broken.append(name)
        print(f"{name}: {asked.examples} examples in {time.monotonic() - begun:.0f} s", flush=True)
    figures = {
        "examples": asked.examples,
        "machines": names,
        "broken": broken,
        "violations": len(broken),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(figures))
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
