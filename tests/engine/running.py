"""One worker in virtual time, from start to drain: this file is how engine tests and recorded sequences run it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import anyio

from poller.engine.keeping import StatusKeeper
from poller.engine.memory import Budget
from poller.engine.supervisor import Supervisor
from poller.engine.worker import Worker
from poller.events import RecordsDiscarded
from poller.invocation import FunctionFailed, Succeeded
from poller.mapping import BatchPolicy, FailurePolicy
from poller.model import Row, WorkerId
from poller.observers import fan_out
from poller.rules.leasing import LeaseTimes
from poller.stores.memory import MemoryStore
from tests.builders import mapping as a_mapping
from tests.builders import record
from tests.fakes import Heard, ScriptedSource, ScriptedTarget
from tests.virtual import EPOCH, VirtualClock, run_virtually

FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:handler"


@dataclass
class Run:
    """What a run left behind."""

    heard: Heard
    target: ScriptedTarget
    source: ScriptedSource
    rows: dict[str, Row]

    @property
    def batches(self):
        return self.target.batches

    def discards(self):
        """Per discard: its condition, invoke count, first and last sequence number, and how many records."""
        return [
            (str(e.condition), e.attempts, int(e.first), int(e.last), e.records)
            for e in self.heard.of(RecordsDiscarded)
        ]

    def position(self, shard="shard-0"):
        return str(self.rows[shard].checkpoint.position)


def new_worker(
    source,
    target,
    store,
    heard,
    *,
    mapping=None,
    destination=None,
    owner="w/1",
    drain_seconds=25.0,
    seed=1,
    memory=None,
):
    """A worker of one mapping, with the lease times of production."""
    made, clock = mapping or a_mapping(), VirtualClock()
    status = StatusKeeper(made, store, heard, clock)
    supervisor = Supervisor(
        mapping=made,
        source=source,
        target=target,
        destination=destination,
        function_arn=FUNCTION_ARN,
        store=store,
        owner=WorkerId(owner),
        status=status,
        observer=fan_out(status.hear, heard),
        clock=clock,
        random=Random(seed),
        times=LeaseTimes(),
        memory=memory or Budget(),
    )
    return Worker(owner=WorkerId(owner), supervisors=[supervisor], observer=heard, drain_seconds=drain_seconds)


def run(
    source,
    target=None,
    *,
    seconds=60.0,
    store=None,
    batch=None,
    failure=None,
    destination=None,
    observers=(),
    memory=None,
    **mapping,
):
    """Runs a worker on ``source`` for so many virtual seconds, then drains it; ``observers`` hear all of it."""
    target, heard = target or ScriptedTarget(), Heard()
    made = a_mapping(batch=batch, failure=failure, **mapping)

    async def main():
        kept = store or MemoryStore(VirtualClock())
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            observer = fan_out(heard, *observers)
            worker = new_worker(source, target, kept, observer, mapping=made, destination=destination, memory=memory)
            tasks.start_soon(worker.run, stop)
            await anyio.sleep(seconds)
            stop.set()
        return {row.shard: row for row in await kept.rows(made.id)}

    return Run(heard, target, source, run_virtually(main))


def deliver(
    *numbers,
    answer=None,
    ages=None,
    sizes=None,
    seconds=60.0,
    batch_size=100,
    window=0.0,
    destination=None,
    **failure,
):
    """Puts records into one shard, all in one page, and runs a worker; ``ages``: of single records, in seconds."""
    source = ScriptedSource()
    source.add(
        [
            record(number, arrived_at=EPOCH - (ages or {}).get(number, 0), size=(sizes or {}).get(number, 0))
            for number in numbers
        ]
    )
    policy = FailurePolicy(**failure)
    batch = BatchPolicy(batch_size=batch_size, window_seconds=window)
    return run(source, ScriptedTarget(answer), seconds=seconds, batch=batch, failure=policy, destination=destination)


def poison(*bad):
    """An answer that fails the whole batch if one of ``bad`` is in it."""
    return lambda numbers: FunctionFailed("boom") if set(bad) & set(numbers) else Succeeded()


def names(*bad):
    """An answer that names those of ``bad`` that are in the batch."""

    def answer(numbers):
        items = ",".join(f'{{"itemIdentifier":"{number}"}}' for number in numbers if number in bad)
        return Succeeded(f'{{"batchItemFailures":[{items}]}}'.encode())

    return answer
