"""The judge finds each anomaly in histories made by hand, and lets good ones pass."""

import pytest

from tests.history.checker import Checker
from tests.history.entries import (
    Accepted,
    Answered,
    Attempted,
    Began,
    Crashed,
    Discarded,
    Fetched,
    Gap,
    Handled,
    Leased,
    Put,
    Released,
    Remade,
    Resharded,
    Restored,
    Saved,
    Settled,
    Started,
    Stopped,
    Trimmed,
    Unwanted,
    WindowEnded,
)
from tests.history.log import History, read
from tests.history.promises import Promises


def put(*numbers, shard="s", key="k", at=0.0):
    return [Put(at, shard, number, key) for number in numbers]


def attempted(*numbers, shard="s", worker="w", sent_at=1.0, before=None):
    return Attempted(1.0, worker, shard, numbers, "id", sent_at, before)


def handled(*numbers, shard="s", worker="w", sent_at=1.0):
    return [
        attempted(*numbers, shard=shard, worker=worker, sent_at=sent_at),
        Handled(1.0, shard, numbers),
        Answered(1.0, worker, shard, numbers, "id"),
    ]


def saved(position, shard="s", worker="w", token=1):
    return Saved(2.0, worker, shard, position, token)


def discarded(*numbers, worker="w", delivered=None, condition="RecordAgeExceeded"):
    return Discarded(1.0, worker, "s", numbers, numbers[0], numbers[-1], delivered, condition)


def owns(worker="w", token=1, *, lanes=1, batch_size=2, at=0.5):
    return [Started(at, worker, lanes, batch_size), Leased(at, worker, "s", token)]


def of_stream(created_at, shard="s"):
    return Began(6.0, shard, "TRIM_HORIZON", created_at)


SPLIT = Resharded(0.5, ("s",), ("c",))
MERGE = Resharded(0.5, ("s", "t"), ("c",))
WINDOWS = Promises(windows=True)
BUDGET = Promises(retries_max=1, age_seconds_max=60.0)

GOOD = [
    *owns(),
    *put(1, 2, 3, 4),
    Fetched(0.6, "w", "s", 2),
    *handled(1),
    saved("AFTER:1"),
    attempted(2),
    discarded(2),
    Settled(1.0, "w", "s", 2),
    Trimmed(1.0, "s", (3,)),
    Gap(1.0, "w", "s", "AFTER:2", 4),
    SPLIT,
    *put(5, shard="c"),
    *handled(4),
    saved("SHARD_END"),
    *handled(5, shard="c"),
    Stopped(3.0, "w", drained=True),
]


def test_a_good_history_passes():
    assert Checker().judge(GOOD) == []


@pytest.mark.parametrize(
    ("promises", "history"),
    [
        # several lanes promise order by key only
        (Promises(by_key=True), [*put(1), *put(2, key="other"), *handled(2), *handled(1)]),
        # what was trimmed before anything was read was never promised
        (None, [*put(1, 2), Trimmed(0.0, "s", (1,)), *handled(2)]),
        # nor what was put before the moment at which a mapping starts
        (None, [*put(1, at=1.0), Began(2.0, "s", "AT_TIMESTAMP:2.0"), *put(2, at=3.0), *handled(2)]),
        (None, [*put(1), Began(2.0, "s", "SHARD_END")]),
        # a crash repeats a batch
        (None, [*put(1, 2), *owns(), *handled(1, 2), Crashed(1.0, "w"), *owns("x", 2), *handled(1, 2, worker="x")]),
        # an answer may come when its worker has lost the shard, and taken it again
        (
            None,
            [
                *put(1),
                *owns(),
                attempted(1),
                Released(1.0, "w", "s", 1),
                *owns(token=2),
                Handled(1.0, "s", (1,)),
                Answered(1.0, "w", "s", (1,), "id"),
                *handled(1),
            ],
        ),
        # a copy of the store may repeat more
        (
            None,
            [
                *put(1),
                *owns(),
                *handled(1),
                saved("AFTER:1"),
                Restored(2.0, (("s", "TRIM_HORIZON"),)),
                *owns("x", 2),
                *handled(1, worker="x"),
                saved("AFTER:1", worker="x", token=2),
            ],
        ),
        # a gap whose end is not known yet takes in what is trimmed until something is read
        (
            None,
            [*put(1, 2), Trimmed(1.0, "s", (1,)), Gap(1.0, "w", "s", "TRIM_HORIZON", None), Trimmed(2.0, "s", (2,))],
        ),
        # who deletes a stream gives its records up
        (None, [*put(1), *owns(), Remade(1.0), Began(2.0, "s", "TRIM_HORIZON"), *put(9), *handled(9)]),
        # whose rows may still come of a listing that is older
        (None, [*put(1), *owns(), Remade(5.0), *put(9), of_stream(1.0), of_stream(5.0), *handled(9)]),
        # and what nobody could know of is gone
        (None, [*put(1), *owns(), *handled(1), saved("AFTER:1"), Remade(5.0), *put(9), Trimmed(6.0, "s", (9,))]),
        # who has not noticed it yet takes its shards for the old ones
        (
            None,
            [
                *owns(),
                Leased(0.5, "w", "c", 1),
                Remade(5.0),
                SPLIT,
                *put(8),
                *put(9, shard="c"),
                of_stream(5.0),
                of_stream(5.0, shard="c"),
                *handled(9, shard="c"),
                *owns("x", 2),
                *handled(8, worker="x"),
            ],
        ),
        # a zombie may send the one batch that it was about to send
        (None, [*put(1), *owns(), *owns("x", 2), *handled(1, sent_at=1.0)]),
        (BUDGET, [*put(1), *owns(), attempted(1), attempted(1), discarded(1, condition="RetryAttemptsExhausted")]),
        (WINDOWS, [*put(1, 2), *handled(1, 2), WindowEnded(9.0, "s", 0, (1, 2)), WindowEnded(9.0, "s", 0, (1, 2))]),
    ],
)
def test_what_is_allowed_passes(promises, history):
    assert Checker(promises).judge(history) == []


