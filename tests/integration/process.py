"""The worker as its users run it, in a process of its own: this file starts it, kills it, and reads what it handled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

_REPOSITORY = Path(__file__).parent.parent.parent


class WorkerProcess:
    """`poller run` in ``directory``; the log goes to ``worker.log`` there, what is handled to ``handled.jsonl``."""

    def __init__(self, directory: Path, config: str, *, failures: float = 0.0, seconds: float = 0.0) -> None:
        self.directory = directory
        self.config = directory / "poller.toml"
        self.config.write_text(config)
        self.handled = directory / "handled.jsonl"
        self.handled.touch()
        self._environment = {
            **os.environ,
            "HANDLED": str(self.handled),
            "HANDLER_FAILURES": str(failures),
            "HANDLER_SECONDS": str(seconds),
            "PYTHONPATH": str(_REPOSITORY),
        }
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        with (self.directory / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "poller", "run", "--config", str(self.config)],
                cwd=self.directory,
                env=self._environment,
                stderr=log,
            )

    def kill(self) -> None:
        """As the kernel or a node's end would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, within_seconds: float = 40.0) -> int:
        """Asks it to drain, and gives its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(within_seconds)

    def end(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()

    def verb(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "poller", *arguments, "--config", str(self.config)]
        return subprocess.run(
            command, cwd=self.directory, env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )

    def lines(self) -> list[dict]:
        """What was handled, in order; a line cut off by a kill is no line."""
        text = self.handled.read_text()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def log(self) -> list[dict]:
        """What the worker logged; a line cut off by a kill is no line."""
        text = (self.directory / "worker.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]

    def wait_for(self, done, within_seconds: float = 120.0) -> None:
        """Until ``done(lines)``."""
        deadline = time.monotonic() + within_seconds
        while not done(self.lines()):
            log = (self.directory / "worker.log").read_text()[-3000:]
            assert time.monotonic() < deadline, f"only {len(self.lines())} lines were handled; the log ends:\n{log}"
            time.sleep(0.1)


def first_times(lines: list[dict]) -> dict[str, list[int]]:
    """Per key, the numbers in the order in which they were handled first."""
    seen: dict[str, dict[int, None]] = {}
    for line in lines:
        seen.setdefault(line["key"], {})[line["n"]] = None
    return {key: list(numbers) for key, numbers in seen.items()}


def repeats(lines: list[dict]) -> int:
    return sum(count - 1 for count in Counter((line["key"], line["n"]) for line in lines).values())
