"""``python -m tests.simulation.hunt [NAME ...]``: this file hunts for the bugs that these worlds must find."""

from __future__ import annotations

import sys

from tests.simulation.hunting import hunt
from tests.simulation.mutants import MUTANTS
from tests.simulation.world import run_seed

if __name__ == "__main__":
    raise SystemExit(hunt(sys.argv[1:], prog="python -m tests.simulation.hunt", mutants=MUTANTS, run=run_seed))
