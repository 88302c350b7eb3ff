"""From ``[[event_source_mappings]]`` to `EventSourceMapping`: this file is the reader of mappings.

Ranges and forbidden combinations are `poller.rules.admission`'s; here are types, names, duplicates, and keys of
Lambda's that mean nothing here.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from poller.arns import lambda_arn, source_kind, source_name
from poller.config_destinations import destinations
from poller.config_filters import filter_patterns
from poller.config_lines import KeyPath
from poller.config_values import Complaints, Table, kind_name
from poller.mapping import EventSourceMapping, mapping_id
from poller.rules import admission
from poller.rules.admission import Request

KEY = "event_source_mappings"

_KNOWN = (
    "name",
    "event_source_arn",
    "function_name",
    "starting_position",
    "starting_position_timestamp",
    "batch_size",
    "maximum_batching_window_in_seconds",
    "maximum_retry_attempts",
    "maximum_record_age_in_seconds",
    "bisect_batch_on_function_error",
    "function_response_types",
    "filter_criteria",
    "extended_filter_operators",
    "parallelization_factor",
    "tumbling_window_in_seconds",
    "destination_config",
    "deaggregate",
    "enabled",
)
_NOT_NEEDED = {
    "kms_key_arn": "filters are not encrypted here",
    "metrics_config": "every metric is always there",
    "logging_config": "POLLER_LOG_LEVEL in the environment sets what is logged",
    "tags": "mappings have no tags here",
}
_NOT_FOR_STREAMS = (
    "amazon_managed_kafka_event_source_config",
    "document_db_event_source_config",
    "provisioned_poller_config",
    "queues",
    "self_managed_event_source",
    "self_managed_kafka_event_source_config",
    "source_access_configurations",
    "topics",
)
_REFUSED = (
    _NOT_NEEDED
    | dict.fromkeys(_NOT_FOR_STREAMS, "not a setting for Kinesis or DynamoDB streams")
    | {"scaling_config": "Unsupported ScalingConfig parameter for given event source mapping type."}  # R-VAL-17
)
_EPOCH_TEXT = re.compile(r"\d{9,11}(\.\d+)?")
_EPOCH_MAX = 253_402_300_799  # the end of the year 9999, as far as a datetime goes
_TIMESTAMP_ADVICE = "write 2026-01-31T12:00:00Z, or epoch seconds"


@dataclass(frozen=True, slots=True)
class _Draft:
    """One mapping as read; ``sound`` says that nothing was wrong with it, so that it can be built."""

    path: KeyPath
    name: str | None
    request: Request
    sound: bool


def read_mappings(document: Table, *, now: float) -> tuple[EventSourceMapping, ...]:
    """The mappings of the file; complaints go to the table's, and only sound mappings are given back.

    ``now`` in epoch seconds; no starting timestamp may lie after it.
    """
    complaints = document.complaints
    given = document.get(KEY)
    if given is None or given == []:
        document.complain(KEY, "there is no mapping", f"add [[{KEY}]] with event_source_arn and function_name")
        return ()
    if not isinstance(given, list):
        document.complain(KEY, f"must be an array of tables, not {kind_name(given)}", f"write [[{KEY}]]")
        return ()
    drafts: list[_Draft] = []
    for index, values in enumerate(given):
        path = (*document.path, KEY, index)
        if isinstance(values, dict):
            drafts.append(_draft(Table(values, path, complaints, known=_KNOWN, refused=_REFUSED), now))
        else:
            complaints.add(path, f"must be a table, not {kind_name(values)}", f"write [[{KEY}]]")
    own = [name for name in document.table("functions") if not complaints.touch((*document.path, "functions", name))]
    region = document.table("aws").get("region")
    _complain_of_duplicates(drafts, own, region if isinstance(region, str) else None, complaints)
    _note_likely_slips(drafts, own, complaints)
    names = _names(drafts, complaints)
    return tuple(
        admission.build(draft.request, name=name) for draft, name in zip(drafts, names, strict=True) if draft.sound
    )


def _draft(table: Table, now: float) -> _Draft:
    on_failure, on_success = destinations(table)
    request = Request(
        event_source_arn=table.text("event_source_arn"),
        function_name=table.text("function_name"),
        starting_position=table.text("starting_position"),
        starting_position_timestamp=_timestamp(table, "starting_position_timestamp"),
        batch_size=table.integer("batch_size", 100),
        maximum_batching_window_in_seconds=table.integer("maximum_batching_window_in_seconds", 0),
        maximum_record_age_in_seconds=table.integer("maximum_record_age_in_seconds", -1),
        maximum_retry_attempts=table.integer("maximum_retry_attempts", -1),
        bisect_batch_on_function_error=table.flag("bisect_batch_on_function_error", default=False),
        function_response_types=table.texts("function_response_types"),
        filter_patterns=filter_patterns(table, source_arn=table.text("event_source_arn")),
        parallelization_factor=table.integer("parallelization_factor", 1),
        tumbling_window_in_seconds=table.integer("tumbling_window_in_seconds", 0),
        on_failure_destination=on_failure,
        on_success_destination=on_success,
        deaggregate=table.flag("deaggregate", default=False) if table.has("deaggregate") else None,
        enabled=table.flag("enabled", default=True),
    )
    name = table.text("name")
    if name is not None and not (name.strip() and name.isprintable()):
        table.complain("name", "must be a readable text", "give a short label for metrics and logs, or leave it out")
    for violation in admission.violations(request, now=now):
        if not table.complaints.touch((*table.path, violation.field)):
            table.complain(violation.field, violation.text, violation.advice)
    return _Draft(table.path, name, request, sound=not table.complaints.touch(table.path))


def _timestamp(table: Table, key: str) -> float | None:
    """Epoch seconds from a TOML date and time, a number, or either of them as text."""
    value = table.get(key)
    if isinstance(value, str):
        if _EPOCH_TEXT.fullmatch(value):
            value = float(value)
        else:
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                table.complain(key, f"{value!r} is not a date and time", _TIMESTAMP_ADVICE)
                return None
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.timestamp()
    match value:
        case None:
            return None
        case datetime():
            table.complain(key, "the time has no zone", "add Z for UTC, or an offset like +02:00")
        case bool():
            table.complain(key, "must be a date and time, not a boolean", _TIMESTAMP_ADVICE)
        case int() | float() if 0 <= value <= _EPOCH_MAX:
            return float(value)
        case int() | float():
            table.complain(key, f"{value} is out of range", _TIMESTAMP_ADVICE)
        case _:
            table.complain(key, f"must be a date and time, not {kind_name(value)}", _TIMESTAMP_ADVICE)
    return None


def _complain_of_duplicates(
    drafts: Sequence[_Draft], own: Collection[str], region: str | None, complaints: Complaints
) -> None:
    """A stream and a function, with its qualifier, make one mapping, however they are spelled (R-API-15, R-VAL-21)."""
    spelled: dict[tuple[str, str], str] = {}
    for draft in drafts:
        arn, function = draft.request.event_source_arn, draft.request.function_name
        if arn is None or function is None:
            continue
        meant = (arn, function)
        if draft.sound and function not in own:
            meant = (arn, lambda_arn(function, arn, region=region))
        if meant in spelled:
            text = admission.already_exists(arn, meant[1].rpartition("function:")[2], mapping_id(arn, spelled[meant]))
            complaints.add((*draft.path, "function_name"), text, "remove one of the two, or use another alias")
        spelled.setdefault(meant, function)


def _note_likely_slips(drafts: Sequence[_Draft], own: Collection[str], complaints: Complaints) -> None:
    """A name that is almost that of an unused ``[functions.*]`` entry would be an AWS Lambda function's."""
    used = {draft.request.function_name for draft in drafts}
    unused = {name.lower(): name for name in own if name not in used}
    for draft in drafts:
        function = draft.request.function_name or ""
        guesses = difflib.get_close_matches(function.lower(), unused, n=1, cutoff=0.8) if function not in own else []
        if guesses:
            text = f"{function} is an AWS Lambda function, as there is no [functions.{function}]"
            complaints.note((*draft.path, "function_name"), f"{text}; did you mean {unused[guesses[0]]}?")


def _names(drafts: Sequence[_Draft], complaints: Complaints) -> list[str]:
    """The label of each mapping: as given, else the stream's name, with the function's where that is taken."""
    short = [draft.name or _stream_name(draft) for draft in drafts]
    count = Counter(short)
    names: list[str] = []
    for draft, name in zip(drafts, short, strict=True):
        if draft.name is None and count[name] > 1:
            name = f"{name}-{_function_name(draft)}"
        if name in names and not complaints.touch((*draft.path, "function_name")):
            complaints.add((*draft.path, "name"), f"another mapping is named {name!r} already", "give it its own name")
        names.append(name)
    return names


def _stream_name(draft: _Draft) -> str:
    arn = draft.request.event_source_arn
    return source_name(arn) if arn is not None and source_kind(arn) else f"mapping-{draft.path[-1]}"


def _function_name(draft: _Draft) -> str:
    """The function without account and region, its qualifier after a hyphen."""
    function = draft.request.function_name or ""
    return function.rpartition("function:")[2].replace(":", "-")
