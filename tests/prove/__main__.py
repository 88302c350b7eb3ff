"""``python -m tests.prove``: this file runs the whole proof, part by part, and writes its report.

A whole run takes two and a half hours on two cores; ``--scale 0.01`` is a minute's taste of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.prove.parts import PARTS, Part
from tests.prove.report import Ran, Setting, written

ROOT = Path(__file__).resolve().parents[2]
NOT_FIGURES = ("what", "seconds", "failed", "first")


def _run(part: Part, scale: float, folder: Path) -> Ran:
    """One part, in a process of its own; what it says goes into a file, and is shown if it fails."""
    command, started = part.command(scale), time.monotonic()
    print(f"{part.name}: {' '.join(command)}", flush=True)
    with (folder / f"{part.name}.log").open("w+") as log:
        ended = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False)
        log.seek(0)
        lines = log.read().splitlines()
    passed, seconds = ended.returncode == 0, time.monotonic() - started
    print(f"{part.name}: {'passed' if passed else 'FAILED'} after {seconds:.0f} s", flush=True)
    if not passed:
        print(*[f"    {line}" for line in lines[-30:]], sep="\n", flush=True)
    return Ran(part, passed, seconds, _figures(lines))


def _run_all(parts: Sequence[Part], scale: float) -> list[Ran]:
    """Two at a time; the results are in the order of ``parts``."""
    with tempfile.TemporaryDirectory(prefix="poller-prove-") as folder, ThreadPoolExecutor(2) as running:
        return list(running.map(lambda part: _run(part, scale, Path(folder)), parts))


def _figures(lines: list[str]) -> dict:
    try:
        said = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return {name: value for name, value in said.items() if name not in NOT_FIGURES or (name == "failed" and value)}


def _setting(scale: float) -> Setting:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = " with changes" if git("status", "--porcelain") else ""
    machine = f"{os.cpu_count()} cores with Python {platform.python_version()}"
    return Setting(git("rev-parse", "--short=12", "HEAD") + changed, f"{datetime.now(UTC):%Y-%m-%d}", machine, scale)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description="Runs the whole proof.")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each part, 1 for the whole")
    parser.add_argument("--only", nargs="*", default=[part.name for part in PARTS], metavar="PART")
    parser.add_argument("--report", type=Path, help="default: the one in docs of a whole run, else one in build")
    options = parser.parse_args(arguments)
    unknown = set(options.only) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(part.name for part in PARTS)}")
    setting, started = _setting(options.scale), time.monotonic()
    runs = _run_all([part for part in PARTS if part.name in options.only], options.scale)
    whole = options.scale >= 1 and len(runs) == len(PARTS)
    report: Path = options.report or ROOT / ("docs" if whole else "build") / "proof-report.md"
    report.parent.mkdir(exist_ok=True)
    report.write_text(written(setting, runs, time.monotonic() - started))
    print(f"the report is in {report}")
    return 0 if all(ran.passed for ran in runs) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
