"""How old an answer may be that was pushed: this file is what proves that it did not lie in a buffer for long."""

from __future__ import annotations

WAITED_SECONDS = 0.5
"""What had to be waited for so long did not lie in a buffer; heart-beats come every few seconds (R-EFO-2)."""

WAITS = 2
"""So many heart-beats one after the other must be waited for, as the event loop may have stood still for one."""


class InStep:
    """The service goes on pushing into buffers while nobody reads; an answer is younger than the one before it."""

    def __init__(self) -> None:
        self._at = 0.0
        self._waits = 0

    def begin(self, now: float) -> None:
        """A subscription was accepted; ``now`` is in seconds of any clock."""
        self._at, self._waits = now, 0

    def age(self, now: float, *, waited_seconds: float, newest_age: float | None) -> float:
        """How many seconds old the next answer may be, for which the reader has waited so long.

        ``newest_age`` is that of its last record, ``None`` for a heart-beat, which has none.
        """
        if waited_seconds < WAITED_SECONDS:
            self._waits = 0
        elif newest_age is None:  # what holds records also took time to be opened
            self._waits += 1
        if self._waits >= WAITS:
            self._at = now
        elif newest_age is not None:
            self._at = max(self._at, now - max(0.0, newest_age))
        return now - self._at
