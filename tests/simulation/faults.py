"""How often what goes wrong: this file draws the rates of one world, and counts what was seen, alone and together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from random import Random

from tests.history import entries
from tests.history.log import History

CAPS = {
    # reading
    "throttled": 0.3,
    "unavailable": 0.3,
    "answer lost": 0.2,
    "iterator expired": 0.05,
    "null iterator": 0.1,
    "listing failed": 0.5,
    "listing lags": 0.5,
    "slow call": 0.1,
    # the store
    "store unavailable": 0.2,
    "store answer lost": 0.2,
    "store slow": 0.05,
    "store call held": 0.03,
    # the destination
    "destination refused": 0.5,
    "destination slow": 0.2,
    # the function
    "function failed": 0.4,
    "function failed after its work": 0.2,
    "function refused": 0.4,
    "function slow": 0.1,
    "function hangs": 0.01,
    "partial": 0.5,
    "odd answer": 0.1,
}
"""Chances per call; the highest that a world can have."""

TOGETHER_SECONDS = 20.0
"""A recovery so soon after a fault has to do with it."""


class Faults:
    """Each fault is off in four worlds of ten, and else has a rate of its own: two rare ones meet only this way.

    ``pairs`` counts which fault was followed by which recovery: a run is worth what it has seen together.
    """

    def __init__(self, random: Random, history: History, caps: Mapping[str, float] = CAPS) -> None:
        self._random = random
        self._history = history
        self._rates = {name: 0.0 if random.random() < 0.4 else random.uniform(0, cap) for name, cap in caps.items()}
        self.on = True
        self.away: dict[str, float] = {}
        self.seen: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        self._recent: dict[str, float] = {}

    def strikes(self, name: str, recent: dict[str, float], worker: str) -> bool:
        """Whether this fault is there now; ``recent`` is where a worker keeps when it met each."""
        if not self.on or self._random.random() >= self._rates[name]:
            return False
        self.seen[name] += 1
        recent[name] = now = asyncio.get_running_loop().time()
        self._history.entries.append(entries.Struck(now, name, worker))
        return True

    def only(self, rates: dict[str, float]) -> None:
        """Instead of what was drawn."""
        self._rates = {name: rates.get(name, 0.0) for name in self._rates}

    def never(self, name: str) -> bool:
        """Whether this world does not have the fault."""
        return self._rates[name] == 0.0

    def is_away(self, what: str) -> bool:
        """Whether a whole service is out of reach, as ``go_away`` said."""
        return self.on and self.away.get(what, 0.0) > asyncio.get_running_loop().time()

    def go_away(self, what: str, seconds: float) -> None:
        self.away[what] = asyncio.get_running_loop().time() + seconds
        self.happened(f"{what} away")

    def happened(self, name: str, worker: str = "") -> None:
        """Something that concerns everybody."""
        self.seen[name] += 1
        self._recent[name] = now = asyncio.get_running_loop().time()
        self._history.add(entries.Struck(now, name, worker))

    def recovered(self, what: str, recent: dict[str, float]) -> None:
        """A worker went the way of ``what``: counts the faults that came before."""
        self.seen[what] += 1
        since = asyncio.get_running_loop().time() - TOGETHER_SECONDS
        for met in (recent, self._recent):
            for fault, at in met.items():
                if at >= since:
                    self.pairs[fault, what] += 1
