"""The filters of a mapping: this file is the reader of ``filter_criteria``."""

from __future__ import annotations

from poller.config_values import Table, kind_name
from poller.rules.matchers import PatternError
from poller.rules.patterns import Pattern

_ADVICE = """write filters = [{ pattern = '{"data": {"type": ["order"]}}' }]"""


def filter_patterns(table: Table) -> tuple[str, ...]:
    """The patterns of ``filter_criteria = { filters = [{ pattern = '...' }] }``, each tried out (R-VAL-11)."""
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
        if isinstance(values, dict):
            patterns += _pattern(Table(values, place, table.complaints, known=("pattern",)))
        else:
            table.complaints.add(place, f"must be a table, not {kind_name(values)}", _ADVICE)
    return tuple(patterns)


def _pattern(table: Table) -> list[str]:
    text = table.text("pattern")
    if text is None:
        if not table.complaints.touch(table.path):
            table.complaints.add(table.path, "there is no pattern", _ADVICE)
        return []
    try:
        Pattern(text)
    except PatternError as error:
        advice = "try it with: poller filter test PATTERN EVENT"
        table.complain("pattern", f"Invalid filter pattern definition. {error}", advice)
    return [text]
