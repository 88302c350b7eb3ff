"""What the proof came to, for people: this file writes its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.prove.parts import PARTS, Part

SEEDS = ("failed", "slow", "seed")
"""Figures that are names: somebody will type them."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One part that ran; ``figures`` is the JSON of its last line, empty if it said none."""

    part: Part
    passed: bool
    seconds: float
    figures: dict


@dataclass(frozen=True, slots=True)
class Setting:
    """``machine``: its processors and Python; ``scale``: 1 for a whole run."""

    commit: str
    day: str
    machine: str
    scale: float


def written(setting: Setting, runs: Sequence[Ran], seconds: float) -> str:
    """The report as Markdown."""
    whole = "A whole run" if setting.scale == 1 else f"A run of {setting.scale:g} of the whole"
    failed = [ran.part.name for ran in runs if not ran.passed]
    verdict = f"**Failed: {', '.join(failed)}.**" if failed else "Everything passed."
    verdict += "" if len(runs) == len(PARTS) else f" Of {len(PARTS)} parts {len(runs)} ran."
    lines = [
        "# The last run of `make prove`",
        "",
        "Written by `python -m tests.prove`; do not edit.",
        "",
        f"{whole} on {setting.day}, of commit `{setting.commit}`, on {setting.machine}, in {seconds / 60:.0f} minutes.",
        verdict,
        "",
        "| part | what it shows | figures | result | minutes |",
        "|---|---|---|---|---|",
    ]
    for ran in runs:
        figures = "; ".join(_figure(name, value) for name, value in ran.figures.items())
        result = "passed" if ran.passed else "**failed**"
        lines.append(f"| {ran.part.name} | {ran.part.promise} | {figures} | {result} | {ran.seconds / 60:.1f} |")
    return "\n".join(lines) + "\n"


def _figure(name: str, value: object) -> str:
    if name in SEEDS:
        value = [str(seed) for seed in value] if isinstance(value, list) else str(value)
    return f"{name.replace('_', ' ')} {_said(value)}"


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_said(each) for each in value) or "none"
    return str(value)
