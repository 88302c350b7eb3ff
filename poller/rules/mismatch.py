"""Why an event does not match a pattern: this file is the words for people who try their filters out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice

from poller.rules.patterns import Alternative, Either, Node, combined
from poller.rules.walk import Field, Way, elements

_EXAMPLES_MAX = 3
_LENGTH_MAX = 60
_SCALARS = ("a string", "a number", "a boolean", "null")


def mismatch(nodes: Sequence[Node], event: object) -> str:
    """The first field of a pattern that finds no match, and why; empty if the event matches.

    What may be absent comes last, for where it must be absent depends on what the other fields match.
    """
    if _match(nodes, event):
        return ""
    ordered = sorted(nodes, key=_may_be_absent)
    first = next(node for end, node in enumerate(ordered, start=1) if not _match(ordered[:end], event))
    return _why(first, event)


def _may_be_absent(node: Node) -> bool:
    return any(field.absent for fields in combined([node]) for field in fields)


def _match(nodes: Sequence[Node], event: object) -> bool:
    return any(Alternative(fields).matches(event) for fields in combined(nodes))


def _why(node: Node, event: object) -> str:
    name = node.name if isinstance(node, Field) else "$or"
    if _match([node], event):
        return f"{name} has a match, but not within the array element where the fields before it have theirs"
    if isinstance(node, Either):
        return f"no object of $or matches; in the first one, {mismatch(node.groups[0], event)}"
    found = list(islice(_values(node.way, event), _EXAMPLES_MAX + 1))
    if not found:
        return f"{name} is not in the event"
    values = ", ".join([*map(_shown, found[:_EXAMPLES_MAX]), *(["..."] if len(found) > _EXAMPLES_MAX else [])])
    wanted = " or ".join(map(_shown, node.entries))
    takes = [kind for kind in _SCALARS if any(kind in _kinds(entry) for entry in node.entries)]
    are = list(dict.fromkeys(map(_kind, found)))
    if set(are) & set(takes):
        return f"{name} is {values}; wanted is {wanted}"
    kinds = "a single value" if len(takes) == len(_SCALARS) else " or ".join(takes)
    return f"{name} is {values} ({' and '.join(are)}); wanted is {kinds}: {wanted}"


def _values(way: Way, value: object) -> Iterator[object]:
    """What stands at the end of a way: single values, objects and empty arrays."""
    if isinstance(value, list) and value:
        for element in elements(value):
            yield from _values(way, element)
    elif not way.onward:
        yield value
    elif isinstance(value, dict):
        for key, below in way.onward:
            if key in value:
                yield from _values(below, value[key])


def _kinds(entry: object) -> Sequence[str]:
    """What values an entry of a field's list can match at all."""
    if not isinstance(entry, dict):
        return (_kind(entry),)
    name = next(iter(entry))
    if name in ("exists", "anything-but"):
        return _SCALARS
    return ("a number",) if name == "numeric" else ("a string",)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, dict) else "an empty array"


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LENGTH_MAX else f"{text[:_LENGTH_MAX]}..."
