"""When records become a batch: count, window, payload."""

from hypothesis import given
from hypothesis import strategies as st

from poller.mapping import BatchPolicy
from poller.rules.batching import Batcher
from poller.rules.envelope import render
from tests.builders import numbers, record, records


def batcher(*waiting: int, **policy) -> Batcher:
    made = Batcher(BatchPolicy(**policy))
    made.add(records(*waiting), 0.0)
    return made


def test_without_a_window_any_record_goes_at_once():
    """R-BATCH-3."""
    assert numbers(batcher(1, 2).take(0.0)) == [1, 2]
    assert batcher().due_at() == float("inf")


def test_a_read_bigger_than_the_batch_size_is_cut_in_order():
    """R-BATCH-5, A-10: 5 records, batch size 2, window 0 make 2, 2, 1."""
    waiting = batcher(1, 2, 3, 4, 5, batch_size=2)
    assert [numbers(waiting.take(0.0)) for _ in range(4)] == [[1, 2], [3, 4], [5], []]


def test_a_short_batch_waits_for_its_window_and_a_full_one_does_not():
    """R-BATCH-2, R-BATCH-4: the window opens with the first record."""
    waiting = batcher(1, 2, batch_size=3, window_seconds=10)
    waiting.add(records(), 9.0)
    assert waiting.due_at() == 10
    assert waiting.take(9.9) == ()
    assert numbers(waiting.take(10.0)) == [1, 2]
    full = batcher(1, 2, 3, 4, batch_size=3, window_seconds=10)
    assert numbers(full.take(0.0)) == [1, 2, 3]
    full.reopen(5.0)
    assert full.due_at() == 15


def test_the_end_of_a_shard_does_not_wait_for_the_window():
    """R-SHARD-5."""
    assert numbers(batcher(1, window_seconds=300).take(0.0, flush=True)) == [1]


def test_the_payload_limit_counts_the_exact_bytes_of_the_event():
    """R-BATCH-6, R-PORT-10: an event of exactly the limit goes, one byte less does not."""
    three = records(1, 2, 3)
    exact = len(render(three))
    fits = Batcher(BatchPolicy(payload_bytes_max=exact))
    fits.add(three, 0.0)
    assert len(fits.take(0.0)) == 3
    short = Batcher(BatchPolicy(payload_bytes_max=exact - 1, window_seconds=60))
    short.add(three, 0.0)
    assert len(short.take(0.0)) == 2
    assert short.take(0.0) == ()


def test_a_record_over_the_limit_is_a_batch_of_its_own():
    """R-BATCH-7."""
    waiting = Batcher(BatchPolicy(payload_bytes_max=500))
    waiting.add((record(1), record(2, size=600), record(3)), 0.0)
    assert [numbers(waiting.take(0.0)) for _ in range(3)] == [[1], [2], [3]]


@given(
    st.lists(st.lists(st.integers(0, 300), max_size=6), max_size=6),
    st.integers(1, 7),
    st.integers(200, 1500),
    st.sampled_from([0.0, 5.0]),
)
def test_no_batching_gains_loses_or_reorders_a_record(reads, batch_size, limit, window):
    """R-BATCH-1, R-BATCH-2: every batch is within count and payload, unless it is a single record."""
    waiting = Batcher(BatchPolicy(batch_size, window, limit))
    count, out = 0, []
    for now, sizes in enumerate(reads):
        waiting.add([record(count + n, size=size) for n, size in enumerate(sizes, 1)], float(now))
        count += len(sizes)
        while batch := waiting.take(float(now), flush=now == len(reads) - 1):
            assert len(batch) <= batch_size
            assert len(batch) == 1 or len(render(batch)) <= limit
            out += numbers(batch)
    assert out == list(range(1, count + 1))
    assert waiting.head is None


def test_a_batch_never_mixes_windows_and_need_not_wait_at_a_border():
    """R-WIN-3."""
    waiting = Batcher(BatchPolicy(window_seconds=60))
    waiting.fit(20, border=100.0)
    waiting.add([record(1, arrived_at=98.0), record(2, arrived_at=99.9)], 0.0)
    assert waiting.take(0.0) == ()
    waiting.add([record(3, arrived_at=100.0)], 1.0)
    assert numbers(waiting.take(1.0)) == [1, 2]
    waiting.fit(20, border=200.0)
    assert waiting.take(1.0) == ()


def test_a_batch_that_a_border_cuts_goes_at_once_though_stragglers_follow():
    """R-WIN-3, R-KIN-11: arrival times need not rise."""
    waiting = Batcher(BatchPolicy(window_seconds=60))
    waiting.fit(20, border=100.0)
    waiting.add([record(1, arrived_at=98.0), record(2, arrived_at=100.0), record(3, arrived_at=99.0)], 0.0)
    assert numbers(waiting.take(0.0)) == [1]


def test_a_larger_frame_leaves_less_room():
    """R-BATCH-6, R-WIN-4: the state is in the event."""
    three = records(1, 2, 3)
    waiting = Batcher(BatchPolicy(payload_bytes_max=len(render(three))))
    waiting.fit(30, border=float("inf"))
    waiting.add(three, 0.0)
    assert len(waiting.take(0.0)) == 2
