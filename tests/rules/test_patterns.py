"""The matrix recorded from AWS for event patterns, row by row, and what must not take long."""

from __future__ import annotations

import json
import sys

import pytest

from poller.rules.matchers import PatternError
from poller.rules.patterns import Pattern

MISSING = object()


def matches(pattern, event):
    return Pattern(json.dumps(pattern)).matches(event)


# Rows whose event is one field: the list of matchers, the field's value, whether they match

VALUES = [
    ([None], [], False),
    ([False], False, True),
    ([False], True, False),
    ([None], None, True),
    ([None], "null", False),
    ([""], "", True),
    ([300], 300.0, True),
    ([{"anything-but": "initializing"}], "pending", True),
    ([{"anything-but": "initializing"}], "initializing", False),
    ([{"anything-but": "initializing"}], None, True),
    ([{"anything-but": "initializing"}], MISSING, False),
    ([{"anything-but": ["a", "b"]}], "c", True),
    ([{"anything-but": ["a", "b"]}], "a", False),
    ([{"anything-but": ["a", "b"]}], None, True),
    ([{"anything-but": ["a", "b"]}], MISSING, False),
    ([{"anything-but": 123}], 124, True),
    ([{"anything-but": 123}], 123, False),
    ([{"anything-but": [100, 200]}], 300, True),
    ([{"anything-but": [100, 200]}], 200, False),
    ([{"anything-but": {"prefix": "init"}}], "post-init", True),
    ([{"anything-but": {"prefix": "init"}}], "init-x", False),
    ([{"anything-but": {"prefix": "init"}}], 12, True),
    ([{"anything-but": {"prefix": "init"}}], None, True),
    ([{"anything-but": {"prefix": "init"}}], MISSING, False),
    ([{"anything-but": {"suffix": [".txt", ".jpg"]}}], "file.txt.bak", True),
    ([{"anything-but": {"suffix": [".txt", ".jpg"]}}], "file.jpg", False),
    ([{"anything-but": {"equals-ignore-case": "initializing"}}], "pending", True),
    ([{"anything-but": {"equals-ignore-case": "initializing"}}], "INITIALIZING", False),
    ([{"anything-but": {"equals-ignore-case": "initializing"}}], None, True),
    ([{"anything-but": {"equals-ignore-case": "initializing"}}], MISSING, False),
    ([{"anything-but": {"wildcard": "*/dir/*"}}], "dir/init/file", True),
    ([{"anything-but": {"wildcard": "*/dir/*"}}], 123, True),
    ([{"anything-but": {"wildcard": "*/dir/*"}}], None, True),
    ([{"anything-but": {"wildcard": "*/dir/*"}}], MISSING, False),
    ([{"exists": True}], "x", True),
    ([{"exists": True}], MISSING, False),
    ([{"exists": True}], {"S": "x"}, False),
    ([{"exists": True}], [], False),
    ([{"numeric": [">", 100]}], 101.0, True),
    ([{"numeric": [">", 100]}], None, False),
    ([{"numeric": [">", 100]}], "300", False),
    ([{"numeric": [">", 0, "<=", 5]}], 3, True),
    ([{"numeric": [">", 0, "<=", 5]}], 42, False),
    ([{"prefix": ""}], "any string", True),
    ([{"suffix": ""}], "any string", True),
    ([{"prefix": {"equals-ignore-case": "EventB"}}], "EvEnTb", True),
    ([{"suffix": ".PNG"}], "image.png", False),
    ([{"suffix": {"equals-ignore-case": ".png"}}], "image.PNG", True),
    ([{"suffix": {"equals-ignore-case": ".png"}}], "image.jpg", False),
    ([{"equals-ignore-case": ""}], "", True),
    ([{"equals-ignore-case": ""}], "x", False),
    ([{"wildcard": "/Users/*/doc.txt"}], "/Users/a/b/doc.txt", True),
    ([{"wildcard": ""}], "x", False),
    ([{"cidr": "10.0.0.0/24"}], "10.0.0.255", True),
    ([{"cidr": "10.0.0.0/24"}], "10.0.0.256", False),
    ([{"cidr": "10.0.0.0/24"}], 123, False),
    ([{"exists": True}, {"prefix": "IGNORED"}], "my-value", True),
]


