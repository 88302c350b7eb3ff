"""Whole workers behind the real client: whatever goes wrong on the wire, nothing is lost, and nothing out of order.

A failing seed is printed with its last lines; ``python -m tests.wire.run SEED`` replays it.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.history.entries import Answered, Attempted
from tests.simulation.hunting import killed_by
from tests.wire.__main__ import OFTEN
from tests.wire.faults import MUST_BE_SEEN
from tests.wire.mutants import MUTANTS, SELDOM_FOUND
from tests.wire.world import run_seed

SEEDS = 200
BLOCK = 20
MUTANT_SEEDS = 150

SEEN: Counter[str] = Counter()


@pytest.mark.parametrize("first", range(1, SEEDS + 1, BLOCK))
def test_no_world_breaks_a_promise(first):
    for seed in range(first, first + BLOCK):
        result = run_seed(seed)
        SEEN.update(result.faults.seen)
        assert not result.violations, report(result)


def test_every_fault_was_really_met():
    """A run in which nothing went wrong proves nothing."""
    if not SEEN:
        pytest.skip("runs after the worlds")
    for what in MUST_BE_SEEN:
        assert SEEN[what] >= OFTEN, f"{what} was seen {SEEN[what]} times in {SEEDS} worlds"


@pytest.mark.parametrize("seed", range(1, 11))
def test_a_seed_is_the_same_world_each_time(seed):
    assert run_seed(seed).trace == run_seed(seed).trace


def test_an_answer_is_known_by_its_attempt():
    """Else what one shard's owner was told counts for that of another, by which this world was once judged."""
    history = run_seed(995).history.entries
    attempts = [each for each in history if isinstance(each, Attempted)]
    answered = [each for each in history if isinstance(each, Answered)]
    asked = {each.request_id: each for each in attempts}
    assert len(asked) == len(attempts)
    assert len(answered) > 100
    assert all(set(each.numbers) <= set(asked[each.request_id].numbers) for each in answered)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_worlds_find_the_bug(mutant):
    assert killed_by(mutant, run_seed, count=MUTANT_SEEDS) is not None


KEPT = Path(__file__).parents[1] / "seeds" / "wire.json"
"""Worlds that found a bug: the bug as it can be put back in, and the seed."""


@pytest.mark.parametrize(("name", "seed"), json.loads(KEPT.read_text()).items())
def test_a_bug_that_a_world_has_found_stays_away_and_would_be_found_again(name, seed):
    """One that many worlds would miss: where they change, the next seed is that of a longer search."""
    assert not run_seed(seed).violations
    (mutant,) = (each for each in (*MUTANTS, *SELDOM_FOUND) if each.__name__ == name)
    assert killed_by(mutant, run_seed, first=seed, count=1) is not None


def report(result):
    lines = "\n".join(result.history.timeline().splitlines()[-60:])
    return f"seed {result.seed}: {result.violations[:5]}\n{lines}\nreplay it: python -m tests.wire.run {result.seed}"
