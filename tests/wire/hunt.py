"""``python -m tests.wire.hunt [NAME ...]``: this file hunts for the bugs that these worlds must find."""

from __future__ import annotations

import sys

from tests.simulation.hunting import hunt
from tests.wire.mutants import MUTANTS
from tests.wire.world import run_seed

if __name__ == "__main__":
    raise SystemExit(hunt(sys.argv[1:], prog="python -m tests.wire.hunt", mutants=MUTANTS, run=run_seed))
