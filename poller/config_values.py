"""Reading single values out of a configuration, every complaint with its place: this file is the typed reader.

Complaints are collected, never raised, so that one run shows them all. The first complaint about a key wins:
what follows from it is not told as well.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from urllib.parse import urlsplit

from poller.arns import shown
from poller.config_lines import KeyPath, dotted, line_of

_PLACEHOLDER = re.compile(
    r"\$\$\{|\$\{(?:file:(?P<file>[^}]*)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?)\}|\$\{"
)
_INTEGER_MAX = 2**63 - 1
"""TOML's own limit, which its reader does not mind."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Complaints:
    """All that is wrong with one file, as ``FILE:LINE: key.path: what is wrong; what to do``, in order of lines."""

    def __init__(self, file: Path, lines: Mapping[KeyPath, int]) -> None:
        self._file = file
        self._lines = lines
        self._found: dict[KeyPath, str | None] = {}
        self._noted: list[tuple[int, str]] = []

    def add(self, path: KeyPath, wrong: str, advice: str) -> None:
        joint = f" {advice[0].upper()}{advice[1:]}" if wrong.endswith(".") else f"; {advice}"
        self._found.setdefault(path, f"{dotted(path)}: {wrong}{joint}")

    def note(self, path: KeyPath, text: str) -> None:
        """Nothing wrong, but most likely not what is meant."""
        self._noted.append((line_of(self._lines, path), f"{dotted(path)}: {text}"))

    def mute(self, path: KeyPath) -> None:
        """Nothing more about ``path``: its trouble was told elsewhere."""
        self._found.setdefault(path, None)

    def touch(self, path: KeyPath) -> bool:
        """Whether something was said about ``path`` or what is in it."""
        return any(known[: len(path)] == path for known in self._found)

    def texts(self) -> tuple[str, ...]:
        told = [(line_of(self._lines, path), text) for path, text in self._found.items() if text is not None]
        return self._in_order(told)

    def notes(self) -> tuple[str, ...]:
        return self._in_order(self._noted)

    def _in_order(self, told: Sequence[tuple[int, str]]) -> tuple[str, ...]:
        return tuple(f"{self._file}:{line}: {text}" for line, text in sorted(told, key=lambda item: item[0]))


