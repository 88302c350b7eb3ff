"""``python -m tests.soak.days --days 7``: this file runs one simulated worker for days, with a reshard every hour.

At each midnight it counts what is alive: tasks, rows of the store, and objects of the worker's own types. From the
fourth day on, when finished shards are forgotten as fast as new ones come, none of it may grow.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections import Counter
from dataclasses import replace

import anyio

from poller.mapping import BatchPolicy, FailurePolicy
from tests.builders import mapping
from tests.simulation.settings import DAY
from tests.simulation.stream import KINESIS
from tests.simulation.world import World
from tests.virtual import run_virtually

DAY_SECONDS = 24 * 3600.0
SETTLED_DAYS = 3
"""A record lives for one, and the row of a finished shard for two more."""


class Days(World):
    """One worker with two lanes on two shards; some calls fail, and a fifth of the batches."""

    def __init__(self, days: int) -> None:
        super().__init__(1, replace(DAY, faulty_seconds=days * DAY_SECONDS + 60))
        settings = self.settings
        settings.kind = self.stream.kind = KINESIS
        settings.mapping = mapping(
            name="m", lanes=2, batch=BatchPolicy(batch_size=10), failure=FailurePolicy(retries_max=3, bisect=True)
        )
        settings.lanes, settings.batch_sizes, settings.skews, settings.workers = (2,), (10,), (0.0,), 1
        settings.retention_seconds, settings.per_second, settings.poison_rate = DAY_SECONDS, 0.02, 0.0
        settings.chaos_seconds = settings.outage_seconds = settings.restore_seconds = 1e12
        settings.trim_seconds = settings.remake_seconds = 1e12
        self.faults.only({"function failed": 0.2, "unavailable": 0.01, "store unavailable": 0.01, "slow call": 0.001})
        self.checker = type(self.checker)(settings.promises())
        self.telling = None
        self.days = days
        self.midnights: list[Counter[str]] = []

    async def _reshard(self) -> None:
        """Splits and merges in turn, so that there are as many shards at every midnight."""
        for hour in range(self.days * 24):
            await anyio.sleep(3600.0)
            first, *_ = sorted(self.stream.open_shards(), key=lambda shard: shard.low)
            assert self.stream.merge(first) if hour % 2 else self.stream.split(first)

    async def _make_chaos(self) -> None:
        for _ in range(self.days):
            await anyio.sleep(DAY_SECONDS)
            self.unresolved()
            self.history.forget_told()
            self._read = 0
            self.midnights.append(self._alive())
            print(f"day {len(self.midnights)}: {dict(self.midnights[-1].most_common(6))}", flush=True)

    def _alive(self) -> Counter[str]:
        gc.collect()
        modules = [str(type(each).__module__) for each in gc.get_objects()]
        alive = Counter(f"objects of {module}" for module in modules if module.startswith("poller"))
        alive["tasks"] = len(asyncio.all_tasks())
        alive["rows"] = len(self.shared.all())
        return alive


def grown(midnights: list[Counter[str]]) -> list[str]:
    """What there is more of at the last midnight than when everything had settled, by more than one in a hundred."""
    settled, last = midnights[min(SETTLED_DAYS, len(midnights) - 1)], midnights[-1]
    more = {what: count for what, count in last.items() if count > 1.01 * settled[what] + 2}
    return [f"{what}: {settled[what]}, then {count}" for what, count in more.items()]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.days", description="Simulates one worker for days.")
    parser.add_argument("--days", type=int, default=7)
    options = parser.parse_args(arguments)
    started = time.process_time()
    world = Days(options.days)
    run_virtually(world.run, world.each_step)
    more = grown(world.midnights)
    print(*world.checker.violations[:10], *more, sep="\n")
    first, last = world.midnights[min(SETTLED_DAYS, len(world.midnights) - 1)], world.midnights[-1]
    figures = {
        "what": "days",
        "days": options.days,
        "reshards": options.days * 24,
        "violations": len(world.checker.violations),
        "rows": last["rows"],
        "tasks": last["tasks"],
        "objects_when_settled": sum(count for what, count in first.items() if what.startswith("objects")),
        "objects_at_the_end": sum(count for what, count in last.items() if what.startswith("objects")),
        "seconds": round(time.process_time() - started),
    }
    print(json.dumps(figures))
    return 1 if world.checker.violations or more else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
