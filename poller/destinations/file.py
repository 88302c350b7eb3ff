"""A file as the place for failures: this file is how a line of JSON gets to its end whole, and stays there."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote_to_bytes

import anyio
from anyio import from_thread
from anyio.lowlevel import current_token

from poller.arns import DestinationKind
from poller.errors import SourceGone, Unavailable
from poller.invocation import FailureReport
from poller.rules.failure_document import failure_document


class FileDestination:
    """The file of the URL ``destination``, ``file:///path.jsonl``; see `poller.ports.Destination`.

    A report is one line, payload included, and on the disk when it is accepted. Any number of writers and processes
    may share the file, on one host. Its directory must exist.
    """

    kind = DestinationKind.FILE

    def __init__(self, destination: str) -> None:
        self._path = os.fsdecode(unquote_to_bytes(destination.removeprefix("file://")))
        # A disk that hangs costs one thread, not one for each report: a write holds its place until it has ended.
        self._one_at_a_time = anyio.CapacityLimiter(1)

    async def send(self, report: FailureReport) -> None:
        line = failure_document(report, with_payload=True) + b"\n"
        write = _Write(self._path, line)
        try:
            await self._one_at_a_time.acquire_on_behalf_of(write)
            await write.done(lambda: self._one_at_a_time.release_on_behalf_of(write))
        except (FileNotFoundError, NotADirectoryError) as error:
            directory = os.path.dirname(self._path)
            raise SourceGone(f"could not write to {self._path}: there is no directory {directory}; make it") from error
        except (PermissionError, IsADirectoryError, ValueError) as error:  # a ValueError is a NUL in the path
            raise SourceGone(f"could not write to {self._path}: {error}") from error
        except OSError as error:
            raise Unavailable(f"could not write to {self._path}: {error}") from error

    async def aclose(self) -> None:
        """Nothing to do: the file is open only while it is written to."""


class _Write:
    """One line on its way, in a daemon thread: a disk that hangs must not keep the process from ending either."""

    def __init__(self, path: str, line: bytes) -> None:
        self._path = path
        self._line = line
        self._withdrawn = False
        self._errors: list[Exception] = []
        self._ended = anyio.Event()

    async def done(self, ended: Callable[[], None]) -> None:
        """Returns when the line is on the disk. Raises `OSError` or `ValueError`; ``ended`` is called at the very end.

        One that nobody waits for any more is not written, unless it is too late.
        """
        token = current_token()

        def work() -> None:
            try:
                _append(self._path, self._line, lambda: self._withdrawn)
            except (OSError, ValueError) as error:
                self._errors.append(error)
            except MemoryError as error:
                self._errors.append(OSError(f"no memory: {error}"))
            with suppress(RuntimeError):  # the worker has ended meanwhile
                from_thread.run_sync(tell, token=token)

        def tell() -> None:
            self._ended.set()
            ended()

        try:
            threading.Thread(target=work, name=f"write to {self._path}", daemon=True).start()
        except RuntimeError as error:  # as many as the system allows
            ended()
            raise OSError(str(error)) from error
        try:
            await self._ended.wait()
        finally:
            self._withdrawn = True
        if self._errors:
            raise self._errors.pop()


def _append(path: str, line: bytes, withdrawn: Callable[[], bool]) -> None:
    """Raises `OSError` unless all of ``line`` is on the disk; what was ``withdrawn`` meanwhile is not written."""
    with open(path, "a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if withdrawn():
            return
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
            line = b"\n" + line  # a full disk or a kill cut the line before; it must not take this one with it
        written = file.write(line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes were written")
        os.fsync(file.fileno())
