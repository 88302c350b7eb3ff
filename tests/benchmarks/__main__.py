"""``python -m tests.benchmarks``: this file runs the suite, and writes its table and its plot."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.benchmarks.figures import plot, table
from tests.benchmarks.rows import Suite


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measures the worker and its peers."
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison (3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (5)")
    parser.add_argument("--into", type=Path, default=Path("build"), help="the folder of the table and the plot (build)")
    asked = parser.parse_args(arguments)
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {what}", file=sys.stderr, flush=True)

    figures = Suite(asked.rounds, asked.seconds, say).figures()
    asked.into.mkdir(parents=True, exist_ok=True)
    text = table(figures)
    (asked.into / "benchmarks.md").write_text(text)
    (asked.into / "benchmarks.svg").write_text(plot(figures, "How far beyond its limit each figure is"))
    print(text)
    return 0 if all(each.met for each in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
