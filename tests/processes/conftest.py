"""The short form of all runs: this file lets those run side by side that are asked for, as most of each is waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from tests.processes import disks, drains, kills, pauses, restarts, toxics
from tests.processes.world import Plan, Verdict

AT_ONCE = 4
HALF_OPEN = tuple(toxic for toxic in toxics.TOXICS if toxic.kind == "half_open")
OTHER_TOXICS = tuple(toxic for toxic in toxics.TOXICS if toxic not in HALF_OPEN)
NAPS = (18.0, 1.0, 4.0)
"""Seconds; the first one is longer than a lease."""


def _killed(folder: Path, lanes: int) -> Verdict:
    plan = Plan(lanes=lanes, shards=3, per_second=40.0, poison=211 if lanes == 1 else 53)
    return kills.run(folder, kills=5, plan=plan, random=Random(lanes), say=print)


def _paused(folder: Path) -> Verdict:
    plan = Plan(lanes=2, shards=4, per_second=40.0)
    return pauses.run(folder, pauses=NAPS, plan=plan, random=Random(1), say=print)


def _drained(folder: Path) -> Verdict:
    plan = Plan(lanes=2, shards=4, per_second=40.0, failures=0.0, poison=0)
    return drains.run(folder, drains=5, plan=plan, random=Random(1), say=print)


def _restarted(folder: Path) -> Verdict:
    return restarts.run(folder, restarts=3, plan=Plan(lanes=2, per_second=60.0), random=Random(1), say=print)


def _lined(folder: Path, faults: tuple[toxics.Toxic, ...]) -> Verdict:
    plan = Plan(lanes=2, shards=2, per_second=40.0, poison=31)
    return toxics.run(folder, toxics=faults, seconds=1.5, plan=plan, random=Random(1), say=print)


RUNS: dict[str, Callable[[Path], Verdict]] = {
    # The longest first.
    "half-open": lambda folder: _lined(folder, HALF_OPEN),
    "toxics": lambda folder: _lined(folder, OTHER_TOXICS),
    "pauses": _paused,
    "kills, one lane": lambda folder: _killed(folder, 1),
    "kills, three lanes": lambda folder: _killed(folder, 3),
    "drains": _drained,
    "restarts": _restarted,
    **{case.__name__: lambda folder, case=case: disks.run(case, folder) for case in disks.CASES},  # type: ignore[misc]
}


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future]]:
    """The runs of those tests that are selected, by name; which they want, their marks ``run`` tell."""
    wanted = {mark.args[0] for item in request.session.items for mark in item.iter_markers("run")}
    with ThreadPoolExecutor(AT_ONCE) as several:
        yield {
            name: several.submit(run, tmp_path_factory.mktemp(name.replace(", ", "-").replace(" ", "-")))
            for name, run in RUNS.items()
            if name in wanted
        }


@pytest.fixture
def verdict(request: pytest.FixtureRequest, runs: dict[str, Future], capsys: pytest.CaptureFixture[str]) -> Verdict:
    """What came of the run that the test's mark names, in which no promise may be broken."""
    mark = request.node.get_closest_marker("run")
    assert mark is not None
    found: Verdict = runs[mark.args[0]].result()
    with capsys.disabled():
        print(
            f"\n{mark.args[0]}: {found.put} put, {found.handled} handled, {found.repeated} repeated, "
            f"{found.discarded} given up"
        )
    assert found.violations == []
    assert found.handled + found.discarded >= found.put > 0
    return found