@pytest.mark.parametrize(("matchers", "value", "expected"), VALUES)
def test_the_recorded_matrix_of_values(matchers, value, expected):
    """R-FILT-20 to R-FILT-24."""
    assert matches({"k": matchers}, {} if value is MISSING else {"k": value}) is expected


AUTOMATIONS = {"automations": [{"key1": "value1"}, {"id": "match"}, {"key2": "value2"}]}
ANY_OF_THREE = {
    "$or": [
        {"c": [{"numeric": [">", 0, "<=", 5]}]},
        {"d": [{"numeric": ["<", 10]}]},
        {"x": [{"numeric": ["=", 3.018e2]}]},
    ]
}
NOT_ROSES = {"image": {"flower": {"S": [{"anything-but": ["roses"]}, {"exists": False}]}}}


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"MY_KEY": ["v"]}, {"my_key": "v"}, False),
        ({"detail": {"k": ["v"]}}, {"detail": '{"k":"v"}'}, False),
        ({"a": {"b": {"c": [{"exists": False}]}}}, {"a": {"x": 1}}, True),
        ({"a": {"b": {"c": [{"exists": False}]}}}, {"a": {"b": {"c": 1}}}, False),
        ({"a": {"b": ["r"]}}, {"a.b": "r"}, True),
        ({"a.b": ["r"]}, {"a": {"b": "r"}}, True),
        ({"automations": {"id": [{"exists": True}]}}, AUTOMATIONS, True),
        (ANY_OF_THREE, {"c": 0, "d": 0, "x": 901.8}, True),
        (ANY_OF_THREE, {"c": 0, "d": 15, "x": 901.8}, False),
        (NOT_ROSES, {"image": {"flower": {"S": "tulips"}}}, True),
        (NOT_ROSES, {"image": {"flower": {"N": "5"}}}, True),
        (NOT_ROSES, {"image": {}}, True),
        (NOT_ROSES, {"image": {"flower": {"S": "roses"}}}, False),
        ({"N": ["1234"]}, {"S": "ABCD", "N": "1234"}, True),
    ],
)
def test_the_recorded_matrix_of_structures(pattern, event, expected):
    """R-FILT-12, R-FILT-20, R-FILT-22, R-FILT-25 to R-FILT-27."""
    assert matches(pattern, event) is expected


RECORDED = [
    ('{"resources":[]}', "resources: Empty arrays are not allowed"),
    ('{"int":42}', '"int" must be an object or an array'),
    ('{"string":"v"}', '"string" must be an object or an array'),
    ('{"k":[{"anything-but":null}]}', "k: Value of anything-but must be an array or single string/number value."),
    ('{"k":[{"anything-but":["a",null]}]}', "k: Inside anything but list, start|null|boolean is not supported."),
    ('{"k":[{"anything-but":{"prefix":""}}]}', "k: Null prefix/suffix not allowed"),
    ('{"k":[{"anything-but":{"suffix":""}}]}', "k: Null prefix/suffix not allowed"),
    ('{"k":[{"EXISTS":true}]}', "k: Unrecognized match type EXISTS"),
    ('{"k":[{"NUMERIC":["=",5]}]}', "k: Unrecognized match type NUMERIC"),
    ('{"k":[{"numeric":[">",0,">",0]}]}', "k: Bad numeric range operator: >"),
    ('{"k":[{"numeric":[">",0,"<"]}]}', "k: Value of < must be numeric"),
    ('{"k":[{"numeric":10}]}', "k: Value of numeric must be an array."),
    ('{"k":[{"prefix":123}]}', "k: prefix match pattern must be a string"),
    ('{"k":[{"prefix":["x"]}]}', "k: prefix match pattern must be a string"),
    ('{"k":[{"suffix":123}]}', "k: suffix match pattern must be a string"),
    ('{"k":[{"suffix":["x"]}]}', "k: suffix match pattern must be a string"),
    ('{"k":[{"equals-ignore-case":["x"]}]}', "k: equals-ignore-case match pattern must be a string"),
    ('{"k":[{"equals-ignore-case":{"prefix":"x"}}]}', "k: equals-ignore-case match pattern must be a string"),
    ('{"k":[{"wildcard":"a**b"}]}', "k: Consecutive wildcard characters at pos 2"),
    ('{"k":[{"cidr":"bad"}]}', "k: Malformed CIDR, one '/' required"),
]


