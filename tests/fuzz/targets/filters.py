"""Filter patterns, and what they see: this file holds them against the slow matcher that tries every choice.

An input is a line that is a pattern, and an event.
"""

from __future__ import annotations

import base64
import json
import re
from math import prod

from poller.model import SequenceNumber
from poller.records import RenderedRecord
from poller.rules.filtering import Filters, pattern_violation
from poller.rules.json_text import parsed
from poller.rules.matchers import PatternError
from poller.rules.mismatch import mismatch
from poller.rules.patterns import Pattern
from tests.builders import STREAM
from tests.rules.test_pattern_properties import accepts, conjunctions, leaves, slow

BYTES_MAX = 2_000
WORDS = (
    *("$or", "exists", "numeric", "wildcard", "cidr", "prefix", "suffix", "anything-but", "equals-ignore-case"),
    *("a", "b", "a.b", "c", "data", "dynamodb", "*", "=", "<", "<=", ">", ">=", "10.0.0.0/8", "10.0.0.1", "true"),
)

_CHOICES_MAX = 300
_DEPTH_MAX = 60


def seeds():
    pairs = [
        ({"a": [1]}, {"a": 1, "b": "x"}),
        ({"a": {"b": ["x", None, True]}}, {"a": {"b": ["x", "y"]}}),
        ({"a": [{"exists": False}], "b": [{"exists": True}]}, {"b": {"a": [1]}}),
        ({"a": [{"prefix": "ab"}, {"suffix": {"equals-ignore-case": "B"}}]}, {"a": "xb"}),
        ({"a": [{"numeric": [">", 0, "<=", 5]}, {"numeric": ["=", 7]}]}, {"a": [0, 5, 7.0]}),
        ({"a": [{"anything-but": ["x", "y"]}, {"anything-but": {"prefix": "z"}}]}, {"a": ["x", "w"]}),
        ({"a": [{"wildcard": "a*b\\*c*"}, {"cidr": "10.0.0.0/8"}]}, {"a": ["aXXb*cY", "10.1.2.3"]}),
        ({"$or": [{"a": [1]}, {"b": [{"equals-ignore-case": "ß"}]}], "c": [2]}, {"b": "SS", "c": [1, 2]}),
        ({"a": {"b": [1], "c": [{"exists": False}]}}, {"a": [{"b": 1, "c": 2}, {"b": [1]}, [{"b": 2}]]}),
        ({"a.b": [1], "a": {"$or": [{"b": [2]}, {"c": [{"anything-but": 1}]}]}}, {"a": {"b": [1, 2]}, "a.b": 1}),
        ({"data": {"a": [1]}, "partitionKey": ["k"]}, {"data": {"a": 1}}),
        ({"dynamodb": {"Keys": {"id": {"S": [{"prefix": "o"}]}}}}, {"dynamodb": {"Keys": {"id": {"S": "o1"}}}}),
    ]
    return [f"{json.dumps(pattern)}\n{json.dumps(event)}".encode() for pattern, event in pairs]


def fuzz(data):
    """A pattern is taken, or refused with a reason; what it says of an event, all that can be asked says alike."""
    text, _, content = data.partition(b"\n")
    pattern_text = text.decode("utf-8", "replace")
    violation = pattern_violation(pattern_text, source_arn=STREAM, extended=True)
    try:
        pattern = Pattern(pattern_text)
    except PatternError as refusal:
        if violation is None or str(refusal) not in violation.text or not str(refusal):
            raise
        return
    filters = Filters([pattern_text])
    assert isinstance(filters.wants(_kinesis_record(content)), bool)
    assert isinstance(filters.wants(RenderedRecord(SequenceNumber("1"), "k", 0.0, _object(content))), bool)
    try:
        event = parsed(content)
    except ValueError:
        return
    matches = pattern.matches(event)
    assert (mismatch(pattern.nodes, event) == "") is matches
    if _is_easy(pattern_text, event):
        assert matches is slow(parsed(pattern_text), event), "the slow matcher says otherwise"
        assert Filters([f'{{"data":{pattern_text}}}']).wants(_kinesis_record(content)) is matches


def _kinesis_record(content):
    data = base64.b64encode(content).decode()
    body = {"kinesis": {"partitionKey": "k", "data": data}, "eventSource": "aws:kinesis"}
    return RenderedRecord(SequenceNumber("1"), "k", 0.0, json.dumps(body).encode())


def _object(content):
    """Bodies are made by sources, and are objects."""
    return content if content.startswith(b"{") else b"{}"


def _is_easy(text, event):
    """Whether the slow matcher can answer, and soon: it knows IPv4 only, and multiplies choices."""
    nesting = sum(map(text.count, "{[."))
    if nesting > _DEPTH_MAX or _depth(event) > _DEPTH_MAX or not isinstance(event, dict):
        return False
    if "cidr" in text and not _plain_addresses(text, event):
        return False
    there = list(leaves(event))
    work = 0
    for fields in conjunctions(parsed(text)):
        work += prod(
            1 + sum(leaf[0] == path and any(accepts(entry, leaf[1]) for entry in entries) for leaf in there)
            for path, entries in fields
        )
        if work > _CHOICES_MAX:
            return False
    return True


def _depth(value):
    levels, depth = [value], 0
    while levels and depth <= _DEPTH_MAX:
        depth += 1
        levels = [
            below
            for each in levels
            if isinstance(each, (dict, list))
            for below in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


_NUMBER = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = re.compile(rf"(?:{_NUMBER}\.){{3}}{_NUMBER}")


def _plain_addresses(text, event):
    """Whether all that looks like an address is one of four plain numbers."""
    words = re.findall(r'"([^"]*)"', text) + [leaf for _, leaf, _ in leaves(event) if isinstance(leaf, str)]
    odd = [word for word in words if re.search(r"[0-9.:]", word.partition("/")[0]) and word not in ("a.b", "$or")]
    return all(_ADDRESS.fullmatch(word.partition("/")[0]) for word in odd)
