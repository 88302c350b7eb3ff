"""The page of compatibility is whole and true to its word: every rule has a row, and every row a test that exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "compatibility.md"
RULES = {
    "STATE": range(1, 16),
    "POS": range(1, 6),
    "KIN": range(1, 12),
    "EFO": range(1, 7),
    "KPL": range(1, 6),
    "DDB": range(1, 11),
    "SHARD": range(1, 7),
    "FILT": (*range(1, 6), *range(10, 17), *range(20, 30)),
    "BATCH": range(1, 11),
    "PAR": range(1, 8),
    "INV": range(1, 9),
    "PBR": range(1, 11),
    "RETRY": range(1, 10),
    "BIS": range(1, 8),
    "AGE": range(1, 9),
    "DEST": (*range(1, 11), *range(20, 30)),
    "WIN": range(1, 16),
    "EVT": (1, 2, 3, 4, 10, 11, 12, 13, 14, 15),
    "MET": range(1, 4),
    "VAL": (*range(1, 19), 21, 30, 31),
    "API": (6, 7, 10, 11, 13, 15),
    "PORT": range(2, 11),
}
"""States, starting positions, both services, fan-out, aggregates, shards, filters, batches, lanes, invocations, partial
responses, retries, bisect, age, destinations, windows, events, metrics, refusals, how a mapping is shown, and what must
be decided outside of Lambda."""

BASES = ("documented", "recorded", "chosen")


def rows():
    """Id, what Lambda does, what poller does, on what basis, and the tests."""
    for line in PAGE.read_text().splitlines():
        if line.startswith("| R-"):
            yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@cache
def functions_in(file):
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_rule_has_one_row():
    found = [row[0] for row in rows()]
    wanted = [f"R-{kind}-{number}" for kind, numbers in RULES.items() for number in numbers]
    assert sorted(found) == sorted(wanted)


def test_every_rule_that_is_cited_has_its_row():
    """Who looks a rule up must find it."""
    files = [*(ROOT / "poller").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    cited = {rule for file in files for rule in re.findall(r"R-[A-Z]+-\d+", file.read_text())}
    assert cited <= {row[0] for row in rows()}


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row[0])
def test_a_row_says_what_each_does_on_what_basis_and_which_test_shows_it(row):
    rule, of_lambda, of_poller, basis, shown_by = row
    assert of_lambda
    assert of_poller
    assert basis in BASES, rule
    named = re.findall(r"`([^`]+)`", shown_by)
    assert named, f"{rule} names no test"
    for each in named:
        file, _, test = each.partition("::")
        assert file.startswith("tests/"), each
        assert test.startswith("test_"), each
        assert test in functions_in(file), f"{rule}: there is no {each}"
