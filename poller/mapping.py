"""An event source mapping and its policies: this file is the one place that knows Lambda's limits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from poller.model import MappingId

PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
"""Lambda's request cap, on the bytes sent (R-BATCH-6)."""

_NAMESPACE = uuid.UUID("6d0f6f2b-6f0c-5a5e-9c53-6b1d7c1b0f6e")


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """When records become a batch (R-BATCH-2)."""

    batch_size: int = 100
    window_seconds: float = 0.0
    payload_bytes_max: int = PAYLOAD_BYTES_MAX


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
    """

    id: MappingId
    name: str
    source_arn: str
    function_name: str
    starting_position: str
    starting_timestamp: float | None = None
    batch: BatchPolicy = field(default_factory=BatchPolicy)
    failure: FailurePolicy = field(default_factory=FailurePolicy)
    enabled: bool = True


def mapping_id(source_arn: str, function_name: str) -> MappingId:
    """The id of a mapping: a UUID that depends on stream and function with its qualifier alone (R-API-15)."""
    return MappingId(str(uuid.uuid5(_NAMESPACE, f"{source_arn}\n{function_name}")))
