"""The event that is sent, counted and given to a handler: three ways to the same one."""

from __future__ import annotations

import json

import pytest

from poller.invocation import Invocation
from poller.model import ShardId, Window
from poller.rules.envelope import TAIL, event, payload, payload_bytes, window_tail
from tests.builders import STREAM, records

WINDOW = Window(1_700_000_000, 1_700_000_060, b'{"said":"\\ud800"}', opened=True)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("tail", [TAIL, window_tail(ShardId("shard-0"), STREAM, WINDOW, final=True)])
def test_all_say_the_same(count, tail):
    """R-BATCH-7 limits the payload by its length, R-WIN-4 is the window's part; half a character is in its state."""
    invocation = Invocation("id", records(*range(count)), tail)
    sent = payload(invocation)
    assert payload_bytes(invocation) == len(sent)
    assert event(invocation) == json.loads(sent)
    assert list(event(invocation)) == list(json.loads(sent)), "in another order"
    assert len(event(invocation)["Records"]) == count
