"""``python -m tests.wire.run SEED [LINES]``: this file replays one world and prints its last lines."""

from __future__ import annotations

import sys

from tests.simulation.run import options, replay
from tests.wire.world import run_seed

if __name__ == "__main__":
    given = options("python -m tests.wire.run").parse_args(sys.argv[1:])
    raise SystemExit(replay(run_seed, given.seed, given.lines))
