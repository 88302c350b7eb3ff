"""``python -m tests.processes.pauses --pauses 40``: this file stops workers as a frozen machine does.

One that is paused for longer than its lease wakes up as a zombie: others own its shards, and it must change nothing.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.history import entries
from tests.processes import audit
from tests.processes.lives import Life
from tests.processes.report import Run
from tests.processes.world import Plan, Verdict, World

SECONDS = (1.0, 40.0)
PAUSED_AT_ONCE = 2
SLEEPY = ("handled", "before the commit", "during the commit", "after the commit")
"""Where one may fall asleep; in the middle of a commit nobody else can write either."""


def run(folder: Path, *, pauses: Sequence[float], plan: Plan, random: Random, say: Callable[[str], None]) -> Verdict:
    """Pauses of so many seconds, two at a time, among three workers; each of them also falls asleep at some place."""
    with World(folder, plan, random) as world:
        lives = [world.spawn(sleeps_at=f"{random.choice(SLEEPY)}:{random.randint(20, 60)}") for _ in range(3)]
        world.producer.start()
        for life in lives:
            life.wait_until_it_says("worker started")
        world.wait_until(lambda: bool(_owners(world, lives)), "shards are owned")
        left, paused = list(pauses), dict[Life, float]()
        while left or paused:
            for life, until in list(paused.items()):
                if time.monotonic() > until:
                    life.go_on()
                    del paused[life]
            for life in lives:
                if life.asleep and life not in paused:
                    # The last: the first is for one that has shards, and does not sleep with the store's lock in hand.
                    paused[life] = time.monotonic() + (left.pop() if left else 1.0)
                    world.tell(entries.Struck(time.time(), "fell asleep at a place", life.name))
            if left and len(paused) < PAUSED_AT_ONCE:
                time.sleep(random.random())
                awake = [each for each in lives if each not in paused and not each.asleep]
                if not (owners := _owners(world, awake)):
                    continue  # all that own shards sleep: nobody who is left would wake up as a zombie
                life = random.choice(owners)
                life.pause()
                seconds = left.pop(0)
                paused[life] = time.monotonic() + seconds
                world.tell(entries.Struck(time.time(), "paused", life.name))
                say(f"{life.name} sleeps for {seconds:.1f} s, {world.waiting()} records wait")
            time.sleep(0.05)
        verdict = _finished(world, lives)
        verdict.seen["lease lost"] = sum(life.said('"lease lost"') for life in lives)
        return verdict


def _finished(world: World, lives: Sequence[Life]) -> Verdict:
    """The end, with nobody asleep: who has not got to his place yet, may get there while all is worked off."""
    over = threading.Event()

    def wake() -> None:
        while not over.wait(0.2):
            for life in lives:
                if life.asleep:
                    life.go_on()

    waking = threading.Thread(target=wake, daemon=True)
    waking.start()
    try:
        return world.finish()
    finally:
        over.set()
        waking.join()


def _owners(world: World, lives: Sequence[Life]) -> list[Life]:
    owned = audit.owners(world.folder / world.store)
    return [life for life in lives if life.name in owned]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.pauses", description="Pauses workers.")
    parser.add_argument("--pauses", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    run_of_all, verdicts = Run("pauses"), []
    for lanes, count in ((1, options.pauses - options.pauses // 2), (3, options.pauses // 2)):
        random = Random(options.seed + lanes)
        pauses = [random.uniform(*SECONDS) for _ in range(count)]
        plan, folder = Plan(lanes=lanes, shards=4), run_of_all.folder / f"lanes-{lanes}"
        verdicts.append(run(folder, pauses=pauses, plan=plan, random=random, say=run_of_all.say))
    return run_of_all.end(verdicts, pauses=options.pauses)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
