"""One thread that writes to SQLite, and one commit for all who wait: this file is the queue between loop and disk."""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from poller.errors import Unavailable

T = TypeVar("T")

_GROUP_MAX = 1000
_PROBLEMS = (
    *(sqlite3.Error, OSError, MemoryError),
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError),  # of a damaged row
)
"""All that a commit may raise: without its thread the store would answer nobody any more."""


@dataclass(slots=True, eq=False)
class _Job:
    """Work for the next commit; ``answer`` counts only once ``done`` is set without a ``problem``."""

    work: Callable[[sqlite3.Connection], Any]
    loop: EventLoopToken
    done: anyio.Event = field(default_factory=anyio.Event)
    answer: Any = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    """The file of a database; ``node`` is the device and the inode that were opened under its name."""

    path: str
    node: tuple[int, int]

    def must_be_there(self) -> None:
        """Raises `OSError` if it was deleted, moved or replaced: what is written then, nobody will ever read."""
        if _node(self.path) != self.node:
            raise OSError(f"{self.path} is another file than the one that was opened; the worker must be restarted")


class GroupCommit:
    """Runs work on ``database``, for one event loop; what came during the last commit shares the next one."""

    _file: _File | None = None
    _begin = "BEGIN IMMEDIATE"

    def __init__(self, database: sqlite3.Connection, *, read_only: bool = False) -> None:
        self._database = database
        if read_only:
            self._begin = "BEGIN"
        (_, _, path), *_ = database.execute("PRAGMA database_list")
        if path:
            self._file = _File(path, _node(path))
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._commit_for_ever, name="store", daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of ``work`` once it is on disk. Raises `Unavailable` if nothing of its group was written.

        Work that is cancelled here is done all the same.
        """
        if self._closed:
            raise Unavailable("the store is closed")
        job = _Job(work, current_token())
        self._jobs.put(job)
        await job.done.wait()
        if job.problem:
            raise Unavailable(job.problem)
        answer: T = job.answer
        return answer

    async def aclose(self) -> None:
        """Returns when everything asked for before is written and the file is closed."""
        if self._closed:
            return
        last = _Job(lambda database: None, current_token())
        self._jobs.put(last)
        self._jobs.put(None)
        self._closed = True
        with anyio.CancelScope(shield=True):
            await last.done.wait()
        self._thread.join(timeout=10)

    def _commit_for_ever(self) -> None:
        ended = False
        while not ended:
            jobs = [self._jobs.get()]
            while len(jobs) < _GROUP_MAX and not self._jobs.empty():
                jobs.append(self._jobs.get())
            ended = None in jobs
            self._commit([job for job in jobs if job])
        self._database.close()

    def _commit(self, group: list[_Job]) -> None:
        try:
            if self._file is not None:
                self._file.must_be_there()
            self._database.execute(self._begin)
            for job in group:
                job.answer = job.work(self._database)
            self._database.execute("COMMIT")
        except _PROBLEMS as error:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            for job in group:
                job.problem = f"the store did not answer: {type(error).__name__}: {error}"
        if group:
            with suppress(RuntimeError):  # the loop has ended
                from_thread.run_sync(_set_all, [job.done for job in group], token=group[0].loop)


def _node(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _set_all(events: list[anyio.Event]) -> None:
    """Tells all who wait, with one visit to their loop."""
    for event in events:
        event.set()
