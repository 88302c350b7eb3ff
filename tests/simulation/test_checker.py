"""The judge finds each anomaly in histories made by hand, and lets a good one pass."""

import pytest

from tests.simulation.checker import Checker
from tests.simulation.history import Attempted, Discarded, Gap, Handled, Put, Resharded, Saved, Trimmed, Unwanted


def put(*numbers, shard="s"):
    return [Put(0.0, shard, number, "k") for number in numbers]


def attempted(*numbers, shard="s"):
    return Attempted(1.0, "w", shard, numbers, "id")


def handled(*numbers, shard="s"):
    return [attempted(*numbers, shard=shard), Handled(1.0, shard, numbers)]


def saved(position, shard="s"):
    return Saved(2.0, "w", shard, position)


SPLIT = Resharded(0.5, ("s",), ("c",))


def test_a_good_history_passes():
    history = [
        *put(1, 2, 3, 4),
        *handled(1),
        saved("AFTER:1"),
        attempted(2),
        Discarded(1.0, "w", "s", (2,), 2, 2),
        Trimmed(1.0, "s", (3,)),
        Gap(1.0, "w", "s", "AFTER:2", 4),
        SPLIT,
        *put(5, shard="c"),
        *handled(4),
        saved("SHARD_END"),
        *handled(5, shard="c"),
    ]
    assert Checker().judge(history) == []


@pytest.mark.parametrize(
    ("promise", "history"),
    [
        ("I0", [*put(1), Unwanted(0.0, "s", 1), *handled(1)]),
        ("I0", [*put(1, 2), Unwanted(0.0, "s", 2), *handled(1, 2)]),
        ("I3", [*put(1, 2), Unwanted(0.0, "s", 2), saved("AFTER:2"), *handled(1)]),
        ("I1", [*put(1)]),
        ("I1", [*put(1, 2), *handled(1), saved("AFTER:1")]),
        ("I1", [*put(1), attempted(1)]),
        ("I1", [*put(1, 2), Trimmed(0.0, "s", (1,)), *handled(2)]),
        ("I1", [*put(1, 2), Gap(0.0, "w", "s", "TRIM_HORIZON", 2), *handled(2)]),
        ("I2", [*put(1, 2), *handled(2), *handled(1)]),
        ("I2", [*put(1, 2), attempted(1), *handled(2), *handled(1)]),
        ("I2", [*put(1, 2), *handled(2, 1)]),
        ("I2", [*put(1, 2, 3), *handled(1, 3), *handled(2)]),
        ("I3", [*put(1), saved("AFTER:1"), *handled(1)]),
        ("I3", [*put(1, 2), *handled(1), saved("AFTER:2"), *handled(2)]),
        ("I3", [*put(1), SPLIT, saved("SHARD_END"), *handled(1)]),
        ("I4", [*put(9, 10), *handled(9, 10), saved("AFTER:10"), saved("AFTER:9")]),
        ("I4", [*put(1), *handled(1), saved("AFTER:1"), saved("TRIM_HORIZON")]),
        ("I4", [*put(1), *handled(1), SPLIT, saved("SHARD_END"), saved("AFTER:1")]),
        ("I5", [*put(1), SPLIT, *put(2, shard="c"), *handled(2, shard="c"), *handled(1)]),
        ("I5", [*put(1), SPLIT, *put(2, shard="c"), attempted(1), *handled(2, shard="c"), *handled(1)]),
        ("I5", [*put(1), *put(2, shard="c"), SPLIT, *handled(2, shard="c"), *handled(1)]),
    ],
)
def test_each_anomaly_is_found(promise, history):
    found = Checker().judge(history)
    assert any(f" {promise} " in f" {violation} " for violation in found), found
