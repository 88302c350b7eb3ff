"""The judge of a history, in one pass: this file knows the promises and nothing of the code that should keep them.

What each promise says stands in the files of the single judges: `tests.history.delivery` (I1 to I5),
`tests.history.ownership` (I6, I7), `tests.history.budgets` (I8, I10), `tests.history.windows` (I16). The
others are judged where they can be seen: in the worlds, that all is resolved in time (I9), that metrics tell the truth
(I12), that nothing secret is told (I13) and that a seed is the same world each time (I15); behind the real client, that
the services' limits are kept (I11); in a test of the engine, that a stuck shard slows no other down (I14).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from tests.history.budgets import BudgetJudge
from tests.history.delivery import DeliveryJudge
from tests.history.entries import KINDS, Entry
from tests.history.ledger import Ledger, ShardLedger
from tests.history.ownership import OwnershipJudge
from tests.history.promises import Judge, Promises
from tests.history.windows import WindowJudge


class Checker:
    """Reads a history entry by entry; ``violations`` holds every broken promise in words."""

    def __init__(self, promises: Promises | None = None) -> None:
        self.violations: list[str] = []
        self._shards: Ledger = defaultdict(ShardLedger)
        kinds = (BudgetJudge, OwnershipJudge, WindowJudge, DeliveryJudge)  # the last one is who changes the ledger
        self._judges: list[Judge] = [kind(promises or Promises(), self._shards, self.violations) for kind in kinds]
        self._hear: dict[type[Entry], list[Callable[[Entry], None]]] = {
            kind: [getattr(judge, name.lower()) for judge in self._judges if hasattr(judge, name.lower())]
            for name, kind in KINDS.items()
        }

    def follow(self, entries: Iterable[Entry]) -> int:
        """Reads more of a history, and says how many shards hold something unresolved."""
        for entry in entries:
            for hear in self._hear[type(entry)]:
                hear(entry)
        return sum(shard.first_open() is not None for shard in self._shards.values())

    def oldest_age(self, shard: str, now: float) -> float:
        """How old the oldest unresolved record of a shard is, in seconds; 0 if there is none."""
        waiting = self._shards[shard].first_open()
        return 0.0 if waiting is None else now - self._shards[shard].put_at[waiting]

    def judge(self, entries: Iterable[Entry], open_windows: dict | None = None) -> list[str]:
        """Reads the rest of a history; ``open_windows``: what is kept of those that are open."""
        self.follow(entries)
        for judge in self._judges:
            if isinstance(judge, WindowJudge):
                judge.still_open = open_windows or {}
            judge.at_the_end()
        return self.violations
