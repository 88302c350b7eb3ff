"""What a history is judged by: this file is the settings that were in force, and the base of all judges."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from tests.history.entries import Entry
from tests.history.ledger import Ledger, ShardLedger


@dataclass(frozen=True, slots=True)
class Promises:
    """``by_key``: there are several lanes, so that order is promised for keys only. ``windows``: there are windows.

    ``epoch`` is what the history's clock must have added to be epoch seconds. ``clocks_agree``: the wall clocks of all
    workers and the stream are the same, so that ages can be judged. Memory is judged if ``ahead_records`` (what a lane
    may hold) and ``page_records`` (what one answer may hold) are known.
    """

    by_key: bool = False
    windows: bool = False
    bisect: bool = False
    retries_max: int | None = None
    age_seconds_max: float | None = None
    epoch: float = 0.0
    clocks_agree: bool = True
    ahead_records: int | None = None
    page_records: int = 0


@dataclass(slots=True)
class Judge:
    """Hears entries whose names, in small letters, are names of its methods; ``violations`` are in words."""

    promises: Promises
    shards: Ledger = field(default_factory=lambda: defaultdict(ShardLedger))
    violations: list[str] = field(default_factory=list)

    def broken(self, entry: Entry, text: str) -> None:
        self.violations.append(f"{entry.at:.3f} {text}")

    def at_the_end(self) -> None:
        """Judges what only the whole history can tell."""
