"""``python -m tests.processes.mutants``: this file proves that these runs can see: each of its errors must be found.

The errors are put into the worker's process by `tests.processes.worker`, which looks for ``MUTANT``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

from poller.engine.delivery import Delivery
from poller.engine.stopping import StopScope
from poller.stores import group_commit, sqlite

RUNS_MAX = 5
"""A zombie of real time is not at every awakening about to write."""


def _without_a_fence() -> None:
    """Whoever owned a shard once may write for it for ever."""
    sqlite._IS_OWNERS = "mapping = ? AND shard = ? AND (owner = ? OR TRUE) AND (token = ? OR TRUE)"


def _saves_first() -> None:
    """Saves a batch as done, and does it then."""
    attempt = Delivery._attempt

    async def saves_first(self, chunk, request_id):
        if chunk.records:
            checkpointer = self._checkpointer
            done = replace(checkpointer.progress.checkpoint(""), position=chunk.records[-1].position, lanes=())
            await checkpointer._store.save(checkpointer._lease, done)
        return await attempt(self, chunk, request_id)

    Delivery._attempt = saves_first  # type: ignore[method-assign]


def _stops_at_once() -> None:
    """A stop cuts off the batch that is under way."""
    stop = StopScope.stop
    StopScope.stop = lambda self, grace_seconds: stop(self, 0.0)  # type: ignore[method-assign]


def _does_not_miss_its_file() -> None:
    """Writes into a file that has no name any more."""
    group_commit._File.must_be_there = lambda self: None  # type: ignore[method-assign]


ERRORS: dict[str, Callable[[], None]] = {
    "no fence": _without_a_fence,
    "saves first": _saves_first,
    "stops at once": _stops_at_once,
    "does not miss its file": _does_not_miss_its_file,
}


def find(name: str, folder: Path, seed: int) -> list[str]:
    """Runs once what must find the error, and gives what it found."""
    # Here, since the worker's process imports this file for the errors alone.
    from tests.processes import disks, drains, kills, pauses
    from tests.processes.world import Plan

    plan, random = Plan(shards=3, per_second=40.0, poison=0, mutant=name), Random(seed)

    def say(text: str) -> None:
        """Of the runs only what they find is told."""

    match name:
        case "no fence":
            naps = (18.0, 18.0, 18.0, 18.0)
            verdict = pauses.run(folder, pauses=naps, plan=plan, random=random, say=say)
        case "saves first":
            verdict = kills.run(folder, kills=6, plan=plan, random=random, say=say, resolved_within=20.0)
        case "stops at once":
            plan = replace(plan, failures=0.0, seconds=0.1)
            verdict = drains.run(folder, drains=8, plan=plan, random=random, say=say)
        case _:
            verdict = disks.run(disks.file_deleted, folder, mutant=name)
    return verdict.violations


def main(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="python -m tests.processes.mutants", description=__doc__).parse_args(arguments)
    from tests.processes.report import Run

    run_of_all, runs = Run("process-mutants"), dict[str, int]()
    for name in ERRORS:
        for seed in range(1, RUNS_MAX + 1):
            violations = find(name, run_of_all.folder / f"{name.replace(' ', '-')}-{seed}", seed)
            run_of_all.say(f"{name}, run {seed}: {len(violations)} violations, such as {str(violations[:1])[:150]}")
            if violations:
                runs[name] = seed
                break
    survived = [name for name in ERRORS if name not in runs]
    run_of_all.end([], mutants=len(ERRORS), survived=survived, most_runs=max(runs.values(), default=0))
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
