"""How often what goes wrong: this file draws the rates of one world, and counts what was seen."""

from __future__ import annotations

from collections import Counter
from random import Random

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
    "partial": 0.5,
    "odd answer": 0.1,
}
"""Chances per call; the highest that a world can have."""


class Faults:
    """Each fault is off in four worlds of ten, and else has a rate of its own: two rare ones meet only this way."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._rates = {name: 0.0 if random.random() < 0.4 else random.uniform(0, cap) for name, cap in CAPS.items()}
        self.on = True
        self.seen: Counter[str] = Counter()

    def strikes(self, name: str) -> bool:
        if not self.on or self._random.random() >= self._rates[name]:
            return False
        self.seen[name] += 1
        return True
