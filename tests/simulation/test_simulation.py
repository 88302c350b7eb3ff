"""Whole workers in simulated worlds: whatever goes wrong, nothing is lost, and nothing out of order.

A failing seed is named; ``python -m tests.simulation.run SEED`` replays it and prints its timeline.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.hunting import killed_by
from tests.simulation.mutants import MUTANTS, SELDOM_FOUND
from tests.simulation.seeds import Outcome, Tally, run_many
from tests.simulation.seen import missing, never
from tests.simulation.settings import DAY, MINUTES
from tests.simulation.world import run_seed

SEEDS = int(os.environ.get("POLLER_SEEDS", "300"))
"""So many worlds on somebody's machine; CI and `make prove` run more."""


def test_no_world_breaks_a_promise():
    """And every kind of trouble was really there: a run in which nothing went wrong proves nothing."""
    tally = Tally()
    for outcome in run_many(range(1, SEEDS + 1)):
        tally.add(outcome)
    failed = {outcome.seed: outcome.violations[:3] for outcome in tally.failed}
    assert not failed, f"replay one with python -m tests.simulation.run SEED: {failed}"
    assert not tally.slow
    assert not never(tally.seen)
    assert not missing(tally.seen, tally.pairs, SEEDS)


def test_a_world_that_takes_far_longer_than_others_of_its_span_is_found():
    """On any machine: what counts is how much more it takes."""

    def outcome(seed: int, span: str, cpu_seconds: float) -> Outcome:
        return Outcome(seed, span, (), 60.0, cpu_seconds, 0, 0, Counter(), Counter())

    for machine in (1.0, 2.5):
        tally = Tally()
        for seed in range(1, 10):
            tally.add(outcome(seed, "minutes", 0.4 * machine))
            tally.add(outcome(seed, "day", 300.0 * machine))
        tally.add(outcome(10, "minutes", 19.0 * 0.4 * machine))
        assert tally.slow == []
        tally.add(outcome(11, "minutes", 21.0 * 0.4 * machine))
        assert tally.slow == [11]


def test_a_day_breaks_no_promise_either():
    assert not run_seed(1, DAY).violations


@pytest.mark.parametrize("seed", range(1, 101 if SEEDS >= 3000 else 11))
def test_a_seed_is_the_same_world_each_time(seed):
    assert run_seed(seed, MINUTES).trace == run_seed(seed, MINUTES).trace


SOON_FOUND = [
    "checkpoint_before_the_function_is_called",
    "two_saves_at_a_time",
    "children_wait_for_one_parent_only",
    "children_begin_at_the_newest_record",
    "the_newest_records_are_where_a_mapping_starts_each_time",
    "missing_iterator_taken_for_the_end",
    "gaps_without_a_word",
    "partial_success_taken_for_a_full_one",
    "no_fence_in_the_store",
    "the_state_of_a_window_kept_in_memory_only",
]
"""A sample; ``python -m tests.simulation.hunt`` puts all of them back in."""


KEPT = Path(__file__).parents[1] / "seeds" / "simulation.json"
"""Worlds that found a bug: the bug as it can be put back in, and the seed."""


@pytest.mark.parametrize("name", SOON_FOUND)
def test_the_worlds_find_a_bug_that_is_put_back_in(name):
    assert killed_by(_named(name), run_seed, count=80) is not None


@pytest.mark.parametrize(("name", "seed"), json.loads(KEPT.read_text()).items())
def test_a_bug_that_a_world_has_found_stays_away_and_would_be_found_again(name, seed):
    """Where a change of the worlds makes the seed another one, ``tests.simulation.hunt NAME`` tells the new one.

    Of those that are found seldom, the next seed is that of a longer search.
    """
    assert not run_seed(seed).violations
    assert killed_by(_named(name), run_seed, first=seed, count=1) is not None


def test_there_are_bugs_enough_to_put_back_in():
    assert len(MUTANTS) >= 40


def _named(name):
    (mutant,) = [each for each in (*MUTANTS, *SELDOM_FOUND) if each.__name__ == name]
    return mutant
