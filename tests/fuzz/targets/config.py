"""Configuration files, whatever is in them: this file holds `load` to its one error, and its lines to the text.

An input is a TOML file. ``FLAG`` and ``EMPTY`` are set in the environment.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from poller.config import load
from poller.config_lines import dotted, key_lines
from poller.errors import ConfigError
from tests.config.full import FULL, MINIMAL, NOW

BYTES_MAX = 400
"""`tomllib` is slow, and keys do not get stranger by their number."""

WORDS = (
    *re.findall(r"[a-z_]{4,}", FULL),
    *("${FLAG}", "${FLAG:-x}", "$${", "${EMPTY:-d}", "${file:/nowhere}", "[[", "]]", '"""', "'''", "\\u0041", "\\e"),
    *("1979-05-27T07:32:00Z", "1979-05-27", "07:32:00.5", "0xff", "1_000", "inf", "nan", "+1.5e3", "\r\n", "\t", "#"),
    *("event_source_mappings", "TRIM_HORIZON", "AT_TIMESTAMP", "starting_position_timestamp", "true", "tags", "topics"),
)

_FILE = "c.toml"
_PROBLEM = re.compile(rf"{re.escape(_FILE)}:([1-9][0-9]*): (\S.*)", re.DOTALL)
_FILES = re.compile(rb"\$\{file:(?!/nowhere\})")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Text(type(Path())):
    """A file that is not on a disk."""

    content = b""

    def read_bytes(self):
        return self.content


def seeds():
    own = """\
[functions.a]
url = "http://127.0.0.1:${FLAG}/x"
[functions."b.c"]
handler = 'm:f'
[[event_source_mappings]]
function_name = "a"
starting_position = "AT_TIMESTAMP"
starting_position_timestamp = 2026-01-31T12:00:00Z
event_source_arn = "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026-09-17T12:00:00.000"
destination_config.on_failure.destination = "file:///x"
"""
    tricky = """\
server.listen = ""  # none
aws = { region = "x", "endpoint\\u005furls" = { kinesis = 'http://h' } }
store.url = \"\"\"\\
   memory:\"\"\"
[[event_source_mappings]]
filter_criteria.filters = [
  { pattern = '''{"a":["]"]}''' }, # ]
  { pattern = "" },
]
[worker]
drain_timeout_seconds = 1_0.5
"""
    parts = [part for part in re.split(r"(?=^\[)", FULL, flags=re.MULTILINE) if part]
    small = ["".join(parts[at : at + 2]) for at in range(0, len(parts) - 2, 2)]
    small += [MINIMAL + line + "\n" for line in FULL.partition("TRIM_HORIZON")[2].splitlines()[1:]]
    wrong = [MINIMAL + 'BatchSize = 5\nenabled = 1\nname = "${NONE}"\n', "a = [1, {b = 2}]\n[x.y]\nz = -nan\n"]
    return [text.encode() for text in (MINIMAL, own, tricky, *small, *wrong)]


def fuzz(data):
    """Settings, or every complaint with the file and a line that it has."""
    if _FILES.search(data):
        return  # what else is on this machine is none of our business
    path = Text(_FILE)
    path.content = data
    problems = _problems(path)
    for problem in problems:
        told = _PROBLEM.fullmatch(problem)
        assert told, f"without a place: {problem}"
        assert int(told[1]) <= 1 + data.count(b"\n"), problem
    if not problems or not re.match(r"[^ ]* not (valid TOML|UTF-8)", problems[0]):
        _compare_lines(data.decode())


def _problems(path):
    """None if the settings can be used."""
    try:
        settings = load(path, now=NOW, environ={"FLAG": "80", "EMPTY": ""})
    except ConfigError as error:
        return error.problems or ("refused without a reason",)
    assert settings.mappings
    return ()


def _compare_lines(text):
    """Every key of the file is known, by its path, on the line where it is written."""
    try:
        document, known = tomllib.loads(text), key_lines(text)
    except RecursionError:  # the stack is not as empty as it was
        return
    lines = text.replace("\r\n", "\n").split("\n")
    paths = set(_paths(document))
    assert set(known) == paths, f"{set(known) ^ paths}"
    for path, line in known.items():
        assert 1 <= line <= len(lines), dotted(path)
        name = path[-1]
        if isinstance(name, str) and _BARE.fullmatch(name) and "\\" not in lines[line - 1]:
            assert name in lines[line - 1], f"{dotted(path)} is not on line {line}"


def _paths(document):
    """The way to every value, however deep it lies."""
    waiting = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if path:
            yield path
        if isinstance(value, dict | list):
            places = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [((*path, key), below) for key, below in places]
