"""What happened: this file is the words of the log that every way of testing writes, and only the checker judges."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """``at`` is in seconds, on one clock for the whole history."""

    at: float


# The stream


@dataclass(frozen=True, slots=True)
class Put(Entry):
    shard: str
    number: int
    key: str


@dataclass(frozen=True, slots=True)
class Unwanted(Entry):
    """No filter wants this record, which was just put."""

    shard: str
    number: int


@dataclass(frozen=True, slots=True)
class Trimmed(Entry):
    """The stream threw these records away."""

    shard: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Resharded(Entry):
    parents: tuple[str, ...]
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remade(Entry):
    """The stream was deleted, and another one made whose shards have the same names."""


@dataclass(frozen=True, slots=True)
class Vanished(Entry):
    """A shard has left the listing; its records were trimmed before."""

    shard: str


# What a worker does


@dataclass(frozen=True, slots=True)
class Fetched(Entry):
    """A worker took so many records of a shard into its memory."""

    worker: str
    shard: str
    records: int


@dataclass(frozen=True, slots=True)
class Settled(Entry):
    """A worker has so many records less in its memory."""

    worker: str
    shard: str
    records: int


@dataclass(frozen=True, slots=True)
class Attempted(Entry):
    """A function was called with records of a shard. ``sent_at``: when the worker began; ``before``: a window's end."""

    worker: str
    shard: str
    numbers: tuple[int, ...]
    request_id: str
    sent_at: float = 0.0
    before: float | None = None


@dataclass(frozen=True, slots=True)
class Handled(Entry):
    """The function did its work on these records."""

    shard: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answered(Entry):
    """The function has told a worker that it has done these records; ``request_id``: of the attempt."""

    worker: str
    shard: str
    numbers: tuple[int, ...]
    request_id: str


@dataclass(frozen=True, slots=True)
class WindowEnded(Entry):
    """The function was called for the end of a window, whose state holds these records."""

    shard: str
    start: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Discarded(Entry):
    """A worker said that it gives up records of a shard; ``delivered``: whether a destination knows of it."""

    worker: str
    shard: str
    numbers: tuple[int, ...]
    first: int = 0
    last: int = 0
    delivered: bool | None = None
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Accepted(Entry):
    """A destination took a report of the records from first to last."""

    shard: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Gap(Entry):
    """A worker said that what lay after a position and before the next readable record is lost."""

    worker: str
    shard: str
    after: str
    resumed_at: int | None


# The store, in its own view


@dataclass(frozen=True, slots=True)
class Began(Entry):
    """A shard was given its row, and this is where its reading begins; the stream that it is of was ``created_at``."""

    shard: str
    position: str
    created_at: float | None = None


@dataclass(frozen=True, slots=True)
class Leased(Entry):
    worker: str
    shard: str
    token: int


@dataclass(frozen=True, slots=True)
class Released(Entry):
    worker: str
    shard: str
    token: int


@dataclass(frozen=True, slots=True)
class Lost(Entry):
    """A worker found that its lease is over."""

    worker: str
    shard: str


@dataclass(frozen=True, slots=True)
class Saved(Entry):
    """The store now holds this position; the lease that allowed it had this token."""

    worker: str
    shard: str
    position: str
    token: int = 0


@dataclass(frozen=True, slots=True)
class Restored(Entry):
    """Somebody put an older copy of the store in its place; per shard the position that it holds now."""

    positions: tuple[tuple[str, str], ...]


# Lives and troubles


@dataclass(frozen=True, slots=True)
class Started(Entry):
    """A worker began, with so many lanes and batches of at most so many records."""

    worker: str
    lanes: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class Crashed(Entry):
    worker: str


@dataclass(frozen=True, slots=True)
class Stopped(Entry):
    """A worker came to its end by itself; ``drained``: within its time, with nothing under way any more."""

    worker: str
    drained: bool


@dataclass(frozen=True, slots=True)
class Struck(Entry):
    """A fault was there; ``worker`` is empty if it was everybody's."""

    fault: str
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Noted(Entry):
    """Something for the reader of a timeline only."""

    text: str


KINDS: dict[str, type[Entry]] = {each.__name__: each for each in Entry.__subclasses__()}
