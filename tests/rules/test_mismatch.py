"""The first reason why an event does not match, in words for people."""

from __future__ import annotations

import json

import pytest

from poller.rules.mismatch import mismatch
from poller.rules.patterns import Pattern

NAMED = {"l": {"n": ["a"], "v": [2]}}
ABSENT = {"l": {"v": [{"exists": False}], "n": ["a"]}}


@pytest.mark.parametrize(
    ("pattern", "event", "reason"),
    [
        ({"a": ["x"]}, {"a": "x"}, ""),
        ({"a": ["x"]}, {"a": "y"}, 'a is "y"; wanted is "x"'),
        ({"a": [1, None]}, {"a": [2, 3, 4, 5]}, "a is 2, 3, 4, ...; wanted is 1 or null"),
        ({"a": ["x"]}, {"a": "y" * 100}, f'a is "{"y" * 59}...; wanted is "x"'),
        ({"a": ["x"], "b": [1]}, {"a": "x"}, "b is not in the event"),
        ({"a": {"b": ["x"]}}, {"a": {}}, "a.b is not in the event"),
        ({"a": {"b": ["x"]}}, {"a": '{"b":"x"}'}, "a.b is not in the event"),
        (
            {"n": {"N": [{"numeric": [">", 1]}]}},
            {"n": {"N": "42"}},
            'n.N is "42" (a string); wanted is a number: {"numeric": [">", 1]}',
        ),
        ({"a": [{"prefix": "1"}, 1]}, {"a": [True]}, 'a is true (a boolean); wanted is a string or a number: {"prefix'),
        ({"k": [{"exists": True}]}, {"k": {"S": "x"}}, 'k is {"S": "x"} (an object); wanted is a single value: '),
        ({"k": [{"exists": True}]}, {"k": []}, "k is [] (an empty array); wanted is a single value: "),
        ({"k": [None]}, {"k": [{}, []]}, "k is {} (an object); wanted is null: null"),
        ({"k": [{"exists": False}]}, {"k": 1}, 'k is 1; wanted is {"exists": false}'),
        ({"a.b": [1]}, {"a": {"b": 2}}, "a.b is 2; wanted is 1"),
        (
            {"$or": [{"a": [1]}, {"b": [1]}]},
            {"a": 3},
            "no object of $or matches; in the first one, a is 3; wanted is 1",
        ),
        (NAMED, {"l": [{"n": "a"}, {"v": 2}]}, "l.v has a match, but not within the array element where the fields be"),
        (ABSENT, {"l": [{"n": "a", "v": 1}, {}]}, 'l.v is 1; wanted is {"exists": false}'),
        (ABSENT, {"l": [{"n": "b"}, {"v": 1}]}, 'l.n is "b"; wanted is "a"'),
        ({"a": [1]}, ["no object"], "a is not in the event"),
    ],
)
def test_the_first_reason_why_an_event_does_not_match_is_told(pattern, event, reason):
    told = mismatch(Pattern(json.dumps(pattern)).nodes, event)
    assert told.startswith(reason)
    assert bool(told) is bool(reason)


def test_a_reason_is_found_for_what_is_hard_to_print():
    """Half of a pair of surrogates, and a number of more digits than Python writes."""
    told = mismatch(Pattern('{"a":[1]}').nodes, {"a": ["\ud800", float("inf"), 10**4000]})
    assert told.startswith('a is "\\ud800", Infinity, 1000')
