"""A batch keeps its request id while it is the same batch, as the function on the other side sees it (R-INV-5).

The engine's own tests show the same with a fake; here the id goes all the way.
"""

from __future__ import annotations

import json
from contextlib import aclosing

import anyio
from aiohttp import web

from poller.mapping import FailurePolicy
from poller.stores.memory import MemoryStore
from poller.targets.http import HttpTarget
from poller.targets.python import PythonTarget
from tests.builders import mapping, records
from tests.engine.running import new_worker, run
from tests.fakes import Heard, ScriptedSource
from tests.http_endpoint import endpoint
from tests.virtual import VirtualClock

REPORTING = FailurePolicy(report_item_failures=True)


class Function:
    """Refuses, then fails, then names record 2 of three, then is content; keeps what it is asked."""

    def __init__(self):
        self.asked = []
        self.content = anyio.Event()

    def ask(self, request_id, event):
        batch = [int(each["kinesis"]["sequenceNumber"]) for each in event["Records"]]
        self.asked.append((request_id, batch))
        if len(self.asked) == 4:
            self.content.set()
        failures = [{"itemIdentifier": "2"}] if len(self.asked) == 3 else []
        return {"batchItemFailures": failures}

    def check(self):
        """The first three attempts are of one batch, the last is of what was left of it."""
        ids, batches = zip(*self.asked, strict=True)
        assert batches == ([1, 2, 3], [1, 2, 3], [1, 2, 3], [2, 3])
        assert ids[0] == ids[1] == ids[2] != ids[3]


def source():
    made = ScriptedSource()
    made.add(records(1, 2, 3))
    return made


def test_a_handler_sees_one_id_for_all_attempts_of_a_batch():
    function = Function()

    async def handler(event, context):
        answer = function.ask(context.aws_request_id, event)
        if len(function.asked) < 3:
            raise ValueError("not yet")
        return answer

    run(source(), PythonTarget(handler, function_name="f", function_arn="a", timeout_seconds=5.0), failure=REPORTING)
    function.check()


async def test_an_endpoint_sees_one_id_for_all_attempts_of_a_batch_refusals_included():
    function = Function()

    async def answer(request):
        said = function.ask(request.headers["X-Amzn-RequestId"], json.loads(await request.read()))
        return web.json_response(said, status={1: 503, 2: 500}.get(len(function.asked), 200))

    stop = anyio.Event()
    async with endpoint(answer) as url, aclosing(HttpTarget(url, timeout_seconds=5.0)) as target:
        store, made = MemoryStore(VirtualClock()), mapping(failure=REPORTING)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(new_worker(source(), target, store, Heard(), mapping=made).run, stop)
                await function.content.wait()
                stop.set()
    function.check()
