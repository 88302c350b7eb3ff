"""Which workers of this host are alive: this file is the lock that the system itself drops when a process dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from poller.model import WorkerId


class OwnerLocks:
    """One file per owner beside ``path``, locked while its process lives.

    Only what a lock proves is believed: an owner without a file may be alive, and its leases run out as usual.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[WorkerId, int] = {}

    def hold(self, owner: WorkerId) -> None:
        """Shows that ``owner`` lives, from now until this process ends or `close`. Raises `OSError`."""
        while owner not in self._held:
            handle = os.open(self._file(owner), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if self._is_still_there(owner, handle):
                self._held[owner] = handle
            else:  # another worker took it for a dead one's and removed it before it was locked
                os.close(handle)

    def dead(self, owners: set[WorkerId]) -> set[WorkerId]:
        """Those of ``owners`` whose process is known to have ended."""
        return {owner for owner in owners if owner not in self._held and self._is_dead(owner)}

    def bury(self, dead: set[WorkerId]) -> None:
        """Removes the files of owners that own nothing any more."""
        for owner in dead:
            with suppress(OSError):
                self._file(owner).unlink(missing_ok=True)

    def close(self) -> None:
        for owner, handle in self._held.items():
            with suppress(OSError):
                self._file(owner).unlink(missing_ok=True)
            os.close(handle)
        self._held.clear()

    def _is_dead(self, owner: WorkerId) -> bool:
        try:
            handle = os.open(self._file(owner), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(handle)
        return True

    def _is_still_there(self, owner: WorkerId, handle: int) -> bool:
        try:
            return self._file(owner).stat().st_ino == os.fstat(handle).st_ino
        except OSError:
            return False

    def _file(self, owner: WorkerId) -> Path:
        return self._path.with_name(f"{self._path.name}.{quote(owner, safe='')}.alive")
