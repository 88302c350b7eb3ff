"""`poller filter test`: this file tries patterns on events, one or a file of them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from poller.rules.json_text import parsed
from poller.rules.matchers import PatternError
from poller.rules.mismatch import mismatch
from poller.rules.patterns import Pattern

EXIT_DIFFERS = 1
EXIT_UNUSABLE = 2
VERDICTS = ("match", "no_match", "invalid")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One of `VERDICTS`, the reason unless it is a match, and what needs ``extended_filter_operators``."""

    verdict: str
    reason: str = ""
    extended_operators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Case:
    pattern: str
    event: object
    expected: str


class _Unusable(Exception):
    """What was given cannot be used; the text says why."""


def judged(pattern: str, event: object, *, strict: bool) -> Judgement:
    """``strict`` judges as a mapping without ``extended_filter_operators`` does."""
    try:
        compiled = Pattern(pattern)
    except PatternError as error:
        return Judgement("invalid", str(error))
    extras = tuple(f"{operator} at {name}" for operator, name in compiled.extras.items())
    if strict and extras:
        return Judgement("invalid", f"not in Lambda's table of operators: {', '.join(extras)}", extras)
    reason = mismatch(compiled.nodes, event)
    return Judgement("no_match" if reason else "match", reason, extras)


def main_filter_test(pattern: str, event: str, *, as_json: bool, strict: bool) -> int:
    """Prints the verdict on JSON texts, or on what is in the files ``@name``; ``-`` is standard input.

    Returns 0 for a match, 1 for none, 2 if the pattern or the event cannot be used.
    """
    try:
        given = _event(_given(event))
        judgement = judged(_given(pattern), given, strict=strict)
    except _Unusable as problem:
        print(problem, file=sys.stderr)
        return EXIT_UNUSABLE
    if as_json:
        _print_json(_shown(judgement))
    else:
        reason = f": {judgement.reason}" if judgement.reason else ""
        _print(f"{judgement.verdict.replace('_', ' ')}{reason}")
        if judgement.extended_operators and not strict:
            _print(f"a mapping needs extended_filter_operators = true for {', '.join(judgement.extended_operators)}")
    if isinstance(given, dict) and isinstance(given.get("kinesis"), dict):
        form = "a pattern sees what is under it at the top level, with data decoded"
        print(f'note: an event with "kinesis" is what a function gets; {form}', file=sys.stderr)
    return VERDICTS.index(judgement.verdict)


def main_filter_cases(file: Path, *, as_json: bool, strict: bool) -> int:
    """Prints each case whose verdict is not the expected one. Returns 0, 1 if there is one, 2 for a broken file."""
    try:
        cases = _cases(file)
    except _Unusable as problem:
        print(problem, file=sys.stderr)
        return EXIT_UNUSABLE
    judgements = {line: judged(case.pattern, case.event, strict=strict) for line, case in cases.items()}
    differing = [line for line, case in cases.items() if judgements[line].verdict != case.expected]
    if as_json:
        rows = [{"line": line, "expected": cases[line].expected, **_shown(judgements[line])} for line in differing]
        _print_json({"cases": len(cases), "differences": rows})
    else:
        for line in differing:
            judgement = judgements[line]
            reason = f": {judgement.reason}" if judgement.reason else ""
            _print(f"{file}:{line}: expected {cases[line].expected}, got {judgement.verdict}{reason}")
        print(f"{len(cases)} cases, {len(differing)} differ")
    return EXIT_DIFFERS if differing else 0


def _given(text: str) -> str:
    """What an argument stands for."""
    try:
        if text == "-":
            return sys.stdin.read()
        return Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
    except OSError as error:
        raise _Unusable(f"{text[1:]}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _Unusable(f"{text.removeprefix('@')}: is not UTF-8 text") from error


def _event(text: str) -> object:
    try:
        return parsed(text)
    except ValueError as error:
        raise _Unusable(f"the event is not JSON: {error}") from error


def _cases(file: Path) -> dict[int, _Case]:
    """The cases of a file by line, empty lines left out; all that is wrong with it is told at once."""
    cases: dict[int, _Case] = {}
    problems: list[str] = []
    for number, line in enumerate(_given(f"@{file}").split("\n"), start=1):
        if line.strip():
            try:
                cases[number] = _case(line)
            except ValueError as error:
                problems.append(f"{file}:{number}: {error}")
    if problems:
        advice = f'a line is {{"pattern": ..., "event": ..., "expected": "{"|".join(VERDICTS)}"}}'
        raise _Unusable("\n".join([*problems, advice]))
    return cases


def _case(line: str) -> _Case:
    """Pattern and event may be given as JSON, or as a string that holds its text."""
    case = parsed(line)
    if not isinstance(case, dict):
        raise ValueError("not an object")
    missing = [key for key in ("pattern", "event", "expected") if key not in case]
    if missing:
        raise ValueError(f"there is no {' and no '.join(missing)}")
    pattern, event, expected = case["pattern"], case["event"], case["expected"]
    if expected not in VERDICTS:
        raise ValueError(f"expected must be one of {', '.join(VERDICTS)}, not {json.dumps(expected)}")
    if isinstance(event, str):
        event = parsed(event)
    return _Case(pattern if isinstance(pattern, str) else json.dumps(pattern), event, expected)


def _shown(judgement: Judgement) -> dict[str, object]:
    return {
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "extended_operators": list(judgement.extended_operators),
    }


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _print(text: str) -> None:
    """Prints also what is no character, for a key may hold half of a pair of surrogates."""
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"))
