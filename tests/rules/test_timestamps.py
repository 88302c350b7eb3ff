"""Moments as texts, compared with Python's own calendar, and beyond its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from poller.rules.timestamps import iso_milliseconds, iso_seconds

PYTHONS_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
FIRST = (datetime.min.replace(tzinfo=UTC) - PYTHONS_EPOCH) // MILLISECOND
LAST = (datetime.max.replace(tzinfo=UTC) - PYTHONS_EPOCH) // MILLISECOND


@given(st.integers(FIRST, LAST))
@example(FIRST)
@example(LAST)
@example(-1)
@example(951_782_400_000)  # 29 February 2000
@example(4_107_542_399_999)  # the last of 28 February 2100, which has no 29th
@example(1_573_691_884_835)  # times 1000 it is a float just below
def test_every_millisecond_of_ten_thousand_years_is_told_as_by_python(milliseconds):
    expected = (PYTHONS_EPOCH + milliseconds * MILLISECOND).replace(tzinfo=None)
    assert iso_milliseconds(milliseconds / 1000) == expected.isoformat(timespec="milliseconds") + "Z"
    assert iso_seconds(milliseconds / 1000) == expected.isoformat(timespec="seconds") + "Z"


def test_every_day_of_four_centuries_is_told_as_by_python():
    for days in range(146_097):
        expected = (PYTHONS_EPOCH + timedelta(days)).date().isoformat()
        assert iso_seconds(days * 86_400) == f"{expected}T00:00:00Z"


def test_both_texts_of_a_moment_are_of_the_same_second():
    """A second has begun for the one as soon as it has for the other."""
    assert iso_milliseconds(9.9996) == "1970-01-01T00:00:10.000Z"
    assert iso_seconds(9.9996) == "1970-01-01T00:00:10Z"
    assert iso_seconds(9.9994) == "1970-01-01T00:00:09Z"


@pytest.mark.parametrize(
    ("epoch", "text"),
    [(253_402_300_800, "10000-01-01T00:00:00.000Z"), (1_573_691_884_835, "51838-04-24T10:40:35.000Z")],
)
def test_a_stamp_beyond_pythons_calendar_is_told_too(epoch, text):
    """A stamp in milliseconds where seconds belong is the usual one; no stamp may end a reader."""
    assert iso_milliseconds(epoch) == text


def test_no_finite_stamp_is_too_large():
    assert iso_milliseconds(1e300).endswith("Z")