@pytest.mark.parametrize(("pattern", "reason"), RECORDED)
def test_the_recorded_matrix_of_errors(pattern, reason):
    """R-FILT-20, R-FILT-26."""
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    assert str(caught.value) == reason


# Beyond the matrix


@pytest.mark.parametrize(
    ("matchers", "value", "expected"),
    [
        ([300], 3.0e2, True),
        ([300.5], 300, False),
        ([1], True, False),
        ([True], 1, False),
        ([0], False, False),
        ([123456789012], 123456789012, True),
        ([None], MISSING, False),
        (["a"], "A", False),
        (["a"], ["b", "a"], True),
        (["a"], [["b"], ["a"]], True),
        (["a"], {"a": "a"}, False),
        ([{"anything-but": "a"}], ["a", "b"], True),
        ([{"anything-but": ["a", "b"]}], 5, True),
        ([{"anything-but": [100]}], "100", True),
        ([{"anything-but": [100]}], 100.0, False),
        ([{"anything-but": [0]}], False, True),
        ([{"exists": True}], None, True),
        ([{"exists": False}], [], True),
        ([{"exists": False}], {"S": "x"}, True),
        ([{"exists": False}], [{"S": "x"}, "y"], False),
        ([{"numeric": ["=", 5]}], 5.0, True),
        ([{"numeric": [">=", 5]}], 5, True),
        ([{"numeric": ["<", 5]}], 5, False),
        ([{"numeric": [">", 0]}], True, False),
        ([{"numeric": [">", 0]}], 1_700_000_000_000, True),
        ([{"numeric": [">", 0]}], 10**400, True),
        ([{"prefix": "a"}], 1, False),
        ([{"suffix": {"equals-ignore-case": "b"}}], None, False),
        ([{"equals-ignore-case": "STRASSE"}], "straße", True),
        ([{"wildcard": "*"}], "", True),
        ([{"wildcard": "ab*ba"}], "aba", False),
        ([{"wildcard": "*ab*ab*"}], "abcab", True),
        ([{"wildcard": "*ab*ab*"}], "xab", False),
        ([{"wildcard": "*ab*b"}], "ab", False),
        ([{"wildcard": "a\\*b"}], "a*b", True),
        ([{"wildcard": "a\\*b"}], "axb", False),
        ([{"wildcard": "a\\\\*"}], "a\\x", True),
        ([{"wildcard": "*a*"}], ["b", "bab"], True),
        ([{"cidr": "10.0.0.0/24"}], "not an address", False),
        ([{"cidr": "2001:db8::/32"}], "2001:db8:1::1", True),
        ([{"cidr": "2001:db8::/32"}], "10.0.0.1", False),
        ([{"numeric": [">", 100]}, {"anything-but": "101"}], "42", True),
        ([{"numeric": [">", 100]}, {"anything-but": "101"}], "101", False),
    ],
)
def test_values_beyond_the_matrix(matchers, value, expected):
    """R-FILT-13, R-FILT-21 to R-FILT-24, R-FILT-28, R-FILT-29."""
    assert matches({"k": matchers}, {} if value is MISSING else {"k": value}) is expected


