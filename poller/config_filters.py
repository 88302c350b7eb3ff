"""The filters of a mapping: this file is the reader of ``filter_criteria``."""

from __future__ import annotations

from poller.config_values import Table, kind_name
from poller.rules.filtering import pattern_violation, unseen_keys

_ADVICE = """write filters = [{ pattern = '{"data": {"type": ["order"]}}' }]"""

_EXTENDED = "extended_filter_operators"


def filter_patterns(table: Table, *, source_arn: str | None) -> tuple[str, ...]:
    """The patterns of ``filter_criteria = { filters = [{ pattern = '...' }] }``, each tried out (R-VAL-11).

    ``table`` is that of the mapping, where ``extended_filter_operators`` lets in what Lambda's table of operators
    omits; ``source_arn`` is its stream.
    """
    extended = table.flag(_EXTENDED, default=False) or table.complaints.touch((*table.path, _EXTENDED))
    path = (*table.path, "filter_criteria")
    criteria = Table(table.table("filter_criteria"), path, table.complaints, known=("filters",))
    filters = criteria.get("filters")
    if filters is None:
        return ()
    if not isinstance(filters, list):
        criteria.complain("filters", f"must be an array of tables, not {kind_name(filters)}", _ADVICE)
        return ()
    patterns: list[str] = []
    for index, values in enumerate(filters):
        place = (*path, "filters", index)
        if not isinstance(values, dict):
            table.complaints.add(place, f"must be a table, not {kind_name(values)}", _ADVICE)
            continue
        row = Table(values, place, table.complaints, known=("pattern",))
        text = row.text("pattern")
        if text is None:
            if not table.complaints.touch(place):
                table.complaints.add(place, "there is no pattern", _ADVICE)
            continue
        violation = pattern_violation(text, source_arn=source_arn, extended=extended)
        if violation is not None:
            row.complain(violation.field, violation.text, violation.advice)
        elif unseen := unseen_keys(text, source_arn=source_arn):
            where = (*row.path, "pattern")
            row.complaints.note(where, f"no record of this source shows a pattern the key {' or '.join(unseen)}")
        patterns.append(text)
    return tuple(patterns)
