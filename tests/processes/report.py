"""How long runs end: this file is the last line that they print, and where their files are."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.processes.world import Verdict


class Run:
    """One run from the command line; ``folder`` keeps its files if anything was wrong."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._started = time.monotonic()
        # So that no process of the run outlives it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.folder = Path(tempfile.mkdtemp(prefix=f"poller-{what}-"))

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._started:6.1f} s  {text}", flush=True)

    def end(self, verdicts: Sequence[Verdict], **figures: object) -> int:
        """Prints the figures as JSON, and gives the exit code."""
        violations = [violation for verdict in verdicts for violation in verdict.violations]
        for violation in violations[:20]:
            self.say(violation)
        if violations:
            self.say(f"look into {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        sums = {
            name: sum(asdict(verdict)[name] for verdict in verdicts)
            for name in ("put", "attempts", "handled", "repeated", "discarded")
        }
        seen: dict[str, int] = {}
        for verdict in verdicts:
            for name, count in verdict.seen.items():
                seen[name] = seen.get(name, 0) + count
        seconds = round(time.monotonic() - self._started)
        said = {"what": self._what, **figures, **sums, "seen": seen, "violations": len(violations), "seconds": seconds}
        print(json.dumps(said), flush=True)
        return 1 if violations else 0
