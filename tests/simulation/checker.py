"""The judge of a history, in one pass: this file knows the promises and nothing of the code that should keep them.

I0 what no filter wants is not delivered.
I1 nothing lost: every record put is handled, or given up in words, or trimmed and reported as a gap.
I2 order: a batch is attempted only when all before it, of its shard or (with several lanes) of its keys, is resolved.
I3 a checkpoint is never ahead of what is resolved.
I4 a checkpoint never goes back.
I5 no record of a child is attempted before its parents are resolved.
I6 a destination has what it is said to have taken.
I7 with tumbling windows, every record that was settled is in the state of one window, once, and no later one's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.simulation.history import (
    Accepted,
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
    WindowEnded,
)


@dataclass(slots=True)
class _Line:
    """Numbers that must be worked off in order: those of a shard, or those of a key in it."""

    numbers: list[int] = field(default_factory=list)
    prefix: int = 0  # how many of ``numbers`` are resolved without a hole

    def between(self, first: int, last: int) -> list[int]:
        """Those from first to last; numbers only grow."""
        return self.numbers[bisect_left(self.numbers, first) : bisect_right(self.numbers, last)]

    def first_open(self, resolved: set[int]) -> int | None:
        while self.prefix < len(self.numbers) and self.numbers[self.prefix] in resolved:
            self.prefix += 1
        return self.numbers[self.prefix] if self.prefix < len(self.numbers) else None


@dataclass(slots=True)
class _Shard:
    all: _Line = field(default_factory=_Line)
    keys: dict[str, _Line] = field(default_factory=lambda: defaultdict(_Line))
    key_of: dict[int, str] = field(default_factory=dict)
    put_at: dict[int, float] = field(default_factory=dict)
    resolved: set[int] = field(default_factory=set)
    discarded: set[int] = field(default_factory=set)
    trimmed: set[int] = field(default_factory=set)
    accepted: set[tuple[int, int]] = field(default_factory=set)
    windows: dict[int, tuple[int, ...]] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    closed: bool = False
    finished: bool = False
    saved: int = 0

    def put(self, number: int, key: str, at: float) -> None:
        self.put_at[number] = at
        self.all.numbers.append(number)
        self.keys[key].numbers.append(number)
        self.key_of[number] = key

    def first_open(self) -> int | None:
        return self.all.first_open(self.resolved)

    def done(self) -> bool:
        return self.closed and self.first_open() is None

    def lines(self, numbers: Sequence[int], *, by_key: bool) -> Iterable[tuple[_Line, list[int]]]:
        """What must be worked off in order, and which of ``numbers`` are in it."""
        if not by_key:
            return [(self.all, list(numbers))]
        split: dict[str, list[int]] = defaultdict(list)
        for number in numbers:
            split[self.key_of[number]].append(number)
        return [(self.keys[key], of_key) for key, of_key in split.items()]


class Checker:
    """Reads a history entry by entry; ``violations`` holds every broken promise in words.

    ``by_key``: there are several lanes, so that order is promised for keys only. ``windows``: there are windows.
    """

    def __init__(self, *, by_key: bool = False, windows: bool = False) -> None:
        self.violations: list[str] = []
        self.attempts: dict[int, int] = defaultdict(int)
        self._by_key = by_key
        self._windows = windows
        self._unwanted: set[int] = set()
        self._shards: dict[str, _Shard] = defaultdict(_Shard)

    def follow(self, entries: list[Entry]) -> int:
        """Reads more of a history, and says how many shards hold something unresolved."""
        for entry in entries:
            self._read(entry)
        return sum(shard.first_open() is not None for shard in self._shards.values())

    def judge(self, entries: list[Entry], open_windows: dict[str, tuple[int, ...]] | None = None) -> list[str]:
        """``open_windows``: per shard, what is in the state that is kept for the window that is open."""
        self.follow(entries)
        for name, shard in self._shards.items():
            lost = [number for number in shard.all.numbers if number not in shard.resolved]
            if lost:
                self.violations.append(f"I1 {name}: neither handled nor reported: {lost[:10]} ({len(lost)} records)")
            if self._windows:
                self._judge_windows(name, shard, (open_windows or {}).get(name, ()))
        return self.violations

    def _judge_windows(self, name: str, shard: _Shard, still_open: tuple[int, ...]) -> None:
        counted = Counter(number for numbers in (*shard.windows.values(), still_open) for number in numbers)
        twice = sorted(number for number, count in counted.items() if count > 1)
        if twice:
            self.violations.append(f"I7 {name}: in more than one state: {twice[:10]}")
        settled = set(shard.all.numbers) - shard.discarded - shard.trimmed
        missing = sorted(settled - set(counted))
        if missing:
            self.violations.append(f"I7 {name}: settled, yet in no state: {missing[:10]} ({len(missing)} records)")

    def _read(self, entry: Entry) -> None:
        match entry:
            case Put(at, shard, number, key):
                self._shards[shard].put(number, key, at)
            case Resharded(_, parents, children):
                for parent in parents:
                    self._shards[parent].closed = True
                for child in children:
                    self._shards[child].parents = parents
            case Unwanted(_, shard, number):
                self._shards[shard].resolved.add(number)
                self._unwanted.add(number)
            case Attempted():
                self._attempted(entry)
            case Handled(_, shard, numbers):
                self._shards[shard].resolved.update(numbers)
            case Discarded():
                self._discarded(entry)
            case Accepted(_, shard, first, last):
                self._shards[shard].accepted.add((first, last))
            case WindowEnded():
                self._window_ended(entry)
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
        if entry.before is not None and any(shard.put_at[number] >= entry.before for number in entry.numbers):
            self._broken(entry, f"I7 {entry.shard}: records of a later window in {entry.numbers}")
        if self._unwanted.intersection(entry.numbers):
            self._broken(entry, f"I0 {entry.shard}: delivered although no filter wants it: {entry.numbers}")
        if list(entry.numbers) != sorted(entry.numbers):
            self._broken(entry, f"I2 {entry.shard}: a batch out of order: {entry.numbers}")
        for line, numbers in shard.lines(entry.numbers, by_key=self._by_key):
            left_out = set(line.between(numbers[0], numbers[-1])).difference(numbers)
            if any(number not in shard.trimmed and number not in shard.resolved for number in left_out):
                self._broken(entry, f"I2 {entry.shard}: a batch with holes: {numbers} without {sorted(left_out)}")
            waiting = line.first_open(shard.resolved)
            if waiting is not None and waiting < numbers[0]:
                self._broken(entry, f"I2 {entry.shard}: {numbers[0]} was attempted while {waiting} is unresolved")
        for parent in shard.parents:
            if not self._shards[parent].done():
                self._broken(entry, f"I5 {entry.shard}: attempted while its parent {parent} is not done")

    def _discarded(self, entry: Discarded) -> None:
        shard = self._shards[entry.shard]
        if entry.delivered and (entry.first, entry.last) not in shard.accepted:
            self._broken(entry, f"I6 {entry.shard}: no destination has {entry.first} to {entry.last}")
        gone = [number for number in entry.numbers if number in shard.key_of]
        shard.resolved.update(gone)
        shard.discarded.update(gone)

    def _window_ended(self, entry: WindowEnded) -> None:
        """The last telling of an end counts, since a crash may repeat it; the state must be the same then."""
        shard = self._shards[entry.shard]
        before = shard.windows.get(entry.start)
        if before is not None and before != entry.numbers:
            self._broken(entry, f"I7 {entry.shard}: the window {entry.start} ended with another state before")
        if len(set(entry.numbers)) < len(entry.numbers):
            self._broken(entry, f"I7 {entry.shard}: a record is in the state twice: {entry.numbers}")
        shard.windows[entry.start] = entry.numbers

    def _gap(self, entry: Gap) -> None:
        shard = self._shards[entry.shard]
        after = _number(entry.after)
        before = entry.resumed_at if entry.resumed_at is not None else max(shard.trimmed, default=0) + 1
        lost = [n for n in shard.all.numbers if after < n < before and n not in shard.resolved]
        untrue = [n for n in lost if n not in shard.trimmed]
        if untrue:
            self._broken(entry, f"I1 {entry.shard}: reported as trimmed, but still in the stream: {untrue[:10]}")
        shard.resolved.update(lost)

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
