"""`poller filter test` says whether a pattern matches, and if not, why; a mapping takes the patterns of Lambda."""

from __future__ import annotations

import io
import json

import pytest

from poller.cli import main
from poller.config import load
from poller.errors import ConfigError
from tests.config.full import MINIMAL

WILD = '{"a":[{"wildcard":"x*"}]}'


@pytest.mark.parametrize(
    ("pattern", "event", "code", "said"),
    [
        ('{"a":[1]}', '{"a":1}', 0, "match\n"),
        ('{"a":[1]}', '{"a":2}', 1, "no match: a is 2; wanted is 1\n"),
        ('{"a":[1]}', "[]", 1, "no match: a is not in the event\n"),
        ('{"a":1}', "{}", 2, 'invalid: "a" must be an object or an array\n'),
        ('{"a":[1]', "{}", 2, "invalid: not JSON: Expecting ',' delimiter: line 1 column 9 (char 8)\n"),
        ('{"\\ud800":[1]}', "{}", 1, "no match: \\ud800 is not in the event\n"),
        (WILD, '{"a":"xy"}', 0, "match\na mapping needs extended_filter_operators = true for wildcard at a\n"),
    ],
)
def test_one_pattern_is_tried(pattern, event, code, said, capsys):
    assert main(["filter", "test", pattern, event]) == code
    assert capsys.readouterr().out == said


def test_an_event_of_a_function_is_told_apart_from_what_a_pattern_sees(capsys):
    """R-FILT-10: it would say that a pattern matches which in a mapping never does."""
    assert main(["filter", "test", '{"kinesis":{"data":{"a":[1]}}}', '{"kinesis":{"data":{"a":1}}}']) == 0
    out, err = capsys.readouterr()
    assert out == "match\n"
    assert err == (
        'note: an event with "kinesis" is what a function gets; a pattern sees what is under it at the top level, '
        "with data decoded\n"
    )


def test_one_pattern_is_judged_as_lambda_does(capsys):
    """R-FILT-20."""
    assert main(["filter", "test", "--strict", WILD, '{"a":"xy"}']) == 2
    assert capsys.readouterr().out == "invalid: not in Lambda's table of operators: wildcard at a\n"
    assert main(["filter", "test", "--strict", '{"a":[1]}', '{"a":1}']) == 0


def test_a_verdict_may_be_printed_as_json(capsys):
    assert main(["filter", "test", "--json", WILD, '{"a":"y"}']) == 1
    assert json.loads(capsys.readouterr().out) == {
        "verdict": "no_match",
        "reason": 'a is "y"; wanted is {"wildcard": "x*"}',
        "extended_operators": ["wildcard at a"],
    }


