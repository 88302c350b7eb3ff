"""``python -m tests.soak --minutes 30``: this file runs one worker for a long time, and prints what it took.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import sys

from tests.processes.report import Run
from tests.soak import minutes


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Runs one worker for a long time.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--lanes", type=int, default=3, help="the parallelization factor")
    parser.add_argument("--per-second", type=float, default=1000.0, help="how many records are put")
    options = parser.parse_args(arguments)
    run_of_all = Run("soak")
    verdict, measured = minutes.run(
        run_of_all.folder,
        seconds=options.minutes * 60,
        lanes=options.lanes,
        per_second=options.per_second,
        say=run_of_all.say,
    )
    return run_of_all.end([verdict], minutes=options.minutes, lanes=options.lanes, **measured)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
