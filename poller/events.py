"""What happens, as values; metrics, logs and health listen: this file is the list of all that is told.

``mapping`` is always the mapping's label. Nothing here holds a record's content.
"""

from __future__ import annotations

from dataclasses import dataclass

from poller.arns import DestinationKind
from poller.invocation import Condition
from poller.mapping import MappingStatus
from poller.model import Position, SequenceNumber, ShardId


@dataclass(frozen=True, slots=True)
class ShardEvent:
    mapping: str
    shard: ShardId


@dataclass(frozen=True, slots=True)
class Polled(ShardEvent):
    """One call for records, or one event of a subscription.

    ``result`` is ``records``, ``empty``, ``throttled``, ``expired`` or ``error``.
    """

    result: str
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PageRead(ShardEvent):
    """A page reached the shard's batcher.

    ``oldest_at`` is the arrival of the oldest record that waits, ``newest_at`` that of the page's last one, wanted or
    not; both in epoch seconds, ``None`` without such a record. ``took_seconds``: as in a `poller.records.Page`.
    """

    records: int
    size_bytes: int
    behind_seconds: float | None
    oldest_at: float | None
    newest_at: float | None = None
    took_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchInvoked(ShardEvent):
    """One attempt of a batch.

    ``outcome`` is ``success``, ``partial_failure``, ``function_error``, ``not_invoked`` or ``payload_too_large``;
    ``attempt`` counts from 1 within the batch identity, refusals included. ``iterator_age_seconds`` is the age of its
    last record when it was invoked (R-MET-3). ``first`` and ``last`` are empty for a closing of a window, which has
    no records.
    """

    request_id: str
    records: int
    first: SequenceNumber
    last: SequenceNumber
    attempt: int
    outcome: str
    seconds: float
    problem: str = ""
    iterator_age_seconds: float | None = None
    lane: int = 0


@dataclass(frozen=True, slots=True)
class BatchRetried(ShardEvent):
    """What is left of a batch will be invoked again; ``split`` says that it was divided by bisect."""

    records: int
    wait_seconds: float
    split: bool


@dataclass(frozen=True, slots=True)
class RecordsSettled(ShardEvent):
    """Records are done; ``oldest_pending_at`` is the arrival of the oldest read and not yet done one, if any."""

    records: int
    succeeded: int
    position: Position
    oldest_pending_at: float | None


@dataclass(frozen=True, slots=True)
class RecordsFiltered(ShardEvent):
    """Records of a page that no filter of the mapping wants; they are done without an invocation (R-FILT-2)."""

    records: int


@dataclass(frozen=True, slots=True)
class RecordsDiscarded(ShardEvent):
    """Records were given up, never silently.

    ``delivered`` says whether the destination took the report; ``None`` if there is none, or none for this condition.
    Between ``first`` and ``last`` may lie records of other lanes, which are not meant (R-PAR-7). A closing of a window
    that was given up has no records, and no first and last.
    """

    condition: Condition
    records: int
    first: SequenceNumber
    last: SequenceNumber
    attempts: int
    problem: str
    delivered: bool | None = None
    request_id: str = ""
    lane: int = 0


@dataclass(frozen=True, slots=True)
class FailureSent(ShardEvent):
    """A report of ``records`` was sent to the destination, which took it if there is no ``problem``."""

    destination: DestinationKind
    records: int
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class InnerRecordsDropped(ShardEvent):
    """Inner records of an aggregate do not belong to its shard; their producer puts them again (R-KPL-4)."""

    sequence_number: SequenceNumber
    records: int


@dataclass(frozen=True, slots=True)
class WindowClosed(ShardEvent):
    """The state of a tumbling window was handed over; ``early`` if it had grown too large, and the window goes on."""

    start: int
    end: int
    early: bool


@dataclass(frozen=True, slots=True)
class PositionTrimmed(ShardEvent):
    """The stream no longer holds what was wanted: what lay between ``after`` and ``resumed_at`` is lost here.

    ``resumed_at`` is the first record that could be read. ``None``: the shard has none left, or none yet; in the
    latter case the gap is told again once its end is known.
    """

    after: Position
    resumed_at: SequenceNumber | None
    problem: str


@dataclass(frozen=True, slots=True)
class CheckpointSaved(ShardEvent):
    position: Position


@dataclass(frozen=True, slots=True)
class CheckpointFailed(ShardEvent):
    problem: str


@dataclass(frozen=True, slots=True)
class LeaseTaken(ShardEvent):
    position: Position


@dataclass(frozen=True, slots=True)
class LeaseWasLost(ShardEvent):
    problem: str


@dataclass(frozen=True, slots=True)
class ShardReleased(ShardEvent):
    """This worker no longer reads the shard; another may."""


@dataclass(frozen=True, slots=True)
class ShardFinished(ShardEvent):
    """The shard is closed and every record of it is done; its children may be read."""


@dataclass(frozen=True, slots=True)
class ShardFailed(ShardEvent):
    """Something unforeseen ended the shard's task; it is started again after a pause."""

    problem: str
    traceback: str


@dataclass(frozen=True, slots=True)
class ShardsListed:
    mapping: str
    shards: int
    found: int


@dataclass(frozen=True, slots=True)
class MappingTroubled:
    """The mapping as a whole cannot go on for now (stream gone, no permission, store away); it tries again.

    ``said`` is the service's own text about the stream, empty if it is not the stream that is in trouble. ``listing``:
    its shards could not be listed.
    """

    mapping: str
    problem: str
    said: str = ""
    listing: bool = False


@dataclass(frozen=True, slots=True)
class StreamReplaced:
    """The stream was deleted and made anew under its name: the new one is read from its beginning."""

    mapping: str
    shards: int


@dataclass(frozen=True, slots=True)
class MappingChanged:
    """State or last processing result of a mapping are new."""

    mapping: str
    status: MappingStatus


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    worker: str
    mappings: int


@dataclass(frozen=True, slots=True)
class WorkerDraining:
    within_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerStopped:
    drained: bool


Event = (
    Polled
    | PageRead
    | BatchInvoked
    | BatchRetried
    | RecordsSettled
    | RecordsFiltered
    | RecordsDiscarded
    | FailureSent
    | InnerRecordsDropped
    | WindowClosed
    | PositionTrimmed
    | CheckpointSaved
    | CheckpointFailed
    | LeaseTaken
    | LeaseWasLost
    | ShardReleased
    | ShardFinished
    | ShardFailed
    | ShardsListed
    | MappingTroubled
    | StreamReplaced
    | MappingChanged
    | WorkerStarted
    | WorkerDraining
    | WorkerStopped
)
