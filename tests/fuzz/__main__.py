"""``python -m tests.fuzz [TARGET ...] --executions N``: this file runs the targets under atheris, two at a time.

An input that breaks a target is kept under ``found`` in this folder, and is run by the test suite from then on. The
last line is one JSON object with what was run; the exit code is 1 if anything was found, 2 if nothing can be run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom

TARGETS = ("get_records", "dynamodb_record", "filters", "partial_response", "config", "aggregates", "http_answer")
FOUND = Path(__file__).parent / "found"

_SIDE_BY_SIDE = 2
_UNIT_SECONDS_MAX = 20
_MEMORY_MB_MAX = 2_048
_PROGRESS_SECONDS = 20.0
_TOLD = re.compile(r"#(\d+)\s.*\bcov: (\d+) ft: (\d+) corp: (\d+)")
_TOTAL = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_HOW_TO_INSTALL = (
    "fuzzing needs atheris: pip install 'stream-poller[fuzz]' (wheels: Linux on x86-64, Python 3.11 to 3.13)"
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none is named")
    parser.add_argument("--executions", type=int, default=500_000, help="of each target (500000)")
    parser.add_argument("--seconds", type=int, default=0, help="at most, for each target; 0 is no limit (0)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random; 0 takes one by chance (0)")
    asked = parser.parse_args(arguments)
    unknown = set(asked.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if importlib.util.find_spec("atheris") is None:
        print(_HOW_TO_INSTALL)
        return 2
    seed, started = asked.seed or SystemRandom().randrange(1, 2**31), time.monotonic()
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as runs:
        names = asked.targets or TARGETS
        figures = dict(zip(names, runs.map(lambda name: _run(name, asked, seed), names), strict=True))
    violations = sum(not each["ok"] for each in figures.values())
    total = {
        "executions": sum(each["executions"] for each in figures.values()),
        "targets": figures,
        "seed": seed,
        "violations": violations,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(total))
    return 1 if violations else 0


def _run(name: str, asked: argparse.Namespace, seed: int) -> dict[str, object]:
    """One target in a process of its own; what it says is kept for the case that something is found."""
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    before, started = set(found.iterdir()), time.monotonic()
    with tempfile.TemporaryDirectory() as corpus:
        flags = [
            f"-runs={asked.executions}",
            f"-max_total_time={asked.seconds}",
            f"-seed={seed}",
            f"-timeout={_UNIT_SECONDS_MAX}",
            f"-rss_limit_mb={_MEMORY_MB_MAX}",
            f"-artifact_prefix={found}/",
            "-print_final_stats=1",
        ]
        words = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.guided", name, corpus, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | words,
        )
        said, executions, coverage = _listen(name, process)
    seconds = time.monotonic() - started
    new = sorted(path.name for path in set(found.iterdir()) - before)
    if not any(found.iterdir()):
        found.rmdir()
    ok = process.returncode == 0 and not new
    if not ok:
        print(*said[-60:], f"{name}: exit code {process.returncode}; kept: {', '.join(new) or 'nothing'}", sep="\n")
    rate = round(executions / seconds)
    print(f"{name}: {executions:,} executions in {seconds:.0f} s, {rate:,}/s, coverage {coverage}", flush=True)
    return {"executions": executions, "per_second": rate, "coverage": coverage, "found": new, "ok": ok}


def _listen(name: str, process: subprocess.Popen[str]) -> tuple[list[str], int, int]:
    """What the process says to its end, how many executions it told of, and the edges that it saw."""
    said: list[str] = []
    executions = coverage = 0
    told_at = time.monotonic()
    assert process.stdout is not None
    for line in process.stdout:
        if told := _TOLD.match(line):
            executions, coverage = int(told[1]), int(told[2])
            if time.monotonic() - told_at > _PROGRESS_SECONDS:
                print(f"{name}: {executions:,} executions, coverage {coverage}, {told[4]} inputs kept", flush=True)
                told_at = time.monotonic()
        elif total := _TOTAL.match(line):
            executions = int(total[1])
        elif not line.startswith("INFO: Instrumenting"):
            said = [*said[-200:], line.rstrip()]
    process.wait()
    return said, executions, coverage


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
