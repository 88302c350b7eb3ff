"""From what all processes of a run wrote to one history: this file gathers it, in the order in which it happened."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from poller.rules.ordering import lane_of
from tests.history import entries
from tests.history.log import History
from tests.history.log import read as read_lines
from tests.processes import audit
from tests.processes.lives import Life


def gathered(
    folder: Path, store: Path, lives: Iterable[Life], *, lanes: int, more: Iterable[entries.Entry] = ()
) -> History:
    """The history of a run whose files are in ``folder``; ``more`` was seen by the test itself."""
    history = History()
    for entry in _lines_of(folder / "stream.jsonl"):
        history.add(entry)
    found = [*history.entries, *more, *_lines_of(folder / "handler.jsonl"), *_lines_of(folder / "test.jsonl")]
    found += audit.read(store)
    for life in lives:
        found += _of_log(life, history, lanes)
    # Once each: what a store told before it was damaged may be in its copy too.
    history.entries = sorted(dict.fromkeys(found), key=lambda entry: entry.at)
    return history


def write(history: History, path: Path) -> None:
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in history.lines())


def _lines_of(path: Path) -> list[entries.Entry]:
    if not path.exists():
        return []
    return read_lines(line for line in path.read_text(errors="replace").splitlines() if _is_whole(line))


def _is_whole(line: str) -> bool:
    """Whether no kill cut it off."""
    if not line.startswith("{") or not line.endswith("}"):
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def tell(path: Path, entry: entries.Entry) -> None:
    """Appends what the test did."""
    with path.open("a") as file:
        file.write(json.dumps({"kind": type(entry).__name__, **asdict(entry)}) + "\n")


def _of_log(life: Life, history: History, lanes: int) -> Iterator[entries.Entry]:
    """What a worker said of itself."""
    for said in life.log():
        at, shard = said["at"], said.get("shard", "")
        match said["event"]:
            case "records discarded":
                first, last = int(said["first"]), int(said["last"])
                numbers = _between(history, shard, first, last, said["lane"], lanes)
                delivered, condition = said["delivered"], said["condition"]
                yield entries.Discarded(at, life.name, shard, numbers, first, last, delivered, condition)
            case "the stream no longer holds the records after the checkpoint":
                resumed_at = said["resumed_at"]
                yield entries.Gap(at, life.name, shard, said["after"], None if resumed_at is None else int(resumed_at))
            case "lease lost":
                yield entries.Lost(at, life.name, shard)
            case "worker stopped":
                yield entries.Stopped(at, life.name, drained=True)
            case "worker stopped before everything came to rest":
                yield entries.Stopped(at, life.name, drained=False)


def _between(history: History, shard: str, first: int, last: int, lane: int, lanes: int) -> tuple[int, ...]:
    between = (number for number in history.numbers[shard] if first <= number <= last)
    return tuple(number for number in between if lane_of(history.keys[number], lanes) == lane)
