"""Where each key of a TOML text stands, which `tomllib` does not tell: this file is a map from keys to lines.

It trusts `tomllib` to have accepted the text already, and reads just enough of the grammar to find keys again:
headers, dotted keys, strings of all four kinds, arrays and inline tables.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""The way to a value: table keys as text, places in arrays as numbers from 0."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def key_lines(text: str) -> Mapping[KeyPath, int]:
    """The line, from 1, of every key, table and array element of a valid TOML text; tables stand at their header."""
    scan = _Scan(text)
    scan.document()
    return scan.lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """The line of ``path``, or of the nearest table around it when the key itself is not there."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def dotted(path: KeyPath) -> str:
    """``path`` as people write it: ``event_source_mappings[0].batch_size``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE_KEY.fullmatch(part) else '"' + part.replace('"', '\\"') + '"'
            text += f".{name}" if text else name
    return text


class _Scan:
    """One walk over the text; ``_at`` is the next character to read."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._arrays_of_tables: dict[KeyPath, int] = {}

    def document(self) -> None:
        table: KeyPath = ()
        while self._next(_BLANK):
            if self._sees("["):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> KeyPath:
        line = self._line()
        double = self._text.startswith("[[", self._at)
        self._at += 2 if double else 1
        keys = self._key()
        self._at += 2 if double else 1
        path = self._resolved((), keys[:-1], line)
        last = (*path, keys[-1])
        if double:
            self._arrays_of_tables[last] = self._arrays_of_tables.get(last, -1) + 1
            self.lines.setdefault(last, line)
        path = self._resolved(path, keys[-1:], line)
        # A table may be made by its children first: the place that names it itself is the better one.
        self.lines[path] = line
        return path

    def _resolved(self, path: KeyPath, keys: tuple[str, ...], line: int) -> KeyPath:
        """``path`` with ``keys`` below it, where the name of an array of tables means its last element."""
        for key in keys:
            path = (*path, key)
            self.lines.setdefault(path, line)
            if path in self._arrays_of_tables:
                path = (*path, self._arrays_of_tables[path])
                self.lines.setdefault(path, line)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for key in self._key():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._next(_SPACE)
        self._value(path)

    def _key(self) -> tuple[str, ...]:
        keys: list[str] = []
        while True:
            self._next(_SPACE)
            if self._sees("\"'"):
                keys.append(_unquoted(self._take(_STRING)))
            else:
                keys.append(self._take(_BARE_KEY))
            self._next(_SPACE)
            if not self._sees("."):
                return tuple(keys)
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        if self._sees("[{"):
            self._collection(path, array=self._sees("["))
        elif self._sees("\"'"):
            self._take(_STRING)
        else:
            self._take(_SCALAR)

    def _collection(self, path: KeyPath, *, array: bool) -> None:
        self._at += 1
        index = 0
        while self._next(_BLANK) and not self._sees("]}"):
            if array:
                self.lines[(*path, index)] = self._line()
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
            self._next(_BLANK)
            if self._sees(","):
                self._at += 1
        self._at += 1

    def _line(self) -> int:
        return bisect_right(self._line_starts, self._at)

    def _sees(self, characters: str) -> bool:
        return self._at < len(self._text) and self._text[self._at] in characters

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match, f"tomllib accepted line {self._line()}, so this must match"
        self._at = match.end()
        return match.group()

    def _next(self, blank: re.Pattern[str]) -> bool:
        """Steps over what ``blank`` matches; whether any text is left."""
        match = blank.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._at < len(self._text)


def _unquoted(key: str) -> str:
    if key.startswith("'"):
        return key[1:-1]

    def meant(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else _ESCAPED.get(match[3], match[3])

    return _ESCAPE.sub(meant, key[1:-1])
