"""What a value may be asked: this file is the operators of event patterns, each as a test of one scalar.

The refusals are worded as AWS words them where that is known.
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence

Leaf = str | int | float | bool | None
Matcher = Callable[[Leaf], bool]

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER_MAX = 5.0e9
"""For the numbers of a pattern (R-FILT-28); those of an event may be of any size."""


class PatternError(ValueError):
    """A pattern that cannot be used; the text says why."""


def compile_matcher(wanted: object) -> Matcher | None:
    """The test for one entry of a field's list; ``None`` stands for ``{"exists": false}``. Raises `PatternError`."""
    if isinstance(wanted, list):
        raise PatternError("Match value must be String, number, true, false, or null")
    if not isinstance(wanted, dict):
        return _equals(wanted)
    name, operand = _only(wanted, "Match expression name not found")
    if name == "exists":
        if not isinstance(operand, bool):
            raise PatternError("exists match pattern must be either true or false.")
        return _anything if operand else None
    if name not in _OPERATORS:
        raise PatternError(f"Unrecognized match type {name}")
    return _OPERATORS[name](operand)


def extra_operator(wanted: object) -> str | None:
    """The operator of an entry if Lambda's table omits it and EventBridge has it, as ``wildcard`` (R-FILT-20).

    The entry must have been compiled before, for only what compiles has a meaning.
    """
    if not isinstance(wanted, dict):
        return None
    ((name, operand),) = wanted.items()
    if isinstance(operand, dict):  # no operator of the table takes another one
        return f"{name} with {next(iter(operand))}"
    return name if name in ("wildcard", "cidr") else None


def _anything(leaf: Leaf) -> bool:
    return True


def _equals(wanted: object) -> Matcher:
    """Exact; numbers by their value, so that 300 is 300.0 (R-FILT-21), and never a boolean."""
    if _is_number(wanted):
        return lambda leaf: _is_number(leaf) and leaf == wanted
    return lambda leaf: type(leaf) is type(wanted) and leaf == wanted


def _ignoring_case(wanted: object) -> Matcher:
    """By Unicode's case folding, so that ``ß`` is ``SS``; which folding Lambda uses is not documented."""
    folded = _text(wanted, "equals-ignore-case").casefold()
    return lambda leaf: isinstance(leaf, str) and leaf.casefold() == folded


def _prefix(wanted: object) -> Matcher:
    if isinstance(wanted, dict):
        folded = _folded(wanted, "prefix")
        return lambda leaf: isinstance(leaf, str) and leaf.casefold().startswith(folded)
    text = _text(wanted, "prefix")
    return lambda leaf: isinstance(leaf, str) and leaf.startswith(text)


def _suffix(wanted: object) -> Matcher:
    if isinstance(wanted, dict):
        folded = _folded(wanted, "suffix")
        return lambda leaf: isinstance(leaf, str) and leaf.casefold().endswith(folded)
    text = _text(wanted, "suffix")
    return lambda leaf: isinstance(leaf, str) and leaf.endswith(text)


def _folded(wanted: Mapping[str, object], above: str) -> str:
    """The text of ``{"equals-ignore-case": text}``, folded, as the operand of ``prefix`` or ``suffix``."""
    name, operand = _only(wanted, f"{above.capitalize()} expression name not found")
    if name != "equals-ignore-case":
        raise PatternError(f"Unsupported {above} pattern: {name}")
    return _text(operand, name).casefold()


def _numeric(wanted: object) -> Matcher:
    """``["=", n]``, one bound, or a lower and an upper one; JSON numbers only (R-FILT-13, R-FILT-26)."""
    if not isinstance(wanted, list):
        raise PatternError("Value of numeric must be an array.")
    name, first = _bound(wanted, _COMPARE, "Unrecognized numeric range operator")
    compare, rest = _COMPARE[name], wanted[2:]
    if not rest:
        return lambda leaf: isinstance(leaf, int | float) and _is_number(leaf) and compare(leaf, first)
    if name not in (">", ">="):
        raise PatternError("Too many elements in numeric expression")
    upper_name, second = _bound(rest, ("<", "<="), "Bad numeric range operator")
    if len(rest) > 2:
        raise PatternError("Too many terms in numeric range expression")
    if first >= second:
        raise PatternError("Bottom must be less than top")
    upper = _COMPARE[upper_name]
    return lambda leaf: (
        isinstance(leaf, int | float) and _is_number(leaf) and compare(leaf, first) and upper(leaf, second)
    )


def _bound(parts: Sequence[object], names: Sequence[str] | Mapping[str, object], problem: str) -> tuple[str, float]:
    """The operator and the number that ``parts`` begins with."""
    name = parts[0] if parts else None
    if not isinstance(name, str):
        raise PatternError(f"Invalid member in numeric match: {'nothing' if name is None else name}")
    if name not in names:
        raise PatternError(f"{problem}: {name}")
    limit = parts[1] if len(parts) > 1 else None
    if not isinstance(limit, int | float) or isinstance(limit, bool):
        raise PatternError(f"Value of {'equals' if name == '=' else name} must be numeric")
    if abs(limit) > _NUMBER_MAX:
        raise PatternError("Value must be between -5.0E9 and 5.0E9, inclusive")
    return name, limit