@pytest.mark.parametrize(
    ("promise", "history"),
    [
        # unwanted, and yet delivered
        ("I1", [*put(1), Unwanted(0.0, "s", 1), *handled(1)]),
        ("I1", [*put(1, 2), Unwanted(0.0, "s", 2), *handled(1, 2)]),
        ("I1", [*put(1, 2), Unwanted(0.0, "s", 2), *handled(1), attempted(2)]),
        # lost
        ("I1", [*put(1)]),
        ("I1", [*put(1, 2), *handled(1), saved("AFTER:1")]),
        ("I1", [*put(1), attempted(1)]),
        ("I1", [*put(1, 2, 3), *handled(1), saved("AFTER:1"), Trimmed(2.0, "s", (2,)), *handled(3)]),
        ("I1", [*put(1, 2), Gap(0.0, "w", "s", "TRIM_HORIZON", 2), *handled(2)]),
        (
            "I1",
            [
                *put(1, 2, 3),
                *handled(1),
                saved("AFTER:1"),
                Gap(1.0, "w", "s", "AFTER:1", None),
                *handled(2),
                Trimmed(2.0, "s", (3,)),
            ],
        ),
        ("I1", [*put(1, at=3.0), Began(2.0, "s", "AT_TIMESTAMP:2.0")]),
        # a destination that was not told
        ("I1", [*put(1), discarded(1, delivered=True)]),
        ("I1", [*put(1, 2), Accepted(0.0, "s", 1, 1), discarded(1, 2, delivered=True)]),
        ("I1", [*put(1), Accepted(0.0, "other", 1, 1), discarded(1, delivered=True)]),
        # order
        ("I2", [*put(1, 2), *handled(2), *handled(1)]),
        ("I2", [*put(1, 2), attempted(1), *handled(2), *handled(1)]),
        ("I2", [*put(1, 2), *handled(2, 1)]),
        ("I2", [*put(1, 2), *handled(1, 1, 2)]),
        ("I2", [*put(1, 2, 3), *handled(1, 3), *handled(2)]),
        # ahead
        ("I3", [*put(1), saved("AFTER:1"), *handled(1)]),
        ("I3", [*put(1, 2), *handled(1), saved("AFTER:2"), *handled(2)]),
        ("I3", [*put(1, 2), Unwanted(0.0, "s", 2), saved("AFTER:2"), *handled(1)]),
        ("I3", [*put(1), SPLIT, saved("SHARD_END"), *handled(1)]),
        # back
        ("I4", [*put(9, 10), *handled(9, 10), saved("AFTER:10"), saved("AFTER:9")]),
        ("I4", [*put(1), *handled(1), saved("AFTER:1"), saved("TRIM_HORIZON")]),
        ("I4", [*put(1), *handled(1), SPLIT, saved("SHARD_END"), saved("AFTER:1")]),
        ("I4", [*put(1), Began(0.0, "s", "TRIM_HORIZON"), *handled(1), Began(2.0, "s", "TRIM_HORIZON")]),
        # children
        ("I5", [*put(1), SPLIT, *put(2, shard="c"), *handled(2, shard="c"), *handled(1)]),
        ("I5", [*put(1), SPLIT, *put(2, shard="c"), attempted(1), *handled(2, shard="c"), *handled(1)]),
        ("I5", [*put(1), *put(2, shard="t"), MERGE, *put(3, shard="c"), *handled(1), *handled(3, shard="c")]),
        ("I5", [*put(1), *put(2, shard="c"), SPLIT, *handled(2, shard="c"), *handled(1)]),
        (
            "I5",
            [
                *owns(),
                Remade(5.0),
                SPLIT,
                *put(8),
                *put(9, shard="c"),
                of_stream(5.0, "c"),
                Leased(6.0, "w", "c", 2),
                *handled(9, shard="c"),
                *handled(8),
            ],
        ),
        # a row that is lost, of the stream that is there
        ("I4", [*owns(), Remade(5.0), of_stream(5.0), of_stream(5.0)]),
        # trimmed after it was known of
        (
            "I1",
            [*owns(), Remade(5.0), *put(8, 9), of_stream(5.0), *handled(8), saved("AFTER:8"), Trimmed(6.0, "s", (9,))],
        ),
        # fencing
        ("I6", [*put(1), *owns(), *handled(1), *owns("x", 2), saved("AFTER:1")]),
        ("I6", [*put(1), *owns(), *owns("x", 2), Released(1.0, "w", "s", 1), *handled(1, worker="x")]),
        ("I6", [*put(1, 2), *owns(), *owns("x", 2), *handled(1, sent_at=1.0), *handled(2, sent_at=1.1)]),
        # repetition
        ("I7", [*put(1), *owns(), *handled(1), *handled(1)]),
        ("I7", [*put(1, 2, 3), *owns(), *handled(1, 2, 3), *owns("x", 2), *handled(1, 2, 3, worker="x")]),
        (
            "I7",
            [
                *put(1),
                *owns(),
                *handled(1),
                Released(1.5, "w", "s", 1),
                Stopped(2.0, "w", drained=True),
                *owns("x", 2),
                *handled(1, worker="x"),
            ],
        ),
    ],
)
def test_each_anomaly_is_found(promise, history):
    assert_found(promise, Checker().judge(history))


