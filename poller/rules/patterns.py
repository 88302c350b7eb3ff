"""Event patterns, compiled once: this file is the language in which a filter says which records it wants (R-FILT-20).

An event is looked at as its leaves: every scalar under the path of its keys, joined with dots (R-FILT-27), and with the
array elements on its way, so that two fields of a pattern never match in two different elements (R-FILT-25).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poller.rules.matchers import Leaf, Matcher, PatternError, compile_matcher

Place = tuple[tuple[int, int], ...]
"""The array elements on the way to a leaf: the array's number in the event, and the index in it."""

Leaves = Mapping[str, Sequence[tuple[Leaf, Place]]]


@dataclass(frozen=True, slots=True)
class _Field:
    """One path of a pattern, and the alternatives for its value; ``absent`` means that it may be missing."""

    path: str
    matchers: tuple[Matcher, ...]
    absent: bool


@dataclass(frozen=True, slots=True)
class _Either:
    """``$or``: at least one of several groups of fields."""

    groups: tuple[tuple[_Node, ...], ...]


_Node = _Field | _Either


class Pattern:
    """One filter; `matches` is pure and may be called from anywhere."""

    def __init__(self, text: str) -> None:
        """Raises `PatternError` with the reason if ``text`` is no pattern. Of equal keys the last wins (R-FILT-16)."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PatternError(f"not JSON: {error}") from error
        if not isinstance(value, dict) or not value:
            raise PatternError("a pattern is a JSON object with at least one key")
        self.keys = frozenset(value)
        self._nodes = _compiled(value, "")

    def matches(self, event: object) -> bool:
        """Whether ``event``, as `json.loads` gives it, has what the pattern asks for."""
        return _solved(self._nodes, leaves(event), {})

    def reason(self, event: object) -> str:
        """Why ``event`` does not match, by the first field that cannot; empty if it matches."""
        found = leaves(event)
        if _solved(self._nodes, found, {}):
            return ""
        for node in self._nodes:
            if not _solved((node,), found, {}):
                return _reason(node, found)
        return "each field has a match, but not within the same element of an array"


def leaves(event: object) -> Leaves:
    """All scalars of an event by path. Objects and empty arrays are no leaves (R-FILT-22, R-FILT-23)."""
    found: dict[str, list[tuple[Leaf, Place]]] = {}
    arrays = 0
    waiting: list[tuple[str, object, Place]] = [("", event, ())]
    while waiting:
        path, value, place = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{path}.{key}" if path else key, each, place) for key, each in value.items()]
        elif isinstance(value, list):
            arrays += 1
            waiting += [(path, each, (*place, (arrays, index))) for index, each in enumerate(value)]
        elif value is None or isinstance(value, str | int | float):
            found.setdefault(path, []).append((value, place))
    return found


def _compiled(value: Mapping[str, object], path: str) -> tuple[_Node, ...]:
    nodes: list[_Node] = []
    for key, each in value.items():
        below = f"{path}.{key}" if path else key
        if key == "$or" and isinstance(each, list):
            nodes.append(_either(each, path))
        elif isinstance(each, dict):
            if not each:
                raise PatternError(f"empty objects are not allowed, at {below}")
            nodes += _compiled(each, below)
        elif isinstance(each, list):
            if not each:
                raise PatternError(f"empty arrays are not allowed, at {below}")
            compiled = [compile_matcher(matcher, below) for matcher in each]
            matchers = tuple(matcher for matcher in compiled if matcher is not None)
            nodes.append(_Field(below, matchers, absent=len(matchers) < len(compiled)))
        else:
            raise PatternError(f'"{key}" must be an object or an array, at {below}')
    return tuple(nodes)


def _either(groups: Sequence[object], path: str) -> _Either:
    if len(groups) < 2:
        raise PatternError("$or needs at least two objects")
    compiled: list[tuple[_Node, ...]] = []
    for group in groups:
        if not isinstance(group, dict) or not group:
            raise PatternError("$or is a list of objects that are not empty")
        compiled.append(_compiled(group, path))
    return _Either(tuple(compiled))


def _solved(nodes: Sequence[_Node], found: Leaves, chosen: Mapping[int, int]) -> bool:
    """Whether every node can be met by leaves that lie in the same elements of the arrays they share (``chosen``)."""
    if not nodes:
        return True
    node, rest = nodes[0], nodes[1:]
    if isinstance(node, _Either):
        return any(_solved((*group, *rest), found, chosen) for group in node.groups)
    if node.path not in found:
        return node.absent and _solved(rest, found, chosen)
    for value, place in found[node.path]:
        fits = all(chosen.get(array, index) == index for array, index in place)
        if (
            fits
            and any(matcher(value) for matcher in node.matchers)
            and _solved(rest, found, {**chosen, **dict(place)})
        ):
            return True
    return False


def _reason(node: _Node, found: Leaves) -> str:
    if isinstance(node, _Either):
        return "no object of $or matches"
    if node.path not in found:
        return f"{node.path} is not in the event, or is not a single value"
    values = ", ".join(json.dumps(value) for value, _ in found[node.path][:3])
    return f"{node.path} is {values}, which matches nothing in the pattern's list"
