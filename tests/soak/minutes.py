"""Real minutes under load: this file lets one worker run without a fault, but its function's, and watches it.

A thousand records a second, a fifth of the batches fails, some because of the function and some in part; the stream
is split and merged now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from random import Random

from tests.history import entries
from tests.integration.servers import free_ports
from tests.processes.lives import Life
from tests.processes.world import Plan, Verdict, World
from tests.soak.resources import Sample, growth, sample

RESHARD_SECONDS = 100.0
SAMPLE_SECONDS = 10.0
WARM_UP_SECONDS = 600.0
"""In which there are many reshards, and pauses of the worker, for it to see the most that memory must hold.

A busy machine makes that sooner or later: backlogs of all shards, and a batch of each lane, with a thread, at once.
"""
PAUSE_EVERY_SECONDS = 60.0
PAUSE_SECONDS = 3.0
KEPT_SECONDS = 900.0
"""Closed shards leave the stream then, and their rows must leave the store."""


def run(
    folder: Path, *, seconds: float, lanes: int, per_second: float = 1000.0, say: Callable[[str], None]
) -> tuple[Verdict, dict[str, object]]:
    """The verdict, and what was measured after the warm-up, which is a third of the time at most."""
    plan = Plan(
        shards=4,
        lanes=lanes,
        batch=100,
        per_second=per_second,
        failures=0.2,
        seconds=0.004,
        poison=0,
        retention_seconds=KEPT_SECONDS,
    )
    (port,) = free_ports(1)
    world = World(folder, plan, Random(1))
    world.listen = f"127.0.0.1:{port}"
    samples: list[Sample] = []
    with world:
        life = world.spawn(MALLOC_ARENA_MAX="1")  # as the image has it
        world.producer.start()
        life.wait_until_it_says("shard taken")
        started = time.monotonic()
        reshard_every = min(RESHARD_SECONDS, seconds / 3)
        reshard_at, kinds = started + reshard_every, cycle(["split", "merge"])
        warm_up, pause_at = min(WARM_UP_SECONDS, seconds / 3), started
        while (now := time.monotonic()) < started + seconds:
            if now > reshard_at:
                reshard_at += reshard_every
                _reshard(world, next(kinds))
            samples.append(sample(life.process.pid, f"http://{world.listen}/metrics"))
            last = samples[-1]
            if len(samples) % 6 == 1:
                told = f"{last.rss_mib:.1f} MiB, {last.files} files, {last.threads} threads, late {last.late}"
                say(f"{world.producer.put} put, {world.waiting()} wait; {told} of {last.looks}")
            if now > pause_at and now < started + warm_up - PAUSE_SECONDS:
                pause_at += PAUSE_EVERY_SECONDS
                _pause(life)
            time.sleep(min(SAMPLE_SECONDS, seconds / 10))
        verdict = world.finish()
    measured = growth([each for each in samples if each.at > samples[0].at + warm_up])
    verdict.violations += measured.problems()
    if life.process.returncode != 0:
        verdict.violations.append(f"the worker ended with {life.process.returncode}")
    if verdict.put < 0.9 * per_second * seconds:
        verdict.violations.append(f"only {verdict.put} records were put")
    return verdict, asdict(measured)


def _pause(life: Life) -> None:
    """Far shorter than a lease."""
    life.pause()
    time.sleep(PAUSE_SECONDS)
    life.go_on()


def _reshard(world: World, kind: str) -> None:
    shards = [each["ShardId"] for each in world.server.open_shards()]
    if kind == "split":
        world.server.ask("SplitShard", ShardToSplit=world.random.choice(shards))
    else:
        one = world.random.randrange(len(shards) - 1)
        world.server.ask("MergeShards", ShardToMerge=shards[one], AdjacentShardToMerge=shards[one + 1])
    world.tell(entries.Struck(time.time(), kind))
