"""Many worlds, on several cores: this file runs seeds, and tells which broke a promise or took too long."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from statistics import median

from tests.simulation.settings import DAY, MINUTES
from tests.simulation.world import Result, run_seed

TIMES_MEDIAN_MAX = 20.0
"""What a world may take, in CPU, of the median of its run: machines differ too much for a number of seconds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What remains of a world when its history is thrown away; ``cpu_seconds`` are of this machine."""

    seed: int
    span: str
    violations: tuple[str, ...]
    virtual_seconds: float
    cpu_seconds: float
    attempts: int
    crashes: int
    seen: Counter[str]
    pairs: Counter[tuple[str, str]]


def run_one(seed: int, span: str = "minutes") -> Outcome:
    return outcome_of(partial(run_seed, span=DAY if span == "day" else MINUTES), seed, span)


def outcome_of(run: Callable[[int], Result], seed: int, span: str) -> Outcome:
    """What came of a world."""
    started = time.process_time()
    result = run(seed)
    spent = time.process_time() - started
    violations, faults = tuple(result.violations), result.faults
    return Outcome(
        seed, span, violations, result.seconds, spent, result.attempts, faults.seen["crash"], faults.seen, faults.pairs
    )


def run_many(
    seeds: Iterable[int], *, span: str = "minutes", processes: int = 2, run: Callable[..., Outcome] = run_one
) -> Iterator[Outcome]:
    """Outcomes in the order of ``seeds``."""
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(run, seeds, repeat(span), chunksize=1 if span == "day" else 10)


@dataclass(slots=True)
class Tally:
    """The sum of many outcomes."""

    seeds: int = 0
    virtual_seconds: float = 0.0
    cpu_seconds: float = 0.0
    attempts: int = 0
    crashes: int = 0
    failed: list[Outcome] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    _cost: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    @property
    def slow(self) -> list[int]:
        """The seeds that took far longer than others of their span, as what grows faster than its work does."""
        found: list[int] = []
        for costs in self._cost.values():
            most = TIMES_MEDIAN_MAX * median(seconds for _, seconds in costs)
            found += [seed for seed, seconds in costs if seconds > most]
        return found

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.virtual_seconds += outcome.virtual_seconds
        self.cpu_seconds += outcome.cpu_seconds
        self._cost.setdefault(outcome.span, []).append((outcome.seed, outcome.cpu_seconds))
        self.attempts += outcome.attempts
        self.crashes += outcome.crashes
        self.seen += outcome.seen
        self.pairs += outcome.pairs
        if outcome.violations:
            self.failed.append(outcome)
