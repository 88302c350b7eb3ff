"""The proof's parts can be run, and its report tells what they came to."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.prove.parts import PARTS
from tests.prove.report import Ran, Setting, written


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_is_a_command_that_there_is(part):
    _, module, *arguments = part.command(0.01)
    assert find_spec(f"{module}.__main__" if "." not in module.removeprefix("tests.") else module)
    assert not any("{" in argument for argument in arguments)


def test_a_part_is_run_in_proportion():
    soak = next(part for part in PARTS if part.name == "soak")
    assert soak.command(1) == ["-m", "tests.soak", "--minutes", "30"]
    assert soak.command(0.01) == ["-m", "tests.soak", "--minutes", "1"]


def test_the_report_tells_what_was_run_where_and_what_failed():
    good, bad = PARTS[:2]
    runs = [Ran(good, passed=True, seconds=90.0, figures={"lost": 0, "kinds": {"a": 1000}}), Ran(bad, False, 60.0, {})]
    text = written(Setting("abc123", "2026-01-02", "2 cores with Python 3.11.7", 0.5), runs, 150.0)
    assert "A run of 0.5 of the whole on 2026-01-02, of commit `abc123`" in text
    assert f"**Failed: {bad.name}.** Of {len(PARTS)} parts 2 ran." in text
    assert f"| {good.name} | {good.promise} | lost 0; kinds a 1,000 | passed | 1.5 |" in text


def test_the_report_tells_a_seed_as_it_is_typed():
    runs = [Ran(PARTS[0], False, 60.0, {"seeds": 20000, "failed": [10944, 20001], "slow": [], "seed": 1307101900})]
    text = written(Setting("abc123", "2026-01-02", "2 cores", 1.0), runs, 60.0)
    assert "seeds 20,000; failed 10944, 20001; slow none; seed 1307101900 |" in text
