"""What happens, live: this file is a table on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import io
import shutil
from collections import deque
from dataclasses import dataclass
from typing import TextIO

import anyio

from poller.events import (
    BatchInvoked,
    BatchRetried,
    Event,
    LeaseTaken,
    PageRead,
    RecordsDiscarded,
    RecordsSettled,
    ShardFinished,
)

TABLE_SECONDS = 0.5
LINE_SECONDS = 5.0
_LOG_LINES = 8
_HEAD = ("MAPPING", "SHARD", "POSITION", "BEHIND", "BATCHES", "RETRIES", "DONE", "DISCARDED")


@dataclass(slots=True)
class _Shard:
    position: str = ""
    behind: str = "?"
    batches: int = 0
    retries: int = 0
    done: int = 0
    discarded: int = 0


class View(io.TextIOBase):
    """Hears every event and shows each shard on ``stream``; a terminal's table also takes the log's last lines.

    It is the text stream that the log of a terminal writes to, so that no line tears the table.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._shards: dict[tuple[str, str], _Shard] = {}
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._height = 0
        self._shown = ""

    @property
    def is_table(self) -> bool:
        return self._stream.isatty()

    def __call__(self, event: Event) -> None:
        if not isinstance(
            event,
            LeaseTaken | PageRead | BatchInvoked | BatchRetried | RecordsSettled | RecordsDiscarded | ShardFinished,
        ):
            return
        shard = self._shards.setdefault((event.mapping, event.shard), _Shard())
        match event:
            case LeaseTaken(position=position) | RecordsSettled(position=position):
                shard.position = str(position)
                shard.done += event.records if isinstance(event, RecordsSettled) else 0
            case PageRead(behind_seconds=behind):
                shard.behind = "?" if behind is None else f"{behind:.1f} s"
            case BatchInvoked():
                shard.batches += 1
            case BatchRetried():
                shard.retries += 1
            case RecordsDiscarded(records=records):
                shard.discarded += records
            case ShardFinished():
                shard.position = "SHARD_END"

    def write(self, text: str) -> int:
        """A line of the log."""
        self._log.extend(text.splitlines())
        return len(text)

    def say(self, text: str) -> None:
        """A line that stays, above a table or between the lines."""
        self._clear()
        print(text, file=self._stream, flush=True)

    async def show_for_ever(self) -> None:
        while True:
            await anyio.sleep(TABLE_SECONDS if self.is_table else LINE_SECONDS)
            self.show()

    def show(self) -> None:
        """The table as it is now; elsewhere than on a terminal only if there is news."""
        text = self.text()
        if self.is_table:
            self._clear()
            # A line that wraps would be two, and the table not where it is looked for.
            width = shutil.get_terminal_size().columns - 1
            lines = [line[:width] for line in (*text.splitlines(), "", *self._log)]
            self._height = len(lines)
            print(*lines, sep="\n", file=self._stream, flush=True)
        elif text != self._shown:
            print(text, file=self._stream, flush=True)
        self._shown = text

    def text(self) -> str:
        """One line per shard, aligned under a head."""
        rows = [_HEAD, *(_cells(mapping, name, self._shards[mapping, name]) for mapping, name in sorted(self._shards))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)

    def _clear(self) -> None:
        if self._height:
            print(f"\x1b[{self._height}A\x1b[J", end="", file=self._stream)
            self._height = 0


def _cells(mapping: str, name: str, shard: _Shard) -> tuple[str, ...]:
    counts = (shard.batches, shard.retries, shard.done, shard.discarded)
    position = shard.position if len(shard.position) <= 40 else f"{shard.position[:12]}...{shard.position[-20:]}"
    return (mapping, _short(name), position, shard.behind, *(str(count) for count in counts))


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"...{name[-21:]}"
