"""Lanes and how far they are: what is saved never says more than what is done, and a key has one lane for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from poller.model import TRIM_HORIZON, Checkpoint, Position
from poller.rules.ordering import Progress, by_lane, lane_of
from tests.builders import numbers, record


def test_a_key_has_the_same_lane_in_every_version_and_process():
    """R-PAR-3: positions in stores depend on it."""
    lanes = [lane_of(key, 10) for key in ("", "a", "customer-1", "größe", '{"id":{"S":"1"}}', "\ud800")]
    assert lanes == [0, 7, 9, 3, 1, 0]
    assert all(lane_of(key, 1) == 0 for key in ("", "a"))


@given(st.lists(st.integers(0, 30)), st.integers(1, 10))
def test_shares_hold_every_record_once_in_order_and_no_key_twice(keys, lanes):
    """R-PAR-2, R-PAR-3."""
    records = [record(number, key=f"k-{key}") for number, key in enumerate(keys)]
    shares = by_lane(records, lanes)
    assert len(shares) == lanes
    assert sorted(number for share in shares for number in numbers(share)) == list(range(len(keys)))
    assert all(numbers(share) == sorted(numbers(share)) for share in shares)
    owners = [{each.ordering_key for each in share} for share in shares]
    assert sum(len(each) for each in owners) == len(set().union(*owners))


def at(number):
    return Position(f"AFTER:{number}")


def test_what_passed_a_full_lane_by_counts_for_the_age():
    """R-MET-3: an age that only knew what was taken would fall while the lane is behind."""
    progress = Progress(Checkpoint(TRIM_HORIZON), 1)
    (lane,) = progress.lanes
    first, second, third = (record(number, arrived_at=100.0 + number) for number in (1, 2, 3))
    lane.take([first], at(1))
    lane.pass_by([second, third], at(3))
    lane.pass_by([], at(9))
    assert progress.oldest_at == 101.0
    lane.settle([first])
    assert progress.oldest_at == 102.0
    lane.take([second], at(2))
    lane.settle([second])
    assert progress.oldest_at == 102.0, "the next one is no older"
    lane.take([third], at(3))
    lane.settle([third])
    assert progress.oldest_at is None


def test_a_lane_without_work_is_as_far_as_it_was_read():
    """R-PAR-5."""
    progress = Progress(Checkpoint(TRIM_HORIZON), 2)
    one, two = record(1), record(2)
    progress.lanes[0].take([one], at(5))
    progress.lanes[1].take([two], at(5))
    progress.settle(1, [two])
    assert progress.position == TRIM_HORIZON
    assert progress.checkpoint("").lanes == (TRIM_HORIZON, at(5))
    progress.settle(0, [one])
    assert progress.checkpoint("x") == Checkpoint(at(5), one.arrived_at, "x")


def test_a_lane_with_work_is_as_far_as_what_was_settled_last():
    progress = Progress(Checkpoint(TRIM_HORIZON), 1)
    first, second = record(3), record(4)
    progress.lanes[0].take([first, second], at(9))
    progress.settle(0, [first])
    assert progress.position == at(3)
    assert progress.oldest_at == second.arrived_at
    progress.settle(0, [second])
    assert (progress.position, progress.oldest_at) == (at(9), None)


def test_a_record_taken_by_an_idle_lane_starts_where_the_lane_was_read_to():
    """Nothing before it may count as undone, or the whole shard would seem to stand still."""
    progress = Progress(Checkpoint(TRIM_HORIZON), 2)
    for lane in progress.lanes:
        lane.take([], at(7))
    progress.lanes[0].take([record(8)], at(8))
    assert progress.position == at(7)


def test_the_same_number_of_lanes_goes_on_and_another_one_remembers():
    """R-STATE-14."""
    saved = Checkpoint(at(1), lanes=(at(1), at(9), at(4)))
    assert [lane.taken_to for lane in Progress(saved, 3).lanes] == [at(1), at(9), at(4)]
    fewer = Progress(saved, 2)
    assert [lane.taken_to for lane in fewer.lanes] == [at(1), at(1)]
    for key in ("a", "b", "c", "d", "e", "f"):
        done_to = (1, 9, 4)[lane_of(key, 3)]
        left = fewer.without_done([record(number, key=key) for number in (2, 5, 10)])
        assert numbers(left) == [number for number in (2, 5, 10) if number > done_to]
    assert fewer.checkpoint("").earlier == (saved.lanes,)


def test_other_keys_to_deal_by_repeat_what_lanes_did_beyond_the_checkpoint():
    """An aggregate that was not opened had one lane; its inner records have others, and must not pass for done."""
    progress = Progress(Checkpoint(at(10), lanes=(at(10), at(100)), earlier=((at(10), at(50), at(90)),)), 2)
    assert [lane.taken_to for lane in progress.lanes] == [at(10), at(100)]
    opened = Progress(progress.checkpoint(""), 2, by_inner_keys=True)
    assert [lane.taken_to for lane in opened.lanes] == [at(10), at(10)]
    assert numbers(opened.without_done([record(number) for number in range(11, 20)])) == list(range(11, 20))
    opened.lanes[0].take([], at(20))
    again = Progress(opened.checkpoint(""), 2, by_inner_keys=True)
    assert [lane.taken_to for lane in again.lanes] == [at(20), at(10)]


def test_what_earlier_lanes_did_is_kept_through_several_changes_until_it_is_passed():
    saved = Checkpoint(at(1), lanes=(at(1), at(9), at(4)))
    progress = Progress(saved, 2)
    progress.lanes[1].take([], at(3))
    again = Progress(progress.checkpoint(""), 5)
    assert again.checkpoint("").earlier == ((at(1), at(3)), saved.lanes)
    for lane in again.lanes:
        lane.take([], at(9))
    assert again.checkpoint("").earlier == ()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40), st.integers(1, 6))
def test_the_position_is_never_ahead_of_what_is_done(steps, lanes):
    """Records are taken and settled in any order of lanes: everything at or below the position is done."""
    progress = Progress(Checkpoint(TRIM_HORIZON), lanes)
    waiting = {number: [] for number in range(lanes)}
    number, undone = 0, set()
    for key, takes in steps:
        if takes:
            number += 1
            taken = record(number, key=f"k-{key}")
            for lane, share in enumerate(by_lane([taken], lanes)):
                progress.lanes[lane].take(share, at(number))
                waiting[lane] += share
            undone.add(number)
        else:
            lane = key % lanes
            if waiting[lane]:
                done = waiting[lane].pop(0)
                progress.settle(lane, [done])
                undone.discard(int(done.sequence_number))
        reached = int(progress.position.sequence_number or 0)
        assert all(each > reached for each in undone)
        saved = progress.checkpoint("")
        again = Progress(saved, lanes)
        assert [lane.taken_to for lane in again.lanes] == [lane.done_to for lane in progress.lanes]
