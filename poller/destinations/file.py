"""A file as the place for failures: this file is how a line of JSON gets to its end whole, and stays there."""

from __future__ import annotations

import fcntl
import os
from urllib.parse import unquote_to_bytes

import anyio

from poller.arns import DestinationKind
from poller.daemon_thread import NotStarted, in_daemon_thread
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
            try:
                await in_daemon_thread(
                    write.append,
                    f"write to {self._path}",
                    ended=lambda: self._one_at_a_time.release_on_behalf_of(write),
                )
            finally:
                write.withdrawn = True
        except (FileNotFoundError, NotADirectoryError) as error:
            directory = os.path.dirname(self._path)
            raise SourceGone(f"could not write to {self._path}: there is no directory {directory}; make it") from error
        except (PermissionError, IsADirectoryError, ValueError) as error:  # a ValueError is a NUL in the path
            raise SourceGone(f"could not write to {self._path}: {error}") from error
        except (OSError, MemoryError, NotStarted) as error:
            raise Unavailable(f"could not write to {self._path}: {error}") from error

    async def aclose(self) -> None:
        """Nothing to do: the file is open only while it is written to."""


class _Write:
    """One line on its way; ``withdrawn`` once nobody waits for it, so that it is not written, unless it is too late."""

    def __init__(self, path: str, line: bytes) -> None:
        self._path = path
        self._line = line
        self.withdrawn = False

    def append(self) -> None:
        """Raises `OSError` or `ValueError` unless all of the line is on the disk."""
        with open(self._path, "a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if self.withdrawn:
                return
            line, end = self._line, file.seek(0, os.SEEK_END)
            if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
                line = b"\n" + line  # a full disk or a kill cut the line before; it must not take this one with it
            written = file.write(line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes were written")
            os.fsync(file.fileno())
