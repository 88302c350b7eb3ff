"""``python -m tests.processes.restarts --restarts 3``: this file kills the stream's server under load.

It is started anew at the same port; what the stream holds is kept, its iterators are not. The workers must go on by
themselves.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.history import entries
from tests.processes.report import Run
from tests.processes.world import Plan, Verdict, World


def run(folder: Path, *, restarts: int, plan: Plan, random: Random, say: Callable[[str], None]) -> Verdict:
    with World(folder, plan, random) as world:
        lives = [world.spawn() for _ in range(2)]
        world.producer.start()
        for _ in range(restarts):
            before = world.producer.put
            world.wait_until(lambda before=before: world.producer.put > before + 200, "records are put")
            time.sleep(random.random())
            world.server.kill()
            world.tell(entries.Struck(time.time(), "server killed"))
            time.sleep(random.choice([0.0, 1.0, 3.0]))
            world.server.start()
            world.server.reshard(random)
            say(f"the server is back, {world.producer.put} put, {world.waiting()} wait")
        verdict = world.finish()
        verdict.violations += [f"{life.name} restarted" for life in lives if life.process.returncode != 0]
        return verdict


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.restarts", description="Restarts the server.")
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    run_of_all = Run("restarts")
    plan, random = Plan(lanes=2, shards=2), Random(options.seed)
    verdict = run(run_of_all.folder, restarts=options.restarts, plan=plan, random=random, say=run_of_all.say)
    return run_of_all.end([verdict], restarts=options.restarts)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
