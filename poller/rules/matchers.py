"""What a value may be asked: this file is the operators of event patterns, each as a test of one scalar."""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence

Leaf = str | int | float | bool | None
Matcher = Callable[[Leaf], bool]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_NUMBER_MAX = 5.0e9
"""R-FILT-28."""


class PatternError(ValueError):
    """A pattern that cannot be used; the text says why."""


def compile_matcher(wanted: object, path: str) -> Matcher | None:
    """The test for one entry of a field's list; ``None`` stands for ``{"exists": false}``. Raises `PatternError`."""
    if isinstance(wanted, list):
        raise PatternError(f"a list within a list is not allowed, at {path}")
    if not isinstance(wanted, dict):
        return _equals(wanted)
    if len(wanted) != 1:
        raise PatternError(f"one operator in an object, not {len(wanted)}, at {path}")
    ((name, value),) = wanted.items()
    if name == "exists":
        if not isinstance(value, bool):
            raise PatternError(f"exists match pattern must be either true or false, at {path}")
        return _anything if value else None
    if name not in _OPERATORS:
        raise PatternError(f"Unrecognized match type {name}, at {path}")
    return _OPERATORS[name](value)


def _anything(leaf: Leaf) -> bool:
    return True


def _equals(wanted: object) -> Matcher:
    """Exact; numbers by their value, so that 300 is 300.0 (R-FILT-21), and never a boolean."""
    if _is_number(wanted):
        return lambda leaf: _is_number(leaf) and leaf == wanted
    return lambda leaf: type(leaf) is type(wanted) and leaf == wanted


def _ignoring_case(wanted: object) -> Matcher:
    text = _text(wanted, "equals-ignore-case match pattern must be a string").casefold()
    return lambda leaf: isinstance(leaf, str) and leaf.casefold() == text


def _affix(name: str, test: Callable[[str, str], bool]) -> Callable[[object], Matcher]:
    """``prefix`` or ``suffix``: of a text, or of an ``equals-ignore-case`` object."""

    def compiled(wanted: object) -> Matcher:
        problem = f"{name} match pattern must be a string"
        if isinstance(wanted, dict) and list(wanted) == ["equals-ignore-case"]:
            folded = _text(wanted["equals-ignore-case"], problem).casefold()
            return lambda leaf: isinstance(leaf, str) and test(leaf.casefold(), folded)
        text = _text(wanted, problem)
        return lambda leaf: isinstance(leaf, str) and test(leaf, text)

    return compiled


def _numeric(wanted: object) -> Matcher:
    """``["=", n]``, one bound, or a lower and an upper one; JSON numbers only (R-FILT-13)."""
    if not isinstance(wanted, list):
        raise PatternError("Value of numeric must be an array.")
    parts: list[object] = list(wanted)
    if not parts:
        raise PatternError("Value of numeric must not be empty.")
    tests = [_bound(parts[index : index + 2]) for index in range(0, len(parts), 2)]
    names = [str(name) for name in parts[::2]]
    lower_and_upper = len(names) == 2 and names[0] in (">", ">=") and names[1] in ("<", "<=")
    if len(names) > 1 and not lower_and_upper:
        raise PatternError(f"Bad numeric range operator: {names[1]}")
    return lambda leaf: _is_number(leaf) and all(test(leaf) for test in tests)


def _bound(pair: Sequence[object]) -> Matcher:
    name = pair[0]
    if not isinstance(name, str) or name not in _COMPARE:
        raise PatternError(f"Unrecognized numeric range operator: {name}")
    if len(pair) < 2 or not _is_number(pair[1]):
        raise PatternError(f"Value of {name} must be numeric")
    limit = pair[1]
    assert isinstance(limit, int | float)
    if abs(limit) > _NUMBER_MAX:
        raise PatternError(f"Value of {name} must be between -5.0e9 and +5.0e9, inclusive")
    compare = _COMPARE[name]
    return lambda leaf: isinstance(leaf, int | float) and compare(leaf, limit)


def _wildcard(wanted: object) -> Matcher:
    r"""``*`` is any text, ``\*`` a star."""
    text = _text(wanted, "wildcard match pattern must be a string")
    parts = re.split(r"(\\.|\*)", text)
    for index, part in enumerate(parts[:-2]):
        if part == "*" and parts[index + 1] == "" and parts[index + 2] == "*":
            raise PatternError("Consecutive wildcard characters")
    pattern = "".join(".*" if part == "*" else re.escape(re.sub(r"\\(.)", r"\1", part)) for part in parts)
    compiled = re.compile(pattern, re.DOTALL)
    return lambda leaf: isinstance(leaf, str) and compiled.fullmatch(leaf) is not None


def _cidr(wanted: object) -> Matcher:
    text = _text(wanted, "prefix match pattern must be a string")
    if text.count("/") != 1:
        raise PatternError("Malformed CIDR, one '/' required")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise PatternError(f"Malformed CIDR: {error}") from error

    def test(leaf: Leaf) -> bool:
        try:
            return isinstance(leaf, str) and ipaddress.ip_address(leaf) in network
        except ValueError:
            return False

    return test


def _anything_but(wanted: object) -> Matcher:
    """A value that is there and is none of these; null and values of another kind are fine (R-FILT-24)."""
    if isinstance(wanted, dict):
        refused = _anything_but_operator(wanted)
    else:
        values = wanted if isinstance(wanted, list) else [wanted]
        if not isinstance(wanted, list) and (wanted is None or isinstance(wanted, bool)):
            raise PatternError("Value of anything-but must be an array or single string/number value.")
        if not values or any(not isinstance(value, str) and not _is_number(value) for value in values):
            raise PatternError("Inside anything but list, start|null|boolean is not supported.")
        if len({isinstance(value, str) for value in values}) > 1:
            raise PatternError(
                "Inside anything but list, either all values are number or string, mixed is not supported."
            )
        refused = [_equals(value) for value in values]
    return lambda leaf: not any(test(leaf) for test in refused)


def _anything_but_operator(wanted: Mapping[str, object]) -> list[Matcher]:
    if len(wanted) != 1 or next(iter(wanted)) not in _NEGATABLE:
        raise PatternError(f"anything-but takes one of {', '.join(_NEGATABLE)}")
    ((name, value),) = wanted.items()
    values = value if isinstance(value, list) else [value]
    if not values or (name in ("prefix", "suffix") and "" in values):
        raise PatternError(f"Null {name} not allowed")
    return [_OPERATORS[name](each) for each in values]


def _text(value: object, problem: str) -> str:
    if not isinstance(value, str):
        raise PatternError(problem)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_NEGATABLE = ("prefix", "suffix", "equals-ignore-case", "wildcard")
_OPERATORS: Mapping[str, Callable[[object], Matcher]] = {
    "equals-ignore-case": _ignoring_case,
    "prefix": _affix("prefix", str.startswith),
    "suffix": _affix("suffix", str.endswith),
    "numeric": _numeric,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "anything-but": _anything_but,
}
