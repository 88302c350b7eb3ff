"""Since when there is nothing more to read of a shard: this file is what an answer proves of that."""

from __future__ import annotations

from poller.records import Page

EMPTY_SECONDS = 5.0
"""So long a stream that tells no lag must have been empty: DynamoDB gives empty answers amid a backlog, too."""


class CaughtUp:
    """``at`` is when there was nothing more to read, epoch seconds; ``-inf`` if nothing proves that there ever was."""

    def __init__(self) -> None:
        self.at = float("-inf")
        self._empty_since = self._empty_at = float("-inf")

    def hear(self, page: Page, now: float) -> None:
        """The next page of the shard came ``now``."""
        asked_at = now - page.took_seconds
        if page.behind_seconds is not None:
            self.at = asked_at if page.caught_up else self.at
        elif not page.caught_up or page.end is not None:
            self.at = self._empty_at = float("-inf")  # what was empty before was no proof
        else:
            if asked_at - self._empty_at > EMPTY_SECONDS:  # nobody knows what was between
                self._empty_since = asked_at
            self._empty_at = asked_at
            if asked_at - self._empty_since >= EMPTY_SECONDS:
                self.at = asked_at
