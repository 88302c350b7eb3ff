"""The words of invocations, as frozen values: this file is what is invoked, what comes of it, and what is given up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from poller.model import MappingId, ShardId, Window
from poller.records import Record


@dataclass(frozen=True, slots=True)
class Closing:
    """An invocation without records: the final one of a window, or (``early``) one that only takes its state away.

    ``due_at``: since when it should be made (epoch seconds), from which its age counts.
    """

    window: Window
    due_at: float
    early: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is invoked together: the unit of retry, and one batch identity (R-RETRY-2).

    ``attempts`` counts invocations that used up budget, ``refusals`` those that never reached the function. Without
    records it is a ``closing``.
    """

    records: tuple[Record, ...]
    attempts: int = 0
    refusals: int = 0
    closing: Closing | None = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a target gets; an unchanged batch keeps its ``request_id`` (R-INV-5).

    `poller.rules.envelope` makes the event of ``records`` and ``tail``, which ends it.
    """

    request_id: str
    records: tuple[Record, ...]
    tail: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What a failure document tells of a function's answer (R-DEST-23).

    ``request_id``: the target's own; empty if it took that of the invocation. ``function_error``: Lambda's word for
    a function that failed; ``None`` for one that answered.
    """

    status_code: int = 200
    executed_version: str = "$LATEST"
    function_error: str | None = None
    request_id: str = ""


UNHANDLED = Response(function_error="Unhandled")


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function answered; ``answer`` is its answer as JSON text, empty if there was none."""

    answer: bytes = b""
    response: Response = Response()


@dataclass(frozen=True, slots=True)
class FunctionFailed:
    """The function ran, or may have run, and failed: exception, time-out, exit, unserialisable answer."""

    error: str
    response: Response = UNHANDLED


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

    ``condition`` is set exactly when something is given up; ``attempts`` is its invoke count as a failure document
    gives it. ``wait_seconds`` is the pause before the first pending chunk.
    """

    settled: tuple[Record, ...] = ()
    discarded: tuple[Record, ...] = ()
    condition: Condition | None = None
    attempts: int = 0
    pending: tuple[Chunk, ...] = ()
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FailureReport:
    """What was given up, for a destination; `poller.rules.failure_document` gives it Lambda's form.

    ``id`` is a UUID of its own; ``at``: epoch seconds; ``response`` is ``None`` where Lambda gives none (R-DEST-24).
    ``request_id`` is that of the last attempt, as the target named it if it did (R-INV-5). ``records`` are empty for a
    ``closing``; ``window`` is the one of the records. ``payload`` is the whole event.
    """

    id: str
    mapping: MappingId
    source_arn: str
    function_arn: str
    shard: ShardId
    request_id: str
    condition: Condition
    attempts: int
    response: Response | None
    at: float
    records: tuple[Record, ...]
    payload: bytes
    window: Window | None = None
    closing: Closing | None = None
