"""The log itself: this file keeps entries in order, and writes and reads them as JSON lines."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields

from tests.history.entries import KINDS, Entry, Put


@dataclass(slots=True)
class History:
    """``shards`` tells where each number was put, ``numbers`` what is in each shard, ``keys`` under which key."""

    entries: list[Entry] = field(default_factory=list)
    shards: dict[int, str] = field(default_factory=dict)
    numbers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    keys: dict[int, str] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        if isinstance(entry, Put):
            self.shards[entry.number] = entry.shard
            self.numbers[entry.shard].append(entry.number)
            self.keys[entry.number] = entry.key

    def forget_told(self) -> None:
        """Drops the entries, which somebody has read; what was put is still known."""
        self.entries.clear()

    def timeline(self) -> str:
        """For people: a line an entry."""
        return "\n".join(f"{entry.at:10.3f}  {type(entry).__name__:10} {_told(entry)}" for entry in self.entries)

    def lines(self) -> Iterable[str]:
        """For programs: JSON, a line an entry."""
        for entry in self.entries:
            yield json.dumps({"kind": type(entry).__name__, **asdict(entry)})


def read(lines: Iterable[str]) -> list[Entry]:
    """The entries that were written as ``lines``."""
    return [_entry(json.loads(line)) for line in lines if line.strip()]


def _entry(said: dict) -> Entry:
    kind = KINDS[said.pop("kind")]
    return kind(**{name: _frozen(value) for name, value in said.items()})


def _frozen(value):
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def _told(entry: Entry) -> str:
    return " ".join(f"{each.name}={getattr(entry, each.name)}" for each in fields(entry) if each.name != "at")
