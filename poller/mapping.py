"""An event source mapping and its policies: this file is what the rest of the house knows of a configuration.

What Lambda would refuse of one is in `poller.rules.admission`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from poller.model import MappingId

PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
"""Lambda's request cap, on the bytes sent (R-BATCH-6)."""

_NAMESPACE = uuid.UUID("6d0f6f2b-6f0c-5a5e-9c53-6b1d7c1b0f6e")


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """When records become a batch (R-BATCH-2).

    ``ahead_records``: how many records may wait in one of several lanes before the shard's reading minds it.
    """

    batch_size: int = 100
    window_seconds: float = 0.0
    payload_bytes_max: int = PAYLOAD_BYTES_MAX
    ahead_records: int = 1000


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """What to do with a failed batch; ``None`` means no limit (Lambda's -1)."""

    retries_max: int | None = None
    age_seconds_max: float | None = None
    bisect: bool = False
    report_item_failures: bool = False


@dataclass(frozen=True, slots=True)
class EventSourceMapping:
    """One stream, one function, and how records get from one to the other.

    ``starting_position`` is Lambda's word; ``starting_timestamp`` (epoch seconds) belongs to ``AT_TIMESTAMP`` only.
    ``lanes`` is the parallelization factor; ``tumbling_window_seconds`` is 0 without windows; ``destination`` is an
    ARN or URL (`poller.arns.DestinationKind`); ``deaggregate`` opens the aggregates of the Kinesis Producer Library.
    """

    id: MappingId
    name: str
    source_arn: str
    function_name: str
    starting_position: str
    starting_timestamp: float | None = None
    batch: BatchPolicy = field(default_factory=BatchPolicy)
    failure: FailurePolicy = field(default_factory=FailurePolicy)
    filter_patterns: tuple[str, ...] = ()
    lanes: int = 1
    tumbling_window_seconds: int = 0
    destination: str | None = None
    deaggregate: bool = False
    enabled: bool = True


class State(StrEnum):
    """What a mapping is doing, in Lambda's words (R-STATE-1)."""

    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    UPDATING = "Updating"
    DELETING = "Deleting"


USER_ACTION = "User action"
NOTHING_PROCESSED = "No records processed"


@dataclass(frozen=True, slots=True)
class MappingStatus:
    """How a mapping is, as Lambda words it, for people and for the next start.

    ``result`` is Lambda's LastProcessingResult; ``changed_at`` is when state or settings changed last, epoch
    seconds; ``settings`` identifies the settings that it ran with.
    """

    mapping: MappingId
    state: State
    reason: str = USER_ACTION
    result: str = NOTHING_PROCESSED
    changed_at: float = 0.0
    settings: str = ""


def mapping_id(source_arn: str, function_name: str) -> MappingId:
    """The id of a mapping: a UUID that depends on stream and function with its qualifier alone (R-API-15)."""
    return MappingId(str(uuid.uuid5(_NAMESPACE, f"{source_arn}\n{function_name}")))
