"""Many worlds, on several cores: this file runs seeds, and tells of each that broke a promise or took too long."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat

from tests.simulation.settings import DAY, MINUTES
from tests.simulation.world import Result, run_seed

SECONDS_MAX = {"minutes": 5.0, "day": 900.0}
"""Some ten times what a world of such a span takes; a world that takes longer counts as a failure."""


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
    return outcome_of(partial(run_seed, span=DAY if span == "day" else MINUTES), seed, span, SECONDS_MAX[span])


def outcome_of(run: Callable[[int], Result], seed: int, span: str, seconds_max: float) -> Outcome:
    """What came of a world; it may take ``seconds_max`` of CPU."""
    started = time.process_time()
    result = run(seed)
    spent = time.process_time() - started
    violations = tuple(result.violations)
    if spent > seconds_max:
        violations += (f"took {spent:.0f} s of CPU, {seconds_max:.0f} are allowed",)
    faults = result.faults
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

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.virtual_seconds += outcome.virtual_seconds
        self.cpu_seconds += outcome.cpu_seconds
        self.attempts += outcome.attempts
        self.crashes += outcome.crashes
        self.seen += outcome.seen
        self.pairs += outcome.pairs
        if outcome.violations:
            self.failed.append(outcome)
