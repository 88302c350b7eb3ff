"""`poller filter test` says whether a pattern matches, and if not, why."""

from __future__ import annotations

import json

import pytest

from poller.cli import main
from poller.config import load
from poller.errors import ConfigError
from tests.config.full import MINIMAL


@pytest.mark.parametrize(
    ("pattern", "event", "code", "said"),
    [
        ('{"a":[1]}', '{"a":1}', 0, "match\n"),
        ('{"a":[1]}', '{"a":2}', 1, "no match: a is 2, which matches nothing in the pattern's list\n"),
        ('{"a":1}', "{}", 2, 'invalid: "a" must be an object or an array, at a\n'),
    ],
)
def test_one_pattern_is_tried(pattern, event, code, said, capsys):
    assert main(["filter", "test", pattern, event]) == code
    assert capsys.readouterr().out == said


def test_a_file_of_cases_tells_its_differences(tmp_path, capsys):
    file = tmp_path / "cases.jsonl"
    cases = [({"a": [1]}, "match"), ({"a": [2]}, "match"), ('{"a":2}', "invalid")]
    file.write_text("".join(json.dumps({"pattern": p, "event": {"a": 1}, "expected": e}) + "\n" for p, e in cases))
    assert main(["filter", "test", "--file", str(file)]) == 1
    assert "cases.jsonl:2: expected match, got no_match" in capsys.readouterr().out
    assert main(["filter", "test", "--json", "--file", str(file)]) == 1
    assert json.loads(capsys.readouterr().out)["cases"] == 3
    file.write_text("{}\n")
    assert main(["filter", "test", "--file", str(file)]) == 2
    assert main(["filter", "test"]) == 2


@pytest.mark.parametrize(
    ("criteria", "problem"),
    [
        ("{ filters = [{ pattern = '{\"a\":1}' }] }", 'Invalid filter pattern definition. "a" must be'),
        ("{ filters = [{ patern = 'x' }] }", "did you mean pattern?"),
        ("{ filters = [{}] }", "there is no pattern"),
        ("{ filters = ['x'] }", "must be a table"),
        ("{ filters = 'x' }", "must be an array of tables"),
        ("{ filter = [] }", "did you mean filters?"),
        ("{ filters = [" + "{ pattern = '{\"a\":[1]}' }," * 11 + "] }", "give at most 10"),
    ],
)
def test_filters_that_cannot_be_used_are_told_with_line_and_key(criteria, problem, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(f"{MINIMAL}filter_criteria = {criteria}\n")
    with pytest.raises(ConfigError) as caught:
        load(file, now=1.8e9, environ={})
    assert problem in str(caught.value)
    assert f"{file}:5: event_source_mappings[0].filter_criteria" in str(caught.value)


def test_filters_become_a_part_of_the_mapping(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(MINIMAL + 'filter_criteria = { filters = [{ pattern = \'{"data":{"type":["order"]}}\' }] }\n')
    (mapping,) = load(file, now=1.8e9, environ={}).mappings
    assert mapping.filter_patterns == ('{"data":{"type":["order"]}}',)
