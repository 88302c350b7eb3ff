"""``python -m tests.processes.toxics --seconds 8``: this file puts each fault of a line between worker and servers.

Kinesis is the stream's server of these tests, the destination for failures a queue of moto's. Each fault lasts some
seconds; then everything must arrive, in order, and by the same worker.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from random import Random

import botocore.session

from tests.history import entries
from tests.integration.servers import moto_server
from tests.processes.proxy import CLEAR, FaultyLine, Toxic
from tests.processes.report import Run
from tests.processes.world import Plan, Verdict, World

TOXICS = (
    Toxic("latency", seconds=0.3),
    Toxic("jitter", seconds=0.6),
    Toxic("reset_peer", seconds=0.05),
    Toxic("timeout"),
    Toxic("slicer", amount=1),
    Toxic("bandwidth", amount=3000),
    Toxic("limit_data", amount=700),
    Toxic("refuse"),
    Toxic("half_open"),
)


class Queue:
    """A queue for failures, at an AWS of its own."""

    def __init__(self, endpoint: str) -> None:
        session = botocore.session.get_session()
        session.set_credentials("test", "test")
        self._sqs = session.create_client("sqs", endpoint_url=endpoint, region_name="us-east-1")
        self._url = self._sqs.create_queue(QueueName="failures")["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        self.arn: str = asked["Attributes"]["QueueArn"]

    def accepted(self) -> list[entries.Entry]:
        """What the queue holds, each as of the moment at which it was written."""
        found: list[entries.Entry] = []
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                document = json.loads(message["Body"])
                batch = document["KinesisBatchInfo"]
                at = datetime.fromisoformat(document["timestamp"]).timestamp()
                first, last = int(batch["startSequenceNumber"]), int(batch["endSequenceNumber"])
                found.append(entries.Accepted(at, batch["shardId"], first, last))
        return found


def run(
    folder: Path, *, toxics: Sequence[Toxic], seconds: float, plan: Plan, random: Random, say: Callable[[str], None]
) -> Verdict:
    """Each of ``toxics`` for ``seconds``, at both lines of one worker."""
    with ExitStack() as opened:
        world = World(folder, plan, random)
        line = opened.enter_context(FaultyLine(world.server.port))
        moto = opened.enter_context(moto_server())
        queue_line = opened.enter_context(FaultyLine(int(moto.rpartition(":")[2])))
        queue = Queue(moto)
        world.endpoint, world.failures = line.url, queue.arn
        world.endpoints = f'endpoint_urls = {{ sqs = "{queue_line.url}" }}'
        opened.enter_context(world)
        life = world.spawn()
        world.producer.start()
        life.wait_until_it_says("shard taken")
        for toxic in toxics:
            before = line.connections
            for each in (line, queue_line):
                each.set(toxic)
            world.tell(entries.Struck(time.time(), toxic.kind))
            time.sleep(seconds)
            for each in (line, queue_line):
                each.set(CLEAR)
            waiting = world.waiting()
            world.wait_until(
                lambda most=plan.per_second * 3: world.waiting() <= most, f"caught up after {toxic.kind}", 90.0
            )
            say(f"{toxic.kind}: {waiting} waited after it, {line.connections - before} connections")
        verdict = _finished(world, queue)
        if life.process.returncode != 0:
            verdict.violations.append(f"the worker ended with {life.process.returncode}")
        return verdict


def _finished(world: World, queue: Queue) -> Verdict:
    """The queue is read when nothing is sent to it any more."""
    world.producer.end()
    problems = [] if world.resolved() else [f"I9 {world.waiting()} records wait"]
    problems += world.stop(world.alive())
    world.more += queue.accepted()
    return world.judge(problems)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processes.toxics", description="Makes lines faulty.")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each fault lasts")
    options = parser.parse_args(arguments)
    run_of_all = Run("toxics")
    plan = Plan(lanes=2, per_second=60.0, poison=31)
    verdict = run(
        run_of_all.folder, toxics=TOXICS, seconds=options.seconds, plan=plan, random=Random(1), say=run_of_all.say
    )
    return run_of_all.end([verdict], toxics=len(TOXICS))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
