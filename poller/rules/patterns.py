"""Event patterns, compiled once: this file is the language in which a filter says which records it wants (R-FILT-20).

A pattern is read into its fields and ``$or`` choices, and from these into alternatives: lists of fields that are
wanted all at once. How such a list is held against an event is `poller.rules.walk`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poller.rules.json_text import parsed
from poller.rules.matchers import PatternError, compile_matcher, extra_operator
from poller.rules.walk import Field, holds, together, way

_DEPTH_MAX = 80
"""Beyond what items of DynamoDB nest (32 levels, each with a type), and well within what one stack can walk."""

_ALTERNATIVES_MAX = 1_000
"""Each ``$or`` beside another multiplies them."""


@dataclass(frozen=True, slots=True)
class Either:
    """``$or``: at least one of several groups of fields."""

    groups: tuple[tuple[Node, ...], ...]


Node = Field | Either


class Alternative:
    """Fields that are wanted all at once; a pattern matches if one of its alternatives does.

    ``paths`` lead to all that it looks at.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._wanted = together(fields)
        self.paths = frozenset(field.path for field in fields)
        self._keys = frozenset(path[0] for path in self.paths)

    def asks_for(self, key: str) -> bool:
        """Whether one of its fields lies under this key of the event."""
        return key in self._keys

    def matches(self, event: object) -> bool:
        return holds(self._wanted, event)


class Pattern:
    """One filter; ``matches`` is pure and may be called from anywhere.

    ``extras``: operators that it uses although Lambda's table omits them, each with the field where it is first.
    """

    def __init__(self, text: str) -> None:
        """Raises `PatternError` with the reason if ``text`` is no pattern. Of equal keys the last wins (R-FILT-16)."""
        try:
            value = parsed(text)
        except ValueError as error:
            raise PatternError(f"not JSON: {error}") from error
        if not isinstance(value, dict):
            raise PatternError("Filter is not an object")
        self.nodes = _compiled(value, (), 1)
        combinations = combined(self.nodes)
        self.alternatives = tuple(Alternative(fields) for fields in combinations)
        self.fields = tuple(dict.fromkeys(field for fields in combinations for field in fields))
        self.extras: Mapping[str, str] = _extras(self.fields)

    def matches(self, event: object) -> bool:
        """Whether ``event``, as `parsed` gives it, has what the pattern asks for."""
        return any(alternative.matches(event) for alternative in self.alternatives)


def _extras(fields: Sequence[Field]) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in fields:
        for operator in filter(None, map(extra_operator, field.entries)):
            found.setdefault(operator, field.name)
    return found


def combined(nodes: Sequence[Node]) -> list[tuple[Field, ...]]:
    """Every list of fields that would do for all of ``nodes``, one group being taken of each ``$or``."""
    combinations: list[tuple[Field, ...]] = [()]
    for node in nodes:
        choices = _choices(node)
        if len(combinations) * len(choices) > _ALTERNATIVES_MAX:
            raise PatternError(f"$or has more than {_ALTERNATIVES_MAX} combinations")
        combinations = [(*fields, *more) for fields in combinations for more in choices]
    return combinations


def _choices(node: Node) -> list[tuple[Field, ...]]:
    if isinstance(node, Field):
        return [(node,)]
    return [fields for group in node.groups for fields in combined(group)]


def _compiled(value: Mapping[str, object], path: tuple[str, ...], depth: int) -> tuple[Node, ...]:
    if not value:
        raise _refused("Empty objects are not allowed", path)
    nodes: list[Node] = []
    for key, each in value.items():
        below = (*path, *key.split("."))
        if max(depth, len(below)) > _DEPTH_MAX:
            raise _refused(f"a field lies more than {_DEPTH_MAX} keys deep", path)
        if key == "$or":
            nodes.append(_either(each, path, depth))
        elif isinstance(each, dict):
            nodes += _compiled(each, below, depth + 1)
        elif isinstance(each, list):
            nodes.append(_field(each, below))
        else:
            raise _refused(f'"{key}" must be an object or an array', path)
    return tuple(nodes)


def _field(entries: Sequence[object], path: tuple[str, ...]) -> Field:
    if not entries:
        raise _refused("Empty arrays are not allowed", path)
    try:
        compiled = [compile_matcher(entry) for entry in entries]
    except PatternError as error:
        raise _refused(str(error), path) from None
    matchers = tuple(matcher for matcher in compiled if matcher is not None)
    return Field(path, tuple(entries), way(path, matchers), absent=len(matchers) < len(compiled))


def _either(groups: object, path: tuple[str, ...], depth: int) -> Either:
    if not isinstance(groups, list):
        raise _refused("It must be an Array followed with $or.", path)
    if any(not isinstance(group, dict) for group in groups):
        raise _refused("Only JSON object is allowed in array of $or relationship.", path)
    if len(groups) < 2:
        raise _refused("There must have at least 2 Objects in $or relationship.", path)
    return Either(tuple(_compiled(group, path, depth + 1) for group in groups))


def _refused(problem: str, path: tuple[str, ...]) -> PatternError:
    return PatternError(f"{'.'.join(path)}: {problem}" if path else problem)
