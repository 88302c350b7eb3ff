"""Troubles that repeat: this file is what keeps one broken shard from filling the log."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from poller.ports import Clock

QUIET_SECONDS = 60.0
PROBLEMS_MAX = 20
"""Different problems remembered for one trouble; beyond them all count as the same."""

_VARYING = re.compile(r"[0-9a-fA-F-]*\d[0-9a-fA-F-]*")
"""Numbers, ids and addresses, which differ each time although the problem is the same."""

Key = tuple[str, str, str]
"""Mapping, shard and what was tried."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A trouble that is over: how often it came, and for how long."""

    times: int
    seconds: float


@dataclass(slots=True)
class _Told:
    at: float
    untold: int = 0


@dataclass(slots=True)
class _Trouble:
    since: float
    times: int = 0
    told: dict[str, _Told] = field(default_factory=dict)


class Repetition:
    """Remembers what was told when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._troubles: dict[Key, _Trouble] = {}

    def again(self, key: Key, problem: str) -> int:
        """How many times the problem came since it was told last, this time included; 0 if it is too soon to tell."""
        now = self._clock.now()
        trouble = self._troubles.setdefault(key, _Trouble(now))
        trouble.times += 1
        kind = _VARYING.sub("#", problem)
        if kind not in trouble.told and len(trouble.told) >= PROBLEMS_MAX:
            kind = ""
        told = trouble.told.get(kind)
        if told is None:
            trouble.told[kind] = _Told(now)
            return 1
        told.untold += 1
        if now - told.at < QUIET_SECONDS:
            return 0
        count, told.untold, told.at = told.untold, 0, now
        return count

    def over(self, key: Key) -> Ended | None:
        """Forgets the trouble; ``None`` if there was none."""
        trouble = self._troubles.pop(key, None)
        return Ended(trouble.times, max(0.0, self._clock.now() - trouble.since)) if trouble else None

    def forget(self, mapping: str, shard: str) -> None:
        """Forgets all troubles of a shard, without calling them over."""
        for key in [key for key in self._troubles if key[:2] == (mapping, shard)]:
            del self._troubles[key]
