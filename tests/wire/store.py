"""The real SQLite store on the virtual clock: this file commits without a thread, and tells a history what landed.

The database is a real file, in memory if the system has such a place; each life of a worker has its own connection,
so that its death is that of a process: its locks are free at once, and what was not committed never was.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from asyncio import get_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from poller.model import Row
from poller.stores import group_commit, sqlite
from poller.stores.group_commit import GroupCommit, _Job
from poller.stores.sqlite import _COLUMNS, SqliteStore, _row
from tests.history import entries
from tests.history.log import History
from tests.simulation.life import Life

COMMIT_SECONDS = 0.002
MEMORY = "/dev/shm"

_TRIGGERS = (
    "began AFTER INSERT ON shards BEGIN SELECT noted('Began', '', NEW.shard, NEW.position, NEW.stream_created_at)",
    "saved AFTER UPDATE OF position ON shards BEGIN"
    " SELECT noted('Saved', NEW.owner, NEW.shard, NEW.position, NEW.token)",
    "leased AFTER UPDATE OF token ON shards BEGIN SELECT noted('Leased', NEW.owner, NEW.shard, '', NEW.token)",
    "released AFTER UPDATE OF owner ON shards WHEN NEW.owner IS NULL AND OLD.owner IS NOT NULL BEGIN"
    " SELECT noted('Released', OLD.owner, OLD.shard, '', OLD.token)",
)
"""What the store itself sees, whatever its callers believe."""


class VirtualCommit(GroupCommit):
    """The real commits of groups, made by the loop, some time after the first of a group has asked."""

    def __init__(self, database: sqlite3.Connection, *, read_only: bool = False) -> None:
        assert not read_only
        self._database = database
        self._closed = False
        self._jobs = self  # type: ignore[assignment]
        self._thread = self  # type: ignore[assignment]
        self._group: list[_Job] = []
        self._noted: list[tuple] = []
        self.history: History | None = None
        self.life: Life | None = None
        self.created_at: Callable[[], float] = float

    # What the real one has a queue and a thread for

    def put(self, job: _Job | None) -> None:
        if job is not None:
            if not self._group:
                get_running_loop().call_later(COMMIT_SECONDS, self._write)
            self._group.append(job)

    def join(self, timeout: float) -> None:
        self._database.close()

    # What is seen of it

    def listen(self, history: History, life: Life) -> None:
        self.history, self.life = history, life
        self._database.create_function("noted", 5, lambda *what: self._noted.append(what))
        for trigger in _TRIGGERS:
            self._database.execute(f"CREATE TEMP TRIGGER {trigger}; END")

    def die(self) -> None:
        """Who still waits gets no answer that counts."""
        if not self._closed:
            self._closed = True
            self._database.close()
            for job in self._group:
                job.problem = "the process has ended"
                job.done.set()
            self._group.clear()

    def _write(self) -> None:
        if self._closed and not self._group:
            return
        group, self._group = self._group, []
        if self.life is not None and self.life.strikes("disk refuses"):
            group.append(_Job(_fail, group[0].loop))
        self._noted.clear()
        self._commit(group)
        if self.history is not None and not group[0].problem:
            now = get_running_loop().time()
            for what in self._noted:
                self.history.add(_entry(now, *what))


class WireStore(SqliteStore):
    """The store of one life of a worker."""

    def __init__(self, path: Path, life: Life, history: History) -> None:
        super().__init__(path, life.clock)
        assert isinstance(self._commits, VirtualCommit)
        self._commits.listen(history, life)

    def die(self) -> None:
        """As the system does it for a process: locks are dropped, their files stay."""
        assert isinstance(self._commits, VirtualCommit)
        self._commits.die()
        for handle in self._owners._held.values():
            os.close(handle)
        self._owners._held.clear()


class OpenDatabase:
    """The file itself, which the harness can look into, copy, and put an older copy of in its place."""

    def __init__(self, history: History) -> None:
        self._place = tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
        self.path = Path(self._place.name) / "poller.db"
        self._history = history
        self._database = sqlite._opened(self.path)

    def close(self) -> None:
        self._database.close()
        self._place.cleanup()

    def all(self) -> list[Row]:
        return [_row(columns) for columns in self.copy()[0]]

    def row(self, mapping: str, shard: str) -> Row:
        return next(row for row in self.all() if (row.lease.mapping, row.shard) == (mapping, shard))

    def copy(self) -> tuple[list[tuple]]:
        return (self._database.execute(f"SELECT {_COLUMNS} FROM shards").fetchall(),)

    def restore(self, copy: tuple[list[tuple]]) -> None:
        rows = copy[0]
        marks = ", ".join("?" * len(rows[0]))
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("DELETE FROM shards")
        self._database.executemany(f"INSERT INTO shards ({_COLUMNS}) VALUES ({marks})", rows)
        self._database.execute("COMMIT")
        positions = tuple((row.shard, str(row.checkpoint.position)) for row in self.all())
        self._history.add(entries.Restored(get_running_loop().time(), positions))


@contextmanager
def without_threads() -> Iterator[None]:
    """Stores that are made meanwhile write on the loop."""
    real = sqlite.GroupCommit, group_commit.from_thread
    sqlite.GroupCommit, group_commit.from_thread = VirtualCommit, _Here  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        sqlite.GroupCommit, group_commit.from_thread = real  # type: ignore[misc]


class _Here:
    """Where the thread would visit the loop."""

    @staticmethod
    def run_sync(work, *arguments, token) -> None:
        work(*arguments)


def _fail(database: sqlite3.Connection) -> None:
    raise sqlite3.OperationalError("disk I/O error")


def _entry(at: float, kind: str, owner: str, shard: str, position: str, mark: float) -> entries.Entry:
    """``mark`` is the lease's token, or the age of the stream of a row that is new."""
    token = int(mark or 0)
    match kind:
        case "Began":
            return entries.Began(at, shard, position, mark)
        case "Saved":
            return entries.Saved(at, owner or "", shard, position, token)
        case "Leased":
            return entries.Leased(at, owner, shard, token)
        case _:
            return entries.Released(at, owner, shard, token)