def _wildcard(wanted: object) -> Matcher:
    r"""``*`` is any text, ``\*`` a star, ``\\`` a backslash.

    What stands between the stars is looked for from left to right, each at its first place: that one is never worse
    than a later one, so nothing is tried twice, however many stars there are.
    """
    first, *inner = _between_stars(_text(wanted, "wildcard"))
    if not inner:
        return lambda leaf: leaf == first
    last = inner.pop()

    def test(leaf: Leaf) -> bool:
        if not isinstance(leaf, str) or not leaf.startswith(first):
            return False
        at, end = len(first), len(leaf) - len(last)
        for part in inner:
            at = leaf.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return at <= end and leaf.endswith(last)

    return test


def _between_stars(text: str) -> list[str]:
    """The plain texts before, between and behind the stars of a wildcard.

    Places in refusals are AWS's: in bytes of UTF-8, with the quote before the text as the first one.
    """
    parts, end = [""], 0
    for match in re.finditer(r"\\[*\\]|\*\*?|\\", text):
        parts[-1] += text[end : match.start()]
        end = match.end()
        place = 1 + len(text[: match.start()].encode("utf-8", "surrogatepass"))
        if match[0] == "**":
            raise PatternError(f"Consecutive wildcard characters at pos {place}")
        if match[0] == "\\":
            raise PatternError(f"Invalid escape character at pos {place}")
        if match[0] == "*":
            parts.append("")
        else:
            parts[-1] += match[0][1]
    parts[-1] += text[end:]
    return parts


def _cidr(wanted: object) -> Matcher:
    text = _text(wanted, "prefix")  # as AWS calls it here
    if text.count("/") != 1:
        raise PatternError("Malformed CIDR, one '/' required")
    address, _, bits = text.partition("/")
    if not (bits.isascii() and bits.isdigit()):
        raise PatternError("Malformed CIDR, mask bits must be an integer")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise PatternError(f"Nonstandard IP address: {address}") from None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise PatternError(f"Malformed CIDR, too many mask bits: {bits}") from None

    def test(leaf: Leaf) -> bool:
        try:
            return isinstance(leaf, str) and ipaddress.ip_address(leaf) in network
        except ValueError:
            return False

    return test


def _anything_but(wanted: object) -> Matcher:
    """A value that is there and is none of these; null and values of another kind are fine (R-FILT-24)."""
    refused = _refused_by(wanted) if isinstance(wanted, dict) else _refused_values(wanted)
    return lambda leaf: not any(matcher(leaf) for matcher in refused)


def _refused_values(wanted: object) -> list[Matcher]:
    if not isinstance(wanted, list):
        if not isinstance(wanted, str) and not _is_number(wanted):
            raise PatternError(_ANYTHING_BUT_WHAT)
        return [_equals(wanted)]
    if any(not isinstance(value, str) and not _is_number(value) for value in wanted):
        raise PatternError("Inside anything but list, start|null|boolean is not supported.")
    if len({isinstance(value, str) for value in wanted}) != 1:
        raise PatternError(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    return [_equals(value) for value in wanted]


def _refused_by(wanted: Mapping[str, object]) -> list[Matcher]:
    """The operator within ``anything-but``, with one text or a list of them."""
    name, operand = _only(wanted, "Anything-But expression name not found")
    if name not in _NEGATABLE:
        raise PatternError(f"Unsupported anything-but pattern: {name}")
    if not isinstance(operand, list | str) and not _is_number(operand):
        raise PatternError(_ANYTHING_BUT_WHAT)
    texts = operand if isinstance(operand, list) else [operand]
    if not texts or any(not isinstance(text, str) for text in texts):
        raise PatternError(_NEGATABLE[name])
    if name in ("prefix", "suffix") and "" in texts:
        raise PatternError("Null prefix/suffix not allowed")
    return [_OPERATORS[name](text) for text in texts]


def _only(wanted: Mapping[str, object], problem: str) -> tuple[str, object]:
    """The one operator of an object, and its operand."""
    if not wanted:
        raise PatternError(problem)
    if len(wanted) > 1:
        raise PatternError("Only one key allowed in match expression")
    return next(iter(wanted.items()))


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise PatternError(f"{name} match pattern must be a string")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_ANYTHING_BUT_WHAT = "Value of anything-but must be an array or single string/number value."
_NEGATABLE = {
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "equals-ignore-case": "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    "wildcard": "wildcard match pattern must be a string",
}
"""What may stand within ``anything-but``, and how a value that is no text is refused."""

_OPERATORS: Mapping[str, Callable[[object], Matcher]] = {
    "equals-ignore-case": _ignoring_case,
    "prefix": _prefix,
    "suffix": _suffix,
    "numeric": _numeric,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "anything-but": _anything_but,
}
