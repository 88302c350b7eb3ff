"""Which records a mapping wants: this file is what a pattern sees of a record, and the filters of a mapping as one."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Sequence

from poller.arns import SourceKind, source_kind
from poller.records import Record
from poller.rules.admission import Violation
from poller.rules.glance import Glance
from poller.rules.json_text import parsed
from poller.rules.matchers import PatternError
from poller.rules.patterns import Alternative, Pattern

INVALID = "Invalid filter pattern definition."
"""Lambda's text for a pattern that it refuses, whatever the reason (R-VAL-11)."""

_CONTENT = {
    SourceKind.KINESIS_STREAM: "data",
    SourceKind.KINESIS_CONSUMER: "data",
    SourceKind.DYNAMODB_STREAM: "dynamodb",
}
"""The key of an event under which its content is; the others tell where it comes from."""

_OF_EVENT = {"eventID", "eventName", "eventVersion", "eventSource", "eventSourceARN", "awsRegion"}
_OF_KINESIS = _OF_EVENT | {
    *("kinesisSchemaVersion", "partitionKey", "sequenceNumber", "data", "approximateArrivalTimestamp"),
    "invokeIdentityArn",
}
_SHOWN = {
    SourceKind.KINESIS_STREAM: _OF_KINESIS,
    SourceKind.KINESIS_CONSUMER: _OF_KINESIS,
    SourceKind.DYNAMODB_STREAM: _OF_EVENT | {"dynamodb", "userIdentity"},
}
"""The keys that records of a source show a pattern (R-FILT-10, R-FILT-11)."""

_KINESIS = "kinesis"
"""The key of an event under which a Kinesis record's own fields are."""

_TRY = "try it with: poller filter test PATTERN EVENT"


def pattern_violation(text: str, *, source_arn: str | None, extended: bool) -> Violation | None:
    """Why Lambda would refuse a pattern for a mapping of this source; ``None`` if it would not.

    ``extended`` takes the operators, too, that EventBridge has and Lambda's table omits (R-FILT-20).
    """
    try:
        pattern = Pattern(text)
    except PatternError as error:
        return Violation("pattern", f"{INVALID} {error}", _TRY)
    if pattern.extras and not extended:
        operator, name = next(iter(pattern.extras.items()))
        problem = f"{INVALID} {name}: {operator} is not in Lambda's table of operators"
        return Violation("pattern", problem, "set extended_filter_operators = true to use it")
    kind = source_kind(source_arn or "")
    content = _CONTENT.get(kind) if kind else None
    if any(field.name == content for field in pattern.fields):
        problem = f"{INVALID} {content}: must be a pattern in JSON, not a list of plain values"
        return Violation("pattern", problem, f'write {{"{content}": {{"key": [...]}}}}')
    return None


def unseen_keys(text: str, *, source_arn: str | None) -> list[str]:
    """The first keys of a good pattern that no record of this source has, sorted: Lambda takes them in silence."""
    kind = source_kind(source_arn or "")
    shown = _SHOWN.get(kind) if kind else None
    if shown is None:
        return []
    asked = {path[0] for each in Pattern(text).alternatives for path in each.paths}
    return sorted(asked - shown)


class Filters:
    """The filters of a mapping: a record is wanted if one of them matches, or if there are none (R-FILT-1)."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raises `poller.rules.matchers.PatternError`; operators are taken whether Lambda's table has them or not."""
        self._of_content: list[Alternative] = []
        self._of_origin: list[Alternative] = []
        alternatives = [each for text in patterns for each in Pattern(text).alternatives]
        for each in alternatives:
            asks_for_content = any(map(each.asks_for, _CONTENT.values()))
            (self._of_content if asks_for_content else self._of_origin).append(each)
        paths = {path for each in alternatives for path in each.paths}
        self._envelope = Glance([*paths, *((_KINESIS, *path) for path in paths)], opened=(_KINESIS, "dynamodb"))
        self._data = Glance(path[1:] for path in paths if path[0] == "data")

    def wanted(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those that are wanted, in order."""
        if not self._of_content and not self._of_origin:
            return records
        return [record for record in records if self.wants(record)]

    def wants(self, record: Record) -> bool:
        """Never raises: what cannot be read is unwanted by all that asks for it, and silently so (R-FILT-15)."""
        if not self._of_content and not self._of_origin:
            return True
        event = self._seen(record.body)
        if any(each.matches(event) for each in self._of_origin):
            return True
        if not self._of_content or not self._look_into(event):
            return False
        return any(each.matches(event) for each in self._of_content)

    def _seen(self, body: bytes) -> dict[str, object]:
        """Of a `document` what some pattern looks at."""
        seen = self._envelope.of(body)
        return document(body) if seen is None else _at_one_level(seen)

    def _look_into(self, event: dict[str, object]) -> bool:
        """Opens the ``data`` of a Kinesis record in its place; whether the record's content is JSON (R-FILT-14)."""
        if "data" not in event:
            return "dynamodb" in event
        try:
            data = a2b_base64(str(event["data"]))
            seen = self._data.of(data)
            event["data"] = parsed(data) if seen is None else seen
        except ValueError:
            return False
        return True


def document(body: bytes) -> dict[str, object]:
    """What a pattern sees of an event record, ``data`` still being closed (R-FILT-10, R-FILT-11).

    A Kinesis record shows its own fields at the top level, beside those of the event; a change of an item is seen as
    it is. Of a body that cannot be read nothing is seen.
    """
    try:
        event = parsed(body)
    except ValueError:
        return {}
    assert isinstance(event, dict)
    return _at_one_level(event)


def _at_one_level(event: dict[str, object]) -> dict[str, object]:
    inner = event.pop(_KINESIS, None)
    return inner | event if isinstance(inner, dict) else event
