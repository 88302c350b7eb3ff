"""Pauses after failures, longer each time: this file is what keeps a broken shard from being restarted at once."""

from __future__ import annotations

from typing import Generic, TypeVar

from poller.rules.pacing import backoff_seconds

Key = TypeVar("Key")

_CALM_AFTER_SECONDS = 60.0


class Rests(Generic[Key]):
    """Remembers who rests until when; ``now`` is any clock that only goes forward."""

    def __init__(self) -> None:
        self._until: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}

    def begin(self, key: Key, now: float, jitter: float) -> float:
        """Starts the rest after a failure and returns its length, from a second up to a minute."""
        if now - self._until.get(key, now) > _CALM_AFTER_SECONDS:
            self._failures.pop(key, None)
        failures = self._failures.get(key, 0)
        pause = backoff_seconds(failures, jitter, base=1.0)
        self._failures[key] = failures + 1
        self._until[key] = now + pause
        return pause

    def resting(self, now: float) -> list[Key]:
        return [key for key, until in self._until.items() if until > now]
