"""Which records a mapping wants: this file is what a pattern sees of a record, and the filters of a mapping as one."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from poller.model import Record
from poller.rules.patterns import Pattern


class Filters:
    """The filters of a mapping: a record is wanted if one of them matches, or if there are none (R-FILT-1)."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raises `poller.rules.matchers.PatternError`."""
        self._patterns = tuple(Pattern(text) for text in patterns)

    def wants(self, record: Record) -> bool:
        """A Kinesis record whose data is no JSON is unwanted by every pattern that asks for data (R-FILT-14)."""
        if not self._patterns:
            return True
        seen, has_data = document(record.body)
        return any(pattern.matches(seen) for pattern in self._patterns if has_data or "data" not in pattern.keys)


def document(body: bytes) -> tuple[dict[str, object], bool]:
    """What a pattern sees of an event record; for Kinesis, whether its data is JSON (R-FILT-10, R-FILT-11).

    A Kinesis record shows its own fields at the top level, with its data decoded; a DynamoDB record is seen as it is.
    """
    event: dict[str, object] = json.loads(body)
    inner = event.pop("kinesis", None)
    if not isinstance(inner, dict):
        return event, True
    seen = inner | event
    try:
        seen["data"] = json.loads(base64.b64decode(str(seen.pop("data"))))
    except (ValueError, RecursionError):
        return seen, False
    return seen, True
