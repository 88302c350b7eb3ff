"""Small worlds are explored whole, and what breaks without a rule is found.

``python -m tests.explorer --traces`` prints the counter-examples in full.
"""

from __future__ import annotations

import pytest

from poller.rules.leasing import LeaseTimes
from tests.explorer.search import explore
from tests.explorer.worlds import COUNTER_EXAMPLES, SMALL, lease_world

STATES_MIN = {
    "one shard, any number of faults": 15_000,
    "a lease in ticks, one fault": 20_000,
    "a parent and a child, one fault": 100_000,
    "a split, no fault": 200_000,
    "a merge, no fault": 90_000,
    "two lanes, one fault": 180_000,
    "one worker has a lane, the other two": 8_000,
    "retries, partial failures and ages": 3_000,
}
LAST_STEPS = {
    "without the fence": [
        "B takes shard",
        "B begins with shard at TRIM_HORIZON",
        "A saves AFTER:2 of shard",
        "B reads shard/1,2",
        "B invokes the function with shard/1,2",
        "B hears that shard/1,2 failed",
        "B invokes the function with shard/1",
        "B hears that shard/1 is handled",
        "B saves AFTER:1 of shard",
    ],
    "without the gate of the parents": [
        "the stream is listed, with the shards that are new",
        "A sees that left is free",
        "A takes left",
        "A begins with left at TRIM_HORIZON",
        "A reads left/1,2",
        "A invokes the function with left/1,2",
    ],
    "with what is read taken for done": [
        "A hears that shard/1,2 failed",
        "A invokes the function with shard/1",
        "A hears that shard/1 is handled",
        "A saves AFTER:2 of shard",
    ],
    "with every answer taken for success": [
        "A hears that shard/1,2 failed",
        "A saves AFTER:2 of shard",
    ],
    "with the row as it was before the take": [
        "B sees that shard is free",
        "A saves AFTER:2 of shard",
        "B takes shard",
        "B reads shard/1,2",
        "B invokes the function with shard/1,2",
        "B hears that shard/1,2 failed",
        "B invokes the function with shard/1",
        "B hears that shard/1 is handled",
        "B saves AFTER:1 of shard",
    ],
    "with a take that compares nothing": [
        "B takes shard",
        "B begins with shard at TRIM_HORIZON",
        "B reads shard/1,2",
        "B invokes the function with shard/1,2",
    ],
    "without a margin": [
        "A invokes the function with shard/1",
        "B looks at the lease of shard",
        "time passes over shard",
        "time passes over shard",
        "time passes over shard",
        "B sees that shard is free",
        "B takes shard",
        "B begins with shard at TRIM_HORIZON",
        "B reads shard/1",
        "B invokes the function with shard/1",
    ],
    "with trust from the answer on": [
        "B looks at the lease of shard",
        "time passes over shard",
        "A hears that its lease of shard is renewed",
        "time passes over shard",
        "time passes over shard",
        "B sees that shard is free",
        "B takes shard",
        "B begins with shard at TRIM_HORIZON",
        "B reads shard/1",
        "B invokes the function with shard/1",
    ],
    "with saves that overtake each other": [
        "A saves AFTER:1 of shard again, while the first try is on its way",
        "A saves AFTER:1 of shard",
        "A invokes the function with shard/2",
        "A hears that shard/2 is handled",
        "A saves AFTER:2 of shard",
        "the late save of AFTER:1 of shard by A lands",
    ],
    "with children that nobody reads": [],
}
HAPPENS = [
    "A takes shard, but the answer is lost",
    "A comes too late to take shard",
    "A sees that shard is finished",
    "A trusts its lease of shard no longer",
    "A stops reading shard",
    "A leaves shard, and the store never hears of it",
    "A hears that shard/1 is handled",
    "A hears that shard/1,2 failed",
    "A hears that shard/1,2 failed (but it is handled)",
    "A hears that shard/1,2 failed from 2 on",
    "A finds shard/1,2 too old",
    "A renews its lease of shard",
    "A hears that another one has shard",
    "A saves AFTER:1 of shard, but the answer is lost",
    "A may not save AFTER:1 of shard",
    "the late save of AFTER:1 of shard by A is refused",
    "the late save of AFTER:1 of shard by gone lands",
    "time passes over shard while A stands still",
]


SEEN: set[str] = set()


@pytest.mark.parametrize("world", SMALL, ids=lambda world: world.name)
def test_no_order_of_events_breaks_a_promise(world):
    found = explore(world)
    SEEN.update(found.seen)
    assert not found.broken, "\n".join([*found.trace, found.broken])
    assert found.exhausted
    assert found.states >= STATES_MIN[world.name]


def test_trouble_of_each_kind_was_there():
    """A world in which nothing goes wrong proves nothing."""
    if not SEEN:
        pytest.skip("runs after the worlds")
    assert [text for text in HAPPENS if text not in SEEN] == []


@pytest.mark.parametrize("example", COUNTER_EXAMPLES, ids=lambda example: example.world.name)
def test_a_rule_that_is_missing_breaks_a_promise(example):
    found = explore(example.world, heeds=lambda promise: promise.startswith(example.promise))
    assert found.broken, "the explorer does not see what this rule is for"
    last = LAST_STEPS[example.world.name]
    assert found.trace[len(found.trace) - len(last) :] == last, "\n".join(found.trace)


@pytest.mark.parametrize(
    "changes",
    [{"times": LeaseTimes(ttl=3, margin=0)}, {"trusts_from_answer": True}],
    ids=["no margin", "from the answer"],
)
def test_what_is_done_twice_at_one_time_is_still_not_lost(changes):
    """The margin keeps two workers apart; that nothing is lost and nothing goes back does not hang on it."""
    world = lease_world("two at one time", faults_max=0, **changes)
    found = explore(world, heeds=lambda promise: not promise.startswith("exclusion"))
    assert found.exhausted
    assert not found.broken, "\n".join([*found.trace, found.broken])
