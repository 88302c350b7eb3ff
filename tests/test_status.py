"""`poller shards` puts together what store and stream know."""

from __future__ import annotations

import pytest

from poller.clock import SystemClock
from poller.config import load
from poller.errors import SourceGone, Unavailable
from poller.model import SHARD_END, Checkpoint, Position, Shard, ShardId, Window, WorkerId
from poller.records import Page
from poller.status import _cells, main_shards, statuses
from poller.stores.memory import MemoryStore
from tests.builders import mapping, record
from tests.fakes import ScriptedSource
from tests.virtual import EPOCH, VirtualClock, run_virtually


def test_each_shard_has_parents_state_position_lag_outcome_and_owner():
    old, left, right, new = (Shard(ShardId(name), parents) for name, parents in FAMILY.items())
    source = ScriptedSource(old, left, right, new)
    source.add([record(8, arrived_at=EPOCH - 30)], shard="left")

    async def main():
        clock = VirtualClock()
        store = MemoryStore(clock)
        made = mapping()
        await store.create(
            made.id,
            [
                (old, Checkpoint(SHARD_END)),
                (left, Checkpoint(Position("AFTER:7"), EPOCH - 40, "boom", LANES, window=WINDOW)),
                (right, Checkpoint(Position("TRIM_HORIZON"))),
                (Shard(ShardId("child"), (left.id, right.id)), Checkpoint(Position("TRIM_HORIZON"))),
            ],
        )
        row = next(row for row in await store.rows(made.id) if row.shard == "left")
        await store.take(row.lease, WorkerId("w/1"))
        return await statuses(made, store, source, clock)

    shards, problem = run_virtually(main)
    found = {each.shard: each for each in shards}
    assert problem == ""
    assert {name: each.state for name, each in found.items()} == {
        "old": "finished",
        "left": "read",
        "right": "free",
        "child": "waits for parents",
        "new": "unknown",
    }
    assert list(found).index("child") > list(found).index("left")
    left = found["left"]
    assert (left.parents, left.position, left.last_outcome, left.owner) == (("old",), "AFTER:7", "boom", "w/1")
    assert (left.lanes, left.window_end) == (("AFTER:9", "AFTER:7"), "2023-11-14T22:13:30Z")
    assert "AFTER:7 (1 of 2 lanes further)" in _cells(left)
    assert (found["right"].lanes, found["right"].window_end) == ((), None)
    assert 30 <= left.lag_seconds < 32
    assert found["new"].lag_seconds is None
    assert source.reads == [], "looking reads beside the worker, whose subscription it would else take over"
    assert {shard for shard, _ in source.rereads} == {"left", "right", "child"}


LANES = (Position("AFTER:9"), Position("AFTER:7"))
WINDOW = Window(1_700_000_000 - 20, 1_700_000_000 + 10, opened=True)
FAMILY = {
    "old": (),
    "left": (ShardId("old"),),
    "right": (ShardId("old"),),
    "new": (),
}


def looked(source, *rows):
    """What is told of a mapping with these rows in its store."""

    async def main():
        clock = VirtualClock()
        store = MemoryStore(clock)
        await store.create(mapping().id, rows)
        return await statuses(mapping(), store, source, clock)

    return run_virtually(main)


@pytest.mark.parametrize("trouble", [Unavailable("away"), SourceGone("denied")])
def test_while_a_stream_is_away_the_store_is_told_and_no_lag(trouble):
    """That is when somebody looks."""
    source = ScriptedSource()
    source.trouble = trouble
    done = Shard(ShardId("done"))
    shards, problem = looked(
        source,
        (Shard(ShardId("shard-0")), Checkpoint(Position("AFTER:7"), None, "boom")),
        (done, Checkpoint(SHARD_END)),
    )
    assert problem == str(trouble)
    assert [(each.shard, each.position, each.last_outcome, each.lag_seconds) for each in shards] == [
        ("done", "SHARD_END", "", 0.0),
        ("shard-0", "AFTER:7", "boom", None),
    ]
    assert source.rereads == []


@pytest.mark.parametrize(
    ("pages", "lag"),
    [
        ([Page((), None)] * 9, None),
        ([Page((), None)] * 2 + [Page((record(8, arrived_at=EPOCH - 30),), None)], 30),
        ([Page((), None, ended=True)], 0),
        ([Page((), 7.0)], 7),
    ],
)
def test_a_lag_that_the_service_does_not_tell_is_only_told_when_it_is_seen(pages, lag):
    """An empty answer of DynamoDB proves nothing."""
    source = ScriptedSource()
    source.pages["shard-0"] += pages
    (shard,), problem = looked(source, (Shard(ShardId("shard-0")), Checkpoint(Position("AFTER:7"))))
    assert (shard.lag_seconds, problem, shard.problem) == (lag if lag is None else pytest.approx(lag, abs=2), "", "")


@pytest.mark.parametrize(
    ("arn", "most"),
    [
        ("arn:aws:kinesis:us-east-1:123456789012:stream/orders", 1),
        ("arn:aws:dynamodb:us-east-1:123456789012:table/items/stream/2026-01-01T00:00:00.000", None),
    ],
)
def test_a_look_asks_for_one_record_of_the_share_that_the_worker_needs(tmp_path, monkeypatch, arn, most):
    """Of DynamoDB for all: the first may be those that `LATEST` leaves out."""
    rooms = []

    def opened(*_, room):
        rooms.append(room)
        return ScriptedSource()

    monkeypatch.setattr("poller.status.open_source", opened)
    file = tmp_path / "poller.toml"
    file.write_text(f"""
[store]
url = "sqlite:///{tmp_path}/none.db"

[[event_source_mappings]]
event_source_arn = "{arn}"
function_name = "orders"
starting_position = "LATEST"
""")
    assert main_shards(load(file, now=SystemClock().now(), environ={}), as_json=True) == 0
    with rooms[0]() as limit:
        assert limit == most
