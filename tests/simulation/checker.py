"""The judge of a history, in one pass: this file knows the promises and nothing of the code that should keep them.

I0 what no filter wants is not delivered.
I1 nothing lost: every record put is handled, or given up in words, or trimmed and reported as a gap.
I2 order: a batch is attempted only when all before it in its shard, and so all of its keys, is resolved.
I3 a checkpoint is never ahead of what is resolved.
I4 a checkpoint never goes back.
I5 no record of a child is attempted before its parents are resolved.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from tests.simulation.history import (
    Attempted,
    Crashed,
    Discarded,
    Entry,
    Gap,
    Handled,
    Noted,
    Put,
    Resharded,
    Saved,
    Trimmed,
    Unwanted,
)


@dataclass(slots=True)
class _Shard:
    numbers: list[int] = field(default_factory=list)
    resolved: set[int] = field(default_factory=set)
    trimmed: set[int] = field(default_factory=set)
    prefix: int = 0  # how many of ``numbers`` are resolved without a hole
    parents: tuple[str, ...] = ()
    closed: bool = False
    finished: bool = False
    saved: int = 0

    def resolve(self, numbers) -> None:
        self.resolved.update(numbers)
        while self.prefix < len(self.numbers) and self.numbers[self.prefix] in self.resolved:
            self.prefix += 1

    def first_open(self) -> int | None:
        return self.numbers[self.prefix] if self.prefix < len(self.numbers) else None

    def done(self) -> bool:
        return self.closed and self.first_open() is None


class Checker:
    """Reads a history entry by entry; ``violations`` holds every broken promise in words."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.attempts: dict[int, int] = defaultdict(int)
        self._unwanted: set[int] = set()
        self._shards: dict[str, _Shard] = defaultdict(_Shard)

    def follow(self, entries: list[Entry]) -> int:
        """Reads more of a history, and says how many shards hold something unresolved."""
        for entry in entries:
            self._read(entry)
        return sum(shard.first_open() is not None for shard in self._shards.values())

    def judge(self, entries: list[Entry]) -> list[str]:
        self.follow(entries)
        for name, shard in self._shards.items():
            lost = [number for number in shard.numbers if number not in shard.resolved]
            if lost:
                self.violations.append(f"I1 {name}: neither handled nor reported: {lost[:10]} ({len(lost)} records)")
        return self.violations

    def _read(self, entry: Entry) -> None:
        match entry:
            case Put(_, shard, number, _):
                self._shards[shard].numbers.append(number)
            case Resharded(_, parents, children):
                for parent in parents:
                    self._shards[parent].closed = True
                for child in children:
                    self._shards[child].parents = parents
            case Unwanted(_, shard, number):
                self._shards[shard].resolve((number,))
                self._unwanted.add(number)
            case Attempted():
                self._attempted(entry)
            case Handled(_, shard, numbers):
                self._shards[shard].resolve(numbers)
            case Discarded(_, _, shard, first, last):
                self._shards[shard].resolve(n for n in self._shards[shard].numbers if first <= n <= last)
            case Trimmed(_, shard, numbers):
                self._shards[shard].trimmed.update(numbers)
            case Gap():
                self._gap(entry)
            case Saved():
                self._saved(entry)
            case Crashed() | Noted():
                pass

    def _attempted(self, entry: Attempted) -> None:
        shard = self._shards[entry.shard]
        for number in entry.numbers:
            self.attempts[number] += 1
        if self._unwanted.intersection(entry.numbers):
            self._broken(entry, f"I0 {entry.shard}: delivered although no filter wants it: {entry.numbers}")
        if list(entry.numbers) != sorted(entry.numbers):
            self._broken(entry, f"I2 {entry.shard}: a batch out of order: {entry.numbers}")
        present = [number for number in shard.numbers if entry.numbers[0] <= number <= entry.numbers[-1]]
        if present != list(entry.numbers) and not set(present) - set(entry.numbers) <= shard.trimmed | shard.resolved:
            self._broken(entry, f"I2 {entry.shard}: a batch with holes: {entry.numbers} of {present}")
        waiting = shard.first_open()
        if waiting is not None and waiting < entry.numbers[0]:
            self._broken(entry, f"I2 {entry.shard}: {entry.numbers[0]} was attempted while {waiting} is unresolved")
        for parent in shard.parents:
            if not self._shards[parent].done():
                self._broken(entry, f"I5 {entry.shard}: attempted while its parent {parent} is not done")

    def _gap(self, entry: Gap) -> None:
        shard = self._shards[entry.shard]
        after = _number(entry.after)
        before = entry.resumed_at if entry.resumed_at is not None else max(shard.trimmed, default=0) + 1
        lost = [n for n in shard.numbers if after < n < before and n not in shard.resolved]
        untrue = [n for n in lost if n not in shard.trimmed]
        if untrue:
            self._broken(entry, f"I1 {entry.shard}: reported as trimmed, but still in the stream: {untrue[:10]}")
        shard.resolve(lost)

    def _saved(self, entry: Saved) -> None:
        shard = self._shards[entry.shard]
        if entry.position == "SHARD_END":
            if not shard.done():
                self._broken(entry, f"I3 {entry.shard}: ended while {shard.first_open()} is unresolved")
            shard.finished = True
            return
        saved = _number(entry.position)
        if shard.finished or saved < shard.saved:
            self._broken(entry, f"I4 {entry.shard}: the checkpoint went back from {shard.saved} to {entry.position}")
        waiting = shard.first_open()
        if waiting is not None and saved >= waiting:
            self._broken(entry, f"I3 {entry.shard}: the checkpoint {saved} is ahead of the unresolved {waiting}")
        shard.saved = max(saved, shard.saved)

    def _broken(self, entry: Entry, text: str) -> None:
        self.violations.append(f"{entry.at:.3f} {text}")


def _number(position: str) -> int:
    kind, _, value = position.partition(":")
    return int(value) if kind == "AFTER" else 0
