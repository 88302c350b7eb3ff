"""What a function says about single records (`ReportBatchItemFailures`): this file is the reading of its answer.

The shapes are those recorded from Lambda (R-PBR-3). Where nothing was recorded, the reading loses least: an answer
that cannot be understood fails the whole batch, so that its records are delivered again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from poller.invocation import FunctionFailed, Outcome, Succeeded
from poller.model import SequenceNumber


def first_failure(answer: bytes, sequence_numbers: Sequence[SequenceNumber]) -> int | None:
    """The index of the first record to deliver again; ``None`` if all are done (R-PBR-2).

    ``sequence_numbers`` are those of the batch, in order. Inner records of an aggregate have one number, which means
    the first of them (R-KPL-3). 0 also stands for an answer that fails the whole batch.
    """
    try:
        return min(_failures(answer, sequence_numbers), default=None)
    except (ValueError, RecursionError):
        return 0


def with_failures_understood(outcome: Outcome, sequence_numbers: Sequence[SequenceNumber]) -> Outcome:
    """An answer that cannot be understood is a failed invocation, and its error says what is wrong with it (R-PBR-3).

    One that can says ``OK`` as last result, even if the first record of the batch failed (R-PBR-9).
    """
    if not isinstance(outcome, Succeeded):
        return outcome
    try:
        _failures(outcome.answer, sequence_numbers)
    except (ValueError, RecursionError) as error:
        return FunctionFailed(f"the answer's batchItemFailures cannot be used: {error}", outcome.response)
    return outcome


def _failures(answer: bytes, sequence_numbers: Sequence[SequenceNumber]) -> list[int]:
    """The indices of the records that failed. Raises `ValueError` or `RecursionError` if the answer tells none."""
    said = json.loads(answer) if answer.strip() else None
    if isinstance(said, list) and said:
        raise ValueError("the answer is a list")
    failures = said.get("batchItemFailures") if isinstance(said, dict) else None
    if failures is None:
        return []
    if not isinstance(failures, list):
        raise ValueError("they are not a list")
    if not failures:
        return []
    places: dict[SequenceNumber, int] = {}
    for index, number in enumerate(sequence_numbers):
        places.setdefault(number, index)
    # One identifier that is not of this batch puts the whole answer in doubt (R-PBR-3).
    return [_place(failure, places) for failure in failures]


def _place(failure: object, places: dict[SequenceNumber, int]) -> int:
    identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    place = places.get(SequenceNumber(identifier)) if isinstance(identifier, str) else None
    if place is None:
        raise ValueError(f"{json.dumps(failure)[:100]} names no record of the batch")
    return place