class Table:
    """One table of the file. Each reader takes a key and gives its value, or the default after a complaint.

    Unknown keys are complained about at once; a key in ``refused`` gets its own reason.
    """

    def __init__(
        self,
        values: Mapping[str, object],
        path: KeyPath,
        complaints: Complaints,
        *,
        known: Collection[str],
        refused: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.complaints = complaints
        self._values = values
        for key in values:
            if key not in known:
                self._complain_of_unknown(key, known, refused or {})

    def has(self, key: str) -> bool:
        return key in self._values

    def complain(self, key: str, wrong: str, advice: str) -> None:
        self.complaints.add((*self.path, key), wrong, advice)

    def get(self, key: str) -> object:
        """The raw value; ``None`` if the key is absent, for TOML has no null."""
        return self._values.get(key)

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is None or isinstance(value, str):
            return value
        self._wrong_type(key, value, "a string", "put it in quotes")
        return None

    def integer(self, key: str, default: int) -> int:
        value = self._values.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self._wrong_type(key, value, "a whole number", _number_advice(value))
        return default

    def seconds(self, key: str, default: float, *, above: float) -> float:
        """A length of at least ``above`` and at most a day."""
        value = self._values.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self._wrong_type(key, value, "a number of seconds", _number_advice(value))
        elif math.isnan(value) or not above <= value <= 86_400:
            self.complain(key, f"{value} is out of range", f"give {above:g} to 86400 seconds")
        else:
            return float(value)
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._values.get(key, default)
        if isinstance(value, bool):
            return value
        self._wrong_type(key, value, "true or false", "write true or false without quotes")
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._values.get(key, [])
        if not isinstance(value, list):
            self._wrong_type(key, value, "an array of strings", "put it in [ ]")
            return ()
        for index, item in enumerate(value):
            if not isinstance(item, str):
                wrong = f"must be a string, not {kind_name(item)}"
                self.complaints.add((*self.path, key, index), wrong, "put it in quotes")
        return tuple(item for item in value if isinstance(item, str))

    def table(self, key: str) -> Mapping[str, object]:
        """The raw values of the table ``key``; empty if it is absent."""
        value = self._values.get(key, {})
        if isinstance(value, dict):
            return value
        path = (*self.path, key)
        # A header cannot point into one of several tables of an array.
        in_array = any(isinstance(part, int) for part in path)
        advice = f"write {key} = {{ ... }}" if in_array else f"write [{dotted(path)}] with its keys below"
        self._wrong_type(key, value, "a table", advice)
        return {}

    def _wrong_type(self, key: str, value: object, wanted: str, advice: str) -> None:
        self.complain(key, f"must be {wanted}, not {kind_name(value)}", advice)

    def _complain_of_unknown(self, key: str, known: Collection[str], refused: Mapping[str, str]) -> None:
        if key in refused:
            self.complain(key, refused[key], "remove it")
            return
        # Lambda's own spelling (BatchSize) is the likeliest slip of all.
        spelling = _HUMP.sub("_", key).replace("-", "_").lower()
        guesses = difflib.get_close_matches(spelling, [*known, *refused], n=1)
        if not guesses:
            self.complain(key, "unknown key", f"known here: {', '.join(sorted(known))}")
            return
        self.complain(key, "unknown key", f"did you mean {guesses[0]}?")
        if guesses[0] not in self._values:
            self.complaints.mute((*self.path, guesses[0]))


def check_url(table: Table, key: str, url: str) -> None:
    """Complains of a ``url`` that nothing can be sent to."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and url.split() == [url]  # no blanks, which `urlsplit` takes or leaves out
        good = url.startswith(("http://", "https://")) and named and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        advice = "write http://host:port or https://host, with a path if need be, without blanks"
        table.complain(key, f"{shown(url)!r} is not a URL", advice)


def kind_name(value: object) -> str:
    """What a TOML value is, in words."""
    match value:
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case list():
            return "an array"
        case dict():
            return "a table"
        case datetime():
            return "a date and time"
        case date():
            return "a date alone"
        case time():
            return "a time alone"
    return type(value).__name__


def expanded(value: object, path: KeyPath, complaints: Complaints, environ: Mapping[str, str]) -> object:
    """``value`` with the placeholders of all strings in it filled in; what cannot be is left out, with a complaint.

    ``${NAME}``, ``${NAME:-default}`` (also when empty, as in a shell) and ``${file:/path}`` (without the newlines at
    its end); ``$${`` stands for ``${``. What was filled in is not looked at again. A whole number beyond TOML's limit
    cannot be used either.
    """
    if isinstance(value, dict):
        pairs = ((key, expanded(item, (*path, key), complaints, environ)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not None}
    if isinstance(value, list):
        items = [expanded(item, (*path, index), complaints, environ) for index, item in enumerate(value)]
        # Places in arrays must stay, or later complaints would point beside the mark.
        return ["" if item is None else item for item in items]
    if isinstance(value, int) and abs(value) > _INTEGER_MAX:
        complaints.add(path, "the number is too large", "TOML's whole numbers have 64 bits")
        return None
    if not isinstance(value, str):
        return value
    parts: list[str] = []
    end = 0
    for match in _PLACEHOLDER.finditer(value):
        found = _filling(match, path, complaints, environ)
        if found is None:
            return None
        parts += [value[end : match.start()], found]
        end = match.end()
    return "".join([*parts, value[end:]])


def _filling(match: re.Match[str], path: KeyPath, complaints: Complaints, environ: Mapping[str, str]) -> str | None:
    name, default, file = match["name"], match["default"], match["file"]
    if match[0] == "$${":
        return "${"
    if file is not None:
        try:
            return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
            complaints.add(path, f"cannot read the file {file}: {reason}", "name a file that can be read")
            return None
    if name is None:
        complaints.add(path, "a placeholder that is not understood", _PLACEHOLDER_ADVICE)
        return None
    found = environ.get(name)
    if default is not None:
        return found or default.removeprefix(":-")
    if found is None:
        complaints.add(path, f"the environment variable {name} is not set", f"set it, or write ${{{name}:-default}}")
    return found


_PLACEHOLDER_ADVICE = "write ${NAME}, ${NAME:-default} or ${file:/path}, and $${ for a plain ${"


def _number_advice(value: object) -> str:
    if isinstance(value, str):
        return "write it without quotes (placeholders make strings only)"
    return "write a number"
