"""How old a pushed answer may be, from when it came and how long it was waited for."""

from __future__ import annotations

import pytest

from poller.rules.in_step import InStep


@pytest.mark.parametrize(
    ("answers", "ages"),
    [
        ([(15, 5, None), (20, 5, None), (25, 5, None)], [5, 0, 0]),  # a quiet shard: two heart-beats prove it
        ([(210, 0, None), (210, 0, None)], [200, 200]),  # what was there at once may be as old as the subscription
        ([(210, 0, 190), (210, 0, None)], [190, 190]),  # but no older than a record that came with it, or before it
        ([(210, 2.5, None), (210, 0, None)], [200, 200]),  # a single wait may have been the event loop's
        ([(210, 2.5, 190), (210, 2.5, None)], [190, 190]),  # or that of opening records
        ([(15, 5, None), (20, 5, None), (220, 0, None), (225, 5, None)], [5, 0, 200, 205]),  # held again
        ([(12, 1, -3)], [0]),  # from a clock that is ahead
    ],
)
def test_what_proves_that_an_answer_is_new(answers, ages):
    """R-WIN-8, I12: each answer came at a moment, was waited for, and holds a record of an age, or none."""
    in_step = InStep()
    in_step.begin(10)
    assert [in_step.age(now, waited_seconds=waited, newest_age=age) for now, waited, age in answers] == ages