FIRST_OF_EACH = {"x": ["y"], "$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"c": [3]}]}]}
NAMED_A = {"l": {"n": ["a"], "v": [2]}}
NO_V = {"l": {"n": ["a"], "v": [{"exists": False}]}}


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"a": [1], "b": [2]}, {"a": 1, "b": 3}, False),
        (FIRST_OF_EACH, {"x": "y", "c": 3}, True),
        (FIRST_OF_EACH, {"x": "n", "a": 1}, False),
        (FIRST_OF_EACH, {"x": "y"}, False),
        ({"d": {"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}}, {"d": {"b": 2, "c": 3}}, True),
        (NAMED_A, {"l": [{"n": "a", "v": 1}, {"n": "b", "v": 2}]}, False),
        (NAMED_A, {"l": [{"n": "a", "v": 1}, {"n": "a", "v": 2}]}, True),
        (NAMED_A, {"l": [[{"n": "a"}, {"v": 2}]]}, False),
        (NAMED_A, {"l": {"n": ["b", "a"], "v": [[2]]}}, True),
        (NO_V, {"l": [{"n": "a"}, {"n": "b", "v": 1}]}, True),
        (NO_V, {"l": [{"n": "a", "v": 1}, {"n": "b"}]}, False),
        ({"l": {"v": [{"exists": False}]}}, {"l": [{"v": 1}, {"n": "b"}]}, False),
        ({"a": {"b": {"c": [1]}}}, {"a.b": {"c": 1}}, True),
        ({"a": {"b": {"c": [1]}}}, {"a": {}, "a.b": [{"c": 2}, {"c": 1}]}, True),
        ({"a": {"b": [1], "c": [2]}}, {"a": [{"c": 2}], "a.b": 1}, True),
        ({"": {"": [1]}}, {".": 1}, True),
        ({"a": {"b": ["x"]}, "a.b": ["y"]}, {"a": {"b": "x"}}, False),
    ],
)
def test_structures_beyond_the_matrix(pattern, event, expected):
    """R-FILT-20, R-FILT-22, R-FILT-25, R-FILT-27."""
    assert matches(pattern, event) is expected


def test_of_equal_keys_the_last_wins():
    """R-FILT-16, C-4."""
    assert Pattern('{"k":["a"],"k":["b"]}').matches({"k": "b"})
    assert not Pattern('{"k":["a"],"k":["b"]}').matches({"k": "a"})
    assert Pattern('{"d":{"a":[1]},"d":{"b":[2]}}').matches({"d": {"b": 2}})


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("not json", "not JSON: Expecting value: line 1 column 1"),
        ('{"k":[NaN]}', "not JSON: NaN is not JSON"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        ('["a"]', "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ('{"k":{}}', "k: Empty objects are not allowed"),
        ('{"a":{"b":{"c":1}}}', 'a.b: "c" must be an object or an array'),
        ('{"k":[["a"]]}', "k: Match value must be String, number, true, false, or null"),
        ('{"k":[{}]}', "k: Match expression name not found"),
        ('{"k":[{"prefix":"a","suffix":"b"}]}', "k: Only one key allowed in match expression"),
        ('{"k":[{"exists":"yes"}]}', "k: exists match pattern must be either true or false."),
        ('{"k":[{"anything-but":[]}]}', "either all values are number or string, mixed type is not supported"),
        ('{"k":[{"anything-but":["a",1]}]}', "either all values are number or string, mixed type is not supported"),
        ('{"k":[{"anything-but":true}]}', "Value of anything-but must be an array or single string/number value."),
        ('{"k":[{"anything-but":{"numeric":["=",1]}}]}', "Unsupported anything-but pattern: numeric"),
        ('{"k":[{"anything-but":{}}]}', "Anything-But expression name not found"),
        ('{"k":[{"anything-but":{"prefix":1}}]}', "prefix/suffix match pattern must be a string"),
        ('{"k":[{"anything-but":{"suffix":["a",1]}}]}', "prefix/suffix match pattern must be a string"),
        ('{"k":[{"anything-but":{"prefix":{"equals-ignore-case":"a"}}}]}', "Value of anything-but must be"),
        ('{"k":[{"anything-but":{"equals-ignore-case":1}}]}', "number|start|null|boolean is not supported."),
        ('{"k":[{"anything-but":{"wildcard":1}}]}', "wildcard match pattern must be a string"),
        ('{"k":[{"anything-but":{"wildcard":"**"}}]}', "Consecutive wildcard characters at pos 1"),
        ('{"k":[{"numeric":[]}]}', "Invalid member in numeric match: nothing"),
        ('{"k":[{"numeric":[1]}]}', "Invalid member in numeric match: 1"),
        ('{"k":[{"numeric":["!",1]}]}', "Unrecognized numeric range operator: !"),
        ('{"k":[{"numeric":["=","1"]}]}', "Value of equals must be numeric"),
        ('{"k":[{"numeric":["=",true]}]}', "Value of equals must be numeric"),
        ('{"k":[{"numeric":["=",6e9]}]}', "Value must be between -5.0E9 and 5.0E9, inclusive"),
        ('{"k":[{"numeric":["<",5,">",1]}]}', "Too many elements in numeric expression"),
        ('{"k":[{"numeric":[">",1,"<",5,"<",9]}]}', "Too many terms in numeric range expression"),
        ('{"k":[{"numeric":[">",5,"<",1]}]}', "Bottom must be less than top"),
        ('{"k":[{"prefix":{"suffix":"a"}}]}', "Unsupported prefix pattern: suffix"),
        ('{"k":[{"suffix":{"equals-ignore-case":1}}]}', "equals-ignore-case match pattern must be a string"),
        ('{"k":[{"wildcard":1}]}', "wildcard match pattern must be a string"),
        ('{"k":[{"wildcard":"arn:aws:events:us-east-1:**:x/*"}]}', "Consecutive wildcard characters at pos 26"),
        ('{"k":[{"wildcard":"ä**"}]}', "Consecutive wildcard characters at pos 3"),
        ('{"k":[{"wildcard":"\\ud800**"}]}', "Consecutive wildcard characters at pos 4"),
        ('{"k":[{"wildcard":"a*c\\\\def"}]}', "Invalid escape character at pos 4"),
        ('{"k":[{"cidr":1}]}', "prefix match pattern must be a string"),
        ('{"k":[{"cidr":"10.0.0.0/xx"}]}', "Malformed CIDR, mask bits must be an integer"),
        ('{"k":[{"cidr":"xx.11.xx/8"}]}', "Nonstandard IP address: xx.11.xx"),
        ('{"k":[{"cidr":"10.0.0.0/33"}]}', "Malformed CIDR, too many mask bits: 33"),
        ('{"$or":{"a":[1]}}', "It must be an Array followed with $or."),
        ('{"$or":["scalar"]}', "Only JSON object is allowed in array of $or relationship."),
        ('{"d":{"$or":[{"a":[1]}]}}', "d: There must have at least 2 Objects in $or relationship."),
        ('{"$or":[{"a":[1]},{}]}', "Empty objects are not allowed"),
        ('{"' + "a." * 80 + '":[1]}', "more than 80 keys deep"),
        ('{"$or":[' * 81 + '{"a":[1]}' + ',{"b":[1]}]}' * 81, "more than 80 keys deep"),
        (
            json.dumps({k: {"$or": [{"a": [1]}, {"b": [1]}]} for k in "abcdefghij"}),
            "$or has more than 1000 combinations",
        ),
    ],
)
def test_any_other_pattern_that_cannot_be_used_is_refused_with_the_reason(pattern, reason):
    """R-FILT-20, R-FILT-26, R-FILT-28."""
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "extra"),
    [
        ("a", None),
        (None, None),
        ({"exists": False}, None),
        ({"prefix": "a"}, None),
        ({"suffix": "a"}, None),
        ({"equals-ignore-case": "a"}, None),
        ({"numeric": [">", 1]}, None),
        ({"anything-but": "a"}, None),
        ({"anything-but": [1, 2]}, None),
        ({"wildcard": "a*"}, "wildcard"),
        ({"cidr": "10.0.0.0/8"}, "cidr"),
        ({"anything-but": {"prefix": "a"}}, "anything-but with prefix"),
        ({"anything-but": {"suffix": ["a"]}}, "anything-but with suffix"),
        ({"anything-but": {"wildcard": "a*"}}, "anything-but with wildcard"),
        ({"anything-but": {"equals-ignore-case": "a"}}, "anything-but with equals-ignore-case"),
        ({"prefix": {"equals-ignore-case": "a"}}, "prefix with equals-ignore-case"),
        ({"suffix": {"equals-ignore-case": "a"}}, "suffix with equals-ignore-case"),
    ],
)
def test_a_pattern_knows_which_of_its_operators_are_not_in_the_table_of_lambda(entry, extra):
    """R-FILT-20."""
    pattern = {"a": ["x"], "$or": [{"b": [1]}, {"d": {"k": ["x", entry]}}]}
    assert Pattern(json.dumps(pattern)).extras == ({extra: "d.k"} if extra else {})


