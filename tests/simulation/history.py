"""What happened in a simulated world: this file is the log that everything writes and only the checker judges."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Put:
    at: float
    shard: str
    number: int
    key: str


@dataclass(frozen=True, slots=True)
class Unwanted:
    """No filter wants this record, which was just put."""

    at: float
    shard: str
    number: int


@dataclass(frozen=True, slots=True)
class Attempted:
    """A function was called with records; their numbers, all of one shard. ``before``: the end of their window."""

    at: float
    worker: str
    shard: str
    numbers: tuple[int, ...]
    request_id: str
    before: float | None = None


@dataclass(frozen=True, slots=True)
class Handled:
    """The function did its work on these records."""

    at: float
    shard: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Discarded:
    """A worker said that it gives up records of a shard; ``delivered``: that a destination knows of it."""

    at: float
    worker: str
    shard: str
    numbers: tuple[int, ...]
    first: int = 0
    last: int = 0
    delivered: bool | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A destination took a report of the records from first to last."""

    at: float
    shard: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class WindowEnded:
    """The function was called for the end of a window, whose state holds these records."""

    at: float
    shard: str
    start: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """A worker said that what lay after a position and before the next readable record is lost."""

    at: float
    worker: str
    shard: str
    after: str
    resumed_at: int | None


@dataclass(frozen=True, slots=True)
class Saved:
    """The store now holds this position."""

    at: float
    worker: str
    shard: str
    position: str


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The stream threw these records away."""

    at: float
    shard: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Resharded:
    at: float
    parents: tuple[str, ...]
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Crashed:
    at: float
    worker: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something for the reader of a timeline only."""

    at: float
    text: str


Entry = (
    Put
    | Unwanted
    | Attempted
    | Handled
    | Discarded
    | Accepted
    | WindowEnded
    | Gap
    | Saved
    | Trimmed
    | Resharded
    | Crashed
    | Noted
)


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

    def timeline(self) -> str:
        return "\n".join(f"{entry.at:10.3f}  {type(entry).__name__:10} {_fields(entry)}" for entry in self.entries)


def _fields(entry: Entry) -> str:
    return " ".join(f"{name}={getattr(entry, name)}" for name in entry.__dataclass_fields__ if name != "at")