def test_pattern_and_event_may_be_in_files_or_come_by_standard_input(tmp_path, monkeypatch, capsys):
    pattern, event = tmp_path / "pattern.json", tmp_path / "event.json"
    pattern.write_text('{"a":["é"]}\n', encoding="utf-8")
    event.write_text('{"a":"é"}\n', encoding="utf-8")
    assert main(["filter", "test", f"@{pattern}", f"@{event}"]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a":"e"}'))
    assert main(["filter", "test", f"@{pattern}", "-"]) == 1
    capsys.readouterr()
    event.write_bytes(b"\xff")
    assert main(["filter", "test", f"@{pattern}", f"@{event}"]) == 2
    assert main(["filter", "test", f"@{tmp_path}/none", "{}"]) == 2
    assert capsys.readouterr().err == (
        f"{event}: is not UTF-8 text\n{tmp_path}/none: cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{a: 1}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ('{"a": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_an_event_that_is_not_json_is_told_with_the_place(event, said, capsys):
    assert main(["filter", "test", '{"a":[1]}', event]) == 2
    assert capsys.readouterr().err == f"the event is not JSON: {said}\n"


@pytest.mark.parametrize("given", [[], ['{"a":[1]}'], ["{}", "{}", "--file", "x"]])
def test_what_is_to_be_tried_must_be_given_in_one_way(given, capsys):
    assert main(["filter", "test", *given]) == 2
    assert "give PATTERN and EVENT, or --file CASES.jsonl" in capsys.readouterr().err


def test_the_help_has_an_example_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["filter", "test", "--help"])
    said = capsys.readouterr().out
    assert """poller filter test '{"data": {"type": ["order"]}}' '{"data": {"type": "order"}}'""" in said
    assert "0 match, 1 no match, 2" in said


def written(folder, *cases):
    file = folder / "cases.jsonl"
    rows = [{"pattern": pattern, "event": event, "expected": expected} for pattern, event, expected in cases]
    file.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(file)


def test_a_file_of_cases_that_are_all_as_expected_is_fine(tmp_path, capsys):
    file = written(
        tmp_path,
        ({"source": ["orders"]}, {"source": "orders", "detail": {}}, "match"),
        ('{"a":[1]}', '{"a":2}', "no_match"),
        ('{"a":[1],"a":[2]}', {"a": 2}, "match"),
        ({"a": 1}, {}, "invalid"),
        ("not json", None, "invalid"),
        (WILD, {"a": "xy"}, "match"),
        ({"a": ["\u2028"]}, {"a": "\u2028"}, "match"),
    )
    assert main(["filter", "test", "--file", file]) == 0
    assert capsys.readouterr().out == "7 cases, 0 differ\n"


def test_a_file_of_cases_tells_its_differences(tmp_path, capsys):
    event = {"a": 1}
    file = written(tmp_path, ({"a": [1]}, event, "match"), ({"a": [2]}, event, "match"), (WILD, event, "invalid"))
    assert main(["filter", "test", "--file", file]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{file}:3: expected match, got no_match: a is 1; wanted is 2",
        f'{file}:5: expected invalid, got no_match: a is 1 (a number); wanted is a string: {{"wildcard": "x*"}}',
        "3 cases, 2 differ",
    ]
    assert main(["filter", "test", "--json", "--strict", "--file", file]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["cases"], [(row["line"], row["verdict"]) for row in told["differences"]]) == (3, [(3, "no_match")])


def test_all_that_is_wrong_with_a_file_of_cases_is_told_with_its_lines(tmp_path, capsys):
    file = tmp_path / "cases.jsonl"
    good = '{"pattern":{"a":[1]},"event":{},"expected":"no_match"}'
    file.write_text(f"{good}\n{{}}\n[]\n{good.replace('no_match', 'maybe')}\n{good[:-1]}\n{good.replace('{}', '0:')}\n")
    assert main(["filter", "test", "--file", str(file)]) == 2
    said = capsys.readouterr().err
    assert f"{file}:2: there is no pattern and no event and no expected\n" in said
    assert f"{file}:3: not an object\n" in said
    assert f'{file}:4: expected must be one of match, no_match, invalid, not "maybe"\n' in said
    assert f"{file}:5: Expecting ',' delimiter: line 1 column" in said
    assert f"{file}:1:" not in said
    assert main(["filter", "test", "--file", str(tmp_path / "none")]) == 2


STREAM = 'event_source_arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"'
CONSUMER = 'event_source_arn = "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/c:1"'
CHANGES = 'event_source_arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"'


def configured(folder, lines, source=STREAM):
    """The filters of a minimal mapping with more lines."""
    file = folder / "c.toml"
    file.write_text(f"{MINIMAL.replace(STREAM, source)}{lines}\n", encoding="utf-8")
    (mapping,) = load(file, now=1.8e9, environ={}).mappings
    return mapping.filter_patterns


def criteria(*patterns):
    return "filter_criteria = { filters = [" + ",".join(f"{{ pattern = '{pattern}' }}" for pattern in patterns) + "] }"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (criteria('{"a":1}'), 'filters[0].pattern: Invalid filter pattern definition. "a" must be an object or'),
        (criteria("{}", "x"), "filters[1].pattern: Invalid filter pattern definition. not JSON: Expecting value: line"),
        (criteria('{"a":[]}'), "Invalid filter pattern definition. a: Empty arrays are not allowed; try it with: "),
        (criteria('{"a":[{"numeric":1}]}'), "a: Value of numeric must be an array. Try it with: poller filter test"),
        (
            criteria('{"data":{"x":[{"wildcard":"a*"}]}}'),
            "data.x: wildcard is not in Lambda's table of operators; set ",
        ),
        (criteria('{"a":[1,{"cidr":"10.0.0.0/8"}]}'), "a: cidr is not in Lambda's table of operators; set extended_"),
        (criteria('{"data":["plain text"]}'), "data: must be a pattern in JSON, not a list of plain values; write "),
        (criteria('{"$or":[{"data":[1]},{"a":[1]}]}'), "data: must be a pattern in JSON, not a list of plain values; "),
        (criteria('{"a":["' + "x" * 4096 + '"]}'), "filterCriteria.filters.1.member.pattern' failed to satisfy constr"),
        ("filter_criteria = { filters = [{ patern = 'x' }] }", "did you mean pattern?"),
        ("filter_criteria = { filters = [{}] }", "there is no pattern"),
        ("filter_criteria = { filters = ['x'] }", "must be a table"),
        ("filter_criteria = { filters = 'x' }", "must be an array of tables"),
        ("filter_criteria = { filter = [] }", "did you mean filters?"),
        (criteria(*['{"a":[1]}'] * 11), "give at most 10"),
    ],
)
def test_filters_that_cannot_be_used_are_told_with_line_and_key(lines, problem, tmp_path):
    """R-VAL-11, R-VAL-12, R-FILT-14, R-FILT-20."""
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, lines)
    assert problem in str(caught.value)
    assert f"{tmp_path}/c.toml:5: event_source_mappings[0].filter_criteria" in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "source", "refused"),
    [
        ('{"data":["x"]}', CONSUMER, True),
        ('{"dynamodb":["x"]}', CHANGES, True),
        ('{"data":["x"]}', CHANGES, False),
        ('{"dynamodb":["x"]}', STREAM, False),
        ('{"data":{"x":["x"]}}', CONSUMER, False),
        ('{"data.x":["x"]}', STREAM, False),
        ('{"partitionKey":["x"]}', STREAM, False),
        ('{"eventName":["INSERT"]}', CHANGES, False),
    ],
)
def test_the_content_of_a_record_is_asked_for_by_json_only(pattern, source, refused, tmp_path):
    """R-FILT-14, C-2: where the content is, depends on the service."""
    if refused:
        with pytest.raises(ConfigError, match="not a list of plain values"):
            configured(tmp_path, criteria(pattern), source)
    else:
        assert configured(tmp_path, criteria(pattern), source) == (pattern,)


@pytest.mark.parametrize("nothing", ["", "filter_criteria = {}", "filter_criteria = { filters = [] }"])
def test_no_filter_is_fine(nothing, tmp_path):
    """R-FILT-1, R-FILT-5."""
    assert configured(tmp_path, nothing) == ()


def test_filters_become_a_part_of_the_mapping(tmp_path):
    pattern = '{"data":{"type":["order"]}}'
    assert configured(tmp_path, criteria(pattern, pattern)) == (pattern, pattern)


def test_a_mapping_takes_operators_beyond_the_table_of_lambda_if_told_so(tmp_path):
    """R-FILT-20."""
    assert configured(tmp_path, f"{criteria(WILD)}\nextended_filter_operators = true") == (WILD,)


@pytest.mark.parametrize("line", ['extended_filter_operators = "yes"', "extended_filter_operator = true"])
def test_a_slip_in_the_option_is_told_once(line, tmp_path):
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, f"{criteria(WILD)}\n{line}")
    assert len(caught.value.problems) == 1
