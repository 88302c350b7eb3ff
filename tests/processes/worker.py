"""``python -m tests.processes.worker run --config ...``: this file is `poller` with a witness in it, and a death wish.

The program runs as it is. What the test adds lies at its edges: the connection to SQLite knows the time and the name of
this life, which the store's own triggers write down (`tests.processes.audit`), and ``DIES_AT`` names a place, and how
often it is reached, at which the process kills itself as ``kill -9`` would; ``SLEEPS_AT`` one at which it is paused.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sqlite3
import sys
import threading
import time
from random import Random

from poller import cli
from poller.destinations.http import HttpDestination
from poller.invocation import Succeeded
from poller.stores.owner_locks import OwnerLocks
from poller.stores.sqlite import SqliteStore
from poller.targets.python import PythonTarget
from tests.processes.mutants import ERRORS

PLACES = (
    "handled",
    "before the report",
    "after the report",
    "taking a lease",
    "lease taken",
    "before the commit",
    "during the commit",
    "after the commit",
)
"""Handled, but not saved; in the middle of a take's transaction; and so on."""

_COMMIT_SECONDS = 0.002
_CAPABILITIES = 0x20080522
_OVERRIDE_FILE_RIGHTS = 0b110


class _Fate:
    """When to die, or to sleep until somebody wakes this process up."""

    def __init__(self) -> None:
        dies_at, sleeps_at = (os.environ.get(name, "") for name in ("DIES_AT", "SLEEPS_AT"))
        self._place, _, count = (dies_at or sleeps_at).partition(":")
        self._left = int(count or 0)
        self._signal = signal.SIGKILL if dies_at else signal.SIGSTOP

    def reached(self, place: str) -> bool:
        if place == self._place:
            self._left -= 1
        return place == self._place and self._left == 0

    def pass_by(self, place: str) -> None:
        if self.reached(place):
            self.strike()

    def strike(self) -> None:
        os.kill(os.getpid(), self._signal)

    def strike_soon(self) -> None:
        time.sleep(Random().random() * _COMMIT_SECONDS)
        self.strike()


class _Told(sqlite3.Connection):
    """Knows who and when, and may die at a commit."""

    fate: _Fate

    def __init__(self, *arguments, **more) -> None:
        super().__init__(*arguments, **more)
        self.create_function("now", 0, time.time)
        self.create_function("life", 0, lambda: os.environ["HISTORY_LIFE"])
        super().execute("PRAGMA cache_size = 64")  # what the triggers write shall not grow the worker's memory

    def execute(self, command, *values):
        if command != "COMMIT":
            return super().execute(command, *values)
        self.fate.pass_by("before the commit")
        if self.fate.reached("during the commit"):
            threading.Thread(target=self.fate.strike_soon).start()
        answer = super().execute(command, *values)
        self.fate.pass_by("after the commit")
        return answer


def _witness(fate: _Fate) -> None:
    _Told.fate = fate
    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **more: connect(*arguments, **more, factory=_Told)  # type: ignore[assignment]

    invoke, send, take, hold = PythonTarget.invoke, HttpDestination.send, SqliteStore.take, OwnerLocks.hold

    async def invoke_and(self, invocation):
        outcome = await invoke(self, invocation)
        if isinstance(outcome, Succeeded):
            fate.pass_by("handled")
        return outcome

    async def send_and(self, report):
        fate.pass_by("before the report")
        await send(self, report)
        fate.pass_by("after the report")

    async def take_and(self, lease, owner):
        taken = await take(self, lease, owner)
        fate.pass_by("lease taken")
        return taken

    def hold_and(self, owner):
        hold(self, owner)
        fate.pass_by("taking a lease")

    PythonTarget.invoke = invoke_and  # type: ignore[method-assign]
    HttpDestination.send = send_and  # type: ignore[method-assign]
    SqliteStore.take = take_and  # type: ignore[method-assign]
    OwnerLocks.hold = hold_and  # type: ignore[method-assign]


def _obey_file_rights() -> None:
    """Root may do everything with every file; this process may not any more."""
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    system = ctypes.CDLL(None, use_errno=True)
    if system.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for number in range(3):  # effective, permitted, inheritable
        sets[number] &= ~_OVERRIDE_FILE_RIGHTS
    if system.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    if os.environ.get("OBEYS_FILE_RIGHTS"):
        _obey_file_rights()
    if os.environ.get("MUTANT"):
        ERRORS[os.environ["MUTANT"]]()
    _witness(_Fate())
    sys.exit(cli.main(sys.argv[1:]))
