"""What holds records goes as soon as they are done, whatever became of them: none of it is left in a circle."""

from __future__ import annotations

import pytest

from poller.errors import Unavailable
from poller.events import RecordsSettled, WorkerDraining
from poller.invocation import Chunk, FunctionFailed, Invocation, NotInvoked, Succeeded
from poller.mapping import BatchPolicy, FailurePolicy
from poller.records import Page, Record
from tests.builders import record
from tests.circles import circles
from tests.engine.running import run
from tests.fakes import ListDestination, ScriptedSource, ScriptedTarget

HOLDING = (Chunk, Invocation, Page, Record)


def by_turns(*outcomes):
    """An answer for a `ScriptedTarget`, one outcome after the other; the last one for ever."""
    left = list(outcomes)
    return lambda batch: left.pop(0) if len(left) > 1 else left[0]


class Refusing(ListDestination):
    async def send(self, report):
        raise Unavailable("away")


@pytest.mark.parametrize(
    "answer",
    [
        lambda batch: Succeeded(),
        by_turns(FunctionFailed("boom"), FunctionFailed("boom"), Succeeded()),
        by_turns(NotInvoked("away"), Succeeded()),
        by_turns(Succeeded(b'{"batchItemFailures":[{"itemIdentifier":"3"}]}'), Succeeded()),
        lambda batch: FunctionFailed("boom"),
    ],
    ids=["well", "failing", "refused", "in part", "given up"],
)
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("destination", [ListDestination, Refusing, None])
def test_no_circle_holds_records(answer, lanes, destination):
    source = ScriptedSource()
    for first in range(1, 60, 6):
        source.add([record(number, key=f"k-{number}") for number in range(first, first + 6)])
    held = []

    def at_the_end(event):
        if isinstance(event, WorkerDraining):
            held.extend(each for each in look() if isinstance(each, HOLDING))

    with circles() as look:
        seen = run(
            source,
            ScriptedTarget(answer),
            seconds=120,
            batch=BatchPolicy(batch_size=4),
            failure=FailurePolicy(retries_max=3, report_item_failures=True, bisect=lanes > 1),
            destination=destination() if destination else None,
            lanes=lanes,
            filter_patterns=('{"partitionKey":[{"anything-but":"k-5"}]}',),
            observers=(at_the_end,),
        )
    assert sum(event.records for event in seen.heard.of(RecordsSettled)) == 59
    assert held == []
    assert seen.heard.of(WorkerDraining), "then it was looked"
