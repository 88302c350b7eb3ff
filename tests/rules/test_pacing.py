"""How much is read at a time."""

from __future__ import annotations

import pytest

from poller.rules.pacing import DYNAMODB, KINESIS, few_records


@pytest.mark.parametrize(("batch_size", "lanes", "few"), [(1, 1, 500), (100, 10, 1000), (10_000, 1, 10_000)])
def test_while_memory_is_short_a_batch_for_each_lane_is_read_and_enough_to_keep_up(batch_size, lanes, few):
    """R-KIN-2: a shard is given a thousand records a second at most."""
    assert few_records(batch_size, lanes) == few
    assert few / max(KINESIS.busy_seconds, DYNAMODB.busy_seconds) > 1000
