"""Moments as ISO 8601 texts in UTC: this file is the calendar of events and documents, and it has no clock.

A moment is epoch seconds, taken to the nearest millisecond. Python's own calendar ends with the year 9999 by an
exception; a stream may stamp its records with anything, and no stamp may end a reader.
"""

from __future__ import annotations

_DAY_SECONDS = 86_400
_FOUR_CENTURIES_DAYS = 146_097
_DAYS_TO_EPOCH = 719_468
"""From the first of March of the year 0 to that of January 1970."""


def iso_seconds(epoch: float) -> str:
    """As ``2026-09-17T12:50:50Z``, the second that has begun."""
    return f"{_text(_milliseconds(epoch) // 1000)}Z"


def iso_milliseconds(epoch: float) -> str:
    """As ``2026-09-17T12:50:50.123Z``."""
    seconds, milliseconds = divmod(_milliseconds(epoch), 1000)
    return f"{_text(seconds)}.{milliseconds:03d}Z"


def _milliseconds(epoch: float) -> int:
    return round(epoch * 1000)


def _text(seconds: int) -> str:
    days, second = divmod(seconds, _DAY_SECONDS)
    minute, second = divmod(second, 60)
    year, month, day = _date(days)
    return f"{year:04d}-{month:02d}-{day:02d}T{minute // 60:02d}:{minute % 60:02d}:{second:02d}"


def _date(days: int) -> tuple[int, int, int]:
    """Year, month and day of the month, ``days`` after 1970-01-01 in the Gregorian calendar.

    Years are counted from the first of March, so that a leap day is the last of its year.
    """
    cycles, day = divmod(days + _DAYS_TO_EPOCH, _FOUR_CENTURIES_DAYS)
    # Without its leap days each year has 365. One ends every fourth year, but no century, unless it is the fourth.
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100  # the day of that year
    month = (5 * day + 2) // 153  # since March; any five months from March or August on have 153 days
    day -= (153 * month + 2) // 5
    return 400 * cycles + year + (month >= 10), (month + 2) % 12 + 1, day + 1
