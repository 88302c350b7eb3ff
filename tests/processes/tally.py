"""What still waits while a run goes on: this file follows the run's files as they grow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from poller.rules.ordering import lane_of
from tests.processes.lives import Life


class Tally:
    """Counts the records that are neither handled nor given up; ``lanes`` is the factor of all workers."""

    def __init__(self, folder: Path, lanes: int) -> None:
        self._folder = folder
        self._lanes = lanes
        self._read: dict[Path, int] = {}
        self._waiting: set[int] = set()
        self._done: set[int] = set()
        self._put: dict[str, list[tuple[int, str]]] = {}

    def look(self, lives: Sequence[Life]) -> int:
        # Handled first: what is put meanwhile must not be missed, what is handled is seen the next time.
        for line in self._fresh(self._folder / "handler.jsonl"):
            if line.get("kind") == "Handled":
                self._done.update(line["numbers"])
        for line in self._fresh(self._folder / "stream.jsonl"):
            if line["kind"] == "Put":
                self._waiting.add(line["number"])
                self._put.setdefault(line["shard"], []).append((line["number"], line["key"]))
        for life in lives:
            for line in self._fresh(life.log_path):
                if line.get("event") == "records discarded":
                    self._done.update(self._between(line))
        self._waiting -= self._done
        self._done.clear()
        return len(self._waiting)

    def _between(self, line: dict) -> Iterator[int]:
        first, last = int(line["first"]), int(line["last"])
        for number, key in self._put[line["shard"]]:
            if first <= number <= last and lane_of(key, self._lanes) == line["lane"]:
                yield number

    def _fresh(self, path: Path) -> list[dict]:
        """Whole lines that were not read before."""
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(whole)
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{") and line.endswith(b"}")]
