"""Patterns made by chance: against a slow matcher of another making, and against all that is no pattern."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.rules.json_text import parsed
from poller.rules.matchers import PatternError
from poller.rules.mismatch import mismatch
from poller.rules.patterns import Pattern

# The slow matcher. It writes an event down as its leaves, each with the array elements that it lies in; takes every
# choice of a leaf, or of none, for each field; and looks whether the choices keep to one element of each array.


def leaves(value, path=(), place=()):
    """Path with dots, value, and the (array, index) pairs on the way, of every single value; arrays by their place."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key), (*place, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, path, (*place, index))
    else:
        within = {place[:end]: part for end, part in enumerate(place) if isinstance(part, int)}
        yield ".".join(path), value, within


def conjunctions(pattern, path=()):
    """Every list of (path, entries) that is wanted at once, after a choice of one object of each ``$or``."""
    parts = []
    for key, each in pattern.items():
        if key == "$or":
            parts.append([fields for group in each for fields in conjunctions(group, path)])
        elif isinstance(each, dict):
            parts.append(list(conjunctions(each, (*path, key))))
        else:
            parts.append([[(".".join((*path, key)), each)]])
    for choice in itertools.product(*parts):
        yield [field for fields in choice for field in fields]


def slow(pattern, event):
    there = list(leaves(event))
    return any(one_choice_holds(fields, there) for fields in conjunctions(pattern))


def one_choice_holds(fields, there):
    options = []
    for path, entries in fields:
        found = [leaf for leaf in there if leaf[0] == path and any(accepts(entry, leaf[1]) for entry in entries)]
        options.append([*found, *([None] if {"exists": False} in entries else [])])
    for choice in itertools.product(*options):
        chosen = {}
        if not all(agrees(leaf[2], chosen) and not chosen.update(leaf[2]) for leaf in choice if leaf):
            continue
        absent = [path for (path, _), leaf in zip(fields, choice, strict=True) if leaf is None]
        if not any(path in absent and agrees(within, chosen) for path, _, within in there):
            return True
    return False


def agrees(within, chosen):
    return all(chosen.get(array, index) == index for array, index in within.items())


def accepts(entry, leaf):
    if not isinstance(entry, dict):
        return [isinstance(entry, bool), entry] == [isinstance(leaf, bool), leaf]
    ((name, operand),) = entry.items()
    if name == "exists":
        return operand
    if name == "anything-but":
        if isinstance(operand, dict):
            ((inner, texts),) = operand.items()
            return not any(accepts({inner: text}, leaf) for text in (texts if isinstance(texts, list) else [texts]))
        return not any(accepts(value, leaf) for value in (operand if isinstance(operand, list) else [operand]))
    if name == "numeric":
        number = isinstance(leaf, (int, float)) and not isinstance(leaf, bool)
        return number and all(compares(leaf, *operand[at : at + 2]) for at in range(0, len(operand), 2))
    if not isinstance(leaf, str):
        return False
    if isinstance(operand, dict):
        operand, leaf = operand["equals-ignore-case"].casefold(), leaf.casefold()
    if name == "prefix":
        return leaf[: len(operand)] == operand
    if name == "suffix":
        return leaf[max(0, len(leaf) - len(operand)) :] == operand
    if name == "equals-ignore-case":
        return operand.casefold() == leaf.casefold()
    if name == "wildcard":
        parts = [{"*": ".*"}.get(part, re.escape(part[-1])) for part in re.findall(r"\\.|.", operand)]
        return re.fullmatch("".join(parts), leaf, re.DOTALL) is not None
    assert name == "cidr"
    network, bits = operand.split("/")
    return number_of(leaf) is not None and number_of(leaf) >> 32 - int(bits) == number_of(network) >> 32 - int(bits)


def compares(leaf, name, limit):
    return {
        "=": leaf == limit,
        "<": leaf < limit,
        "<=": leaf <= limit,
        ">": leaf > limit,
        ">=": leaf >= limit,
    }[name]


def number_of(address):
    if not re.fullmatch(r"\d+\.\d+\.\d+\.\d+", address):
        return None
    return sum(int(part) << shift for part, shift in zip(address.split("."), (24, 16, 8, 0), strict=True))


# All operators, on single values

TEXTS = st.sampled_from(["", "a", "A", "ab", "aB", "ba", "ß", "SS", "*", "a*b", "1", "10.0.0.1", "10.0.1.7"])
SOME_TEXT = st.sampled_from(["a", "A", "b", "ab", "B", "1"])
NUMBERS = st.sampled_from([0, 0.0, 1, 1.0, -1, 1.5, 5_000_000_000, 1e3, 1000])
LEAVES = TEXTS | NUMBERS | st.booleans() | st.none()
BOUNDS = st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS).map(list)
RANGES = st.sampled_from([[low, 0, high, 1] for low in (">", ">=") for high in ("<", "<=")])
WILDCARDS = st.lists(st.sampled_from(["*", "a", "b", "\\*", "*"]), max_size=6).map(
    lambda parts: "".join(
        part for part, before in zip(parts, ["", *parts], strict=False) if (part, before) != ("*", "*")
    )
)


def one_or_more(values):
    return values | st.lists(values, min_size=1, max_size=2)


def under(name, operands):
    return operands.map(lambda operand: {name: operand})


ENTRIES = st.one_of(
    LEAVES,
    under("exists", st.booleans()),
    under("equals-ignore-case", TEXTS),
    under("prefix", TEXTS | under("equals-ignore-case", TEXTS)),
    under("suffix", TEXTS | under("equals-ignore-case", TEXTS)),
    under("numeric", BOUNDS | RANGES),
    under("wildcard", WILDCARDS),
    under("cidr", st.sampled_from(["10.0.0.0/8", "10.0.0.0/24", "10.0.1.7/32", "0.0.0.0/0"])),
    under("anything-but", one_or_more(TEXTS) | one_or_more(NUMBERS)),
    under("anything-but", under("prefix", one_or_more(SOME_TEXT)) | under("suffix", one_or_more(SOME_TEXT))),
    under("anything-but", under("equals-ignore-case", one_or_more(TEXTS)) | under("wildcard", one_or_more(WILDCARDS))),
)


