"""What a function says about single records (`ReportBatchItemFailures`): this file is the reading of its answer.

The shapes are those recorded from Lambda (R-PBR-3). Where nothing was recorded, the reading loses least: an answer
that cannot be understood fails the whole batch, so that its records are delivered again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from poller.model import SequenceNumber


def first_failure(answer: bytes, sequence_numbers: Sequence[SequenceNumber]) -> int | None:
    """The index of the first record to deliver again; ``None`` if all are done (R-PBR-2).

    ``sequence_numbers`` are those of the batch, in order. Inner records of an aggregate have one number, which means
    the first of them (R-KPL-3). 0 also stands for an answer that fails the whole batch.
    """
    if not answer.strip():
        return None
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return 0
    if isinstance(said, list):
        return 0 if said else None
    if not isinstance(said, dict):
        return None
    failures = said.get("batchItemFailures")
    if failures is None or failures == []:
        return None
    if not isinstance(failures, list):
        return 0
    places: dict[SequenceNumber, int] = {}
    for index, number in enumerate(sequence_numbers):
        places.setdefault(number, index)
    named = [places.get(_identifier(failure)) for failure in failures]
    # One identifier that is not of this batch puts the whole answer in doubt (R-PBR-3).
    return min(0 if index is None else index for index in named)


def _identifier(failure: object) -> SequenceNumber:
    identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    return SequenceNumber(identifier if isinstance(identifier, str) else "")
