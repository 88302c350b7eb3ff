"""`poller filter test`: this file tries patterns on events, one or a file of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from poller.rules.matchers import PatternError
from poller.rules.patterns import Pattern

EXIT_DIFFERS = 1
EXIT_UNUSABLE = 2
VERDICTS = ("match", "no_match", "invalid")


def main_filter_test(pattern: str, event: str, *, as_json: bool) -> int:
    """Prints the verdict. Returns 0 for a match, 1 for none, 2 if the pattern or the event cannot be used."""
    try:
        document = json.loads(event)
    except ValueError as error:
        print(f"the event is not JSON: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    verdict, reason = judged(pattern, document)
    if as_json:
        print(json.dumps({"verdict": verdict, "reason": reason}))
    else:
        print(verdict.replace("_", " ") + (f": {reason}" if reason else ""))
    return VERDICTS.index(verdict)


def main_filter_cases(file: Path, *, as_json: bool) -> int:
    """Prints each case whose verdict is not the expected one. Returns 0, 1 if there is one, 2 for a broken file."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        cases = [(number, *_case(line)) for number, line in enumerate(lines, start=1) if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{file}: cannot be used: {error}; each line is an object with pattern, event, expected", file=sys.stderr)
        return EXIT_UNUSABLE
    differences = []
    for number, pattern, event, expected in cases:
        verdict, reason = judged(pattern, event)
        if verdict != expected:
            differences.append({"line": number, "expected": expected, "verdict": verdict, "reason": reason})
    if as_json:
        print(json.dumps({"cases": len(cases), "differences": differences}, indent=2))
    else:
        for each in differences:
            print(
                f"{file}:{each['line']}: expected {each['expected']}, got {each['verdict']} {each['reason']}".rstrip()
            )
        print(f"{len(cases)} cases, {len(differences)} differ")
    return EXIT_DIFFERS if differences else 0


def judged(pattern: str, event: object) -> tuple[str, str]:
    """``match``, ``no_match`` or ``invalid``, and the reason for the latter two."""
    try:
        reason = Pattern(pattern).reason(event)
    except PatternError as error:
        return "invalid", str(error)
    return ("no_match", reason) if reason else ("match", "")


def _case(line: str) -> tuple[str, object, str]:
    """A pattern may be given as JSON or as the text of it."""
    case = json.loads(line)
    pattern, expected = case["pattern"], case["expected"]
    if expected not in VERDICTS:
        raise ValueError(f"expected must be one of {', '.join(VERDICTS)}, not {expected!r}")
    return pattern if isinstance(pattern, str) else json.dumps(pattern), case["event"], expected
