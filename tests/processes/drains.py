"""``python -m tests.processes.drains --drains 100``: this file asks workers under load to stop, and others to go on.

Each must end by itself, with 0, within its time, and nothing that it did may be done again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.history import entries
from tests.processes import audit
from tests.processes.lives import DRAIN_SECONDS
from tests.processes.report import Run
from tests.processes.world import Plan, Verdict, World

WORKERS = 4


def run(folder: Path, *, drains: int, plan: Plan, random: Random, say: Callable[[str], None]) -> Verdict:
    """``drains`` times SIGTERM to that of four workers which has most shards; it is replaced at once."""
    problems, slowest = [], 0.0
    with World(folder, plan, random) as world:
        lives = [world.spawn() for _ in range(WORKERS)]
        world.producer.start()
        for number in range(drains):
            world.wait_until(lambda: sum(each.said("worker started") for each in lives) > 1, "two have started")
            time.sleep(random.random())
            owned = audit.owners(world.folder / world.store)
            started = [each for each in lives if each.said("worker started")]
            life = max(started, key=lambda each: (owned.get(each.name, 0), -each.started_at))
            lives[lives.index(life)] = world.spawn()
            asked = time.monotonic()
            life.ask_to_stop()
            world.tell(entries.Struck(time.time(), "SIGTERM", life.name))
            try:
                code = life.exit_code(DRAIN_SECONDS + 3.0)
            except subprocess.TimeoutExpired:
                code = None
            slowest = max(slowest, time.monotonic() - asked)
            if code != 0 or not life.said("worker stopped"):
                problems.append(f"{life.name} ended with {code} after {time.monotonic() - asked:.1f} s")
            if number % 10 == 9:
                say(f"{number + 1} drains, the slowest took {slowest:.1f} s, {world.waiting()} records wait")
        verdict = world.finish()
        verdict.violations += problems
        if verdict.repeated and not plan.failures:
            verdict.violations.append(f"{verdict.repeated} records were repeated although all drained")
        return verdict


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.drains", description="Lets workers drain.")
    parser.add_argument("--drains", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    run_of_all, verdicts = Run("drains"), []
    for lanes, count in ((1, options.drains - options.drains // 2), (3, options.drains // 2)):
        # Without failures, so that whatever is repeated is the fault of a drain.
        plan, folder = Plan(lanes=lanes, shards=4, failures=0.0, poison=0), run_of_all.folder / f"lanes-{lanes}"
        random = Random(options.seed + lanes)
        verdicts.append(run(folder, drains=count, plan=plan, random=random, say=run_of_all.say))
    return run_of_all.end(verdicts, drains=options.drains)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
