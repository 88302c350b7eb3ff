"""Whole workers in simulated worlds: whatever goes wrong, nothing is lost, and nothing out of order.

A failing seed is printed with its last lines; ``python -m tests.simulation.run SEED`` replays it.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.faults import CAPS
from tests.simulation.world import run_seed

SEEDS = 500
BLOCK = 25
MUTANT_SEEDS = 80

SEEN: Counter[str] = Counter()

HAPPENINGS = (
    "crash",
    "pause",
    "stop",
    "clock jumps",
    "split",
    "merge",
    "rotate",
    "trim",
    "retention",
    "store away",
    "stream away",
    "function away",
    "destination away",
    "stream made anew",
    "store restored",
)
"""What befalls everybody."""


@pytest.mark.parametrize("first", range(1, SEEDS + 1, BLOCK))
def test_no_world_breaks_a_promise(first):
    for seed in range(first, first + BLOCK):
        result = run_seed(seed)
        SEEN.update(result.faults.seen)
        assert not result.violations, report(result)


def test_every_kind_of_trouble_was_really_there():
    """A run in which nothing went wrong proves nothing."""
    if not SEEN:
        pytest.skip("runs after the worlds")
    for what in (*CAPS, *HAPPENINGS):
        assert SEEN[what] >= 20, f"{what} was seen {SEEN[what]} times in {SEEDS} worlds"


@pytest.mark.parametrize("seed", range(1, 11))
def test_a_seed_is_the_same_world_each_time(seed):
    assert run_seed(seed).trace == run_seed(seed).trace


def report(result):
    lines = "\n".join(result.history.timeline().splitlines()[-60:])
    return (
        f"seed {result.seed}: {result.violations[:5]}\n{lines}\nreplay it: python -m tests.simulation.run {result.seed}"
    )
