"""Which shards are read, and which first."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from poller.model import (
    SHARD_END,
    TRIM_HORIZON,
    Checkpoint,
    Lease,
    Listing,
    MappingId,
    Position,
    Row,
    SequenceNumber,
    Shard,
    ShardId,
)
from poller.rules.lineage import (
    FORGET_AFTER_SECONDS,
    forgettable,
    of_another_stream,
    readable,
    starting_checkpoint,
    unknown,
)
from tests.builders import mapping

DONE = Checkpoint(SHARD_END)
BUSY = Checkpoint(Position.after(SequenceNumber("5")))


def row(shard: str, *parents: str, done: bool = False, saved_at: float = 0.0) -> Row:
    lease = Lease(MappingId("m"), ShardId(shard), None)
    return Row(lease, tuple(ShardId(p) for p in parents), DONE if done else BUSY, saved_at)


def listing(*shards: str) -> Listing:
    return Listing(tuple(Shard(ShardId(each)) for each in shards))


def names(rows) -> list[str]:
    return [each.shard for each in rows]


def test_a_child_waits_until_its_parent_is_processed():
    """R-SHARD-1, R-SHARD-2, R-DDB-5."""
    assert names(readable([row("p"), row("c", "p")], listing("p", "c"))) == ["p"]
    assert names(readable([row("p", done=True), row("c", "p")], listing("p", "c"))) == ["c"]


def test_the_child_of_a_merge_waits_for_both_parents():
    """R-SHARD-1."""
    rows = [row("a", done=True), row("b"), row("c", "a", "b")]
    assert names(readable(rows, listing("a", "b", "c"))) == ["b"]


def test_siblings_of_a_split_are_read_side_by_side():
    """R-SHARD-1, R-SHARD-6."""
    rows = [row("p", done=True), row("x", "p"), row("y", "p")]
    assert names(readable(rows, listing("p", "x", "y"))) == ["x", "y"]


def test_a_parent_that_left_the_stream_is_done_and_one_without_a_row_yet_is_not():
    """R-SHARD-3."""
    assert names(readable([row("c", "gone")], listing("c"))) == ["c"]
    assert names(readable([row("c", "new")], listing("new", "c"))) == []


def test_an_unfinished_row_that_left_the_listing_is_still_read_before_its_children():
    """R-SHARD-3: only the source can say that a shard is gone; listings disagree at times."""
    assert names(readable([row("p"), row("c", "p")], listing("c"))) == ["p"]


def test_the_starting_position_counts_only_for_the_shards_of_the_first_start():
    """R-POS-1, R-POS-2."""
    late = Shard(ShardId("late"))
    for position in ("TRIM_HORIZON", "LATEST"):
        at = starting_checkpoint(late, mapping(starting_position=position), 100.0, first_start=False)
        assert at.position == TRIM_HORIZON


def test_latest_is_pinned_to_a_moment():
    """R-POS-3: open shards from now on, closed ones not at all."""
    latest = mapping(starting_position="LATEST")
    assert starting_checkpoint(Shard(ShardId("s")), latest, 100.25, first_start=True).position.timestamp == 100.25
    closed = Shard(ShardId("s"), closed=True)
    assert starting_checkpoint(closed, latest, 100.25, first_start=True).position == SHARD_END


def test_a_timestamp_counts_for_every_shard_closed_ones_too():
    """R-POS-4, R-POS-5: a shard that was closed before it has nothing to give and ends at once."""
    at = mapping(starting_position="AT_TIMESTAMP", starting_timestamp=7.5)
    for closed in (False, True):
        start = starting_checkpoint(Shard(ShardId("s"), closed=closed), at, 100.0, first_start=True)
        assert start.position == Position.at_timestamp(7.5)


def test_rows_are_forgotten_only_when_finished_unlisted_and_old_and_never_the_last_one():
    now = FORGET_AFTER_SECONDS + 1000
    rows = [row("old", done=True), row("young", done=True, saved_at=now), row("busy"), row("listed", done=True)]
    assert forgettable(rows, listing("listed"), now) == ["old"]
    assert forgettable([row("only", done=True)], listing(), now) == []


@given(st.data())
def test_whatever_the_family_tree_every_shard_gets_its_turn_and_parents_come_first(data):
    """R-SHARD-1: random splits and merges, read to the end in any order."""
    count = data.draw(st.integers(1, 12))
    rows = []
    for number in range(count):
        parents = data.draw(st.lists(st.integers(0, max(0, number - 1)), max_size=2, unique=True)) if number else []
        rows.append(row(f"s{number}", *[f"s{parent}" for parent in parents]))
    everything = listing(*names(rows))
    assert unknown(everything, rows) == []
    finished: set[str] = set()
    while len(finished) < count:
        now = readable(rows, everything)
        assert now, "nothing can be read, and not all is done"
        for each in now:
            assert set(each.parents) <= finished
        chosen = data.draw(st.sampled_from(now))
        finished.add(chosen.shard)
        rows = [row(r.shard, *r.parents, done=r.shard in finished) for r in rows]


@given(st.one_of(st.none(), st.floats(1e9, 2e9)), st.one_of(st.none(), st.floats(1e9, 2e9)))
def test_rows_belong_to_another_stream_only_if_a_later_one_is_there(made_at, found_at):
    """R-STATE-10: a rounding replaces nothing; a row that knows no age was saved in its stream's time."""
    saved_at = 1.5e9
    old = replace(row("s", saved_at=saved_at), stream_created_at=made_at)
    found = of_another_stream([old], found_at)
    later = found_at is not None and found_at - (saved_at if made_at is None else made_at) > 1.0
    assert found == ([old] if later else [])
