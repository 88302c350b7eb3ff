"""Real processes that are killed, paused, stopped, and cut off from their servers and disks: nothing is lost.

The long forms are ``python -m tests.processes.kills`` and its like.
"""

from __future__ import annotations

import pytest

from tests.integration.servers import missing
from tests.processes import disks
from tests.processes.conftest import NAPS, OTHER_TOXICS
from tests.soak import minutes


def _kills(verdict) -> int:
    return sum(count for name, count in verdict.seen.items() if name.startswith("killed"))


@pytest.mark.run("kills, one lane")
def test_kills_at_any_moment_lose_nothing_and_repeat_a_batch_at_most(verdict):
    """R-SHARD-1."""
    assert _kills(verdict) >= 5


@pytest.mark.run("kills, three lanes")
def test_with_several_lanes_a_kill_repeats_a_batch_of_each_at_most(verdict):
    """R-PAR-2."""
    assert _kills(verdict) >= 5


@pytest.mark.run("pauses")
def test_one_that_wakes_up_from_a_long_sleep_changes_nothing(verdict):
    assert verdict.seen["paused"] + verdict.seen["fell asleep at a place"] >= len(NAPS)
    assert verdict.seen["lease lost"] >= 1


@pytest.mark.run("drains")
def test_drains_under_load_end_in_time_and_repeat_nothing(verdict):
    assert verdict.repeated == 0


@pytest.mark.run("restarts")
def test_a_server_that_is_killed_under_load_finds_its_readers_again(verdict):
    assert verdict.seen["server killed"] == 3


@pytest.mark.run("toxics")
def test_each_fault_of_a_line_is_lived_through(verdict):
    assert {toxic.kind for toxic in OTHER_TOXICS} <= set(verdict.seen)


@pytest.mark.run("half-open")
def test_connections_that_only_one_side_still_believes_in_are_lived_through(verdict):
    assert verdict.seen["half_open"] == 1


@pytest.mark.parametrize("name", [pytest.param(each, marks=pytest.mark.run(each)) for each in disks.NAMES])
def test_a_worker_never_runs_on_without_its_store(request, name):
    try:
        verdict = request.getfixturevalue("verdict")
    except disks.Impossible as reason:
        missing(f"{name}: {reason}")
    assert verdict.seen[name] == 1


def test_a_thousand_records_a_second_with_failures_and_reshards_leave_the_loop_free(tmp_path):
    verdict, measured = minutes.run(tmp_path, seconds=20.0, lanes=3, say=print)
    assert verdict.violations == []
    assert verdict.handled == verdict.put > 0
    assert float(str(measured["rss_mib"])) < 150.0
