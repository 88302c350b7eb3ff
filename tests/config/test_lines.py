"""Where keys stand in TOML: this file is the proof that the line locator sees what `tomllib` sees."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.config_lines import KeyPath, dotted, key_lines, line_of

TRICKY = (Path(__file__).parent / "tricky.toml").read_text()


def _paths(value: object, path: KeyPath = ()) -> set[KeyPath]:
    found: set[KeyPath] = {path} if path else set()
    if isinstance(value, dict):
        for key, item in value.items():
            found |= _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found |= _paths(item, (*path, index))
    return found


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_key_of_a_tricky_text_has_a_line_and_nothing_else_has(newline: str) -> None:
    text = TRICKY.replace("\n", newline)
    assert set(key_lines(text)) == _paths(tomllib.loads(text))


@pytest.mark.parametrize(
    ("path", "start"),
    [
        (("plain",), "plain ="),
        (("dotted", "key", "with.dot"), "dotted.key"),
        (("escAped",), '"esc'),
        (("raw",), "raw ="),
        (("array", 1), '  1, "two'),
        (("array", 2, 1), '  [ "]"'),
        (("array", 3, "y", "z", 1), "  3 ]"),
        (("inline", "b c", "d"), "inline ="),
        (("table",), "[table]"),
        (("table", "sub"), "[ table"),
        (("table", "sub", "key"), "key = true"),
        (("things", 1, "name"), 'name = "second"'),
        (("things", 1, "part", "deep"), "deep = 1"),
        (("things", 1, "list", 1, "x"), "x = 2"),
        (("things", 2, "name"), 'name = "third"'),
    ],
)
def test_a_key_is_found_on_its_line(path: KeyPath, start: str) -> None:
    assert TRICKY.splitlines()[key_lines(TRICKY)[path] - 1].startswith(start)


def test_a_missing_key_stands_at_the_table_around_it() -> None:
    lines = key_lines("a = 1\n[b]\nc = 1\n")
    assert line_of(lines, ("b", "missing", "deeper")) == 2
    assert line_of(lines, ("missing",)) == 1


def test_a_path_is_written_as_people_write_it() -> None:
    assert dotted(("event_source_mappings", 0, "batch_size")) == "event_source_mappings[0].batch_size"
    assert dotted(("functions", "a b")) == 'functions."a b"'


_STRINGS = st.text(st.sampled_from("ab\"'\\[]{}=,.#\n "), max_size=8)
_SCALARS = st.integers() | st.booleans() | _STRINGS
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_STRINGS, inner, max_size=3), max_leaves=8
)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list):
        return "[\n" + ",\n".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return str(value)


@given(st.dictionaries(_STRINGS, _VALUES, max_size=4))
def test_the_locator_and_tomllib_see_the_same_keys(document: dict[str, object]) -> None:
    text = "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in document.items())
    assert tomllib.loads(text) == document
    assert set(key_lines(text)) == _paths(document)
