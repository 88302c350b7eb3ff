"""``python -m tests.processes.kills --kills 500``: this file kills workers, at random moments and at marked places.

Three workers share a stream that is split and merged under a steady load, with one lane a shard in the first half of
the kills and three in the second; each dead one has a successor at once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.history import entries
from tests.processes.lives import Life
from tests.processes.report import Run
from tests.processes.worker import PLACES
from tests.processes.world import Plan, Verdict, World

WORKERS = 3
LIFE_SECONDS = 4.0
"""The longest life of one that dies at a random moment, from when it has started."""
PLACE_SECONDS = 4.0
"""How long one may take to get to the place where it wants to die."""
START_SECONDS = 1.5
"""One of ten dies before it has started, or soon after."""
KILLS_A_RESHARD = 8
_COUNTS = {"handled": 4, "before the report": 1, "after the report": 1, "taking a lease": 2, "lease taken": 2}
"""How often a place is reached at most before one dies there; others are commits, which are many."""


class Killer:
    """Keeps workers alive, and not for long; ``_doomed`` has where each shall die, in how long, and at what moment."""

    def __init__(self, world: World, random: Random, workers: int) -> None:
        self._world = world
        self._random = random
        self._doomed: dict[Life, tuple[str, float, float | None]] = {}
        self._workers = workers
        self.kills = 0

    def step(self) -> None:
        """Buries the dead, kills whose time has come, and starts as many anew."""
        for life, (place, seconds, until) in list(self._doomed.items()):
            if until is None and life.said("worker started"):
                self._doomed[life] = (place, seconds, time.monotonic() + seconds)
            if life.alive and until is not None and time.monotonic() > until:
                life.kill()
                place = "any moment"
            if not life.alive:
                assert life.killed, f"{life.name} ended with {life.process.returncode}:\n{life.tail()}"
                self._world.crashed(life, f"killed: {place}")
                self.kills += 1
                del self._doomed[life]
        while len(self._doomed) < self._workers:
            self._begin(self._random.choices(["any moment", "starting", *PLACES], [12, 2, *[2] * len(PLACES)])[0])

    def _begin(self, place: str) -> None:
        count = self._random.randint(1, _COUNTS.get(place, 12))
        life, now = self._world.spawn(dies_at=f"{place}:{count}"), time.monotonic()
        most = {"any moment": LIFE_SECONDS, "starting": START_SECONDS}.get(place)
        seconds = PLACE_SECONDS if most is None else self._random.uniform(0.0, most)
        self._doomed[life] = (place, seconds, now + seconds if place == "starting" else None)

    def spare(self) -> None:
        """Kills no more; those that are still to die at some place have successors without a wish."""
        for life in self._doomed:
            life.kill()
            self._world.crashed(life, "killed: any moment")
            self.kills += 1
            self._world.spawn()
        self._doomed.clear()


def run(
    folder: Path,
    *,
    kills: int,
    plan: Plan,
    random: Random,
    workers: int = WORKERS,
    resolved_within: float = 120.0,
    say: Callable[[str], None],
) -> Verdict:
    """``kills`` kills at least, then all must come to its end."""
    with World(folder, plan, random) as world:
        world.producer.start()
        killer, resharded = Killer(world, random, workers), 0
        while killer.kills < kills - workers:
            killer.step()
            if killer.kills // KILLS_A_RESHARD > resharded:
                resharded += 1
                world.server.reshard(random)
                world.tell(entries.Struck(time.time(), "resharded"))
                say(f"{killer.kills} kills, {world.producer.put} put, {world.waiting()} wait")
            time.sleep(0.02)
        killer.spare()
        verdict = world.finish(resolved_within)
    say(f"{killer.kills} kills with {plan.lanes} lanes: {len(verdict.violations)} violations")
    return verdict


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.kills", description="Kills workers.")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="of the killer; nothing else can be repeated")
    options = parser.parse_args(arguments)
    run_of_all, verdicts = Run("kills"), []
    for lanes, kills in ((1, options.kills - options.kills // 2), (3, options.kills // 2)):
        folder = run_of_all.folder / f"lanes-{lanes}"
        # Poison holds up a whole shard if there is one lane, and the longer the more often its worker dies.
        poison, random = 499 if lanes == 1 else 53, Random(options.seed + lanes)
        plan = Plan(lanes=lanes, shards=4, per_second=15.0, failures=0.05, poison=poison)
        verdicts.append(run(folder, kills=kills, plan=plan, random=random, say=run_of_all.say))
    killed = sum(count for verdict in verdicts for name, count in verdict.seen.items() if name.startswith("killed"))
    return run_of_all.end(verdicts, kills=killed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
