"""``python -m tests.prove``: this file runs the whole proof, part by part, and writes its report.

A whole run takes up to ninety minutes on two cores; ``--scale 0.01`` is a minute's taste of it.
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
from datetime import UTC, datetime
from pathlib import Path

from tests.prove.parts import PARTS, Part
from tests.prove.report import Ran, Setting, written

ROOT = Path(__file__).resolve().parents[2]
NOT_FIGURES = ("what", "seconds", "failed", "first")


class Running:
    """One part under way; what it says goes into a file, and is shown if it fails."""

    def __init__(self, part: Part, scale: float, folder: Path) -> None:
        self.part = part
        self._log = folder / f"{part.name}.log"
        self._started = time.monotonic()
        with self._log.open("wb") as log:
            command = [sys.executable, *part.command(scale)]
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        print(f"{part.name}: {' '.join(command[1:])}", flush=True)

    def end(self) -> Ran:
        passed = self._process.wait() == 0
        seconds = time.monotonic() - self._started
        lines = self._log.read_text(errors="replace").splitlines()
        print(f"{self.part.name}: {'passed' if passed else 'FAILED'} after {seconds:.0f} s", flush=True)
        if not passed:
            print(*[f"    {line}" for line in lines[-30:]], sep="\n", flush=True)
        return Ran(self.part, passed, seconds, _figures(lines))

    def stop(self) -> None:
        self._process.terminate()


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
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "proof-report.md")
    options = parser.parse_args(arguments)
    unknown = set(options.only) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(part.name for part in PARTS)}")
    setting, started = _setting(options.scale), time.monotonic()
    parts = [part for part in PARTS if part.name in options.only]
    runs: list[Ran] = []
    with tempfile.TemporaryDirectory(prefix="poller-prove-") as folder:
        beside = [Running(part, options.scale, Path(folder)) for part in parts if part.beside]
        try:
            runs = [Running(part, options.scale, Path(folder)).end() for part in parts if not part.beside]
            runs = [running.end() for running in beside] + runs
        finally:
            for running in beside:
                running.stop()
    options.report.write_text(written(setting, runs, time.monotonic() - started))
    print(f"the report is in {options.report}")
    return 0 if all(ran.passed for ran in runs) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
