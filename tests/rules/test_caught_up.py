"""An answer with nothing in it proves more of one service than of the other."""

from __future__ import annotations

import pytest

from poller.records import Page
from poller.rules.caught_up import EMPTY_SECONDS, CaughtUp
from tests.builders import records

NEVER = float("-inf")
EMPTY, FULL, LEFT_OUT = Page(()), Page(records(1)), Page((), left_out_at=5.0)


@pytest.mark.parametrize(
    ("pages", "at"),
    [
        # A service that tells its lag is believed at once, for the moment when it was asked.
        ([(10, Page((), 0.0))], 10),
        ([(10, Page((), 0.0, took_seconds=3.0))], 7),
        ([(10, Page(records(1), 0.0))], 10),
        ([(10, Page((), 0.0)), (20, Page((), 4.0))], 10),
        ([(10, Page((), 4.0))], NEVER),
        # One that does not must have been empty for a while, without a break, and until now.
        ([(10, EMPTY)], NEVER),
        ([(10, EMPTY), (12, EMPTY), (10 + EMPTY_SECONDS, EMPTY)], 10 + EMPTY_SECONDS),
        ([(10, EMPTY), (12, EMPTY), (14.9, EMPTY)], NEVER),
        ([(10, EMPTY), (12, FULL), (14, EMPTY), (16, EMPTY)], NEVER),
        ([(10, EMPTY), (12, LEFT_OUT), (14, EMPTY), (16, EMPTY)], NEVER),
        ([(10, EMPTY), (200, EMPTY)], NEVER),
        ([(10, EMPTY), (200, EMPTY), (203, EMPTY), (206, EMPTY)], 206),
        ([(10, EMPTY), (13, EMPTY), (16, EMPTY), (17, FULL)], NEVER),
    ],
)
def test_since_when_nothing_more_is_there_is_what_the_answers_prove(pages, at):
    """R-WIN-8."""
    caught_up = CaughtUp()
    for now, page in pages:
        caught_up.hear(page, now)
    assert caught_up.at == at
