"""Only what is JSON is taken for it, and all that is."""

from __future__ import annotations

import pytest

from poller.rules.json_text import parsed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":[1,2.5,true,null,"x"]}', {"a": [1, 2.5, True, None, "x"]}),
        (b'"\xc3\xa9"', "é"),
        (b'\xef\xbb\xbf"x"', "x"),
        ('{"a":1,"a":2}', {"a": 2}),
        ('"\\ud800"', "\ud800"),
        ("9" * 3_999, int("9" * 3_999)),
        ("9" * 5_000, float("inf")),
        ("-" + "9" * 5_000, float("-inf")),
        ("1e999", float("inf")),
    ],
)
def test_what_is_json_is_read(text, value):
    assert parsed(text) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value: line 1 column 1"),
        ('{\n"a":\n}', "Expecting value: line 3 column 1"),
        ("{} {}", "Extra data: line 1 column 4"),
        ("NaN", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        (b"\xff\xfe", "Expecting value"),
        (b"\xff", "invalid start byte"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_refused_with_the_place(text, problem):
    with pytest.raises(ValueError, match=problem):
        parsed(text)
