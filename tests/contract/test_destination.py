"""What every destination promises, shown on each of them: this file is the contract of `poller.ports.Destination`.

SQS, SNS and S3 are a real server's, over real sockets; so is the HTTP endpoint, and the file is on a real disk.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import aclosing
from dataclasses import replace

import anyio
import pytest

from poller.arns import DestinationKind
from poller.aws import Aws
from poller.errors import SourceGone, Unavailable
from poller.mapping import PAYLOAD_BYTES_MAX
from poller.opening import open_destination
from poller.rules.failure_document import failure_document
from tests.builders import failure_report, mapping
from tests.contract.places import place as open_place

WITH_PAYLOAD = {DestinationKind.S3, DestinationKind.FILE, DestinationKind.HTTP}


@pytest.fixture(params=list(DestinationKind))
async def place(request, aws_words, tmp_path):
    """moto is started only for what needs it."""
    local = request.param in (DestinationKind.FILE, DestinationKind.HTTP)
    moto = "http://127.0.0.1:1" if local else request.getfixturevalue("moto_endpoint")
    async with open_place(request.param, moto, tmp_path) as opened, aclosing(opened.destination):
        assert opened.destination.kind is request.param
        yield opened


def report(number=0):
    payload = json.dumps({"Records": [{"größe": f'"{number}"\n'}]}, ensure_ascii=False).encode()
    return failure_report(id=str(uuid.UUID(int=number)), request_id=f"request-{number}", payload=payload)


def test_a_mapping_may_have_no_destination():
    assert open_destination(mapping(), Aws()) is None


async def test_an_accepted_report_arrives_whole(place):
    """R-DEST-1, R-DEST-4; R-DEST-5: the payload goes where there is room for it."""
    await place.destination.send(report())
    expected = failure_document(report(), with_payload=place.destination.kind in WITH_PAYLOAD)
    assert await place.arrived() == [expected]


async def test_the_largest_event_arrives_whole(place):
    """R-DEST-5, R-DEST-10: it does not matter to a message without it."""
    largest = replace(report(), payload=b'{"Records":["' + b'"' * (PAYLOAD_BYTES_MAX - 15) + b'"]}')
    await place.destination.send(largest)
    expected = failure_document(largest, with_payload=place.destination.kind in WITH_PAYLOAD)
    assert await place.arrived() == [expected]


async def test_each_of_many_reports_at_a_time_arrives_whole_and_once(place):
    async with anyio.create_task_group() as tasks:
        for number in range(25):
            tasks.start_soon(place.destination.send, report(number))
    with_payload = place.destination.kind in WITH_PAYLOAD
    expected = [failure_document(report(number), with_payload=with_payload) for number in range(25)]
    assert sorted(await place.arrived()) == sorted(expected)


async def test_a_destination_that_is_not_there_refuses(place):
    """R-DEST-9: which shows at delivery."""
    with pytest.raises(Unavailable if place.destination.kind is DestinationKind.HTTP else SourceGone):
        await place.missing.send(report())


async def test_a_destination_that_cannot_be_reached_or_is_full_is_unavailable(place):
    with pytest.raises(Unavailable):
        await place.broken.send(report())


async def test_cancellation_ends_a_report_that_nobody_takes(place):
    began = time.monotonic()
    with anyio.move_on_after(0.3) as scope:
        await place.hanging.send(report())
    assert scope.cancelled_caught
    assert time.monotonic() - began < 5.0