def test_of_fields_with_the_same_extra_operator_the_first_is_named():
    pattern = {"a": {"b": [{"wildcard": "x"}, {"wildcard": "y"}], "c": [{"cidr": "::/0"}]}, "d": [{"wildcard": "x"}]}
    assert list(Pattern(json.dumps(pattern)).extras.items()) == [("wildcard", "a.b"), ("cidr", "a.c")]


# What must not take long, in calls of functions, which are the same on every machine


def calls(work):
    """How many functions a piece of work calls, Python's own included."""
    count = 0

    def count_one(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(count_one)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("stars", [1, 10, 100])
def test_the_stars_of_a_wildcard_are_looked_for_once_each(stars):
    pattern = Pattern(json.dumps({"k": [{"wildcard": "*a" * stars + "*b"}]}))
    event = {"k": "a" * 1_000_000}
    assert pattern.matches(event) is False
    assert pattern.matches({"k": event["k"] + "b"}) is True
    assert calls(lambda: pattern.matches(event)) < 50 + 3 * stars


def test_the_time_for_arrays_grows_with_their_size_only():
    """Five fields in one array and two in another, with a match each in thousands of elements and none together."""
    fields = {name: [{"exists": True}] for name in "abcd"} | {"e": ["never"]}
    pattern = Pattern(json.dumps({"l": fields, "m": {"x": [1], "y": [2]}, "n": {"z": [1, {"exists": False}]}}))
    count = 5_000
    event = {
        "m": [{"x": 1}, {"y": 2}] * count + [{"x": 1, "y": 2}],
        "n": [{"z": 2}] * count,
        "l": [{"a": 1, "b": 1, "c": 1, "d": 1, "e": "no"}] * count + [{"e": "never"}],
    }
    assert pattern.matches(event) is False
    assert calls(lambda: pattern.matches(event)) < 200 * count


def test_the_time_for_arrays_in_arrays_grows_with_their_size_only():
    pattern = Pattern(
        json.dumps({"a": {"b": {"c": {"x": [1], "y": [{"exists": False}], "z": [{"exists": False}, 2]}}}})
    )
    event = {"a": [{"b": [{"c": [[{"x": 1, "y": 1, "z": 1}]] * 20}] * 20}] * 20}
    assert pattern.matches(event) is False
    assert calls(lambda: pattern.matches(event)) < 200 * 20**3
