"""What is known of each record at a moment of a history: this file counts, and judges nothing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Line:
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
class ShardLedger:
    """One shard; ``resolved`` are its records that are handled, given up in words, unwanted, or out of scope."""

    all: Line = field(default_factory=Line)
    keys: dict[str, Line] = field(default_factory=lambda: defaultdict(Line))
    key_of: dict[int, str] = field(default_factory=dict)
    put_at: dict[int, float] = field(default_factory=dict)
    resolved: set[int] = field(default_factory=set)
    discarded: set[int] = field(default_factory=set)
    unwanted: set[int] = field(default_factory=set)
    out_of_scope: set[int] = field(default_factory=set)
    trimmed: set[int] = field(default_factory=set)
    accepted: set[tuple[int, int]] = field(default_factory=set)
    parents: tuple[str, ...] = ()
    closed: bool = False
    finished: bool = False
    gap_from: int | None = None  # it was told that a gap begins behind that, and not yet where it ends
    saved: int = 0  # 0 as long as nothing was read for sure
    began: bool = False  # it has its row
    of_another_stream: bool = False  # its row is still the one of a stream that was deleted
    readers: set[str] = field(default_factory=set)  # who had its lease since it has its row

    def put(self, number: int, key: str, at: float) -> None:
        self.put_at[number] = at
        self.all.numbers.append(number)
        self.keys[key].numbers.append(number)
        self.key_of[number] = key

    def first_open(self) -> int | None:
        return self.all.first_open(self.resolved)

    def done(self) -> bool:
        return self.closed and self.first_open() is None

    def leave_out(self, numbers: Iterable[int]) -> None:
        """These were never promised."""
        left_out = [number for number in numbers if number not in self.resolved]
        self.out_of_scope.update(left_out)
        self.resolved.update(left_out)

    def lines(self, numbers: Sequence[int], *, by_key: bool) -> Iterable[tuple[Line, list[int]]]:
        """What must be worked off in order, and which of ``numbers`` are in it."""
        if not by_key:
            return [(self.all, list(numbers))]
        split: dict[str, list[int]] = defaultdict(list)
        for number in numbers:
            split[self.key_of[number]].append(number)
        return [(self.keys[key], of_key) for key, of_key in split.items()]


Ledger = dict[str, ShardLedger]


def number_of(position: str) -> int:
    """The sequence number in a position's text; 0 if it has none."""
    kind, _, value = position.partition(":")
    return int(value.partition(":")[0]) if kind == "AFTER" else 0
