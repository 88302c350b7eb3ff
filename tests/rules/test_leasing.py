"""When the silence of an owner becomes its absence."""

from poller.model import TRIM_HORIZON, Checkpoint, Lease, MappingId, Row, ShardId, WorkerId
from poller.rules.leasing import LeaseTimes, LeaseWatch


def row(owner: str | None, token: int = 1, counter: int = 1) -> Row:
    lease = Lease(MappingId("m"), ShardId("s"), WorkerId(owner) if owner else None, token, counter)
    return Row(lease, (), Checkpoint(TRIM_HORIZON))


def takeable(watch: LeaseWatch, now: float, seen: Row, busy=()) -> bool:
    watch.observe([seen], now)
    return bool(watch.takeable([seen], busy, now))


def test_a_free_lease_is_taken_at_once_unless_it_rests():
    watch = LeaseWatch(WorkerId("me"), 15)
    assert takeable(watch, 0, row(None))
    assert not takeable(watch, 0, row(None), busy=[ShardId("s")])


def test_a_lease_that_moves_is_alive_and_one_that_stood_still_for_a_lease_time_is_free():
    """R-PORT-2: judged on this worker's own clock, so no wall clocks need agree."""
    watch = LeaseWatch(WorkerId("me"), 15)
    assert not takeable(watch, 1000, row("other", counter=1))
    assert not takeable(watch, 1010, row("other", counter=2))
    assert not takeable(watch, 1024.9, row("other", counter=2))
    assert takeable(watch, 1025, row("other", counter=2))
    assert not takeable(watch, 1026, row("third", token=2, counter=2))


def test_a_lease_of_ours_that_we_do_not_hold_is_ours_to_take_again():
    watch = LeaseWatch(WorkerId("me"), 15)
    assert takeable(watch, 0, row("me"))


def test_an_owner_stops_trusting_its_lease_before_others_may_take_it():
    times = LeaseTimes()
    assert times.trusted + times.margin <= times.ttl
    assert times.renew_every * 2 < times.trusted
