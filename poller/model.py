"""The words of streams, as frozen values: this file is places in shards, and what is kept of them in a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NewType

ShardId = NewType("ShardId", str)
SequenceNumber = NewType("SequenceNumber", str)
WorkerId = NewType("WorkerId", str)
MappingId = NewType("MappingId", str)

Place = tuple[int, int, float]
"""Where a position lies among the positions of its shard, ready to be compared."""

WHOLE = float("inf")
"""The last part of the place behind a whole record, and not inside an aggregate."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a shard, as one text that is the same in stores, logs and on the command line.

    ``TRIM_HORIZON`` (oldest record), ``AT_TIMESTAMP:<epoch seconds>``, ``AFTER:<sequence number>``, ``SHARD_END``;
    ``AFTER:<sequence number>:<index>`` lies inside an aggregate, behind the inner record of that index.
    """

    text: str
    place: Place = field(init=False, repr=False, compare=False)
    """Sequence numbers compare as integers, never as text (R-KIN-10, R-PORT-7). Kept, as every record is compared."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", self._placed())

    def _placed(self) -> Place:
        kind, _, value = self.text.partition(":")
        match kind:
            case "TRIM_HORIZON" if not value:
                return 0, 0, 0.0
            case "AFTER" if all(part.isascii() and part.isdigit() for part in value.split(":", 1)):
                number, _, inner = value.partition(":")
                return 1, int(number), int(inner) if inner else WHOLE
            case "SHARD_END" if not value:
                return 2, 0, 0.0
            case "AT_TIMESTAMP":
                float(value)
                return 0, 0, 0.0
        raise ValueError(f"not a position: {self.text!r}")

    @classmethod
    def after(cls, sequence_number: SequenceNumber, inner: int | None = None) -> Position:
        return cls(f"AFTER:{sequence_number}" if inner is None else f"AFTER:{sequence_number}:{inner}")

    @classmethod
    def at_timestamp(cls, epoch_seconds: float) -> Position:
        return cls(f"AT_TIMESTAMP:{epoch_seconds:.3f}")

    @property
    def sequence_number(self) -> SequenceNumber | None:
        """The record that was the last one settled; ``None`` unless the position is ``AFTER:...``."""
        kind, _, value = self.text.partition(":")
        return SequenceNumber(value.partition(":")[0]) if kind == "AFTER" else None

    @property
    def inner(self) -> int | None:
        """The last inner record of an aggregate that was settled; ``None`` if there is no aggregate to go on with."""
        _, _, index = self.text.removeprefix("AFTER:").partition(":")
        return int(index) if index and self.text.startswith("AFTER:") else None

    @property
    def timestamp(self) -> float | None:
        """Epoch seconds; ``None`` unless the position is ``AT_TIMESTAMP:...``."""
        kind, _, value = self.text.partition(":")
        return float(value) if kind == "AT_TIMESTAMP" else None

    def __str__(self) -> str:
        return self.text


TRIM_HORIZON = Position("TRIM_HORIZON")
SHARD_END = Position("SHARD_END")


def precedes(earlier: Position, later: Position) -> bool:
    """Whether moving from ``earlier`` to ``later`` is a step forward in one shard."""
    return earlier.place < later.place


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as the service lists it; ``closed`` means that it takes no new records.

    ``hashes``: the first and last hash key of a Kinesis shard, to which a record's own hash key belongs.
    """

    id: ShardId
    parents: tuple[ShardId, ...] = ()
    closed: bool = False
    hashes: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """All shards of a stream, and how long it keeps records (seconds; ``None`` if unknown).

    ``stream_created_at`` (epoch seconds) tells a stream from a later one of the same name; ``None`` if it is not known.
    """

    shards: tuple[Shard, ...]
    retention_seconds: float | None = None
    stream_created_at: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A tumbling window of one shard, and what its invocations said last.

    ``start`` and ``end`` are epoch seconds; ``state`` is JSON. A window that was never ``opened`` by an invocation
    has no final one: it only says which windows are over.
    """

    start: int
    end: int
    state: bytes = b"{}"
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is saved for a shard, in one row and one write.

    ``position`` is behind all that is done in every lane. ``lanes`` is how far each lane is, empty if all are equally
    far; ``earlier`` is the same of lanes under earlier settings, of another number, while what they did reaches beyond
    ``position``. ``by_inner_keys``: lanes were dealt out by the keys inside aggregates, not by those of aggregates, so
    that the same record may have another lane. ``window`` is the tumbling window that is open. ``arrived_at``: when the
    last settled record reached the stream (epoch seconds; ``None`` before the first); ``last_outcome``: the last word
    on a batch, for operators.
    """

    position: Position
    arrived_at: float | None = None
    last_outcome: str = ""
    lanes: tuple[Position, ...] = ()
    earlier: tuple[tuple[Position, ...], ...] = ()
    window: Window | None = None
    by_inner_keys: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to read one shard.

    ``token`` moves at each change of owner and fences every save; ``counter`` moves at each renewal. Expiry is
    *observed*: a lease whose token and counter stood still for a lease time on the observer's clock is free.
    """

    mapping: MappingId
    shard: ShardId
    owner: WorkerId | None
    token: int = 0
    counter: int = 0


def first_token(stream_created_at: float | None) -> int:
    """Where the tokens of a new row begin: above those of any stream before it that had the same name.

    A save for a shard of such a stream, which was held up on its way, must not fit the lease of the new one.
    """
    return int(stream_created_at or 0)


@dataclass(frozen=True, slots=True)
class Row:
    """One shard of one mapping in a store: lineage, checkpoint and lease together, so that a save can be fenced.

    ``saved_at``: wall time of the last save, epoch seconds. ``stream_created_at``: as in the listing it came from.
    """

    lease: Lease
    parents: tuple[ShardId, ...]
    checkpoint: Checkpoint
    saved_at: float = 0.0
    stream_created_at: float | None = None

    @property
    def shard(self) -> ShardId:
        return self.lease.shard

    @property
    def finished(self) -> bool:
        return self.checkpoint.position == SHARD_END