@settings(max_examples=800, deadline=None)
@given(st.lists(ENTRIES, min_size=1, max_size=2), st.lists(LEAVES, max_size=2))
def test_every_operator_agrees_with_its_slow_twin(entries, values):
    """R-FILT-20 to R-FILT-24, R-FILT-29."""
    pattern = {"k": entries}
    for event in ({"k": values}, *({"k": value} for value in values), {}):
        assert Pattern(json.dumps(pattern)).matches(event) is slow(pattern, event)


@settings(max_examples=300, deadline=None)
@given(WILDCARDS, st.text("ab*", max_size=6))
def test_wildcards_agree_with_regular_expressions(wildcard, text):
    pattern = {"k": [{"wildcard": wildcard}]}
    assert Pattern(json.dumps(pattern)).matches({"k": text}) is slow(pattern, {"k": text})


# All structures, of few names and values so that they often meet


def events(below):
    """Objects whose keys are there or not."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(("a", "b", "a.b", ""), below))


VALUES = st.sampled_from([1, 2, None])
INNER = events(VALUES | st.lists(VALUES, max_size=2))
MIDDLE = events(VALUES | INNER | st.lists(VALUES | INNER | st.lists(INNER, max_size=2), max_size=3))
EVENTS = events(MIDDLE | st.lists(MIDDLE, max_size=3)) | events(VALUES | st.lists(INNER, max_size=3))

FIELDS = st.sampled_from(
    [[1], [2], [1], [2, None], [{"exists": True}], [{"exists": False}], [1, {"exists": False}], [{"anything-but": 1}]]
)
KEYS = st.sampled_from(["a", "b", "a.b", ""])


def fields(below):
    return st.dictionaries(KEYS, below, min_size=1, max_size=2)


def either(groups):
    return under("$or", st.lists(groups, min_size=2, max_size=2))


LOW = fields(FIELDS)
LOW_OR = either(LOW) | st.tuples(LOW, either(LOW)).map(lambda two: two[0] | two[1])
HIGH = fields(FIELDS | LOW) | st.tuples(KEYS, LOW_OR).map(lambda two: dict([two])) | either(LOW_OR | LOW)
PATTERNS = st.one_of(LOW, HIGH, HIGH, st.tuples(KEYS, HIGH).map(lambda two: dict([two])))

ROWS = st.lists(
    st.fixed_dictionaries({"c": VALUES}, optional={"a": VALUES, "b": VALUES | INNER}), min_size=1, max_size=4
)
"""Arrays for patterns of several fields below one key: which element has them all?"""

ROW = st.fixed_dictionaries(
    {"c": FIELDS}, optional={"a": FIELDS, "b": FIELDS | LOW, "$or": st.lists(LOW, min_size=2, max_size=2)}
)
CASES = st.tuples(PATTERNS, EVENTS) | st.tuples(under("a", ROW), under("a", ROWS | st.lists(ROWS, max_size=2)))


def written_twice(value):
    """The text of ``value`` where each key of an object comes once before, with something else (R-FILT-16)."""
    if isinstance(value, dict):
        decoys = [f'{json.dumps(key)}:["decoy"]' for key in value]
        fields = [f"{json.dumps(key)}:{written_twice(each)}" for key, each in value.items()]
        return "{" + ",".join([*decoys, *fields]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written_twice, value)) + "]"
    return json.dumps(value)


@settings(max_examples=1_200, deadline=None)
@given(CASES)
def test_the_matcher_agrees_with_one_that_tries_every_choice(case):
    """R-FILT-16, R-FILT-20, R-FILT-22, R-FILT-23, R-FILT-25, R-FILT-27."""
    pattern, event = case
    expected = slow(pattern, event)
    compiled = Pattern(json.dumps(pattern))
    assert compiled.matches(event) is expected
    assert Pattern(written_twice(pattern)).matches(parsed(written_twice(event))) is expected
    assert (mismatch(compiled.nodes, event) == "") is expected


# Anything at all

WORDS = ["$or", "exists", "numeric", "wildcard", "cidr", "prefix", "suffix", "anything-but", "equals-ignore-case"]
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=4) | st.sampled_from(
    ["*", "\\", "/", "1/2", "<", "="]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | ANY_TEXT, below, max_size=3),
    max_leaves=12,
)


def compiled_if_it_is_one(text):
    """The pattern, or ``None`` for a refusal with a reason; no other error comes through."""
    try:
        return Pattern(text)
    except PatternError as refusal:
        return None if str(refusal) else pytest.fail("refused without a reason")


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "$or"]) | ANY_TEXT, ANY_JSON, min_size=1, max_size=3), ANY_JSON)
def test_any_json_is_a_pattern_or_is_refused_and_a_pattern_takes_any_event(pattern, event):
    compiled = compiled_if_it_is_one(json.dumps(pattern))
    if compiled:
        assert (mismatch(compiled.nodes, event) == "") is compiled.matches(event)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(WORDS[1:]), ANY_JSON, EVENTS)
def test_any_operand_is_taken_or_refused(name, operand, event):
    compiled = compiled_if_it_is_one(json.dumps({"a": [{name: operand}]}))
    if compiled:
        assert (mismatch(compiled.nodes, event) == "") is compiled.matches(event)


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_is_refused(text):
    compiled_if_it_is_one(text)
