"""Whether nothing is overdone: this file judges the promises I8 and I10.

I8 budgets: no batch fails more often than its retries allow, none is given up sooner, nothing is attempted after its
   age, and one owner gives up a record once only.
I10 memory: a worker never holds more records than its lanes may.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.history import entries
from tests.history.promises import Judge

AGE_SLACK_SECONDS = 1.0
"""From the decision that a record is young enough to the call."""


@dataclass(slots=True)
class BudgetJudge(Judge):
    _lanes: dict[str, tuple[int, int]] = field(default_factory=dict)
    _tenures: Counter[tuple[str, str]] = field(default_factory=Counter)
    _heads: Counter[tuple] = field(default_factory=Counter)
    _tries: dict[tuple, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    _given_up: set[tuple] = field(default_factory=set)
    _held: Counter[tuple[str, str]] = field(default_factory=Counter)

    def started(self, entry: entries.Started) -> None:
        self._lanes[entry.worker] = (entry.lanes, entry.batch_size)

    def leased(self, entry: entries.Leased) -> None:
        self._tenures[entry.worker, entry.shard] += 1
        self._held[entry.worker, entry.shard] = 0

    def attempted(self, entry: entries.Attempted) -> None:
        tenure = self._tenure(entry.worker, entry.shard)
        self._tries[tenure].update(entry.numbers)
        self._judge_retries(entry, tenure)
        oldest_at = self.promises.age_seconds_max
        if oldest_at is not None and self.promises.clocks_agree:
            put_at = self.shards[entry.shard].put_at
            late = [n for n in entry.numbers if entry.sent_at - put_at[n] > oldest_at + AGE_SLACK_SECONDS]
            if late:
                self.broken(entry, f"I8 {entry.shard}: attempted although too old: {late[:10]}")

    def _judge_retries(self, entry: entries.Attempted, tenure: tuple) -> None:
        """Progress changes the first record of what is left; without any, only the budget and the halves are left."""
        if self.promises.retries_max is None:
            return
        head = (*tenure, entry.numbers[0])
        self._heads[head] += 1
        halves = self._batch_size(entry.worker).bit_length() if self.promises.bisect else 0
        if self._heads[head] > self.promises.retries_max + 1 + halves:
            self.broken(entry, f"I8 {entry.shard}: {entry.numbers[0]} attempted {self._heads[head]} times")

    def discarded(self, entry: entries.Discarded) -> None:
        tenure = self._tenure(entry.worker, entry.shard)
        twice = [number for number in entry.numbers if (*tenure, number) in self._given_up]
        if twice:
            self.broken(entry, f"I8 {entry.shard}: given up twice by {entry.worker}: {twice[:10]}")
        self._given_up.update((*tenure, number) for number in entry.numbers)
        if entry.condition == "RetryAttemptsExhausted" and self.promises.retries_max is not None:
            tries, shard = self._tries[tenure], self.shards[entry.shard]
            over = shard.resolved | shard.trimmed  # these lie between, and were not sent
            early = [n for n in entry.numbers if tries[n] <= self.promises.retries_max and n not in over]
            if early:
                self.broken(entry, f"I8 {entry.shard}: given up before its retries were used: {early[:10]}")

    def fetched(self, entry: entries.Fetched) -> None:
        held = (entry.worker, entry.shard)
        self._held[held] += entry.records
        most = self.promises.ahead_records
        if most is not None and held[0] in self._lanes:
            lanes, batch_size = self._lanes[entry.worker]
            if self._held[held] > lanes * (most + batch_size + self.promises.page_records):
                self.broken(entry, f"I10 {entry.shard}: {entry.worker} holds {self._held[held]} records")

    def settled(self, entry: entries.Settled) -> None:
        self._held[entry.worker, entry.shard] -= entry.records

    def _tenure(self, worker: str, shard: str) -> tuple:
        return (worker, shard, self._tenures[worker, shard])

    def _batch_size(self, worker: str) -> int:
        return self._lanes.get(worker, (1, 10_000))[1]
