"""The words of the house, as frozen values: this file is what flows from a stream to a function and into a store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

ShardId = NewType("ShardId", str)
SequenceNumber = NewType("SequenceNumber", str)
WorkerId = NewType("WorkerId", str)
MappingId = NewType("MappingId", str)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a shard, as one text that is the same in stores, logs and on the command line.

    ``TRIM_HORIZON`` (oldest record), ``AT_TIMESTAMP:<epoch seconds>``, ``AFTER:<sequence number>``, ``SHARD_END``.
    """

    text: str

    def __post_init__(self) -> None:
        kind, _, value = self.text.partition(":")
        match kind:
            case "TRIM_HORIZON" | "SHARD_END" if not value:
                return
            case "AFTER" if value.isascii() and value.isdigit():
                return
            case "AT_TIMESTAMP":
                float(value)
            case _:
                raise ValueError(f"not a position: {self.text!r}")

    @classmethod
    def after(cls, sequence_number: SequenceNumber) -> Position:
        return cls(f"AFTER:{sequence_number}")

    @classmethod
    def at_timestamp(cls, epoch_seconds: float) -> Position:
        return cls(f"AT_TIMESTAMP:{epoch_seconds:.3f}")

    @property
    def sequence_number(self) -> SequenceNumber | None:
        """The record that was the last one settled; ``None`` unless the position is ``AFTER:...``."""
        kind, _, value = self.text.partition(":")
        return SequenceNumber(value) if kind == "AFTER" else None

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
    """Whether moving from ``earlier`` to ``later`` is a step forward in one shard.

    Sequence numbers compare as integers, never as text (R-KIN-10, R-PORT-7).
    """
    if later == SHARD_END or earlier == SHARD_END:
        return later == SHARD_END != earlier
    if later.sequence_number is None:
        return False
    return earlier.sequence_number is None or int(earlier.sequence_number) < int(later.sequence_number)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of one shard, whatever the service.

    ``ordering_key``: what order is promised for (Kinesis: partition key; DynamoDB: item key).
    ``arrived_at``: when the source took it, epoch seconds.
    ``body``: its JSON as it stands in the Lambda event; ``len(body)`` is its share of the payload.
    """

    sequence_number: SequenceNumber
    ordering_key: str
    arrived_at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a source; ``behind_seconds`` is the lag after it, ``None`` where the service does not say.

    ``ended`` means that the shard is closed and this was the last of it; the page may still hold records.
    """

    records: tuple[Record, ...]
    behind_seconds: float | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as the service lists it; ``closed`` means that it takes no new records."""

    id: ShardId
    parents: tuple[ShardId, ...] = ()
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """All shards of a stream, and how long it keeps records (seconds; ``None`` if unknown)."""

    shards: tuple[Shard, ...]
    retention_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records that are invoked together: the unit of retry, and one batch identity (R-RETRY-2).

    ``attempts`` counts invocations that used up budget, ``refusals`` those that never reached the function.
    """

    records: tuple[Record, ...]
    attempts: int = 0
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a target gets: the event as UTF-8 JSON; an unchanged batch keeps its ``request_id`` (R-INV-5)."""

    request_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function answered; ``answer`` is its answer as JSON text, empty if there was none."""

    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class FunctionFailed:
    """The function ran, or may have run, and failed: exception, time-out, exit, unserialisable answer."""

    error: str


@dataclass(frozen=True, slots=True)
class NotInvoked:
    """The function was not reached: throttle, service error, no connection. Never counts as an attempt.

    ``retry_after_seconds``: the target's own wish, ``None`` if it had none.
    """

    error: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PayloadTooLarge:
    """The event is larger than the target takes; counts as an attempt (R-BATCH-7)."""

    error: str = "payload too large"


Outcome = Succeeded | FunctionFailed | NotInvoked | PayloadTooLarge


class Condition(StrEnum):
    """Why records were given up; the first two are Lambda's words (R-DEST-22)."""

    RETRY_ATTEMPTS_EXHAUSTED = "RetryAttemptsExhausted"
    RECORD_AGE_EXCEEDED = "RecordAgeExceeded"
    RETENTION_EXPIRED = "RetentionExpired"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a chunk: ``settled + discarded + pending == chunk``, in order.

    ``condition`` is set exactly when something is discarded; ``attempts`` is its invoke count as a failure document
    gives it. ``wait_seconds`` is the pause before the first pending chunk.
    """

    settled: tuple[Record, ...] = ()
    discarded: tuple[Record, ...] = ()
    condition: Condition | None = None
    attempts: int = 0
    pending: tuple[Chunk, ...] = ()
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is saved for a shard, in one row and one write.

    ``arrived_at``: when the last settled record reached the stream (epoch seconds; ``None`` before the first);
    ``last_outcome``: the last word on a batch, for `poller shards`.
    """

    position: Position
    arrived_at: float | None = None
    last_outcome: str = ""


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


@dataclass(frozen=True, slots=True)
class Row:
    """One shard of one mapping in a store: lineage, checkpoint and lease together, so that a save can be fenced.

    ``saved_at``: wall time of the last save, epoch seconds.
    """

    lease: Lease
    parents: tuple[ShardId, ...]
    checkpoint: Checkpoint
    saved_at: float = 0.0

    @property
    def shard(self) -> ShardId:
        return self.lease.shard

    @property
    def finished(self) -> bool:
        return self.checkpoint.position == SHARD_END
