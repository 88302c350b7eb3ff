"""The matrix recorded from AWS for event patterns, their errors, and a slow matcher to compare with."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.rules.matchers import PatternError
from poller.rules.patterns import Pattern

MISSING = object()


def matches(pattern, event):
    return Pattern(json.dumps(pattern)).matches(event)


def leaf(matchers, value):
    """Whether a field of this value is wanted by a list of matchers."""
    return matches({"k": matchers}, {} if value is MISSING else {"k": value})


@pytest.mark.parametrize(
    ("matchers", "value", "expected"),
    [
        ([None], [], False),
        ([False], False, True),
        ([False], True, False),
        ([0], False, False),
        ([None], None, True),
        ([None], "null", False),
        ([None], MISSING, False),
        ([""], "", True),
        ([""], "x", False),
        ([300], 300.0, True),
        (["a", "b"], "b", True),
        (["a"], "A", False),
        ([{"anything-but": "initializing"}], "pending", True),
        ([{"anything-but": "initializing"}], "initializing", False),
        ([{"anything-but": "initializing"}], None, True),
        ([{"anything-but": "initializing"}], MISSING, False),
        ([{"anything-but": ["a", "b"]}], "c", True),
        ([{"anything-but": ["a", "b"]}], "a", False),
        ([{"anything-but": ["a", "b"]}], None, True),
        ([{"anything-but": ["a", "b"]}], 5, True),
        ([{"anything-but": 123}], 124, True),
        ([{"anything-but": 123}], 123, False),
        ([{"anything-but": [100, 200]}], 200.0, False),
        ([{"anything-but": {"prefix": "init"}}], "post-init", True),
        ([{"anything-but": {"prefix": "init"}}], "init-x", False),
        ([{"anything-but": {"prefix": "init"}}], 12, True),
        ([{"anything-but": {"prefix": "init"}}], None, True),
        ([{"anything-but": {"prefix": "init"}}], MISSING, False),
        ([{"anything-but": {"suffix": [".txt", ".jpg"]}}], "file.txt.bak", True),
        ([{"anything-but": {"suffix": [".txt", ".jpg"]}}], "file.jpg", False),
        ([{"anything-but": {"equals-ignore-case": "initializing"}}], "INITIALIZING", False),
        ([{"anything-but": {"equals-ignore-case": "initializing"}}], "pending", True),
        ([{"anything-but": {"wildcard": "*/dir/*"}}], "dir/init/file", True),
        ([{"anything-but": {"wildcard": "*/dir/*"}}], "a/dir/b", False),
        ([{"exists": True}], "x", True),
        ([{"exists": True}], None, True),
        ([{"exists": True}], MISSING, False),
        ([{"exists": True}], {"S": "x"}, False),
        ([{"exists": True}], [], False),
        ([{"exists": False}], MISSING, True),
        ([{"exists": False}], "x", False),
        ([{"exists": False}], {"S": "x"}, True),
        ([{"numeric": [">", 100]}], 101.0, True),
        ([{"numeric": [">", 100]}], None, False),
        ([{"numeric": [">", 100]}], "300", False),
        ([{"numeric": [">", 0, "<=", 5]}], 3, True),
        ([{"numeric": [">", 0, "<=", 5]}], 42, False),
        ([{"numeric": ["=", 5]}], 5.0, True),
        ([{"numeric": [">", 0]}], True, False),
        ([{"prefix": ""}], "anything", True),
        ([{"suffix": ""}], "anything", True),
        ([{"prefix": {"equals-ignore-case": "EventB"}}], "EvEnTbridge", True),
        ([{"suffix": ".PNG"}], "image.png", False),
        ([{"suffix": {"equals-ignore-case": ".png"}}], "image.PNG", True),
        ([{"suffix": {"equals-ignore-case": ".png"}}], "image.jpg", False),
        ([{"equals-ignore-case": ""}], "", True),
        ([{"equals-ignore-case": ""}], "x", False),
        ([{"wildcard": "/Users/*/doc.txt"}], "/Users/a/b/doc.txt", True),
        ([{"wildcard": ""}], "x", False),
        ([{"wildcard": "a\\*b"}], "a*b", True),
        ([{"wildcard": "a\\*b"}], "axb", False),
        ([{"cidr": "10.0.0.0/24"}], "10.0.0.255", True),
        ([{"cidr": "10.0.0.0/24"}], "10.0.0.256", False),
        ([{"cidr": "10.0.0.0/24"}], 123, False),
        ([{"exists": True}, {"prefix": "IGNORED"}], "my-value", True),
        ([{"numeric": [">", 100]}, {"anything-but": "101"}], "42", True),
        ([{"numeric": [">", 100]}, {"anything-but": "101"}], "101", False),
        (["a"], ["b", "a"], True),
        (["a"], [["b"], ["a"]], True),
    ],
)
def test_the_recorded_matrix_of_operators(matchers, value, expected):
    """R-FILT-13, R-FILT-20 to R-FILT-26, R-FILT-29."""
    assert leaf(matchers, value) is expected


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"MY_KEY": ["v"]}, {"my_key": "v"}, False),
        ({"detail": {"k": ["v"]}}, {"detail": '{"k":"v"}'}, False),
        ({"a": {"b": ["r"]}}, {"a.b": "r"}, True),
        ({"a.b": ["r"]}, {"a": {"b": "r"}}, True),
        ({"automations": {"id": [{"exists": True}]}}, {"automations": [{"x": 1}, {"id": 2}]}, True),
        ({"a": {"b": {"c": [{"exists": False}]}}}, {"a": 1}, True),
        ({"S": [{"anything-but": ["roses"]}, {"exists": False}]}, {"S": "tulips"}, True),
        ({"i": {"S": [{"anything-but": ["roses"]}, {"exists": False}]}}, {"i": {"N": "5"}}, True),
        ({"i": {"S": [{"anything-but": ["roses"]}, {"exists": False}]}}, {}, True),
        ({"N": ["1234"]}, {"S": "ABCD", "N": "1234"}, True),
        ({"a": [1], "b": [2]}, {"a": 1, "b": 3}, False),
        ({"$or": [{"a": [1]}, {"b": [{"numeric": [">", 5]}]}, {"c": [3]}]}, {"b": 6}, True),
        ({"$or": [{"a": [1]}, {"b": [{"numeric": [">", 5]}]}, {"c": [3]}]}, {"b": 5}, False),
        ({"x": ["y"], "$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"c": [3]}]}]}, {"x": "y", "c": 3}, True),
        ({"x": ["y"], "$or": [{"a": [1]}, {"b": [2]}]}, {"x": "n", "a": 1}, False),
        ({"l": {"n": ["a"], "v": [2]}}, {"l": [{"n": "a", "v": 1}, {"n": "b", "v": 2}]}, False),
        ({"l": {"n": ["a"], "v": [2]}}, {"l": [{"n": "a", "v": 1}, {"n": "a", "v": 2}]}, True),
        ({"$or": ["scalar"]}, {"$or": "scalar"}, None),
    ],
)
def test_the_recorded_matrix_of_structures(pattern, event, expected):
    """R-FILT-12, R-FILT-22, R-FILT-25 to R-FILT-27."""
    if expected is None:
        with pytest.raises(PatternError):
            matches(pattern, event)
    else:
        assert matches(pattern, event) is expected


def test_of_equal_keys_the_last_wins():
    """R-FILT-16."""
    assert Pattern('{"k":["a"],"k":["b"]}').matches({"k": "b"})


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("not json", "not JSON"),
        ('["a"]', "a pattern is a JSON object"),
        ("{}", "at least one key"),
        ('{"resources":[]}', "empty arrays are not allowed"),
        ('{"k":{}}', "empty objects are not allowed"),
        ('{"int":42}', '"int" must be an object or an array'),
        ('{"string":"v"}', '"string" must be an object or an array'),
        ('{"k":[["a"]]}', "a list within a list"),
        ('{"k":[{"anything-but":null}]}', "Value of anything-but must be an array or single string/number value."),
        ('{"k":[{"anything-but":["a",null]}]}', "start|null|boolean is not supported."),
        ('{"k":[{"anything-but":["a",1]}]}', "mixed is not supported"),
        ('{"k":[{"anything-but":{"prefix":""}}]}', "Null prefix not allowed"),
        ('{"k":[{"anything-but":{"suffix":""}}]}', "Null suffix not allowed"),
        ('{"k":[{"anything-but":{"numeric":["=",1]}}]}', "anything-but takes one of"),
        ('{"k":[{"EXISTS":true}]}', "Unrecognized match type EXISTS"),
        ('{"k":[{"NUMERIC":["=",1]}]}', "Unrecognized match type NUMERIC"),
        ('{"k":[{"exists":"yes"}]}', "exists match pattern must be either true or false"),
        ('{"k":[{"numeric":[">",0,">",0]}]}', "Bad numeric range operator: >"),
        ('{"k":[{"numeric":[">",0,"<"]}]}', "Value of < must be numeric"),
        ('{"k":[{"numeric":10}]}', "Value of numeric must be an array."),
        ('{"k":[{"numeric":[]}]}', "must not be empty"),
        ('{"k":[{"numeric":["!",1]}]}', "Unrecognized numeric range operator: !"),
        ('{"k":[{"numeric":["=",6e9]}]}', "between -5.0e9 and +5.0e9"),
        ('{"k":[{"prefix":123}]}', "prefix match pattern must be a string"),
        ('{"k":[{"prefix":["x"]}]}', "prefix match pattern must be a string"),
        ('{"k":[{"suffix":123}]}', "suffix match pattern must be a string"),
        ('{"k":[{"equals-ignore-case":["x"]}]}', "equals-ignore-case match pattern must be a string"),
        ('{"k":[{"wildcard":"a**b"}]}', "Consecutive wildcard characters"),
        ('{"k":[{"cidr":"bad"}]}', "Malformed CIDR, one '/' required"),
        ('{"k":[{"cidr":"1.2.3/8"}]}', "Malformed CIDR"),
        ('{"k":[{"prefix":"a","suffix":"b"}]}', "one operator in an object"),
        ('{"$or":[{"a":[1]}]}', "$or needs at least two objects"),
        ('{"$or":[{"a":[1]},{}]}', "$or is a list of objects"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_the_reason(pattern, reason):
    """R-FILT-20, R-FILT-26, R-FILT-28, R-VAL-11."""
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "event", "reason"),
    [
        ({"a": ["x"]}, {"a": "x"}, ""),
        ({"a": ["x"]}, {"a": "y"}, 'a is "y", which matches nothing'),
        ({"a": {"b": ["x"]}}, {"a": {}}, "a.b is not in the event"),
        ({"$or": [{"a": [1]}, {"b": [1]}]}, {}, "no object of $or matches"),
        ({"l": {"n": ["a"], "v": [2]}}, {"l": [{"n": "a"}, {"v": 2}]}, "not within the same element"),
    ],
)
def test_the_first_reason_why_an_event_does_not_match_is_told(pattern, event, reason):
    assert reason in Pattern(json.dumps(pattern)).reason(event)


# A slow matcher of another making: it tries every way to keep one element of each array


def worlds(value):
    """Every event that is left when one element of each array is kept; an empty array leaves nothing."""
    if isinstance(value, dict):
        keys = list(value)
        for choice in itertools.product(*(list(worlds(value[key])) for key in keys)):
            yield {key: each for key, each in zip(keys, choice, strict=True) if each is not MISSING}
    elif isinstance(value, list):
        if not value:
            yield MISSING
        for each in value:
            yield from worlds(each)
    else:
        yield value


def slow(pattern, event):
    def holds(part, value):
        for key, wanted in part.items():
            below = value.get(key, MISSING) if isinstance(value, dict) else MISSING
            if isinstance(wanted, dict):
                if not holds(wanted, below):
                    return False
            elif isinstance(below, dict) or below is MISSING or below not in wanted:
                return False
        return True

    return any(holds(pattern, world) for world in worlds(event))


NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.sampled_from(["x", "y", 1, 2])
EVENTS = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=2) | st.dictionaries(NAMES, below, max_size=3), max_leaves=7
)
PATTERNS = st.recursive(
    st.lists(SCALARS, min_size=1, max_size=2),
    lambda below: st.dictionaries(NAMES, below, min_size=1, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(NAMES, PATTERNS, min_size=1, max_size=3), st.dictionaries(NAMES, EVENTS, min_size=1, max_size=3))
def test_the_matcher_agrees_with_one_that_tries_everything(pattern, event):
    assert matches(pattern, event) is slow(pattern, event)