@pytest.mark.parametrize(
    ("promise", "promises", "history"),
    [
        ("I2", Promises(by_key=True), [*put(1, 2), *put(3, key="other"), *handled(2, 3), *handled(1)]),
        ("I8", BUDGET, [*put(1), *owns(), attempted(1), attempted(1), *handled(1)]),
        ("I8", BUDGET, [*put(1), *owns(), attempted(1), discarded(1, condition="RetryAttemptsExhausted")]),
        ("I8", BUDGET, [*put(1), *owns(), *handled(1, sent_at=62.0)]),
        ("I8", BUDGET, [*put(1), *owns(), discarded(1), discarded(1)]),
        ("I10", Promises(ahead_records=1, page_records=1), [*owns(), Fetched(1.0, "w", "s", 5)]),
        (
            "I10",
            Promises(ahead_records=1, page_records=1),
            [*owns(), Fetched(1.0, "w", "s", 4), Settled(1.0, "w", "s", 1), Fetched(1.0, "w", "s", 2)],
        ),
        ("I10", Promises(ahead_records=1, page_records=1), [*owns(lanes=2), Fetched(1.0, "w", "s", 9)]),
        ("I16", WINDOWS, [*put(1), *handled(1)]),
        ("I16", WINDOWS, [*put(1), *handled(1), WindowEnded(9.0, "s", 0, (1, 1))]),
        ("I16", WINDOWS, [*put(1), *handled(1), WindowEnded(9.0, "s", 0, (1,)), WindowEnded(9.0, "s", 9, (1,))]),
        ("I16", WINDOWS, [*put(1), *handled(1), WindowEnded(9.0, "s", 0, (1,)), WindowEnded(9.0, "s", 0, ())]),
        ("I16", WINDOWS, [*put(1, at=5.0), attempted(1, before=5.0), Handled(1.0, "s", (1,))]),
    ],
)
def test_each_anomaly_against_a_setting_is_found(promise, promises, history):
    assert_found(promise, Checker(promises).judge(history))


def test_a_history_reads_back_as_it_was_written():
    history = History()
    for entry in GOOD:
        history.add(entry)
    assert read(history.lines()) == GOOD
    assert Checker().judge(read(history.lines())) == []
    assert len(history.timeline().splitlines()) == len(GOOD)


def assert_found(promise, found):
    assert any(f" {promise} " in f" {violation} " for violation in found), found
